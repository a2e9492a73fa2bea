/** Workers are killed in every stage: the job ends as if nothing had happened, or says what did. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundle } from '../../scripts/build.ts';
import type { KillPlan, KillReport } from './kill-workers.ts';
import { WORDS, writeWords } from './programs.ts';

const KILL_WORKERS = fileURLToPath(new URL('kill-workers.ts', import.meta.url));
const CACHE = fileURLToPath(new URL('../../node_modules/.cache', import.meta.url));
let directory: string;
/** Dozens of processes start from it, each in a third of the time that it takes from the sources. */
let bundled: string;
let undisturbed: KillReport;
let expected: Readonly<Record<string, string>>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'millrace-kill-'));
  await writeWords(directory);
  await writeFile(join(directory, 'words.ts'), WORDS);
  await mkdir(CACHE, { recursive: true });
  // Where its dependencies are found.
  bundled = await mkdtemp(join(CACHE, 'kill-workers-'));
  await bundle(join(bundled, 'dist'), { 'kill-workers': KILL_WORKERS });
  undisturbed = await run({ workers: 1, kills: [] });
  expected = undisturbed.error === undefined ? outputs() : {};
});

afterAll(async () => {
  for (const each of [directory, bundled]) await rm(each, { recursive: true, force: true });
});

async function run(changes: Partial<KillPlan>): Promise<KillReport> {
  const plan: KillPlan = {
    program: join(directory, 'words.ts'),
    directory,
    data: join(directory, 'data'),
    workers: 2,
    splitBytes: 20_000,
    partitions: 3,
    kills: [],
    ...changes,
  };
  const child = spawn(
    process.execPath,
    [join(bundled, 'dist/kill-workers.js'), JSON.stringify(plan)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_COMPILE_CACHE: join(directory, 'compiled') },
    },
  );
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  await once(child, 'close');
  return JSON.parse(text) as KillReport;
}

/** Every file of the outputs, by name. */
function outputs(): Readonly<Record<string, string>> {
  const out = join(directory, 'out');
  const names = readdirSync(out, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(?:ndjson|txt)$/.test(name))
    .filter((name) => !name.startsWith('.'))
    .toSorted();
  expect(names.length).toBeGreaterThan(1);
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(out, name), 'utf8')]));
}

function expectClean(summary: KillReport['summary']): void {
  const job = join(directory, 'data/jobs', summary?.id ?? '');
  expect(readdirSync(job)).toEqual(['job.json']);
  expect(readdirSync(join(directory, 'out')).filter((name) => name.startsWith('.'))).toEqual(
    readdirSync(join(directory, 'out')).filter((name) => name === '.sorted.millrace'),
  );
}

test('undisturbed it has stages enough to kill something in', () => {
  expect(undisturbed.error).toBeUndefined();
  expect(undisturbed.summary?.stages.length).toBeGreaterThanOrEqual(3);
  expect(undisturbed.summary?.counters).toEqual({ lines: 8_000 });
});

test.each([
  ['before a task has done anything', 'taskStarted'],
  ['in the middle of a task', 'taskProgress'],
  ['after a task', 'taskDone'],
] as const)('workers killed %s in every stage change nothing', async (_name, at) => {
  // A kill that comes late hits what the worker does next: more of them could use up the attempts of one task.
  const times = at === 'taskStarted' ? 2 : 1;
  const kills = [0, 1, 2, 3].map((stage) => ({ at, stage, times }));
  const { error, summary, killed, retried } = await run({ kills });
  expect(error).toBeUndefined();
  expect(killed).toBeGreaterThanOrEqual(3 * times);
  if (at === 'taskStarted') expect(retried).toBe(killed);
  expect(summary).toMatchObject({ status: 'succeeded', retries: retried });
  expect(summary?.counters).toEqual({ lines: 8_000 });
  expect(outputs()).toEqual(expected);
  expectClean(summary);
});

test('a worker that is killed again and again fails the job, which leaves the old outputs', async () => {
  const kills = [{ at: 'taskStarted', stage: 1, task: 0, times: 100 }] as const;
  const { error, summary, killed } = await run({ kills });
  expect(error).toMatchObject({ code: 'ML_TASK_FAILED', cause: { code: 'ML_WORKER_LOST' } });
  expect(error?.message).toMatch(
    /task 0 of '.*' failed 4 times; the last time: worker \d+ \(process \d+\) was ended by SIGKILL/,
  );
  expect(killed).toBe(4);
  expect(summary).toMatchObject({ status: 'failed', retries: 3, outputs: [] });
  expect(outputs()).toEqual(expected);
  expectClean(summary);
  expect(existsSync(join(directory, 'data/jobs', summary?.id ?? '', 'tmp'))).toBe(false);
});

test.each([1, 3])('%i workers and other splits give the same bytes', async (workers) => {
  const { summary } = await run({ workers, splitBytes: 7_001 });
  expect(summary?.status).toBe('succeeded');
  expect(outputs()).toEqual(expected);
});

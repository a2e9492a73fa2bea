/** The driver is killed at any moment: no process and no output of it stays, and the next run is clean. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { runs } from '../runs.ts';
import { builtMillrace } from '../start/built-millrace.ts';
import { WORDS, writeWords } from './programs.ts';

const millrace = builtMillrace();
/** In the environment of every process of a run. */
const MARK = 'MILLRACE_TEST_MARK';
const ROUNDS = runs(4);
const isLinux = process.platform === 'linux';

/** Processes that live and carry the mark. */
function marked(mark: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const isDead = readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
        return (
          !isDead && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${MARK}=${mark}\0`)
        );
      } catch {
        return false; // It has ended since.
      }
    })
    .map(Number);
}

async function noneLeft(mark: string): Promise<void> {
  while (marked(mark).length > 0) await delay(20);
}

function args(...more: readonly string[]): string[] {
  return ['run', 'words.ts', '--split-size', '10kB', '--partitions', '3', '--overwrite', ...more];
}

async function prepared(): Promise<string> {
  const directory = await millrace.directory();
  await writeWords(directory);
  await writeFile(join(directory, 'words.ts'), WORDS);
  return directory;
}

async function outputs(directory: string): Promise<string> {
  const sorted = join(directory, 'out/sorted');
  const parts = readdirSync(sorted).filter((name) => name.endsWith('.ndjson'));
  const files = [...parts.map((name) => join(sorted, name)), join(directory, 'out/top.ndjson')];
  return (await Promise.all(files.map((file) => readFile(file, 'utf8')))).join('---\n');
}

test.runIf(isLinux)('killed at random moments, then run again', async () => {
  const directory = await prepared();
  const first = await millrace.run(args('--workers', '2'), { cwd: directory });
  expect(first.code, first.stderr).toBe(0);
  const expected = await outputs(directory);
  const startMs = performance.now();
  await millrace.run(args('--workers', '2'), { cwd: directory });
  const takesMs = performance.now() - startMs;
  for (let round = 0; round < ROUNDS; round++) {
    const mark = `driver-${round}`;
    const job = millrace.launch(args('--workers', '2'), {
      cwd: directory,
      env: { [MARK]: mark },
      input: '',
    });
    await delay((takesMs * (round + 0.5)) / ROUNDS);
    await job.end('SIGKILL');
    await noneLeft(mark);
    // Whatever is there is whole: the swap of both outputs is one decision.
    if (existsSync(join(directory, 'out/top.ndjson'))) {
      expect(await readFile(join(directory, 'out/top.ndjson'), 'utf8')).toBe(
        expected.slice(expected.lastIndexOf('---\n') + 4),
      );
    }
  }
  const again = await millrace.run(args('--workers', '2'), { cwd: directory });
  expect(again.code, again.stderr).toBe(0);
  expect(await outputs(directory)).toBe(expected);
  const jobs = join(directory, 'millrace-data/jobs');
  const left = readdirSync(jobs).filter((id) => existsSync(join(jobs, id, 'tmp')));
  expect(left).toEqual([]);
  expect(readdirSync(join(directory, 'out')).toSorted()).toEqual([
    '.sorted.millrace',
    'sorted',
    'tail.ndjson',
    'top.ndjson',
    'words.txt',
  ]);
  const staged = readdirSync(join(directory, 'out/.sorted.millrace'));
  expect(staged.filter((name) => name !== 'lock.db')).toEqual([expect.stringMatching(/^v-/)]);
});

const STUCK = `
import { files, flow } from 'millrace';
export default flow('stuck', (f) => {
  f.read(files.lines('input/0.txt'))
    .map((line) => {
      console.log('here');
      for (;;);
      return line;
    })
    .write(files.lines('out.txt'));
});
`;

test.runIf(isLinux)('a worker that is stuck in a loop ends with the driver', async () => {
  const directory = await prepared();
  await writeFile(join(directory, 'stuck.ts'), STUCK);
  const job = millrace.launch(['run', 'stuck.ts', '--workers', '1'], {
    cwd: directory,
    env: { [MARK]: 'stuck' },
    input: '',
  });
  await job.shows('stderr', /\[worker \d\] here/);
  // Driver and worker; later the one that watches.
  while (marked('stuck').length < 3) await delay(20);
  await job.end('SIGKILL');
  await noneLeft('stuck');
  expect(existsSync(join(directory, 'out.txt'))).toBe(false);
});

test.runIf(isLinux)('a cancelled job leaves nothing and no process', async () => {
  const directory = await prepared();
  await writeFile(join(directory, 'stuck.ts'), STUCK);
  const job = millrace.launch(['run', 'stuck.ts', '--workers', '2'], {
    cwd: directory,
    env: { [MARK]: 'cancelled' },
    input: '',
  });
  await job.shows('stderr', /\[worker \d\] here/);
  const { code, stderr } = await job.end('SIGINT');
  expect(code).toBe(130);
  expect(stderr).toMatch(/cancelled; no output was changed\n$/);
  expect(marked('cancelled')).toEqual([]);
  expect(existsSync(join(directory, 'out.txt'))).toBe(false);
  const [id = ''] = readdirSync(join(directory, 'millrace-data/jobs'));
  expect(readdirSync(join(directory, 'millrace-data/jobs', id))).toEqual(['job.json']);
  const shown = await millrace.run(['job', 'show', 'last', '--json'], { cwd: directory });
  expect(JSON.parse(shown.stdout)).toMatchObject({ status: 'cancelled', flow: 'stuck' });
});

/** A real process with a real LMDB under `kill -9`: what is on disk is a commit, whole, with its checkpoint. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { realEnv } from '../../../src/core/real-env.ts';
import { openTaskState } from '../../../src/engine/stream/state/open-task-state.ts';
import type { StoredEntry, TaskState } from '../../../src/engine/stream/state/store.ts';
import { openMemoryState } from '../../../src/engine/stream/state/task-state.ts';
import {
  type ChangelogRecord,
  committedRecords,
  readChangelog,
  transactionsOf,
  trimChangelog,
} from './changelog-file.ts';

const CHILD = fileURLToPath(new URL('state-child.ts', import.meta.url));
const SPEC = { name: 'counts', dueOf: (value: { count: number }) => value.count * 10 };
const env = realEnv();

let directory = '';
let path = '';
let logPath = '';
let child: ChildProcess | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-state-'));
  path = join(directory, 'state');
  logPath = join(directory, 'changelog');
});

afterEach(() => {
  child?.kill('SIGKILL');
  rmSync(directory, { recursive: true, force: true });
});

interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  readonly output: string;
}

/** @param killAt dots of the child after which it is killed */
function life(
  seed: number,
  transactions: number,
  killAt = Number.POSITIVE_INFINITY,
): Promise<Ending> {
  return run([process.execPath, CHILD, path, logPath, String(seed), String(transactions)], killAt);
}

function run(command: readonly string[], killAt: number): Promise<Ending> {
  const [program = '', ...rest] = command;
  const running = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  child = running;
  let output = '';
  running.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    if (output.length >= killAt) running.kill('SIGKILL');
  });
  return new Promise((resolve, reject) => {
    running.on('error', reject);
    running.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

function contents(state: TaskState): readonly StoredEntry[] {
  return state.committedView('counts')?.range(undefined, undefined, 1e9) ?? [];
}

/** What these records make, by a state that has no disk. */
function folded(records: readonly ChangelogRecord[]): readonly StoredEntry[] {
  const state = openMemoryState();
  state.store(SPEC);
  for (const { key, value } of records) state.restore('counts', key, value);
  return contents(state);
}

/** Times at which entries are due, in order. */
function dues(state: TaskState): number[] {
  const seen: number[] = [];
  const store = state.store<{ count: number }>(SPEC);
  store.due(1e9, (key, sub, value) => {
    seen.push(value.count * 10);
    store.put(key, sub, undefined, 0);
  });
  state.abort();
  return seen;
}

test('kill -9 leaves a commit on disk, with its checkpoint, and the changelog from there makes the rest', async () => {
  let onDisk = 0;
  for (const [seed, killAt] of [1, 3, 10, 2, 6].entries()) {
    const ending = await life(seed + 1, 1e6, killAt);
    expect(ending).toMatchObject({ signal: 'SIGKILL' });
    const text = readChangelog(logPath);
    const records = committedRecords(text);
    const state = await openTaskState({ kind: 'disk', env, path });
    state.store(SPEC);
    const checkpoint = state.checkpoint('counts') ?? 0;

    let behind = 0;
    const boundaries = [0, ...transactionsOf(text).map((changes) => (behind += changes.length))];
    expect(boundaries).toContain(checkpoint);
    expect(contents(state)).toEqual(folded(records.slice(0, checkpoint)));
    if (checkpoint > onDisk) onDisk = checkpoint;

    for (const { key, value } of records.slice(checkpoint)) state.restore('counts', key, value);
    await state.restored('counts', records.length);
    const whole = folded(records);
    expect(contents(state)).toEqual(whole);
    const expected = whole.map(({ value }) => (value as { count: number }).count * 10);
    expect(dues(state)).toEqual(expected.sort((a, b) => a - b));
    await state.close();
    // The next life begins with a changelog that ends as it was committed.
    trimChangelog(logPath);
  }
  expect(onDisk).toBeGreaterThan(0);
});

test('a state that is closed in order is on disk up to its last commit', async () => {
  expect(await life(7, 50)).toMatchObject({ code: 0 });
  const records = committedRecords(readChangelog(logPath));
  const state = await openTaskState({ kind: 'disk', env, path });
  state.store(SPEC);
  expect(state.checkpoint('counts')).toBe(records.length);
  expect(contents(state)).toEqual(folded(records));
  await state.close();
});

test('a full disk is said with the path, and leaves the commit before on disk', async () => {
  // A file may have 400 KiB: for LMDB no different from a device that has no more.
  const limited = `ulimit -f 400; trap '' XFSZ; exec "$0" "$@"`;
  const child = [process.execPath, CHILD, path, logPath, '3', '100000'];
  const ending = await run(['bash', '-c', limited, ...child], Number.POSITIVE_INFINITY);
  expect(ending.output).toContain(`ML_DISK_FULL cannot write the state in ${path}`);
  expect(ending.code).toBe(3);
  const records = committedRecords(readChangelog(logPath));
  const state = await openTaskState({ kind: 'disk', env, path });
  state.store(SPEC);
  expect(contents(state)).toEqual(folded(records.slice(0, state.checkpoint('counts') ?? 0)));
  await state.close();
});

test('two processes do not open the state of one task', async () => {
  const state = await openTaskState({ kind: 'disk', env, path });
  const ending = await life(1, 1);
  expect(ending.output).toContain(`ML_DIR_LOCKED`);
  expect(ending.output).toContain(`${path} is in use by process ${process.pid}`);
  await state.close();
  expect(await life(1, 1)).toMatchObject({ code: 0 });
});

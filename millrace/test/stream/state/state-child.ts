/**
 * A task's state in a process of its own, to be killed at any moment. Its changelog is files: a line for each record, written before the
 * commit, and a line `commit` behind those of a transaction. Aborted transactions leave nothing there.
 *
 * Arguments: directory of the state, path of the changelog, seed, transactions. Ends with code 0, or writes the code of its error.
 */
import { writeSync } from 'node:fs';
import { realEnv } from '../../../src/core/real-env.ts';
import { MillraceError } from '../../../src/core/errors.ts';
import { openDiskState } from '../../../src/engine/stream/state/disk-state.ts';
import type { Store, TaskState } from '../../../src/engine/stream/state/store.ts';
import { appendChangelog, committedRecords, lineOf, readChangelog } from './changelog-file.ts';

interface Count {
  count: number;
  text: string;
}

async function main(
  path: string,
  logPath: string,
  seed: number,
  transactions: number,
): Promise<void> {
  const state = await openDiskState({ env: realEnv(), path, saveMs: 5 });
  const store = state.store<Count>({ name: 'counts', dueOf: (value) => value.count * 10 });
  let written = await restore(state, logPath);
  let random = seed;
  const next = (below: number): number => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
    return (random >>> 8) % below;
  };
  for (let index = 0; index < transactions; index++) {
    change(store, next);
    if (next(5) === 0) state.abort();
    else written = commit(state, logPath, written);
    await state.settled();
    // The disk gets its turn.
    await new Promise((resolve) => setImmediate(resolve));
    if (index % 20 === 0) writeSync(1, '.');
  }
  await state.close();
}

function change(store: Store<Count>, next: (below: number) => number): void {
  for (let index = 0; index < 20; index++) {
    const [key, sub] = [`key ${next(300)}`, next(3)];
    const value = store.get(key, sub) ?? { count: 0, text: '' };
    value.count++;
    value.text = 'x'.repeat(next(200));
    store.put(key, sub, next(4) === 0 ? undefined : value, value.count);
  }
}

/** Returns the records in the changelog. */
function commit(state: TaskState, logPath: string, written: number): number {
  let lines = '';
  let records = written;
  state.flush((_store, key, value) => {
    lines += lineOf(key, value);
    records++;
  });
  appendChangelog(logPath, written, `${lines}commit\n`);
  state.committed(new Map([['counts', records]]));
  return records;
}

async function restore(state: TaskState, logPath: string): Promise<number> {
  const records = committedRecords(readChangelog(logPath));
  for (const { key, value } of records.slice(state.checkpoint('counts') ?? 0))
    state.restore('counts', key, value);
  await state.restored('counts', records.length);
  return records.length;
}

const [path = '', logPath = '', seed = '1', transactions = '1'] = process.argv.slice(2);
try {
  await main(path, logPath, Number(seed), Number(transactions));
} catch (error) {
  writeSync(1, error instanceof MillraceError ? `${error.code} ${error.message}\n` : String(error));
  process.exitCode = 3;
}

/** Cases that random lives meet rarely, each on a state in memory and on one on disk that reads two rows at once and forgets all it can. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { realEnv } from '../../../src/core/real-env.ts';
import { TaskDisk } from '../../../src/engine/stream/state/disk-rows.ts';
import { openDiskState } from '../../../src/engine/stream/state/disk-state.ts';
import type { Store, TaskState } from '../../../src/engine/stream/state/store.ts';
import { openMemoryState } from '../../../src/engine/stream/state/task-state.ts';

interface Timed {
  due: number;
}

const env = realEnv();
let path = '';
let state: TaskState;
let store: Store<Timed>;

beforeEach(() => {
  path = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'millrace-state-'));
});
afterEach(async () => {
  await state.close();
  rmSync(path, { recursive: true, force: true });
});

/** Until the disk has it, if there is one; then memory may forget it. */
async function commit(): Promise<void> {
  const checkpoint = (state.checkpoint('timed') ?? 0) + 1;
  state.flush(() => undefined);
  state.committed(new Map([['timed', checkpoint]]));
  while (state.checkpoint('timed') !== checkpoint) await env.timers.sleep(1);
  state.flush(() => undefined);
  state.committed(new Map());
}

async function fill(subs: readonly number[]): Promise<void> {
  for (const sub of subs) store.put('a', sub, { due: 100 + sub }, 0);
  await commit();
}

function scanned(from: number, to: number): number[] {
  const subs: number[] = [];
  store.scan('a', from, to, (sub) => void subs.push(sub));
  return subs;
}

describe.each([
  ['memory', (): Promise<TaskState> => Promise.resolve(openMemoryState())],
  ['disk', () => openDiskState({ env, path, cacheBytes: 0, saveMs: 0, rowsAtOnce: 2 })],
])('in a state in %s', (_name, open) => {
  beforeEach(async () => {
    state = await open();
    store = state.store<Timed>({ name: 'timed', dueOf: (value) => value.due });
  });

  test('a walk over a part of a key has both of its ends', async () => {
    await fill([1, 2, 3, 4, 5]);
    expect(scanned(2, 4)).toEqual([2, 3, 4]);
    expect(scanned(6, 2)).toEqual([]);
  });

  test('what was deleted and is not committed is not the floor of anything', async () => {
    await fill([1, 2, 3, 4, 5]);
    for (const sub of [3, 4, 5]) store.put('a', sub, undefined, 0);
    expect(store.floor('a', 9)?.sub).toBe(2);
    expect(store.floor('a', 0)).toBeUndefined();
  });

  test('a key that was looked for in vain is found when it is there', async () => {
    expect(scanned(0, 9)).toEqual([]);
    await fill([1]);
    expect(store.get('a', 1)).toEqual({ due: 101 });
    expect(scanned(0, 9)).toEqual([1]);
  });

  test('entries that come while their key is walked over do not move the walk', async () => {
    await fill([2, 4]);
    const subs: number[] = [];
    store.scan('a', 0, 9, (sub) => {
      subs.push(sub);
      if (sub === 2) for (const other of [0, 1, 3]) store.put('a', other, { due: 1 }, 0);
    });
    expect(subs.filter((sub) => sub === 2 || sub === 4)).toEqual([2, 4]);
    expect(scanned(0, 9)).toEqual([0, 1, 2, 3, 4]);
  });

  test('what the visit of another has deleted or put off is not due any more', async () => {
    for (const key of ['a', 'b', 'c']) store.put(key, 0, { due: 5 }, 0);
    await commit();
    const seen: unknown[] = [];
    store.due(5, (key) => {
      seen.push(key);
      store.put(key, 0, undefined, 0);
      store.put('b', 0, undefined, 0);
      store.put('c', 0, { due: 6 }, 0);
    });
    expect(seen).toEqual(['a']);
    expect(store.nextDue).toBeLessThanOrEqual(6);
    state.abort();
    store.due(5, (key) => {
      seen.push(key);
      store.put(key, 0, undefined, 0);
    });
    expect(seen).toEqual(['a', 'a', 'b', 'c']);
  });

  test('a visit that throws leaves the others due', async () => {
    for (const key of ['a', 'b']) store.put(key, 0, { due: 5 }, 0);
    await commit();
    expect(() =>
      store.due(5, () => {
        throw new Error('no');
      }),
    ).toThrow('no');
    const seen: unknown[] = [];
    store.due(5, (key) => {
      seen.push(key);
      store.put(key, 0, undefined, 0);
    });
    expect(seen).toContain('b');
    state.abort();
    expect(store.nextDue).toBeLessThanOrEqual(5);
  });
});

test('the disk has one row for each time at which something is due, and memory holds little of it', async () => {
  const options = { env, path, cacheBytes: 20_000, saveMs: 0 };
  state = await openDiskState(options);
  store = state.store<Timed>({ name: 'timed', dueOf: (value) => value.due });
  for (let round = 1; round <= 3; round++) {
    for (let index = 0; index < 1_000; index++)
      store.put(
        `key ${index}`,
        0,
        round === 3 && index < 400 ? undefined : { due: round * index },
        0,
      );
    await commit();
    expect(state.bytes).toBeLessThan(20_000);
  }
  await state.close();
  const disk = await TaskDisk.open(env, path, 10);
  const dues: unknown[] = [];
  const section = disk.section('timed');
  section.readDue(Number.NEGATIVE_INFINITY, 1e9, (key) => void dues.push(key));
  expect(dues).toHaveLength(600);
  expect(section.entries).toBe(600);
  expect(section.firstDue).toBe(1_200);
  await disk.close();
});

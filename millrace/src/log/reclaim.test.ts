import { expect, test } from 'vitest';
import {
  append,
  batchOf,
  logId,
  openOne,
  openStore,
  readAll,
  reopenOne,
  SMALL,
  type TestStore,
} from '../../test/log/fixture.ts';
import { SimMachine, SimPowerCut } from '../core/sim/sim-machine.ts';
import { encodeBatch } from '../wire/kafka/records/record-batch-builder.ts';
import { setCrc } from '../wire/kafka/records/record-batch.ts';
import type { DiskLog } from './partition-log.ts';
import type { LiveRecords } from './types.ts';

const CONFIG = { cleanupDelete: false, segmentBytes: 1024 };
const ALL = { below: Number.MAX_SAFE_INTEGER };

type Opened = TestStore & { readonly log: DiskLog };

function only(...live: readonly number[]): LiveRecords {
  const set = new Set(live);
  return {
    in: (from, to) => live.filter((offset) => offset >= from && offset < to).length,
    has: (offset) => set.has(offset),
  };
}

/** Four closed segments of four batches with two records each, and one that is written. */
async function filled(opened: Opened): Promise<void> {
  const { log, machine, store } = opened;
  for (let segment = 0; segment < 4; segment++) {
    for (let batch = 0; batch < 4; batch++) {
      const end = log.logEndOffset;
      append(log, batchOf([`v${end} ${'x'.repeat(60)}`, `v${end + 1} ${'x'.repeat(60)}`]));
    }
    log.roll();
  }
  append(log, batchOf(['last']));
  await machine.run(log.whenDurable(log.logEndOffset));
  await machine.run(store.checkpoint());
}

async function open(options: { readonly seed?: number } = {}): Promise<Opened> {
  const opened = await openOne(CONFIG, options);
  await filled(opened);
  return opened;
}

async function offsets({ machine, log }: Pick<Opened, 'machine' | 'log'>): Promise<number[]> {
  return (await readAll(machine, log)).map(({ offset }) => offset);
}

const bases = (log: DiskLog): number[] => log.segments.map(({ baseOffset }) => baseOffset);
const from = (start: number, end: number): number[] =>
  Array.from({ length: end - start }, (_, index) => start + index);

test('nothing is replaced before it is known why', async () => {
  const { machine, log } = await open();
  const before = bases(log);
  const seen: number[][] = [];
  const known = (): Promise<void> => {
    seen.push(bases(log));
    return Promise.reject(new Error('not now'));
  };
  const nothing = { segmentsReplaced: 0, bytesFreed: 0 };
  expect(await machine.run(log.reclaim({ ...only(5), known }, ALL))).toEqual(nothing);
  expect([seen, bases(log)]).toEqual([[before], before]);
  expect(await machine.run(log.reclaim(only(5), ALL))).not.toEqual(nothing);
});

test('what is live stays, in its place; what is at least half live is not touched', async () => {
  const opened = await open();
  const { log, machine } = opened;
  const before = log.sizeBytes;
  const live = [...from(0, 5), 10, 13, ...from(24, 33)];
  const result = await machine.run(log.reclaim(only(...live), ALL));
  expect(await offsets(opened)).toEqual([...from(0, 8), 10, 13, ...from(24, 33)]);
  expect(bases(log)).toEqual([0, 8, 24, 32]);
  expect(result).toEqual({ bytesFreed: before - log.sizeBytes, segmentsReplaced: 2 });
  expect(await machine.run(log.reclaim(only(...live), ALL))).toEqual({
    bytesFreed: 0,
    segmentsReplaced: 0,
  });
});

test('of a batch those records stay that are live', async () => {
  const opened = await openOne(CONFIG);
  const { log, machine, store } = opened;
  append(log, batchOf(['a', 'b', 'c', 'd', 'e']));
  append(log, batchOf(['f']));
  log.roll();
  await machine.run(log.whenDurable(log.logEndOffset));
  await machine.run(store.checkpoint());
  await machine.run(log.reclaim(only(1, 3), ALL));
  expect(await readAll(machine, log)).toEqual([
    { offset: 1, value: 'b' },
    { offset: 3, value: 'd' },
  ]);
});

test('nothing at or above the bound is touched, nor the segment that is written', async () => {
  const opened = await open();
  const { log, machine } = opened;
  await machine.run(log.reclaim(only(), { below: 23 }));
  expect(await offsets(opened)).toEqual(from(16, 33));
  await machine.run(log.reclaim(only(), ALL));
  expect(await offsets(opened)).toEqual([32]);
});

test('segments below the log start go at once', async () => {
  const opened = await open();
  const { log, machine } = opened;
  await machine.run(log.deleteRecordsBefore(17));
  await machine.run(log.reclaim(only(...from(17, 33)), ALL));
  expect(bases(log)).toEqual([16, 24, 32]);
  expect(await offsets(opened)).toEqual(from(17, 33));
});

test('a reader that holds a segment reads on', async () => {
  const opened = await open();
  const { log, machine } = opened;
  const [read] = await machine.run(
    Promise.all([
      log.read(8, { maxBytes: 4096, atLeastOneBatch: true, isolation: 'read_uncommitted' }),
      log.reclaim(only(0, 1, 2, 3, 12), ALL),
    ]),
  );
  expect(read.error).toBe('NONE');
  expect(read.records.includes('v12')).toBe(true);
});

test('how much is left is still known after a restart', async () => {
  const opened = await open();
  const { log, machine, store } = opened;
  const live = only(9, 12);
  await machine.run(log.reclaim(live, ALL));
  await machine.run(store.close());
  machine.kill();
  const again = await reopenOne(machine, machine.boot(), CONFIG);
  const written = machine.stepCount;
  expect(await machine.run(again.log.reclaim(live, ALL))).toMatchObject({ segmentsReplaced: 0 });
  // One of the two that are left: half of it, not one of thirty-two.
  expect(await machine.run(again.log.reclaim(only(9), ALL))).toMatchObject({ segmentsReplaced: 0 });
  expect(machine.stepCount - written).toBeLessThan(30);
});

test('a damaged segment stays as it is, and the others are reclaimed', async () => {
  const opened = await open();
  const { log, machine } = opened;
  machine.flipBit(`${log.segments[1]?.path}.log`, 90 * 8);
  const live = only(...from(16, 24));
  await machine.run(log.reclaim(live, ALL));
  expect(bases(log)).toEqual([0, 8, 16, 24, 32]);
  const { sizeBytes } = log;
  await machine.run(log.reclaim(live, ALL));
  expect(bases(log)).toEqual([0, 8, 16, 24, 32]);
  expect(log.sizeBytes).toBeLessThan(sizeBytes);
  expect(opened.fatal).toEqual([]);
});

test('a batch whose records nobody can read stays as long as one of them is live', async () => {
  const opened = await openOne(CONFIG);
  const { log, machine, store } = opened;
  const batch = encodeBatch(
    [1, 2, 3].map((timestamp) => ({ timestamp, key: null, value: 'x'.repeat(20) })),
  );
  batch.fill(0xff, 61);
  setCrc(batch, 0);
  append(log, batchOf(['a', 'b', 'c', 'd', 'e']));
  append(log, batch);
  append(log, batchOf(['i']));
  log.roll();
  await machine.run(log.whenDurable(log.logEndOffset));
  await machine.run(store.checkpoint());
  await machine.run(log.reclaim(only(6), ALL));
  const read = async (): Promise<Buffer> => {
    const result = await machine.run(
      log.read(0, { maxBytes: 4096, atLeastOneBatch: true, isolation: 'read_uncommitted' }),
    );
    return Buffer.from(result.records);
  };
  expect((await read()).includes(batch.subarray(21))).toBe(true);
  await machine.run(log.reclaim(only(), ALL));
  expect((await read()).includes(batch.subarray(61))).toBe(false);
});

test('a full disk leaves the log as it was, and the next run does the work', async () => {
  const opened = await open();
  const { log, machine } = opened;
  machine.setCapacity(machine.disk.usedBytes);
  await machine.run(log.reclaim(only(1, 9, 17, 25), ALL));
  expect(await offsets(opened)).toEqual(from(0, 33));
  expect(opened.fatal).toEqual([]);
  machine.setCapacity(2 ** 40);
  await machine.run(log.reclaim(only(1, 9, 17, 25), ALL));
  expect(await offsets(opened)).toEqual([1, 9, 17, 25, 32]);
});

test('on a disk that is full already only what is dead goes, and makes room', async () => {
  const opened = await open();
  const { log, machine, store } = opened;
  machine.setCapacity(machine.disk.usedBytes);
  const batch = batchOf(['x'.repeat(500)]);
  while (log.append(Buffer.from(batch), { origin: 'client' }).ok) {
    // Until nothing is left.
  }
  expect(store.stats().diskFull).toBe(true);
  await machine.run(log.reclaim(only(1, 9, ...from(16, 40)), ALL));
  expect(bases(log).slice(0, 3)).toEqual([0, 8, 16]);
  await machine.run(log.reclaim(only(...from(16, 40)), ALL));
  expect(bases(log).slice(0, 2)).toEqual([0, 16]);
  expect(opened.fatal).toEqual([]);
});

test('closing the store does not wait for it', async () => {
  const opened = await open();
  const { machine, store, log } = opened;
  await machine.run(Promise.all([log.reclaim(only(3), ALL), store.close()]));
  const again = await reopenOne(machine, machine.reboot(), CONFIG);
  expect(await offsets(again)).toContain(3);
  expect(again.store.cleanStart).toBe(true);
});

test('a log that is deleted meanwhile stays deleted', async () => {
  const opened = await open();
  const { log, machine, store } = opened;
  await machine.run(Promise.all([log.reclaim(only(3), ALL), store.deleteLog(log.id)]));
  expect(store.existing()).toEqual([]);
  expect(opened.fatal).toEqual([]);
});

test('logs are reclaimed beside each other', async () => {
  const machine = new SimMachine(3);
  const { store } = await openStore(machine, machine.boot());
  const logs = [1, 2].map((number) => store.openLog(logId(number), { ...SMALL, ...CONFIG }));
  await machine.run(store.finishRecovery());
  for (const log of logs) await filled({ machine, store, log, fatal: [] });
  await machine.run(Promise.all(logs.map((log) => log.reclaim(only(4), ALL))));
  for (const log of logs) expect(await offsets({ machine, log })).toEqual([4, 32]);
});

test('a power cut at any step, and at any step of the start after it, leaves all that is live', async () => {
  const live = [2, 3, 12, ...from(16, 22), 31];
  const reclaimed = [2, 3, 12, ...from(16, 24), 31, 32];
  const seen = new Set<number>();
  let steps = 0;
  for (let step = 1, isThrough = false; !isThrough; step++) {
    steps = step;
    // Killed or without power; cut once more while it starts, or not.
    for (const seed of step % 2 === 0 ? [1, 4] : [2, 3]) {
      if (isThrough) break;
      const { machine, log } = await open({ seed });
      machine.cutAtStep(machine.stepCount + step, seed % 2 === 0 ? 'kill' : 'power');
      isThrough = !(await isCut(() => machine.run(log.reclaim(only(...live), ALL))));
      machine.kill();
      let env = seed % 2 === 0 && !isThrough ? machine.boot() : machine.reboot();
      if (seed > 2) {
        // Once more, while it starts.
        machine.cutAtStep(machine.stepCount + 1 + (step % 40));
        await isCut(() => reopenOne(machine, env, CONFIG));
        env = machine.reboot();
      }
      const again = await reopenOne(machine, env, CONFIG);
      const found = await offsets(again);
      expect(found.filter((offset) => live.includes(offset))).toEqual(live);
      seen.add(found.length);
      await machine.run(again.log.reclaim(only(...live), ALL));
      expect(await offsets(again)).toEqual(reclaimed);
      const left = env.fs
        .list(again.log.directory)
        .filter((name) => /cleaned|swap|deleted/.test(name));
      expect(left).toEqual([]);
    }
  }
  expect(seen.size).toBeGreaterThan(2);
  expect(steps).toBeGreaterThan(30);
});

async function isCut(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return false;
  } catch (error) {
    if (error instanceof SimPowerCut) return true;
    throw error;
  }
}

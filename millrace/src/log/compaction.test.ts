/** Compaction of a log in a store: what it leaves alone, what it does not stumble over, and what a power cut leaves. */
import { describe, expect, test } from 'vitest';
import {
  append,
  logId,
  openOne,
  openStore,
  readAll,
  type ReadBack,
  reopenOne,
  SMALL,
  type TestStore,
} from '../../test/log/fixture.ts';
import { CollectingLogger } from '../core/log.ts';
import { SimMachine, SimPowerCut } from '../core/sim/sim-machine.ts';
import { RECORD_COUNT_AT, setCrc } from '../wire/kafka/records/record-batch.ts';
import { encodeBatch } from '../wire/kafka/records/record-batch-builder.ts';
import type { DiskLog } from './partition-log.ts';
import type { LogConfig } from './types.ts';

const COMPACT: Partial<LogConfig> = {
  cleanupCompact: true,
  cleanupDelete: false,
  minCleanableDirtyRatio: 0,
  deleteRetentionMs: 1000,
};

type Opened = TestStore & { readonly log: DiskLog };

/** One batch of one record, in a segment of its own when `roll` is set. */
function write(log: DiskLog, key: string, value: string | null, roll = false): number {
  if (roll) log.roll();
  return append(log, encodeBatch([{ timestamp: 1_000_000, key, value }]));
}

async function settle({ machine, log }: Opened): Promise<void> {
  await machine.run(log.whenDurable(log.logEndOffset));
  log.roll();
}

const valuesOf = (found: readonly ReadBack[]): string[] => found.map(({ value }) => value);

/** Six segments: `a` five times, each with a key of its own beside it. */
async function fill(opened: Opened): Promise<void> {
  for (let index = 0; index < 5; index++) {
    write(opened.log, 'a', `a${index}`, true);
    write(opened.log, `k${index}`, `k${index}`);
  }
  await settle(opened);
}

const BEFORE = ['a0', 'k0', 'a1', 'k1', 'a2', 'k2', 'a3', 'k3', 'a4', 'k4'];
const AFTER = ['k0', 'k1', 'k2', 'k3', 'a4', 'k4'];

test('keeps the latest of each key, and puts small segments together', async () => {
  const opened = await openOne(COMPACT);
  await fill(opened);
  expect(opened.log.segments.length).toBe(6);
  await opened.machine.run(opened.store.runCompaction());
  expect(valuesOf(await readAll(opened.machine, opened.log))).toEqual(AFTER);
  expect(opened.log.segments.map((segment) => segment.baseOffset)).toEqual([0, 10]);
});

test('looks nothing up twice that was clean before', async () => {
  const opened = await openOne({ ...COMPACT, minCleanableDirtyRatio: 0.5 });
  const { log, machine, store } = opened;
  await fill(opened);
  await machine.run(store.runCompaction());
  const [clean] = log.segments;
  write(log, 'a', 'a5');
  await settle(opened);
  // Less than half of the log is dirty.
  await machine.run(store.runCompaction());
  expect(log.segments[0]).toBe(clean);
  expect(log.compactedTo).toBe(10);
});

test('survives a restart, and goes on where it was', async () => {
  const opened = await openOne(COMPACT);
  await fill(opened);
  await opened.machine.run(opened.store.runCompaction());
  await opened.machine.run(opened.store.close());
  const again = await reopenOne(opened.machine, opened.machine.reboot(), COMPACT);
  expect(again.log.compactedTo).toBe(10);
  expect(valuesOf(await readAll(again.machine, again.log))).toEqual(AFTER);
});

test('more keys than fit into its memory take more than one run', async () => {
  // Twelve keys fit.
  const opened = await openOne(COMPACT, { compactionMapBytesMax: 1 });
  const { log, machine, store } = opened;
  for (let round = 0; round < 3; round++)
    for (let key = 0; key < 30; key++) write(log, `key ${key}`, `${key} of round ${round}`);
  await settle(opened);
  const seen: number[] = [];
  for (let run = 0; run < 8; run++) {
    await machine.run(store.runCompaction());
    seen.push(log.compactedTo);
  }
  expect(seen.slice(0, 3)).toEqual([12, 24, 36]);
  expect(seen.at(-1)).toBe(90);
  const left = await readAll(machine, log);
  for (let key = 0; key < 30; key++)
    expect(left.filter(({ value }) => value.startsWith(`${key} of`)).at(-1)?.value).toBe(
      `${key} of round 2`,
    );
});

test('a record is not left in the segment that is written for longer than the maximum lag', async () => {
  const opened = await openOne({ ...COMPACT, maxCompactionLagMs: 5000 });
  const { log, machine, store } = opened;
  const timestamp = machine.wallMs();
  for (const value of ['1', '2']) append(log, encodeBatch([{ timestamp, key: 'a', value }]));
  await machine.run(log.whenDurable(2));
  await machine.run(store.runCompaction());
  expect(valuesOf(await readAll(machine, log))).toEqual(['1', '2']);
  await machine.runFor(5001);
  await machine.run(store.runCompaction());
  expect(valuesOf(await readAll(machine, log))).toEqual(['2']);
});

test('records younger than the minimum lag stay', async () => {
  const opened = await openOne({ ...COMPACT, minCompactionLagMs: 5000 });
  const { log, machine, store } = opened;
  const timestamp = machine.wallMs();
  for (const value of ['1', '2']) append(log, encodeBatch([{ timestamp, key: 'a', value }]));
  await settle(opened);
  await machine.run(store.runCompaction());
  expect(valuesOf(await readAll(machine, log))).toEqual(['1', '2']);
  await machine.runFor(5001);
  await machine.run(store.runCompaction());
  expect(valuesOf(await readAll(machine, log))).toEqual(['2']);
});

test('a log that is damaged is left as it is', async () => {
  const logger = new CollectingLogger();
  const opened = await openOne(COMPACT, { logger });
  const { log, machine, store } = opened;
  await fill(opened);
  await machine.run(store.checkpoint());
  const [, second] = log.segments;
  machine.flipBit(`${second?.path}.log`, 70 * 8);
  await machine.run(store.runCompaction());
  expect(log.segments.length).toBe(6);
  expect(logger.lines.map((line) => line.message)).toContain('A log could not be compacted');
  const tail = await readAll(machine, log, { from: 3 });
  expect(valuesOf(tail)).toEqual(BEFORE.slice(3));
});

test('a batch whose records nobody can read stays as it was written', async () => {
  const opened = await openOne(COMPACT);
  const { log, machine, store } = opened;
  const batch = encodeBatch([{ timestamp: 1, key: 'a', value: 'x'.repeat(20) }]);
  // The CRC is right, the records are not.
  batch.fill(0xff, RECORD_COUNT_AT + 4);
  setCrc(batch, 0);
  write(log, 'a', 'a0');
  append(log, batch);
  write(log, 'a', 'a2');
  await settle(opened);
  await machine.run(store.runCompaction());
  expect(log.compactedTo).toBe(3);
  const result = await machine.run(
    log.read(0, { maxBytes: 4096, atLeastOneBatch: true, isolation: 'read_uncommitted' }),
  );
  const bytes = Buffer.from(result.records);
  expect(bytes.includes(batch.subarray(21))).toBe(true);
  expect(bytes.includes('a0')).toBe(false);
  expect(bytes.includes('a2')).toBe(true);
});

test('a full disk leaves the log as it was, and the next run does the work', async () => {
  const opened = await openOne(COMPACT);
  const { log, machine, store } = opened;
  await fill(opened);
  await machine.run(store.checkpoint());
  machine.setCapacity(machine.disk.usedBytes);
  await machine.run(store.runCompaction());
  expect(valuesOf(await readAll(machine, log))).toEqual(BEFORE);
  expect(opened.fatal).toEqual([]);
  machine.setCapacity(2 ** 40);
  await machine.run(store.runCompaction());
  expect(valuesOf(await readAll(machine, log))).toEqual(AFTER);
});

test('closing the store does not wait for it', async () => {
  const opened = await openOne(COMPACT);
  const { machine, store } = opened;
  await fill(opened);
  await machine.run(store.checkpoint());
  await machine.run(Promise.all([store.runCompaction(), store.close()]));
  const again = await reopenOne(machine, machine.reboot(), COMPACT);
  expect([BEFORE, AFTER]).toContainEqual(valuesOf(await readAll(machine, again.log)));
  expect(again.store.cleanStart).toBe(true);
});

test('a log that is deleted meanwhile stays deleted', async () => {
  const opened = await openOne(COMPACT);
  const { log, machine, store } = opened;
  await fill(opened);
  await machine.run(store.checkpoint());
  await machine.run(Promise.all([store.runCompaction(), store.deleteLog(log.id)]));
  expect(store.existing()).toEqual([]);
  expect(opened.fatal).toEqual([]);
});

describe('a power cut', () => {
  /** A store whose compaction is about to begin. */
  async function ready(seed: number): Promise<Opened> {
    const opened = await openOne(COMPACT, { seed });
    await fill(opened);
    await opened.machine.run(opened.store.checkpoint());
    return opened;
  }

  test('at any step leaves the old log or the new one', async () => {
    const seen = new Set<string>();
    const steps = { count: 0 };
    // What a cut of the power leaves is a matter of chance; what a kill leaves is not: one seed is enough.
    const seeds = [1, 2, 3, 5, 7, 9];
    for (let step = 1, isThrough = false; !isThrough; step++) {
      steps.count = step;
      for (const seed of seeds) {
        if (isThrough) break;
        const { machine, store } = await ready(seed);
        machine.cutAtStep(machine.stepCount + step, seed % 2 === 0 ? 'kill' : 'power');
        isThrough = await machine.run(store.runCompaction()).then(
          () => true,
          (error: unknown) => {
            if (error instanceof SimPowerCut) return false;
            throw error;
          },
        );
        machine.kill();
        const env = seed % 2 === 0 && !isThrough ? machine.boot() : machine.reboot();
        const again = await reopenOne(machine, env, COMPACT);
        const found = valuesOf(await readAll(machine, again.log));
        expect([BEFORE, AFTER]).toContainEqual(found);
        seen.add(String(found));
        await machine.run(again.store.runCompaction());
        expect(valuesOf(await readAll(machine, again.log))).toEqual(AFTER);
        const left = env.fs
          .list(again.log.directory)
          .filter((name) => /cleaned|swap|deleted/.test(name));
        expect(left).toEqual([]);
      }
    }
    expect(seen).toEqual(new Set([String(BEFORE), String(AFTER)]));
    expect(steps.count).toBeGreaterThan(30);
  });
});

test('other logs of the store are compacted although one fails', async () => {
  const machine = new SimMachine(3);
  const { store } = await openStore(machine, machine.boot());
  const logs = [1, 2].map((number) => store.openLog(logId(number), { ...SMALL, ...COMPACT }));
  await machine.run(store.finishRecovery());
  for (const log of logs) await fill({ machine, store, log, fatal: [] });
  await machine.run(store.checkpoint());
  const [damaged, sound] = logs as [DiskLog, DiskLog];
  machine.flipBit(`${damaged.segments[0]?.path}.log`, 70 * 8);
  await machine.run(store.runCompaction());
  expect(valuesOf(await readAll(machine, sound))).toEqual(AFTER);
});

/** Retention of a log in a store: files go, the log start is durable before they do, and the clock is not believed blindly. */
import { expect, test } from 'vitest';
import { append, openOne, readAll, reopenOne, type TestStore } from '../../test/log/fixture.ts';
import { SimPowerCut } from '../core/sim/sim-machine.ts';
import { encodeBatch } from '../wire/kafka/records/record-batch-builder.ts';
import type { DiskLog } from './partition-log.ts';
import { CLOCK_CONFIRM_MS, CLOCK_JUMP_MS } from './retention-plan.ts';

type Opened = TestStore & { readonly log: DiskLog };

/** Five segments of one record each, a second apart, and an empty one that is written. */
async function fill(opened: Opened): Promise<void> {
  const { log, machine } = opened;
  for (let index = 0; index < 5; index++) {
    log.roll();
    const timestamp = machine.wallMs();
    append(log, encodeBatch([{ timestamp, key: null, value: `value ${index}` }]));
    await machine.run(log.whenDurable(log.logEndOffset));
    await machine.runFor(1000);
  }
  log.roll();
}

const basesOf = (log: DiskLog): number[] => log.segments.map((segment) => segment.baseOffset);

const filesOf = ({ store, log }: Opened): string[] =>
  store.env.fs.list(log.directory).filter((name) => name.endsWith('.log'));

test('segments that are too old go, with their files', async () => {
  const opened = await openOne({ retentionMs: 3500 });
  const { log, machine, store } = opened;
  await fill(opened);
  expect(filesOf(opened).length).toBe(6);
  await machine.run(store.runRetention());
  expect(log.logStartOffset).toBe(2);
  expect(basesOf(log)).toEqual([2, 3, 4, 5]);
  expect(filesOf(opened).length).toBe(4);
  const read = await readAll(machine, log);
  expect(read.map(({ value }) => value)).toEqual(['value 2', 'value 3', 'value 4']);
  const early = await machine.run(
    log.read(1, { maxBytes: 100, atLeastOneBatch: true, isolation: 'read_uncommitted' }),
  );
  expect(early.error).toBe('OFFSET_OUT_OF_RANGE');
});

test('the oldest go while the log is too large', async () => {
  const opened = await openOne({ retentionBytes: 150 });
  await fill(opened);
  const [first] = opened.log.segments;
  expect(first?.sizeBytes).toBeGreaterThan(50);
  await opened.machine.run(opened.store.runRetention());
  expect(opened.log.sizeBytes).toBeGreaterThanOrEqual(150);
  expect(opened.log.sizeBytes - (first?.sizeBytes ?? 0)).toBeLessThan(150);
});

test('even the segment that is written goes when all of it is old', async () => {
  const opened = await openOne({ retentionMs: 1000 });
  const { log, machine, store } = opened;
  append(log, encodeBatch([{ timestamp: machine.wallMs(), key: null, value: 'old' }]));
  await machine.run(log.whenDurable(1));
  await machine.runFor(2000);
  await machine.run(store.runRetention());
  expect([log.logStartOffset, log.logEndOffset]).toEqual([1, 1]);
  expect(basesOf(log)).toEqual([1]);
  expect(append(log, encodeBatch([{ timestamp: 1, key: null, value: 'new' }]))).toBe(1);
});

test('what lies below a log start that somebody moved goes, whatever the policy', async () => {
  const opened = await openOne({ cleanupDelete: false, retentionMs: 0 });
  const { log, machine, store } = opened;
  await fill(opened);
  await machine.run(log.deleteRecordsBefore(3));
  await machine.run(store.runRetention());
  expect(log.logStartOffset).toBe(3);
  expect(basesOf(log)).toEqual([3, 4, 5]);
});

test('a clock that jumps deletes nothing until it is confirmed', async () => {
  const opened = await openOne({ retentionMs: 100_000_000 });
  const { log, machine, store } = opened;
  await fill(opened);
  await machine.run(store.runRetention());
  machine.jumpClock(100 * CLOCK_JUMP_MS);
  await machine.run(store.runRetention());
  expect(log.logStartOffset).toBe(0);
  machine.jumpClock(-100 * CLOCK_JUMP_MS);
  await machine.runFor(2 * CLOCK_CONFIRM_MS);
  await machine.run(store.runRetention());
  expect(log.logStartOffset).toBe(0);
  // And one that stays where it went.
  machine.jumpClock(100 * CLOCK_JUMP_MS);
  await machine.run(store.runRetention());
  await machine.runFor(2 * CLOCK_CONFIRM_MS);
  await machine.run(store.runRetention());
  expect(log.logStartOffset).toBe(5);
});

test('time that passed while the store was down has to be confirmed too', async () => {
  const opened = await openOne({ retentionMs: 100_000_000 });
  const { machine } = opened;
  await fill(opened);
  await machine.run(opened.store.runRetention());
  await machine.run(opened.store.close());
  machine.jumpClock(100 * CLOCK_JUMP_MS);
  const again = await reopenOne(machine, machine.reboot(), { retentionMs: 100_000_000 });
  await machine.run(again.store.runRetention());
  expect(again.log.logStartOffset).toBe(0);
  await machine.runFor(2 * CLOCK_CONFIRM_MS);
  await machine.run(again.store.runRetention());
  expect(again.log.logStartOffset).toBe(5);
});

test('a power cut at any step takes nothing that was to stay', async () => {
  const seen = new Set<number>();
  for (let step = 1, isThrough = false; !isThrough; step++)
    for (let seed = 1; seed <= 4 && !isThrough; seed++) {
      const opened = await openOne({ retentionMs: 3500 }, { seed });
      const { machine, store } = opened;
      await fill(opened);
      await machine.run(store.checkpoint());
      machine.cutAtStep(machine.stepCount + step, seed % 2 === 0 ? 'kill' : 'power');
      isThrough = await machine.run(store.runRetention()).then(
        () => true,
        (error: unknown) => {
          if (error instanceof SimPowerCut) return false;
          throw error;
        },
      );
      machine.kill();
      const env = seed % 2 === 0 && !isThrough ? machine.boot() : machine.reboot();
      const { log } = await reopenOne(machine, env, { retentionMs: 3500 });
      expect([0, 2]).toContain(log.logStartOffset);
      seen.add(log.logStartOffset);
      const values = (await readAll(machine, log)).map(({ value }) => value);
      const all = [0, 1, 2, 3, 4].map((index) => `value ${index}`);
      expect(values).toEqual(all.slice(log.logStartOffset));
    }
  expect(seen).toEqual(new Set([0, 2]));
});

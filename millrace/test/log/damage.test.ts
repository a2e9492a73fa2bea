/** Bit rot: what is damaged is named, what is good is served, nothing is cut off. */
import { expect, test } from 'vitest';
import { CollectingLogger } from '../../src/core/log.ts';
import type { SimMachine } from '../../src/core/sim/sim-machine.ts';
import type { DiskLog } from '../../src/log/partition-log.ts';
import {
  append,
  appendDurably,
  batchOf,
  collect,
  openOne,
  type ReadBack,
  readAll,
  reopenOne,
  values,
} from './fixture.ts';

/** Reads everything, passing over corrupt offsets one by one as a consumer would have to. */
async function readAround(
  machine: SimMachine,
  log: DiskLog,
): Promise<{ found: ReadBack[]; corrupt: number[] }> {
  const found: ReadBack[] = [];
  const corrupt: number[] = [];
  let offset = log.logStartOffset;
  while (offset < log.highWatermark) {
    const options = {
      maxBytes: 600,
      atLeastOneBatch: true,
      isolation: 'read_uncommitted',
    } as const;
    const result = await machine.run(log.read(offset, options));
    if (result.error === 'CORRUPT_MESSAGE') {
      corrupt.push(offset++);
      continue;
    }
    expect(result.error).toBe('NONE');
    expect(result.records.length).toBeGreaterThan(0);
    offset = collect(result.records, offset, found);
    result.release();
  }
  return { found, corrupt };
}

/** A log of batches of two records, in sealed segments and an active one, after a clean restart. */
async function openWritten(): Promise<{ machine: SimMachine; log: DiskLog; expected: ReadBack[] }> {
  const { machine, store, log } = await openOne({ segmentBytes: 600, indexIntervalBytes: 300 });
  const expected: ReadBack[] = [];
  for (let number = 0; number < 12; number++) {
    const pair = values(2, number * 2);
    const base = append(log, batchOf(pair));
    pair.forEach((value, index) => expected.push({ offset: base + index, value }));
  }
  await machine.run(store.close());
  machine.kill();
  const reopened = await reopenOne(machine, machine.boot(), {
    segmentBytes: 600,
    indexIntervalBytes: 300,
  });
  expect(reopened.log.segments.length).toBeGreaterThan(3);
  return { machine, log: reopened.log, expected };
}

/** Odd, so that every bit of a byte, and every byte of a field, has its turn; 1 for all of them takes three times as long. */
const STEP = 3;

test('any flipped bit of a segment hides at most the batch it lies in, and never changes a record', async () => {
  const { machine, log, expected } = await openWritten();
  const segment = log.segments[1];
  if (segment === undefined) throw new Error('no segment');
  const path = `${segment.path}.log`;
  const all = expected.map(({ offset }) => offset);
  let hidden = 0;
  let flips = 0;
  for (let bit = 0; bit < segment.sizeBytes * 8; bit += STEP) {
    flips++;
    machine.flipBit(path, bit);
    segment.damaged.length = 0;
    const { found, corrupt } = await readAround(machine, log);
    const seen = [...found.map(({ offset }) => offset), ...corrupt].sort((a, b) => a - b);
    expect(seen, `bit ${bit}`).toEqual(all);
    // Two records of one batch; or none, where the damage can be mended.
    expect(corrupt.length, `bit ${bit}`).toBeLessThanOrEqual(2);
    for (const { offset, value } of found) expect(value).toBe(expected[offset]?.value);
    hidden += corrupt.length === 0 ? 0 : 1;
    machine.flipBit(path, bit);
  }
  // All but the leader epochs, 32 bits of each batch, which are known from elsewhere.
  const batches = (log.endOffsetOf(segment) - segment.baseOffset) / 2;
  expect(flips - hidden).toBeLessThanOrEqual(batches * 32);
  expect(flips - hidden).toBeGreaterThan(0);
  segment.damaged.length = 0;
  expect(await readAll(machine, log)).toEqual(expected);
});

test('damage is logged and counted once per range', async () => {
  const logger = new CollectingLogger();
  const { machine, store, log } = await openOne({}, { logger });
  await appendDurably({ machine, log }, values(6));
  const [segment] = log.segments;
  machine.flipBit(`${segment?.path}.log`, 8 * 300);
  for (let times = 0; times < 3; times++) await readAround(machine, log);
  expect(store.stats().damagedRanges).toBe(1);
  const lines = logger.lines.filter(({ level }) => level === 'error');
  expect(lines.map(({ message }) => message)).toEqual([
    'A segment is damaged: the disk does not hold what was written',
  ]);
});

test('bytes missing below the recovery point are damage, not a shorter log', async () => {
  const { machine, store, log } = await openOne({ segmentBytes: 100_000 });
  await appendDurably({ machine, log }, values(10));
  const { path } = log.segments[0] ?? { path: '' };
  await machine.run(store.close());
  machine.kill();
  const env = machine.boot();
  const file = env.fs.open(`${path}.log`, 'write');
  file.truncate(Math.floor(file.size() / 2) + 10);
  file.close();
  const reopened = await reopenOne(machine, env, { segmentBytes: 100_000 });
  expect(reopened.log.highWatermark).toBe(10);
  const { found, corrupt } = await readAround(machine, reopened.log);
  expect(found.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4]);
  expect(corrupt).toEqual([5, 6, 7, 8, 9]);
  // The log goes on behind the damage.
  expect(append(reopened.log, batchOf(['after']))).toBe(10);
  await machine.run(reopened.log.whenDurable(11));
  const after = await readAround(machine, reopened.log);
  expect(after.found.at(-1)).toEqual({ offset: 10, value: 'after' });
});

test.each(['.index', '.timeindex'])('a %s that is gone or rotten is built anew', async (suffix) => {
  for (const harm of ['remove', 'flip', 'cut', 'garbage'] as const) {
    const { machine, store, log } = await openOne({ segmentBytes: 1200 });
    await appendDurably({ machine, log }, values(30));
    const paths = log.segments.map((segment) => segment.path);
    await machine.run(store.close());
    machine.kill();
    const env = machine.boot();
    for (const path of paths) {
      if (env.fs.stat(path + suffix) === undefined) continue;
      if (harm === 'remove') await machine.run(env.fs.remove(path + suffix));
      const size = env.fs.stat(path + suffix)?.sizeBytes ?? 0;
      if (size === 0) continue;
      if (harm === 'flip') machine.flipBit(path + suffix, 30);
      const file = env.fs.open(path + suffix, 'write');
      if (harm === 'cut') file.truncate(size - 3);
      if (harm === 'garbage') file.write(Buffer.alloc(size, 0xff), 0, size, 0);
      file.close();
    }
    const reopened = await reopenOne(machine, env, { segmentBytes: 1200 });
    const found = await readAll(machine, reopened.log);
    expect(found.map(({ value }) => value)).toEqual(values(30));
    for (let offset = 0; offset < 30; offset++) {
      const [first] = await readAll(machine, reopened.log, { from: offset });
      expect(first?.offset).toBe(offset);
    }
    expect(store.stats().damagedRanges).toBe(0);
    expect(append(reopened.log, batchOf(['after']))).toBe(30);
  }
});

test('a sector that cannot be read is an error of the storage, and the rest is served', async () => {
  const { machine, store, log } = await openOne({ segmentBytes: 1200 });
  await appendDurably({ machine, log }, values(20));
  const segments = log.segments.map(({ path, baseOffset }) => ({ path, baseOffset }));
  await machine.run(store.close());
  machine.kill();
  const { log: again } = await reopenOne(machine, machine.boot(), { segmentBytes: 1200 });
  const bad = segments[1];
  if (bad === undefined) throw new Error('no segment');
  machine.failReads(`${bad.path}.log`, 0, 1200);
  const options = { maxBytes: 600, atLeastOneBatch: true, isolation: 'read_uncommitted' } as const;
  const result = await machine.run(again.read(bad.baseOffset, options));
  expect(result.error).toBe('KAFKA_STORAGE_ERROR');
  const next = segments[2]?.baseOffset ?? 0;
  const after = await machine.run(again.read(next, options));
  expect(after.error).toBe('NONE');
  const found: ReadBack[] = [];
  collect(after.records, next, found);
  expect(found[0]).toEqual({ offset: next, value: values(20)[next] });
});

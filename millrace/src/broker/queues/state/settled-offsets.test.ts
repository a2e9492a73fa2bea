import { expect, test } from 'vitest';
import { QUEUE_CHUNK_OFFSETS as CHUNK } from '../../../core/queue-limits.ts';
import { SimRandom } from '../../../core/sim/sim-random.ts';
import { SettledOffsets } from './settled-offsets.ts';

const silent = (): void => {};

test('memory follows what is settled out of order, an eighth of a byte for each offset at most', () => {
  const offsets = new SettledOffsets(0, silent);
  const random = new SimRandom(1);
  const span = 200 * CHUNK;
  for (let count = 0; count < span / 3; count++) {
    offsets.settle(1 + random.below(span - 1));
  }
  expect(offsets.floor).toBe(0);
  expect(offsets.memoryBytes).toBeLessThan((span / 8) * 1.15);
  expect(offsets.memoryBytes).toBeGreaterThan(span / 8);
});

test('one stuck message at the head costs nothing, however much is settled behind it', () => {
  const offsets = new SettledOffsets(0, silent);
  for (let offset = 1; offset < 50 * CHUNK; offset++) offsets.settle(offset);
  offsets.settleRange(50 * CHUNK, 100_000 * CHUNK);
  expect(offsets.memoryBytes).toBeLessThan(1_000);
  expect(offsets.settledAbove).toBe(100_000 * CHUNK - 1);
  expect(offsets.unsettledFrom(1)).toBe(100_000 * CHUNK);
  offsets.settle(0);
  expect(offsets.floor).toBe(100_000 * CHUNK);
  expect(offsets.memoryBytes).toBe(0);
});

test('acknowledgements that come nearly in order keep a few runs', () => {
  const offsets = new SettledOffsets(0, silent);
  const random = new SimRandom(2);
  const held: number[] = [];
  let next = 0;
  let most = 0;
  for (let count = 0; count < 5 * CHUNK; count++) {
    while (held.length < 100) held.push(next++);
    const [offset = 0] = held.splice(random.below(held.length), 1);
    offsets.settle(offset);
    most = Math.max(most, offsets.memoryBytes);
  }
  expect(offsets.floor + offsets.settledAbove).toBe(5 * CHUNK);
  expect(most).toBeLessThan(10_000);
});

test('chunks that were passed, or filled, are not known of any more', () => {
  const offsets = new SettledOffsets(0, silent);
  for (let offset = 3 * CHUNK - 1; offset >= 0; offset--) offsets.settle(offset);
  expect(offsets.floor).toBe(3 * CHUNK);
  expect(offsets.settledAbove).toBe(0);
  expect(offsets.memoryBytes).toBe(0);
});

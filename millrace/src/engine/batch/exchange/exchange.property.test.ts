import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry, Got } from '../../../../test/exchange/exchange-harness.ts';
import {
  expected,
  expectRecords,
  memory,
  readAll,
  readOf,
  writeAll,
} from '../../../../test/exchange/exchange-harness.ts';
import type { KeyRange } from '../stage.ts';
import { createMergeReader } from './merge-reader.ts';

const anyKey = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  fc.string({ maxLength: 40 }).map((text) => Buffer.from(`/products/page/${text}`)),
  fc
    .constantFrom('', 'a', 'a\0', 'a\0\0', 'ab', 'a\0\0\0\0\0', 'hot', 'hot', 'hot')
    .map((text) => Buffer.from(text)),
  fc.nat(5).map((tail) => Buffer.from('x'.repeat(300) + String(tail))),
  fc.nat(2).map((tail) => Buffer.from('y'.repeat(3_000) + String(tail))),
);
const anyValue = fc.option(
  fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.nat(2_500).map((length) => Buffer.alloc(length, 'v')),
  ),
  { nil: undefined, freq: 8 },
);

function anyEntries(partitions: number, maxLength: number): fc.Arbitrary<Entry[]> {
  return fc.array(
    fc.tuple(fc.nat(partitions - 1), anyKey, anyValue).map(([partition, key, value]) => ({
      partition,
      key: Buffer.from(key),
      value: value === undefined ? undefined : Buffer.from(value),
    })),
    { maxLength, size: 'max' },
  );
}

test('records come back by partition, key and arrival, whatever the budgets', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 2, 5, 40).chain((partitions) =>
        fc.record({
          partitions: fc.constant(partitions),
          entries: anyEntries(partitions, 400),
          isSorted: fc.boolean(),
          memoryBytes: fc.integer({ min: 20_000, max: 300_000 }),
          readBytes: fc.integer({ min: 1_000, max: 300_000 }),
        }),
      ),
      ({ partitions, entries, isSorted, memoryBytes, readBytes }) => {
        const storage = memory();
        const output = writeAll(entries, {
          partitions,
          isSorted,
          memoryBytes,
          storage,
          sampleRecords: 0,
        });
        expect(output.records).toBe(entries.length);
        for (let partition = 0; partition < partitions; partition++) {
          const read = readOf([output], partition);
          const reader = createMergeReader({ read, storage, memoryBytes: readBytes });
          expectRecords(readAll(reader), expected(entries, partition, isSorted));
        }
      },
    ),
    { numRuns: 50 },
  );
});

test('ranges follow one another without a gap, and so do slices', () => {
  fc.assert(
    fc.property(
      anyEntries(1, 300),
      fc.array(anyKey, { maxLength: 4 }),
      fc.integer({ min: 20_000, max: 200_000 }),
      fc.integer({ min: 1, max: 5 }),
      (entries, cuts, memoryBytes, slices) => {
        const storage = memory();
        const output = writeAll(entries, {
          partitions: 1,
          isSorted: true,
          memoryBytes,
          storage,
          sampleRecords: 0,
        });
        const bounds = cuts.map((key) => Buffer.from(key)).sort((a, b) => a.compare(b));
        const all = expected(entries, 0, true);
        const read = (range: KeyRange): Got[] =>
          readAll(createMergeReader({ read: readOf([output], 0, range), storage, memoryBytes }));
        for (let index = 0; index <= bounds.length; index++) {
          const from = bounds[index - 1];
          const to = bounds[index];
          const wanted = all.filter(
            ({ key }) =>
              (from === undefined || Buffer.compare(key, from) >= 0) &&
              (to === undefined || Buffer.compare(key, to) < 0),
          );
          const range = { from: from?.toString('base64'), to: to?.toString('base64') };
          const keysOf = (got: readonly Got[]) => got.map(({ key, value }) => [key, value]);
          expect(keysOf(read({ ...range, slice: undefined }))).toEqual(keysOf(wanted));
          const parts = Array.from({ length: slices }, (_, part) =>
            read({ ...range, slice: { index: part, count: slices } }),
          );
          expect(keysOf(parts.flat())).toEqual(keysOf(wanted));
          for (const part of parts)
            expect(Math.abs(part.length - wanted.length / slices)).toBeLessThan(1);
        }
      },
    ),
    { numRuns: 30 },
  );
});

/** Keys of few different bytes, zeros among them: many are equal, or begin with one another. */
function fewBytes(
  seed: number,
  records: number,
  bytes: readonly number[],
  lengthMax: number,
): Entry[] {
  let state = seed | 1;
  const next = (below: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
  return Array.from({ length: records }, (_, index) => {
    const key = Buffer.alloc(next(lengthMax + 1));
    for (let at = 0; at < key.length; at++) key[at] = bytes[next(bytes.length)] ?? 0;
    return { partition: 0, key, value: Buffer.from(String(index)) };
  });
}

test('thousands of records with keys that are much alike are sorted, also when they are in order', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      fc.constantFrom(30, 1_000, 6_000),
      fc.constantFrom(
        [0],
        [0, 1],
        [0, 255],
        [97, 98],
        [0, 97, 200],
        [...Buffer.from('/abcdefghijkl')],
      ),
      fc.constantFrom(0, 3, 12, 40),
      fc.constantFrom('random', 'sorted', 'reversed'),
      (seed, records, bytes, lengthMax, order) => {
        const entries = fewBytes(seed, records, bytes, lengthMax);
        if (order !== 'random') entries.sort((a, b) => a.key.compare(b.key));
        if (order === 'reversed') entries.reverse();
        const storage = memory();
        for (const memoryBytes of [64_000, 4_000_000]) {
          const options = { partitions: 1, isSorted: true, memoryBytes, storage, sampleRecords: 0 };
          const output = writeAll(entries, options);
          const reader = createMergeReader({ read: readOf([output], 0), storage, memoryBytes });
          expectRecords(readAll(reader), expected(entries, 0, true));
        }
      },
    ),
    { numRuns: 20 },
  );
});

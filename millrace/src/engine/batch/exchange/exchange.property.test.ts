import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ExchangeWriterOptions, MergeReader, RunStorage } from '../exchange.ts';
import type { ExchangeOutput, ExchangeRead, KeyRange } from '../stage.ts';
import { createExchangeWriter } from './exchange-writer.ts';
import { createMergeReader } from './merge-reader.ts';
import { memoryStorage } from './run-storage.ts';

/** One record; a value of undefined is the key. */
interface Entry {
  readonly partition: number;
  readonly key: Buffer;
  readonly value: Buffer | undefined;
}

interface Got {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly isSameKey: boolean;
}

const NO_STORAGE: RunStorage = {
  create: () => {
    throw new Error('nothing may come here');
  },
  open: (path) => {
    throw new Error(`no run ${path}`);
  },
  remove: (path) => {
    throw new Error(`no run ${path}`);
  },
};

function memory(): RunStorage {
  return memoryStorage(Number.POSITIVE_INFINITY, NO_STORAGE);
}

function writeAll(
  entries: readonly Entry[],
  options: Omit<ExchangeWriterOptions, 'exchange'>,
): ExchangeOutput {
  const writer = createExchangeWriter({ ...options, exchange: 7 });
  for (const { partition, key, value } of entries) {
    // At odd places of a larger buffer, as records come.
    const bytes = Buffer.concat([
      Buffer.from('#'),
      key,
      value ?? Buffer.alloc(0),
      Buffer.from('#'),
    ]);
    const keyEnd = 1 + key.length;
    if (value === undefined) writer.append(partition, bytes, 1, keyEnd, bytes, -1, -1);
    else writer.append(partition, bytes, 1, keyEnd, bytes, keyEnd, keyEnd + value.length);
    expect(writer.heldBytes).toBeLessThanOrEqual(options.memoryBytes);
  }
  return writer.finish();
}

function readOf(
  outputs: readonly ExchangeOutput[],
  partition: number,
  range?: KeyRange,
): ExchangeRead {
  const runs = outputs.flatMap((output) =>
    output.runs.map((run) => {
      const segment = run.segments[partition];
      if (segment === undefined) throw new Error('a run lacks a segment');
      return segment;
    }),
  );
  return { exchange: 7, partition, runs, range };
}

function readAll(reader: MergeReader): Got[] {
  const got: Got[] = [];
  while (reader.next()) {
    const { buffer, keyStart, keyEnd, valueStart, valueEnd, isSameKey } = reader;
    got.push({
      key: Buffer.from(buffer.subarray(keyStart, keyEnd)),
      value: Buffer.from(buffer.subarray(valueStart, valueEnd)),
      isSameKey,
    });
  }
  expect(reader.records).toBe(got.length);
  reader.close();
  return got;
}

/** The oracle: an array, and its stable sort. */
function expected(entries: readonly Entry[], partition: number, isSorted: boolean): Got[] {
  const mine = entries.filter((entry) => entry.partition === partition);
  if (isSorted) mine.sort((a, b) => Buffer.compare(a.key, b.key));
  return mine.map(({ key, value }, index) => ({
    key,
    value: value ?? key,
    isSameKey: mine[index - 1]?.key.equals(key) ?? false,
  }));
}

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
          expect(readAll(reader)).toEqual(expected(entries, partition, isSorted));
        }
      },
    ),
    { numRuns: 60 },
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
    { numRuns: 40 },
  );
});

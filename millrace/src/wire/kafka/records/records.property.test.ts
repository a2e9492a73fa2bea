/** Properties of building, reading and thinning out batches, against plain arrays of records. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { COMPRESSIONS } from './compression.ts';
import * as batch from './record-batch.ts';
import { encodeBatch, RecordBatchBuilder, type RecordInput } from './record-batch-builder.ts';
import { decodeRecords, type PlainRecord, RecordReader, readRecords } from './record-reader.ts';
import { retainRecords } from './retain-records.ts';

const bytesOrNull = fc.option(
  fc.oneof(fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 300 })),
  { nil: null },
);

/** Gaps between offsets, as compaction leaves them, and times in any order, some of them far apart. */
const recordSpecs = fc.array(
  fc.record({
    gap: fc.oneof(fc.constant(0), fc.nat(3), fc.nat(100_000)),
    timestamp: fc.oneof(
      fc.integer({ min: -1, max: 2 ** 41 }),
      fc.constantFrom(-1, 0, 2 ** 51, -(2 ** 51)),
    ),
    key: bytesOrNull,
    value: bytesOrNull,
    headers: fc.array(
      fc.record({ key: fc.string({ unit: 'grapheme', maxLength: 6 }), value: bytesOrNull }),
      { maxLength: 3 },
    ),
  }),
  { minLength: 1, maxLength: 20 },
);

const options = fc.record(
  {
    compression: fc.constantFrom(...COMPRESSIONS),
    baseOffset: fc.integer({ min: 0, max: 2 ** 50 }),
    leaderEpoch: fc.nat(),
    producerId: fc.integer({ min: -1, max: 2 ** 50 }),
    producerEpoch: fc.integer({ min: -1, max: 32_767 }),
    baseSequence: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
    transactional: fc.boolean(),
    control: fc.boolean(),
    deleteHorizonMs: fc.nat(2 ** 45),
    extraOffsets: fc.nat(10),
  },
  { requiredKeys: [] },
);

type Spec = (
  typeof recordSpecs extends fc.Arbitrary<infer Specs>
    ? Specs
    : never
) extends readonly (infer One)[]
  ? One
  : never;

function place(specs: readonly Spec[], baseOffset: number): (RecordInput & { offset: number })[] {
  let next = baseOffset;
  return specs.map(({ gap, ...record }) => {
    const offset = next + gap;
    next = offset + 1;
    return { ...record, offset };
  });
}

function asBuffer(data: string | Uint8Array | null): Buffer | null {
  return data === null ? null : Buffer.from(data as Uint8Array);
}

function plain(record: RecordInput & { offset: number }): PlainRecord {
  return {
    offset: record.offset,
    timestamp: record.timestamp,
    key: asBuffer(record.key),
    value: asBuffer(record.value),
    headers: (record.headers ?? []).map(({ key, value }) => ({ key, value: asBuffer(value) })),
  };
}

test('what is built is good, says what was asked, and is read back', () => {
  fc.assert(
    fc.property(recordSpecs, options, (specs, { extraOffsets = 0, ...how }) => {
      const records = place(specs, how.baseOffset ?? 0);
      const last = (records.at(-1)?.offset ?? 0) + extraOffsets;
      const bytes = encodeBatch(records, { ...how, lastOffset: last });
      expect(batch.batchCheckText(batch.checkBatch(bytes, 0, bytes.length))).toBe('ok');
      expect(batch.batchBytes(bytes, 0)).toBe(bytes.length);
      expect(batch.baseOffset(bytes, 0)).toBe(how.baseOffset ?? 0);
      expect(batch.lastOffset(bytes, 0)).toBe(last);
      expect(batch.leaderEpoch(bytes, 0)).toBe(how.leaderEpoch ?? 0);
      expect(batch.producerId(bytes, 0)).toBe(how.producerId ?? -1);
      expect(batch.producerEpoch(bytes, 0)).toBe(how.producerEpoch ?? -1);
      expect(batch.baseSequence(bytes, 0)).toBe(how.baseSequence ?? -1);
      expect(batch.recordCount(bytes, 0)).toBe(records.length);
      const flags = batch.attributes(bytes, 0);
      expect(batch.isTransactional(flags)).toBe(how.transactional ?? false);
      expect(batch.isControl(flags)).toBe(how.control ?? false);
      expect(batch.deleteHorizon(bytes, 0)).toBe(how.deleteHorizonMs ?? -1);
      expect(batch.maxTimestamp(bytes, 0)).toBe(
        Math.max(-1, ...records.map((record) => record.timestamp)),
      );
      expect(readRecords(bytes)).toEqual(records.map(plain));
    }),
    { numRuns: 300 },
  );
});

test('a batch is read at any position of a buffer, and one reader serves many batches', () => {
  fc.assert(
    fc.property(fc.array(recordSpecs, { maxLength: 4 }), fc.nat(40), (batches, before) => {
      const built = batches.map((specs, index) =>
        encodeBatch(place(specs, 0), { compression: COMPRESSIONS[index] ?? 'none' }),
      );
      const buffer = Buffer.concat([Buffer.alloc(before, 0xff), ...built]);
      const reader = new RecordReader();
      const values: (string | undefined)[] = [];
      for (
        let at = before, next = 0;
        (next = batch.batchEnd(buffer, at, buffer.length)) !== -1;
        at = next
      ) {
        reader.open(buffer, at, buffer.length);
        while (reader.next()) values.push(reader.value()?.toString('hex'));
      }
      expect(values).toEqual(batches.flat().map((spec) => asBuffer(spec.value)?.toString('hex')));
    }),
    { numRuns: 60 },
  );
});

test('rewinding visits the same records again', () => {
  fc.assert(
    fc.property(recordSpecs, fc.constantFrom(...COMPRESSIONS), (specs, compression) => {
      const bytes = encodeBatch(place(specs, 10), { compression, baseOffset: 10 });
      const reader = new RecordReader();
      reader.open(bytes, 0, bytes.length);
      const visit = (): string[] => {
        const seen: string[] = [];
        while (reader.next())
          seen.push(`${reader.offset} ${reader.timestamp} ${reader.value()?.toString('hex')}`);
        return seen;
      };
      const first = visit();
      expect(first).toHaveLength(specs.length);
      reader.rewind();
      expect(visit()).toEqual(first);
    }),
    { numRuns: 60 },
  );
});

test('a visit ends when the visitor says so', () => {
  const bytes = encodeBatch([1, 2, 3].map((timestamp) => ({ timestamp, key: null, value: 'x' })));
  const seen: number[] = [];
  decodeRecords(bytes, { position: 0, end: bytes.length }, {}, (record) => {
    seen.push(record.timestamp);
    return seen.length < 2;
  });
  expect(seen).toEqual([1, 2]);
});

/** What compaction should leave, from plain records: the naive way. */
test('retaining records is filtering them and keeping the frame', () => {
  fc.assert(
    fc.property(
      recordSpecs,
      options,
      fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }),
      fc.option(fc.nat(2 ** 45), { nil: undefined }),
      fc.boolean(),
      (specs, { extraOffsets = 0, ...how }, keep, horizon, any) => {
        const records = place(specs, how.baseOffset ?? 0);
        const last = (records.at(-1)?.offset ?? 0) + extraOffsets;
        const original = encodeBatch(records, { ...how, lastOffset: last });
        const before = Buffer.from(original);
        let index = 0;
        const result = retainRecords(original, 0, () => keep[index++] ?? false, {
          ...(horizon === undefined ? {} : { deleteHorizonMs: horizon }),
          deleteHorizonFor: any ? 'any' : 'tombstones',
        });
        const left = records.filter((_, at) => keep[at] ?? false);
        expect(index).toBe(records.length);
        expect(original.equals(before)).toBe(true);
        expect(batch.batchCheckText(batch.checkBatch(result, 0, result.length))).toBe('ok');
        expect(readRecords(result)).toEqual(left.map(plain));
        for (const field of [
          batch.baseOffset,
          batch.lastOffset,
          batch.leaderEpoch,
          batch.producerId,
          batch.producerEpoch,
          batch.baseSequence,
        ])
          expect(field(result, 0)).toBe(field(original, 0));
        const calls = left.some((record) => any || record.value === null);
        const expectedHorizon =
          left.length === 0 ? undefined : (how.deleteHorizonMs ?? (calls ? horizon : undefined));
        expect(batch.deleteHorizon(result, 0)).toBe(expectedHorizon ?? -1);
        const flags = batch.attributes(result, 0);
        expect(batch.isTransactional(flags)).toBe(how.transactional ?? false);
        expect(batch.isControl(flags)).toBe(how.control ?? false);
        expect(batch.compressionOf(flags)).toBe(
          left.length === 0 ? 0 : batch.compressionOf(batch.attributes(original, 0)),
        );
        expect(batch.maxTimestamp(result, 0)).toBe(
          left.length === 0
            ? batch.maxTimestamp(original, 0)
            : Math.max(-1, ...left.map((record) => record.timestamp)),
        );
        expect(batch.baseTimestamp(result, 0)).toBe(
          left.length === 0 ? -1 : (expectedHorizon ?? left[0]?.timestamp),
        );
        const unchanged = left.length === records.length && expectedHorizon === how.deleteHorizonMs;
        expect(result.equals(original) || !unchanged).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});

test('an emptied batch stays what it is when compacted again', () => {
  const original = encodeBatch([{ timestamp: 5, key: 'k', value: null }], { producerId: 3 });
  const emptied = retainRecords(original, 0, () => false, { deleteHorizonMs: 99 });
  expect(batch.recordCount(emptied, 0)).toBe(0);
  expect(emptied.length).toBe(batch.HEADER_BYTES);
  expect(retainRecords(emptied, 0, () => true, { deleteHorizonMs: 99 }).equals(emptied)).toBe(true);
});

test('a builder tells how far it is, and refuses to be misused', () => {
  const builder = new RecordBatchBuilder({ baseOffset: 100 });
  expect([builder.count, builder.bytes, builder.nextOffset]).toEqual([0, 61, 100]);
  builder.append(1, 'key', 'value');
  builder.skipTo(110);
  builder.append(2, null, null);
  expect([builder.count, builder.nextOffset]).toEqual([2, 111]);
  expect(() => builder.skipTo(110)).toThrow(/rise/);
  const bytes = builder.finish();
  expect(readRecords(bytes).map((record) => record.offset)).toEqual([100, 110]);
  expect(() => builder.append(3, null, null)).toThrow(/finished/);
  expect(() => builder.finish()).toThrow(/once/);
  expect(() => encodeBatch([])).toThrow(/at least one offset/);
});

test('a batch does not grow past its limit', () => {
  const builder = new RecordBatchBuilder();
  const value = Buffer.alloc(60 * 1024 * 1024);
  builder.append(0, null, value);
  const before = builder.bytes;
  expect(() => builder.append(0, null, value)).toThrow(
    expect.objectContaining({ code: 'ML_RECORDS_TOO_LARGE' }),
  );
  expect(builder.bytes).toBe(before);
  expect(builder.count).toBe(1);
});

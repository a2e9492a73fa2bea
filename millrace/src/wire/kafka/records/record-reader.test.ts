/** Records that lie, one lie each; the fuzz test has the unplanned ones. */
import { expect, test } from 'vitest';
import { COMPRESSIONS, type Compression, compress, compressionId } from './compression.ts';
import * as batch from './record-batch.ts';
import { encodeBatch } from './record-batch-builder.ts';
import { RecordReader, readRecords } from './record-reader.ts';
import { retainRecords } from './retain-records.ts';
import { varlongBytes, writeVarlong } from './varint.ts';

const MALFORMED = expect.objectContaining({ code: 'ML_RECORDS_MALFORMED' });

interface Frame {
  readonly count?: number;
  readonly lastOffsetDelta?: number;
  readonly compression?: Compression;
  readonly baseOffset?: number;
  readonly baseTimestamp?: number;
}

/** A batch with a good frame around whatever bytes. */
function frame(records: Buffer, how: Frame = {}): Buffer {
  const compression = how.compression ?? 'none';
  const head = encodeBatch([{ timestamp: how.baseTimestamp ?? 0, key: null, value: null }], {
    baseOffset: how.baseOffset ?? 0,
  }).subarray(0, batch.HEADER_BYTES);
  const bytes = Buffer.concat([head, compress(compression, records)]);
  bytes.writeInt32BE(bytes.length - batch.LENGTH_OVERHEAD_BYTES, batch.BATCH_LENGTH_AT);
  bytes.writeInt16BE(compressionId(compression), batch.ATTRIBUTES_AT);
  bytes.writeInt32BE(how.count ?? 1, batch.RECORD_COUNT_AT);
  bytes.writeInt32BE(how.lastOffsetDelta ?? 9, batch.LAST_OFFSET_DELTA_AT);
  batch.setCrc(bytes, 0);
  return bytes;
}

/** A varint or varlong of any number. */
function v(value: number): Buffer {
  const bytes = Buffer.alloc(varlongBytes(value));
  writeVarlong(bytes, 0, value);
  return bytes;
}

/** A record of the given fields after its attributes, with the right length in front or another one. */
function record(fields: readonly Buffer[], lengthError = 0): Buffer {
  const body = Buffer.concat([Buffer.alloc(1), ...fields]);
  return Buffer.concat([v(body.length + lengthError), body]);
}

const plain = (offsetDelta: number): Buffer => record([v(5), v(offsetDelta), v(-1), v(-1), v(0)]);

test('the bytes that the lies below are made from are good', () => {
  const good = frame(Buffer.concat([plain(0), plain(4), plain(9)]), { count: 3 });
  expect(readRecords(good).map(({ offset }) => offset)).toEqual([0, 4, 9]);
  const full = record([
    v(0),
    v(0),
    v(1),
    Buffer.from('k'),
    v(2),
    Buffer.from('vv'),
    v(1),
    v(1),
    Buffer.from('h'),
    v(-1),
  ]);
  expect(readRecords(frame(full))).toEqual([
    {
      offset: 0,
      timestamp: 0,
      key: Buffer.from('k'),
      value: Buffer.from('vv'),
      headers: [{ key: 'h', value: null }],
    },
  ]);
});

const LIES: Readonly<Record<string, Buffer>> = {
  'a count of more records than the bytes can hold': frame(plain(0), { count: 2 }),
  'a negative count': frame(plain(0), { count: -1 }),
  'fewer records than there are': frame(Buffer.concat([plain(0), plain(1)]), { count: 1 }),
  'bytes in a batch without records': frame(plain(0), { count: 0 }),
  'a record that is cut off': frame(plain(0).subarray(0, -1)),
  'a record shorter than its fields': frame(record([v(5), v(0), v(-1), v(-1), v(0)], -1)),
  'a record longer than its fields': frame(record([v(5), v(0), v(-1), v(-1), v(0), v(0)])),
  'a record longer than the batch': frame(record([v(5), v(0), v(-1), v(-1), v(0)], 1)),
  'a record of a negative length': frame(Buffer.concat([v(-5), Buffer.alloc(10)])),
  'a key that is longer than its record': frame(record([v(5), v(0), v(50), v(-1), v(0)])),
  // Going back by two instead, a reader would find a record here.
  'a key of a length below null': frame(record([v(100), v(1), v(-2), v(0)])),
  'a value that is longer than its record': frame(record([v(5), v(0), v(-1), v(9), v(0)])),
  'a value of a length below null': frame(record([v(5), v(0), v(-1), v(-3), v(0)])),
  'more headers than the record can hold': frame(record([v(5), v(0), v(-1), v(-1), v(1)])),
  'an absurd number of headers': frame(record([v(5), v(0), v(-1), v(-1), v(2 ** 31 - 1)])),
  'a negative number of headers': frame(record([v(5), v(0), v(-1), v(-1), v(-1)])),
  'a header without a key': frame(record([v(5), v(0), v(-1), v(-1), v(1), v(-1), v(-1)])),
  'a header key that is longer than its record': frame(
    record([v(5), v(0), v(-1), v(-1), v(1), v(7), v(-1)]),
  ),
  'a header value that is longer than its record': frame(
    record([v(5), v(0), v(-1), v(-1), v(1), v(0), v(7)]),
  ),
  'offsets that do not rise': frame(Buffer.concat([plain(3), plain(3)]), { count: 2 }),
  'an offset before the batch': frame(plain(-1)),
  'an offset behind the batch': frame(plain(10)),
  'a timestamp beyond 2^53': frame(record([v(2 ** 53 - 1), v(0), v(-1), v(-1), v(0)]), {
    baseTimestamp: 1,
  }),
  'offsets beyond 2^53': frame(plain(0), { baseOffset: 2 ** 53 - 5 }),
};

test.each(Object.keys(LIES))('%s is refused', (name) => {
  const bytes = LIES[name] ?? Buffer.alloc(0);
  expect(() => readRecords(bytes)).toThrow(MALFORMED);
  expect(() => retainRecords(bytes, 0, () => true)).toThrow(MALFORMED);
});

test.each(COMPRESSIONS)('the lies are found behind %s too', (compression) => {
  const record = plain(0);
  expect(readRecords(frame(record, { compression }))).toHaveLength(1);
  for (const lie of [
    frame(record, { compression, count: 2 }),
    frame(record, { compression, count: 0 }),
    frame(plain(10), { compression }),
    frame(Buffer.concat([record, plain(1)]), { compression }),
  ])
    expect(() => readRecords(lie)).toThrow(MALFORMED);
});

test('a record that reaches into the next batch is not shown', () => {
  const first = record([v(5), v(0), v(-1), v(40), Buffer.alloc(20)], 21);
  const bytes = Buffer.concat([frame(first, { count: 2 }), Buffer.alloc(60)]);
  const reader = new RecordReader();
  reader.open(bytes, 0, bytes.length);
  expect(() => reader.next()).toThrow(MALFORMED);
});

test('a count that lies is refused before memory is taken for as many', () => {
  const bytes = frame(plain(0), { count: 2 ** 31 - 1, lastOffsetDelta: 2 ** 31 - 1 });
  const before = process.memoryUsage().arrayBuffers;
  expect(() => new RecordReader().open(bytes, 0, bytes.length)).toThrow(MALFORMED);
  expect(() => retainRecords(bytes, 0, () => true)).toThrow(MALFORMED);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
});

test('frames that are not whole batches of format 2 are refused by name', () => {
  const bytes = frame(plain(0));
  expect(() => readRecords(bytes.subarray(0, -1))).toThrow(/incomplete/);
  const old = Buffer.from(bytes);
  old.writeInt8(1, batch.MAGIC_AT);
  expect(() => readRecords(old)).toThrow(/format 0 or 1/);
  const codec = Buffer.from(bytes);
  codec.writeInt16BE(5, batch.ATTRIBUTES_AT);
  expect(() => readRecords(codec)).toThrow(/codec 5/);
});

test('decompression is bounded by what the caller says', () => {
  const value = Buffer.alloc(100_000, 'text ');
  const bytes = encodeBatch([{ timestamp: 0, key: null, value }], { compression: 'zstd' });
  expect(readRecords(bytes, 0, bytes.length, { decompressedBytesMax: 100_100 })).toHaveLength(1);
  expect(() => readRecords(bytes, 0, bytes.length, { decompressedBytesMax: 99_000 })).toThrow(
    expect.objectContaining({ code: 'ML_RECORDS_TOO_LARGE' }),
  );
});

test('after an error a reader has no more records, and reads the next batch', () => {
  const reader = new RecordReader();
  const bad = frame(Buffer.concat([plain(3), plain(3), plain(4)]), { count: 3 });
  reader.open(bad, 0, bad.length);
  expect(reader.next()).toBe(true);
  expect(() => reader.next()).toThrow(MALFORMED);
  expect(reader.next()).toBe(false);
  const good = frame(plain(2));
  reader.open(good, 0, good.length);
  expect(reader.remaining).toBe(1);
  expect(reader.next()).toBe(true);
  expect(reader.offset).toBe(2);
});

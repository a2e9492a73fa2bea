/**
 * Record batches against four foreign implementations: Kafka's own library and librdkafka (bytes kept in fixtures/; see
 * fixtures/JavaBatches.java), kafkajs and @platformatic/kafka.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as platformatic from '@platformatic/kafka';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { COMPRESSIONS, type Compression } from './compression.ts';
import { encodeEndTransactionMarker, readEndTransactionMarker } from './control-records.ts';
import * as batch from './record-batch.ts';
import { encodeBatch, type RecordInput } from './record-batch-builder.ts';
import { type PlainRecord, readRecords } from './record-reader.ts';
import { type RetainOptions, retainRecords } from './retain-records.ts';

const CODECS = COMPRESSIONS.filter((name) => name !== 'none');

// ---- Kafka's own library ----------------------------------------------------------------------------------------

const JAVA = JSON.parse(
  readFileSync(new URL('fixtures/java-batches.json', import.meta.url), 'utf8'),
) as Record<string, string>;
const T0 = 1_700_000_000_000;
const NOW = 1_700_000_100_000;

function java(name: string): Buffer {
  const base64 = JAVA[name];
  if (base64 === undefined) throw new Error(`no fixture ${name}`);
  return Buffer.from(base64, 'base64');
}

/** The records that the fixtures were made of: the same rule as in JavaBatches.java. */
function smallRecords(): PlainRecord[] {
  return Array.from({ length: 40 }, (_, i) => ({
    offset: 1000 + i,
    timestamp: T0 + ((i * 37) % 100) - 20,
    key: i % 5 === 0 ? null : Buffer.from(`key-${i % 7}`),
    value: i % 6 === 3 ? null : Buffer.from(`value-${i} `.repeat(i % 9)),
    headers:
      i % 4 === 0
        ? [
            { key: `hé-${i}`, value: i % 8 === 0 ? null : Buffer.from(`${i}`) },
            { key: '', value: Buffer.alloc(0) },
          ]
        : [],
  }));
}

const SMALL_OPTIONS = {
  baseOffset: 1000,
  leaderEpoch: 9,
  producerId: 7777,
  producerEpoch: 5,
  baseSequence: 123,
  transactional: true,
};

function header(bytes: Buffer): Record<string, number> {
  return {
    baseOffset: batch.baseOffset(bytes, 0),
    leaderEpoch: batch.leaderEpoch(bytes, 0),
    attributes: batch.attributes(bytes, 0),
    lastOffsetDelta: batch.lastOffsetDelta(bytes, 0),
    baseTimestamp: batch.baseTimestamp(bytes, 0),
    maxTimestamp: batch.maxTimestamp(bytes, 0),
    producerId: batch.producerId(bytes, 0),
    producerEpoch: batch.producerEpoch(bytes, 0),
    baseSequence: batch.baseSequence(bytes, 0),
    recordCount: batch.recordCount(bytes, 0),
  };
}

describe('Kafka’s library', () => {
  test.each(COMPRESSIONS)('its %s batch is good, and its records are what went in', (codec) => {
    const bytes = java(`small-${codec}`);
    expect(batch.checkProducedBatch(bytes, 0, bytes.length)).toBe(batch.BATCH_OK);
    expect(batch.compressionOf(batch.attributes(bytes, 0))).toBe(COMPRESSIONS.indexOf(codec));
    expect(readRecords(bytes)).toEqual(smallRecords());
  });

  test.each(CODECS)('its %s data of many blocks is read', (codec) => {
    const records = readRecords(java(`large-${codec}`));
    expect(records.map((record) => String(record.value))).toEqual(
      Array.from({ length: 80 }, (_, i) => `pattern-${i}`.repeat(250)),
    );
  });

  test('we build the same bytes', () => {
    expect(encodeBatch(smallRecords(), SMALL_OPTIONS).equals(java('small-none'))).toBe(true);
  });

  test.each(CODECS)('we build the same %s batch but for the compressed bytes', (codec) => {
    const ours = encodeBatch(smallRecords(), { ...SMALL_OPTIONS, compression: codec });
    expect(header(ours)).toEqual(header(java(`small-${codec}`)));
    expect(readRecords(ours)).toEqual(smallRecords());
  });

  test('append time is the time of every record', () => {
    const stamped = java('stamped');
    expect(readRecords(stamped).map((record) => record.timestamp)).toEqual(Array(40).fill(T0 + 77));
    const ours = encodeBatch(smallRecords(), { ...SMALL_OPTIONS, appendTimeMs: T0 + 77 });
    expect(ours.equals(stamped)).toBe(true);
  });

  /** The rule of the fixtures: without a horizon tombstones are left out. */
  function keep(modulus: number, rest: number, options: RetainOptions = {}) {
    return (bytes: Buffer) =>
      retainRecords(
        bytes,
        0,
        (record) =>
          record.offset % modulus === rest &&
          (options.deleteHorizonMs !== undefined || record.valueStart >= 0),
        options,
      );
  }

  test.each(COMPRESSIONS)('compacts a %s batch to what we do', (codec) => {
    const ours = keep(3, 1)(java(`small-${codec}`));
    const theirs = java(`third-${codec}`);
    expect(header(ours)).toEqual(header(theirs));
    expect(readRecords(ours)).toEqual(readRecords(theirs));
    expect(batch.checkBatch(ours, 0, ours.length)).toBe(batch.BATCH_OK);
  });

  test('compacts a batch without a codec to the same bytes', () => {
    expect(keep(3, 1)(java('small-none')).equals(java('third-none'))).toBe(true);
  });

  test('keeps an empty batch as the same header', () => {
    expect(keep(1, 7)(java('small-zstd')).equals(keep(1, 7)(java('small-none')))).toBe(true);
    expect(keep(1, 7)(java('small-none')).equals(java('none-left'))).toBe(true);
  });

  test('writes the delete horizon as we do, and keeps one that was decided', () => {
    const decided = keep(1, 0, { deleteHorizonMs: NOW + 5_000 })(java('small-none'));
    expect(decided.equals(java('all-left-horizon'))).toBe(true);
    expect(batch.deleteHorizon(decided, 0)).toBe(NOW + 5_000);
    expect(readRecords(decided)).toEqual(smallRecords());
    const kept = keep(2, 0, { deleteHorizonMs: NOW + 9_000 })(decided);
    expect(kept.equals(java('horizon-kept'))).toBe(true);
  });

  test('compacts a batch with append time to what we do', () => {
    const ours = keep(3, 1, { deleteHorizonMs: NOW + 5_000 })(java('stamped'));
    expect(ours.equals(java('stamped-third'))).toBe(true);
  });

  test('transaction markers are the same bytes both ways', () => {
    for (const [name, commit, coordinatorEpoch, baseOffset] of [
      ['commit', true, 17, 55],
      ['abort', false, 18, 56],
    ] as const) {
      const marker = { producerId: 9001, producerEpoch: 3, commit, coordinatorEpoch };
      const place = { timestampMs: T0, baseOffset, leaderEpoch: 4 };
      expect(encodeEndTransactionMarker(marker, place).equals(java(name))).toBe(true);
      expect(readEndTransactionMarker(java(name), 0, java(name).length)).toEqual(marker);
    }
  });
});

// ---- librdkafka -----------------------------------------------------------------------------------------------

/** What kcat sent with each codec (`kcat -P -z lz4 -K: -H colour=blue`), as it lay in a segment. */
const LIBRDKAFKA = JSON.parse(
  readFileSync(new URL('fixtures/librdkafka-batches.json', import.meta.url), 'utf8'),
) as Record<Compression, string>;

test.each(COMPRESSIONS)('a batch from librdkafka with %s is good, and read', (codec) => {
  const bytes = Buffer.from(LIBRDKAFKA[codec], 'base64');
  expect(batch.checkProducedBatch(bytes, 0, bytes.length)).toBe(batch.BATCH_OK);
  expect(batch.compressionOf(batch.attributes(bytes, 0))).toBe(COMPRESSIONS.indexOf(codec));
  expect(
    readRecords(bytes).map(({ key, value, headers }) => [
      String(key),
      String(value),
      ...headers.map((header) => `${header.key}=${String(header.value)}`),
    ]),
  ).toEqual(
    Array.from({ length: 30 }, (_, i) => [
      `key-${i % 4}`,
      `value ${i} of thirty, long enough that it can be compressed`,
      'colour=blue',
    ]),
  );
});

// ---- kafkajs ----------------------------------------------------------------------------------------------------

const require = createRequire(import.meta.url);
const LIBRARY = 'kafkajs/src/protocol';

interface KafkajsRecord {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Record<string, Buffer | Buffer[]>;
}

const kafkajs = {
  Decoder: require(`${LIBRARY}/decoder`) as new (bytes: Buffer) => unknown,
  decode: require(`${LIBRARY}/recordBatch/v0/decoder`) as (
    decoder: unknown,
  ) => Promise<{ records: KafkajsRecord[]; producerId: string; maxTimestamp: string }>,
  encode: (
    require(`${LIBRARY}/recordBatch/v0`) as {
      RecordBatch: (options: object) => Promise<{ buffer: Buffer }>;
    }
  ).RecordBatch,
  record: require(`${LIBRARY}/recordBatch/record/v0`) as (record: object) => unknown,
};

const bytesOrNull = fc.option(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  { nil: null },
);

/** Records that the foreign libraries can carry: kafkajs has no null header values and wants distinct header keys. */
const recordInputs = fc.array(
  fc.record({
    timestamp: fc.integer({ min: 0, max: 2 ** 48 }),
    key: bytesOrNull,
    value: bytesOrNull,
    headers: fc.uniqueArray(
      fc.record({
        key: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
        value: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
      }),
      {
        maxLength: 3,
        // Keys that look like numbers come out of an object in another order.
        selector: (header) => (/^\d+$/.test(header.key) ? '' : header.key),
      },
    ),
  }),
  { minLength: 1, maxLength: 12 },
);

test('kafkajs reads what we build', async () => {
  await fc.assert(
    fc.asyncProperty(
      recordInputs,
      fc.constantFrom<Compression>('none', 'gzip'),
      fc.nat(2 ** 40),
      async (records, compression, baseOffset) => {
        const bytes = encodeBatch(records, { compression, baseOffset, producerId: 2 ** 40 + 1 });
        const decoded = await kafkajs.decode(new kafkajs.Decoder(bytes));
        expect(decoded.producerId).toBe(String(2 ** 40 + 1));
        expect(
          decoded.records.map((record) => ({
            timestamp: Number(record.timestamp),
            offset: Number(record.offset),
            key: record.key,
            value: record.value,
          })),
        ).toEqual(
          records.map(({ timestamp, key, value }, index) => ({
            timestamp,
            offset: baseOffset + index,
            key,
            value,
          })),
        );
      },
    ),
    { numRuns: 60 },
  );
});

test('we read what kafkajs builds, and build the same bytes', async () => {
  await fc.assert(
    fc.asyncProperty(recordInputs, async (records) => {
      const firstTimestamp = records[0]?.timestamp ?? 0;
      const maxTimestamp = Math.max(...records.map((record) => record.timestamp));
      const theirs = await kafkajs.encode({
        firstTimestamp,
        maxTimestamp,
        lastOffsetDelta: records.length - 1,
        producerId: 12,
        producerEpoch: 1,
        firstSequence: 99,
        records: records.map((record, index) =>
          kafkajs.record({
            ...record,
            offsetDelta: index,
            timestampDelta: record.timestamp - firstTimestamp,
            headers: Object.fromEntries(record.headers.map(({ key, value }) => [key, value])),
          }),
        ),
      });
      const bytes = Buffer.from(theirs.buffer);
      const ordered = records.map((record) => ({
        ...record,
        headers: Object.entries(
          Object.fromEntries(record.headers.map(({ key, value }) => [key, value])),
        ).map(([key, value]) => ({ key, value })),
      }));
      expect(batch.checkProducedBatch(bytes, 0, bytes.length)).toBe(batch.BATCH_OK);
      expect(readRecords(bytes)).toEqual(withOffsets(ordered));
      const ours = encodeBatch(ordered, { producerId: 12, producerEpoch: 1, baseSequence: 99 });
      expect(ours.toString('hex')).toBe(bytes.toString('hex'));
    }),
    { numRuns: 60 },
  );
});

function withOffsets(records: readonly RecordInput[]): object[] {
  return records.map((record, offset) => ({ headers: [], ...record, offset }));
}

// ---- @platformatic/kafka ----------------------------------------------------------------------------------------

const PLATFORMATIC = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

test.each(PLATFORMATIC)('@platformatic/kafka reads what we build with %s', (compression) => {
  fc.assert(
    fc.property(recordInputs, (records) => {
      const bytes = encodeBatch(records, { compression });
      const decoded = platformatic.readRecordsBatch(platformatic.Reader.from(bytes));
      const first = Number(decoded.firstTimestamp);
      expect(
        decoded.records.map((record) => ({
          timestamp: first + Number(record.timestampDelta),
          key: record.key,
          value: record.value,
          headers: record.headers.map(([key, value]) => ({ key: String(key), value })),
        })),
      ).toEqual(records);
    }),
    { numRuns: 40 },
  );
});

test.each(PLATFORMATIC)('we read what @platformatic/kafka builds with %s', (compression) => {
  fc.assert(
    fc.property(recordInputs, (records) => {
      const present = records.map((record) => ({
        ...record,
        value: record.value ?? Buffer.alloc(0),
        // Its encoder is wrong for times more than 2^31 ms apart in a batch (@platformatic/dynamic-buffer 0.3.1).
        timestamp: T0 + (record.timestamp % 2 ** 31),
      }));
      const writer = platformatic.createRecordsBatch(
        present.map(({ timestamp, key, value, headers }) => ({
          topic: 'any',
          ...(key === null ? {} : { key }),
          value,
          timestamp: BigInt(timestamp),
          headers: new Map(headers.map((header) => [Buffer.from(header.key), header.value])),
        })),
        { compression },
      );
      const bytes = Buffer.from(writer.buffer);
      expect(batch.checkProducedBatch(bytes, 0, bytes.length)).toBe(batch.BATCH_OK);
      expect(readRecords(bytes)).toEqual(withOffsets(present));
    }),
    { numRuns: 40 },
  );
});

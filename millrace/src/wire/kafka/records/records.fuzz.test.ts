/**
 * Every decoder of this folder on bytes that nobody meant: cut, mutated, spliced, with lengths and counts that lie, and
 * on pure noise. Whatever comes in, out comes a result or a MillraceError of the two codes for records, never more
 * bytes than allowed; and what is accepted is consistent with itself.
 *
 * MILLRACE_FUZZ_SECONDS=60 runs longer; MILLRACE_SEED=n repeats a run.
 */
import { expect, test } from 'vitest';
import { MillraceError } from '../../../core/errors.ts';
import { COMPRESSIONS, compress, decompress } from './compression.ts';
import { encodeEndTransactionMarker, readEndTransactionMarker } from './control-records.ts';
import * as batch from './record-batch.ts';
import { encodeBatch, type RecordInput } from './record-batch-builder.ts';
import { RecordReader, readRecords } from './record-reader.ts';
import { retainRecords } from './retain-records.ts';
import { Cursor, readUvarint, readVarint, readVarlong } from './varint.ts';

const SECONDS = Number(process.env['MILLRACE_FUZZ_SECONDS'] ?? 2);
const SEED = Number(process.env['MILLRACE_SEED'] ?? Date.now() % 2 ** 31);
/** Also on a machine that has no time. */
const RUNS_MIN = 100;
const BYTES_MAX = 1024 * 1024;

/** Mulberry32: small, seeded, and good enough to choose what to break. */
function generator(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Numbers at which decoders go wrong. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 61, 49];

function mutate(bytes: Buffer, random: (below: number) => number): Buffer {
  let damaged: Buffer = Buffer.from(bytes);
  for (let times = 1 + random(4); times > 0 && damaged.length > 0; times--) {
    const at = random(damaged.length);
    switch (random(7)) {
      case 0:
        damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << random(8)), at);
        break;
      case 1:
        damaged.writeUInt8(random(256), at);
        break;
      case 2:
        damaged = damaged.subarray(0, at);
        break;
      case 3:
        if (at + 4 <= damaged.length) damaged.writeUInt32BE(EDGES[random(EDGES.length)] ?? 0, at);
        break;
      case 4:
        if (at + 4 <= damaged.length) damaged.writeUInt32LE(EDGES[random(EDGES.length)] ?? 0, at);
        break;
      case 5:
        damaged = Buffer.concat([damaged.subarray(0, at), damaged.subarray(random(at + 1))]);
        break;
      default:
        damaged.fill(random(256), at, Math.min(at + random(20), damaged.length));
    }
  }
  return damaged;
}

function noise(random: (below: number) => number): Buffer {
  return Buffer.from(Array.from({ length: random(200) }, () => random(256)));
}

function records(random: (below: number) => number): RecordInput[] {
  return Array.from({ length: 1 + random(12) }, (_, index) => ({
    timestamp: random(2 ** 31) * 500,
    key: random(3) === 0 ? null : `key-${random(5)}`,
    value: random(4) === 0 ? null : 'value '.repeat(random(60)),
    headers: Array.from({ length: random(3) }, () => ({ key: `h${index}`, value: null })),
  }));
}

/** Runs `once` with fresh random choices until the time is up; a failure names the seed that repeats it. */
function fuzz(share: number, once: (random: (below: number) => number) => void): number {
  const until = performance.now() + SECONDS * 1000 * share;
  let runs = 0;
  for (; runs < RUNS_MIN || performance.now() < until; runs++) {
    try {
      once(generator(SEED + runs));
    } catch (cause) {
      throw new Error(`MILLRACE_SEED=${SEED + runs} MILLRACE_FUZZ_SECONDS=0.1 repeats this`, {
        cause,
      });
    }
  }
  return runs;
}

/** The result of `decode`, or undefined when it refused its input as it should. */
function resultOf<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    if (error.code === 'ML_RECORDS_MALFORMED' || error.code === 'ML_RECORDS_TOO_LARGE')
      return undefined;
    throw error;
  }
}

test('varints', () => {
  const runs = fuzz(0.1, (random) => {
    const bytes = noise(random);
    for (const read of [readUvarint, readVarint, readVarlong]) {
      const start = random(bytes.length + 1);
      const cursor = new Cursor(bytes, start, bytes.length);
      const value = read(cursor);
      expect(Number.isSafeInteger(value)).toBe(true);
      expect(cursor.position === -1 || cursor.position > start).toBe(true);
      expect(cursor.position).toBeLessThanOrEqual(bytes.length);
    }
  });
  expect(runs).toBeGreaterThan(0);
});

test.each(COMPRESSIONS.filter((name) => name !== 'none'))('%s data', (codec) => {
  let accepted = 0;
  const runs = fuzz(0.1, (random) => {
    const input = Buffer.from('some words, '.repeat(random(400)) + random(1000));
    const bytes = random(20) === 0 ? noise(random) : mutate(compress(codec, input), random);
    const output = resultOf(() => decompress(codec, bytes, BYTES_MAX));
    if (output === undefined) return;
    accepted++;
    expect(output.length).toBeLessThanOrEqual(BYTES_MAX);
  });
  // Codecs with checksums accept next to nothing; the point is that the loop ran.
  expect(runs).toBeGreaterThan(accepted);
});

/** A batch that was damaged inside and then given a good frame again, as only a malicious producer would. */
function damagedBatch(random: (below: number) => number): Buffer {
  const compression = COMPRESSIONS[random(5)] ?? 'none';
  const whole =
    random(10) === 0
      ? encodeEndTransactionMarker(
          { producerId: 1, producerEpoch: 1, commit: random(2) === 0, coordinatorEpoch: 1 },
          { timestampMs: 1 },
        )
      : encodeBatch(records(random), { compression, control: random(10) === 0 });
  if (random(3) === 0) return mutate(whole, random);
  // Compressed records are damaged before compression now and then, so that the damage gets through to the records.
  let body = whole.subarray(batch.HEADER_BYTES);
  if (random(2) === 0) {
    const codec = COMPRESSIONS[batch.compressionOf(batch.attributes(whole, 0))] ?? 'none';
    body = compress(codec, mutate(decompress(codec, body, BYTES_MAX), random));
  } else {
    body = mutate(body, random);
  }
  const bytes = Buffer.concat([whole.subarray(0, batch.HEADER_BYTES), body]);
  bytes.writeInt32BE(bytes.length - batch.LENGTH_OVERHEAD_BYTES, batch.BATCH_LENGTH_AT);
  if (random(2) === 0) bytes.writeInt32BE(EDGES[random(4)] ?? 0, batch.RECORD_COUNT_AT);
  if (random(3) === 0) bytes.writeInt32BE(random(20), batch.LAST_OFFSET_DELTA_AT);
  batch.setCrc(bytes, 0);
  return bytes;
}

test('batches, their records, their markers and what compaction leaves of them', () => {
  const reader = new RecordReader();
  let read = 0;
  let refused = 0;
  fuzz(0.5, (random) => {
    const bytes = random(20) === 0 ? noise(random) : damagedBatch(random);
    const position = 0;
    const end = bytes.length;
    const next = batch.batchEnd(bytes, position, end);
    expect(next === -1 || (next > position && next <= end)).toBe(true);
    const check = batch.checkBatch(bytes, position, end);
    expect(batch.batchCheckText(check)).toBeTypeOf('string');
    const limits = { decompressedBytesMax: BYTES_MAX };
    const visited = resultOf(() => {
      let count = 0;
      let last = Number.NEGATIVE_INFINITY;
      reader.open(bytes, position, end, limits);
      while (reader.next()) {
        count++;
        expect(reader.offset).toBeGreaterThan(last);
        expect(reader.offset).toBeLessThanOrEqual(batch.lastOffset(bytes, position));
        last = reader.offset;
        expect(reader.key()?.length ?? 0).toBe(Math.max(reader.keyEnd - reader.keyStart, 0));
        expect(reader.valueEnd).toBeLessThanOrEqual(reader.data.length);
        expect(reader.headers()).toHaveLength(reader.headerCount);
      }
      return count;
    });
    if (visited === undefined) {
      refused++;
      return;
    }
    read++;
    expect(visited).toBe(batch.recordCount(bytes, position));
    if (check !== batch.BATCH_OK) return;
    resultOf(() => readEndTransactionMarker(bytes, position, end));
    const all = readRecords(bytes, position, end, limits);
    const kept = retainRecords(bytes, position, (record) => record.offset % 2 === 0, { limits });
    expect(batch.checkBatch(kept, 0, kept.length)).toBe(batch.BATCH_OK);
    expect(readRecords(kept)).toEqual(all.filter((record) => record.offset % 2 === 0));
  });
  // Both sides of the decoder were walked.
  expect(read).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(0);
});

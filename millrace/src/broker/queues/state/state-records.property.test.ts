/** The bytes of `__queue_state`: what is written is read back, and garbage is an error that has a name. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { MillraceError } from '../../../core/errors.ts';
import { QUEUE_CHUNK_OFFSETS as CHUNK } from '../../../core/queue-limits.ts';
import { ChunkSet } from './chunk-set.ts';
import { OffsetChunk } from './offset-chunk.ts';
import {
  decodeChunk,
  decodeDedupe,
  decodeHead,
  decodeKey,
  encodeChunk,
  encodeDedupe,
  encodeHead,
  encodeKey,
  type StateKey,
} from './state-records.ts';

const offset = fc.maxSafeNat();
const id = fc.record({
  queueId: fc.string({ unit: 'grapheme', maxLength: 60 }),
  partition: fc.nat(2 ** 31 - 1),
});
const key: fc.Arbitrary<StateKey> = fc.oneof(
  fc.record({ kind: fc.constant('head' as const), id }),
  fc.record({ kind: fc.constant('chunk' as const), id, number: offset }),
  fc.record({
    kind: fc.constant('dedupe' as const),
    id,
    key: fc.string({ unit: 'grapheme', maxLength: 40 }),
  }),
);
const head = fc.record({
  floor: offset,
  next: offset,
  bytes: offset,
  countedTo: offset,
  logEndOffset: offset,
  leaderEpoch: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
});

/** From nothing to nearly everything, in long runs, every other one, and at random. */
const positions: fc.Arbitrary<readonly number[]> = fc.oneof(
  fc.constant([]),
  fc.uniqueArray(fc.nat(CHUNK - 1), { maxLength: 900 }),
  fc
    .record({
      from: fc.nat(CHUNK - 1),
      count: fc.nat(CHUNK - 2),
      step: fc.integer({ min: 1, max: 5 }),
    })
    .map(({ from, count, step }) =>
      Array.from({ length: count }, (_, index) => from + index * step).filter((at) => at < CHUNK),
    ),
);

function setOf(list: readonly number[]): ChunkSet {
  const set = new ChunkSet();
  for (const position of list) set.add(position);
  return set;
}

const chunk = fc
  .record({
    settled: positions.filter((list) => new Set(list).size < CHUNK),
    marks: positions,
    counts: fc.array(fc.tuple(fc.nat(CHUNK - 1), fc.nat(2 ** 28 - 1)), { maxLength: 20 }),
    dues: fc.array(
      fc.tuple(
        fc.nat(CHUNK - 1),
        fc.maxSafeNat().map((due) => due % 2 ** 48),
      ),
      {
        maxLength: 20,
      },
    ),
  })
  .map(({ settled, marks, counts, dues }) => {
    const made = new OffsetChunk(7);
    made.settled = setOf(settled);
    if (marks.length > 0) made.marks = setOf(marks);
    if (counts.length > 0) made.counts = new Map(counts);
    if (dues.length > 0) made.dues = new Map(dues);
    return made;
  });

const runsOf = (set: ChunkSet | undefined): string => {
  const runs: string[] = [];
  set?.forEachRun((first, last) => runs.push(`${first}-${last}`));
  return runs.join();
};

test('keys, heads and times are read back as they were written', () => {
  fc.assert(
    fc.property(key, head, offset, (name, values, untilMs) => {
      expect(decodeKey(encodeKey(name))).toEqual(name);
      expect(decodeHead(encodeHead(values))).toEqual(values);
      expect(decodeDedupe(encodeDedupe(untilMs))).toBe(untilMs);
    }),
  );
});

test('chunks are read back as they were written, and no set takes more than its bitmap', () => {
  fc.assert(
    fc.property(chunk, (made) => {
      const bytes = encodeChunk(made);
      expect(bytes.length).toBeLessThan(2 * (CHUNK / 8 + 1) + 3 + 400);
      const read = decodeChunk(7, bytes) as OffsetChunk;
      expect(runsOf(read.settled)).toBe(runsOf(made.settled));
      expect(read.settled.size).toBe(made.settled.size);
      expect(runsOf(read.marks)).toBe(runsOf(made.marks));
      expect(new Map(read.counts)).toEqual(new Map(made.counts));
      expect(new Map(read.dues)).toEqual(new Map(made.dues));
    }),
  );
  expect(decodeChunk(7, encodeChunk('full'))).toBe('full');
  expect(encodeChunk('full').length).toBe(4);
});

function refusesOrReads(decode: (bytes: Buffer) => unknown, bytes: Buffer): void {
  try {
    decode(bytes);
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    expect(['ML_WIRE_MALFORMED', 'ML_DATA_NEWER']).toContain(error.code);
  }
}

const decoders = [decodeKey, decodeHead, decodeDedupe, (bytes: Buffer) => decodeChunk(1, bytes)];

test('garbage is refused, or is a record', () => {
  const garbage = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
  // With a version and a form that are known it gets further.
  const nearly = garbage.map((bytes) =>
    Buffer.concat([Buffer.of((bytes[1] ?? 0) % 2, (bytes[0] ?? 0) % 4), bytes]),
  );
  fc.assert(
    fc.property(fc.oneof(garbage, nearly), (bytes) => {
      for (const decode of decoders) refusesOrReads(decode, bytes);
    }),
    { numRuns: 500 },
  );
});

test('records that are cut, longer, or changed in a byte are refused, or are others', () => {
  fc.assert(
    fc.property(key, head, chunk, fc.nat(), fc.nat(255), (name, values, made, where, byte) => {
      const records = [encodeKey(name), encodeHead(values), encodeChunk(made)];
      records.forEach((bytes, index) => {
        const decode = [decodeKey, decodeHead, (b: Buffer) => decodeChunk(1, b)][index];
        if (decode === undefined) return;
        const at = where % bytes.length;
        const changed = Buffer.from(bytes);
        changed[at] = byte;
        refusesOrReads(decode, changed);
        refusesOrReads(decode, bytes.subarray(0, at));
        refusesOrReads(decode, Buffer.concat([bytes, Buffer.of(byte)]));
      });
      expect(() => decodeHead(encodeHead(values).subarray(0, 44))).toThrow(MillraceError);
      expect(() => decodeChunk(1, Buffer.concat([encodeChunk(made), Buffer.of(byte)]))).toThrow(
        MillraceError,
      );
    }),
    { numRuns: 60 },
  );
});

/** What stays of single batches. Whole logs are compared with an independent oracle in compaction.property.test.ts. */
import { expect, test } from 'vitest';
import { SimRandom } from '../core/sim/sim-random.ts';
import { encodeEndTransactionMarker } from '../wire/kafka/records/control-records.ts';
import { type BatchOptions, encodeBatch } from '../wire/kafka/records/record-batch-builder.ts';
import {
  baseOffset,
  baseSequence,
  checkBatch,
  BATCH_OK,
  deleteHorizon,
  lastOffset,
  maxTimestamp,
  recordCount,
} from '../wire/kafka/records/record-batch.ts';
import { readRecords } from '../wire/kafka/records/record-reader.ts';
import { CleanedTransactions } from './cleaning-filter.ts';
import { BatchFilter, type FilterOptions } from './compaction-filter.ts';
import { OffsetMap } from './offset-map.ts';
import type { AbortedTransaction } from './types.ts';

const NOW = 10_000;
const DELAY = 1_000;

type Entry = readonly [key: string | null, value: string | null];

function batch(base: number, entries: readonly Entry[], options: BatchOptions = {}): Buffer {
  const records = entries.map(([key, value], index) => ({
    timestamp: 100 + base + index,
    key,
    value,
  }));
  return encodeBatch(records, { baseOffset: base, ...options });
}

const marker = (base: number, producerId: number, commit: boolean): Buffer =>
  encodeEndTransactionMarker(
    { producerId, producerEpoch: 0, commit, coordinatorEpoch: 0 },
    { timestampMs: 100 + base, baseOffset: base },
  );

function mapOf(entries: Readonly<Record<string, number>>, latest = 100): OffsetMap {
  const map = new OffsetMap(OffsetMap.bytesFor(100), new SimRandom(1));
  for (const [key, offset] of Object.entries(entries).sort((a, b) => a[1] - b[1]))
    map.put(Buffer.from(key), 0, key.length, offset);
  map.passed(latest);
  return map;
}

function filterOf(
  map: OffsetMap,
  more: Partial<FilterOptions> = {},
  aborted: readonly AbortedTransaction[] = [],
): (bytes: Buffer, keepEmpty?: boolean) => Buffer | undefined {
  const filter = new BatchFilter(
    { map, nowMs: NOW, deleteRetentionMs: DELAY, producers: new Map(), ...more },
    new CleanedTransactions(aborted),
  );
  return (bytes, keepEmpty = false) => {
    // Somewhere inside a larger buffer, as in a segment.
    const padded = Buffer.concat([Buffer.alloc(7, 0xee), bytes, Buffer.alloc(5, 0xee)]);
    const kept = filter.filter(padded, 7, 7 + bytes.length, keepEmpty);
    const check = kept === undefined ? BATCH_OK : checkBatch(kept, 0, kept.length);
    expect(check).toBe(BATCH_OK);
    return kept;
  };
}

const offsets = (bytes: Buffer | undefined): number[] =>
  bytes === undefined ? [] : readRecords(bytes).map((record) => record.offset);

test('keeps the latest of each key, at its offset', () => {
  const filter = filterOf(mapOf({ a: 2, b: 1 }));
  const kept = filter(
    batch(0, [
      ['a', '1'],
      ['b', '2'],
      ['a', '3'],
    ]),
  );
  expect(offsets(kept)).toEqual([1, 2]);
  expect(readRecords(kept ?? Buffer.alloc(0)).map((record) => record.timestamp)).toEqual([
    101, 102,
  ]);
});

test('a batch of which everything stays is passed on as it is', () => {
  const bytes = batch(
    0,
    [
      ['a', '1'],
      ['b', '2'],
    ],
    { compression: 'gzip' },
  );
  expect(filterOf(mapOf({ a: 0, b: 1 }))(bytes)).toEqual(bytes);
});

test('a batch of which nothing stays goes, unless it has to mark the end', () => {
  const filter = filterOf(mapOf({ a: 9 }));
  expect(filter(batch(0, [['a', '1']]))).toBeUndefined();
  const empty =
    filter(
      batch(1, [
        ['a', '1'],
        ['a', '2'],
      ]),
      true,
    ) ?? Buffer.alloc(0);
  expect([
    recordCount(empty, 0),
    baseOffset(empty, 0),
    lastOffset(empty, 0),
    maxTimestamp(empty, 0),
  ]).toEqual([0, 1, 2, 102]);
});

test('what the map does not know stays, and so does what it has not seen, even without a key', () => {
  const filter = filterOf(mapOf({ a: 9 }, 9));
  const entries: Entry[] = [
    ['x', '1'],
    ['a', '2'],
    [null, '3'],
  ];
  expect(offsets(filter(batch(5, entries)))).toEqual([5]);
  expect(offsets(filter(batch(10, entries)))).toEqual([10, 11, 12]);
});

test('records without a key go', () => {
  expect(filterOf(mapOf({}))(batch(0, [[null, '1']]))).toBeUndefined();
});

test('a tombstone gets a horizon first, and goes when it has passed', () => {
  const map = mapOf({ a: 0, b: 1 });
  const first =
    filterOf(map)(
      batch(0, [
        ['a', null],
        ['b', 'v'],
      ]),
    ) ?? Buffer.alloc(0);
  expect(deleteHorizon(first, 0)).toBe(NOW + DELAY);
  expect(readRecords(first).map((record) => record.timestamp)).toEqual([100, 101]);
  const before = filterOf(map, { nowMs: NOW + DELAY - 1 })(first);
  expect(before).toEqual(first);
  const after = filterOf(map, { nowMs: NOW + DELAY })(first);
  expect(offsets(after)).toEqual([1]);
  expect(deleteHorizon(after ?? Buffer.alloc(0), 0)).toBe(NOW + DELAY);
});

test('a superseded tombstone goes at once', () => {
  expect(filterOf(mapOf({ a: 5 }))(batch(0, [['a', null]]))).toBeUndefined();
});

test('records of an aborted transaction go, its marker in the pass after the delay', () => {
  const aborted = [{ producerId: 7, firstOffset: 0 }];
  const data = batch(0, [['a', '1']], {
    producerId: 7,
    producerEpoch: 0,
    baseSequence: 0,
    transactional: true,
  });
  const abort = marker(1, 7, false);
  const map = mapOf({ a: 0 });
  const first = filterOf(map, {}, aborted);
  expect(first(data)).toBeUndefined();
  expect(first(abort)).toEqual(abort);

  const second = filterOf(map, {}, aborted)(abort) ?? Buffer.alloc(0);
  expect(deleteHorizon(second, 0)).toBe(NOW + DELAY);
  expect(recordCount(second, 0)).toBe(1);
  expect(filterOf(map, { nowMs: NOW + DELAY - 1 }, aborted)(second)).toEqual(second);
  expect(filterOf(map, { nowMs: NOW + DELAY }, aborted)(second)).toBeUndefined();
});

test('the marker of a committed transaction stays while a record of it is left', () => {
  const data = batch(0, [['a', '1']], {
    producerId: 7,
    producerEpoch: 0,
    baseSequence: 0,
    transactional: true,
  });
  const commit = marker(1, 7, true);
  const filter = filterOf(mapOf({ a: 0 }));
  expect(filter(data)).toEqual(data);
  expect(filter(commit)).toEqual(commit);
  const later = filterOf(mapOf({ a: 9 }));
  expect(later(data)).toBeUndefined();
  // The pass that takes the records leaves the marker as it is.
  expect(later(commit)).toEqual(commit);
  const last = filterOf(mapOf({ a: 9 }))(commit) ?? Buffer.alloc(0);
  expect(deleteHorizon(last, 0)).toBe(NOW + DELAY);
});

test('a transaction that commits after one of the same producer aborted is not taken for it', () => {
  const aborted = [{ producerId: 7, firstOffset: 0 }];
  const options = { producerId: 7, producerEpoch: 0, transactional: true };
  const filter = filterOf(mapOf({ a: 2 }), {}, aborted);
  expect(filter(batch(0, [['a', '1']], { ...options, baseSequence: 0 }))).toBeUndefined();
  filter(marker(1, 7, false));
  expect(offsets(filter(batch(2, [['a', '2']], { ...options, baseSequence: 1 })))).toEqual([2]);
});

test('the last batch of a producer stays without its records, with its sequence', () => {
  const producers = new Map([[7, { lastDataOffset: 3, producerEpoch: 0 }]]);
  const filter = filterOf(mapOf({ a: 9 }), { producers });
  const options = { producerId: 7, producerEpoch: 0 };
  expect(
    filter(
      batch(
        0,
        [
          ['a', '1'],
          ['a', '2'],
        ],
        { ...options, baseSequence: 0 },
      ),
    ),
  ).toBeUndefined();
  const last =
    filter(
      batch(
        2,
        [
          ['a', '3'],
          ['a', '4'],
        ],
        { ...options, baseSequence: 2 },
      ),
    ) ?? Buffer.alloc(0);
  expect([recordCount(last, 0), baseSequence(last, 0), lastOffset(last, 0)]).toEqual([0, 2, 3]);
  // And once more, as it is.
  expect(filterOf(mapOf({ a: 9 }), { producers })(last)).toEqual(last);
});

test('a marker stays while it is all that is left of its producer', () => {
  const producers = new Map([[7, { lastDataOffset: -1, producerEpoch: 0 }]]);
  const filter = filterOf(mapOf({}), { producers });
  const horizon = filter(marker(1, 7, true)) ?? Buffer.alloc(0);
  const kept = filterOf(mapOf({}), { producers, nowMs: NOW + DELAY })(horizon) ?? Buffer.alloc(0);
  expect(recordCount(kept, 0)).toBe(0);
  expect(filterOf(mapOf({}), { producers, nowMs: NOW + 2 * DELAY })(kept)).toEqual(kept);
  expect(filterOf(mapOf({}), { nowMs: NOW + 2 * DELAY })(kept)).toBeUndefined();
});

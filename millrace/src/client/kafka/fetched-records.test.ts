import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MillraceError } from '../../core/errors.ts';
import { encodeEndTransactionMarker } from '../../wire/kafka/records/control-records.ts';
import { encodeBatch } from '../../wire/kafka/records/record-batch-builder.ts';
import { nextOffset, visibleBatches, type FetchedRecords } from './fetched-records.ts';

/** What producers did, in the order of the log. */
type Event =
  | { readonly kind: 'plain'; readonly producer: number; readonly records: number }
  | { readonly kind: 'transactional'; readonly producer: number; readonly records: number }
  | { readonly kind: 'end'; readonly producer: number; readonly commit: boolean };

const producer = fc.integer({ min: 1, max: 2 });
const records = fc.integer({ min: 1, max: 4 });
const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constant('plain' as const), producer, records }),
  fc.record({ kind: fc.constant('transactional' as const), producer, records }),
  fc.record({ kind: fc.constant('end' as const), producer, commit: fc.boolean() }),
);

interface Log {
  readonly batches: { readonly base: number; readonly last: number; readonly bytes: Buffer }[];
  /** Offsets of records that a reader of committed data sees. */
  readonly visible: readonly number[];
  readonly aborted: {
    readonly producerId: number;
    readonly firstOffset: number;
    readonly lastOffset: number;
  }[];
  readonly end: number;
}

/** Writes the log, and works out from the events, not from the bytes, what is to be seen. */
function write(events: readonly Event[]): Log {
  const open = new Map<number, number[]>();
  const visible: number[] = [];
  const batches: Log['batches'] = [];
  const aborted: Log['aborted'] = [];
  let end = 0;
  const add = (bytes: Buffer, count: number): void => {
    batches.push({ base: end, last: end + count - 1, bytes });
    end += count;
  };
  const finish = (producerId: number, commit: boolean): void => {
    const offsets = open.get(producerId);
    if (offsets === undefined) return; // Coordinators write no marker without a transaction.
    open.delete(producerId);
    if (commit) visible.push(...offsets);
    else aborted.push({ producerId, firstOffset: offsets[0] ?? 0, lastOffset: end });
    const marker = { producerId, producerEpoch: 0, commit, coordinatorEpoch: 0 };
    add(encodeEndTransactionMarker(marker, { timestampMs: 0, baseOffset: end }), 1);
  };
  for (const each of events) {
    if (each.kind === 'end') {
      finish(each.producer, each.commit);
      continue;
    }
    const offsets = Array.from({ length: each.records }, (_, index) => end + index);
    const transactional = each.kind === 'transactional';
    if (transactional) open.set(each.producer, [...(open.get(each.producer) ?? []), ...offsets]);
    // A producer inside a transaction writes nothing outside of it: another one does.
    else visible.push(...offsets);
    const input = offsets.map((offset) => ({ timestamp: 0, key: null, value: `${offset}` }));
    const options = {
      baseOffset: end,
      producerId: transactional ? each.producer : -1,
      transactional,
    };
    add(encodeBatch(input, options), each.records);
  }
  for (const id of open.keys()) finish(id, true);
  return { batches, visible: visible.toSorted((a, b) => a - b), aborted, end };
}

/** What a broker answers to a read from an offset that takes so many batches. */
function fetch(log: Log, from: number, batchCount: number): FetchedRecords {
  const batches = log.batches.filter(({ last }) => last >= from).slice(0, batchCount);
  const bytes = Buffer.concat(batches.map((batch) => batch.bytes));
  const until = batches.at(-1)?.last ?? from;
  const aborted = log.aborted
    .filter(({ firstOffset, lastOffset }) => lastOffset >= from && firstOffset <= until)
    .toSorted((a, b) => a.firstOffset - b.firstOffset);
  return { partition: 0, from, next: nextOffset(bytes, from), bytes, aborted };
}

function offsetsIn(fetched: FetchedRecords): number[] {
  const offsets: number[] = [];
  for (const reader of visibleBatches(fetched))
    while (reader.next()) if (reader.offset >= fetched.from) offsets.push(reader.offset);
  return offsets;
}

test('a reader sees what was committed, all of it and nothing else, wherever the answers are cut', () => {
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 25 }),
      fc.integer({ min: 1, max: 12 }),
      (events, cut) => {
        const log = write(events);
        const seen: number[] = [];
        for (let at = 0; at < log.end; ) {
          const fetched = fetch(log, at, cut);
          seen.push(...offsetsIn(fetched));
          expect(fetched.next).toBeGreaterThan(at);
          at = fetched.next;
        }
        expect(seen).toEqual(log.visible);
      },
    ),
    { numRuns: 500 },
  );
});

test('a reader that begins inside a batch sees the rest of it', () => {
  const log = write([{ kind: 'plain', producer: 1, records: 4 }]);
  expect(offsetsIn(fetch(log, 2, 1))).toEqual([2, 3]);
});

test('a batch that the end of the answer cuts off is left for the next one', () => {
  const log = write([
    { kind: 'plain', producer: 1, records: 2 },
    { kind: 'plain', producer: 1, records: 2 },
  ]);
  const whole = fetch(log, 0, 2);
  const [first] = log.batches;
  for (let length = first?.bytes.length ?? 0; length < whole.bytes.length; length++) {
    const bytes = whole.bytes.subarray(0, length);
    const next = nextOffset(bytes, 0);
    expect(next).toBe(2);
    expect(offsetsIn({ ...whole, bytes, next })).toEqual([0, 1]);
  }
});

test('bytes that are not what was written are refused, with the offset where they are', () => {
  const log = write([
    { kind: 'plain', producer: 1, records: 2 },
    { kind: 'plain', producer: 1, records: 2 },
  ]);
  const { bytes } = fetch(log, 0, 2);
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] ?? 0) ^ 1;
  expect(() => nextOffset(bytes, 0)).toThrow(MillraceError);
  expect(() => nextOffset(bytes, 0)).toThrow(/CRC .* at offset 2/);
});

/**
 * Compaction against a naive oracle, over random logs: keys, tombstones, idempotent and transactional producers, commits,
 * aborts and open transactions, in segments of any shape, compacted again and again while time passes.
 *
 * The oracle knows every record that was ever written and works out, from the rules alone, which must be there: exactly
 * those, not one more.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { append, openOne, type TestStore } from '../../test/log/fixture.ts';
import { encodeEndTransactionMarker } from '../wire/kafka/records/control-records.ts';
import { encodeBatch } from '../wire/kafka/records/record-batch-builder.ts';
import {
  attributes,
  baseOffset,
  baseSequence,
  batchEnd,
  isControl,
  lastOffset,
  leaderEpoch,
  producerId,
  recordCount,
} from '../wire/kafka/records/record-batch.ts';
import { readRecords } from '../wire/kafka/records/record-reader.ts';
import type { DiskLog } from './partition-log.ts';

const DELAY_MS = 1000;
const KEYS = 5;

type Command =
  | {
      readonly kind: 'write';
      readonly producer: number;
      readonly records: readonly { readonly key: number; readonly tombstone: boolean }[];
      readonly compress: boolean;
    }
  | { readonly kind: 'end'; readonly producer: number; readonly commit: boolean }
  | { readonly kind: 'compact'; readonly afterMs: number };

interface Written {
  readonly offset: number;
  readonly key: string;
  readonly value: string | null;
  readonly timestamp: number;
  readonly batchBase: number;
  readonly producer: number;
  readonly transaction: Transaction | undefined;
}

interface Transaction {
  outcome: 'open' | 'committed' | 'aborted';
}

/** Producers 0 and 1 are plain, 2 idempotent, 3 and 4 transactional. */
const PRODUCERS = 5;
const idOf = (producer: number): number => (producer < 2 ? -1 : 100 + producer);
const isTransactional = (producer: number): boolean => producer >= 3;

/** A time that is known to lie in a range: the run of a compaction takes time, and looks at the clock somewhere in it. */
interface Around {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What the oracle knows: everything that was written, and when compaction first met a tombstone. */
class Oracle {
  readonly written: Written[] = [];
  readonly transactions = new Map<number, Transaction>();
  readonly sequences = new Map<number, number>();
  compactions = 0;
  /** When a tombstone may go, by offset: set by the first compaction that keeps it. */
  private readonly horizons = new Map<number, Around>();
  private readonly gone = new Set<number>();

  /** What a compaction leaves below `end`. `seen` decides only where the clock may have been on either side. */
  compacted(end: number, now: Around, seen: ReadonlySet<number>): number[] {
    this.compactions++;
    const latest = new Map<string, number>();
    for (const record of this.written)
      if (record.offset < end && counts(record)) latest.set(record.key, record.offset);
    for (const record of this.written) {
      if (record.offset >= end || this.gone.has(record.offset)) continue;
      const isLatest = counts(record) && latest.get(record.key) === record.offset;
      if (!isLatest || this.isExpired(record, now, seen)) this.gone.add(record.offset);
    }
    this.setHorizons(end, now);
    return this.written.map(({ offset }) => offset).filter((offset) => !this.gone.has(offset));
  }

  private isExpired(record: Written, now: Around, seen: ReadonlySet<number>): boolean {
    const horizon = this.horizons.get(record.offset);
    if (record.value !== null || horizon === undefined || now.toMs < horizon.fromMs) return false;
    return now.fromMs >= horizon.toMs || !seen.has(record.offset);
  }

  /** A batch has one horizon: the first tombstone that stays in it sets it for all that are in it. */
  private setHorizons(end: number, now: Around): void {
    const decided = new Map<number, Around>();
    for (const record of this.written) {
      const horizon = this.horizons.get(record.offset);
      if (horizon !== undefined) decided.set(record.batchBase, horizon);
    }
    for (const record of this.written) {
      if (record.offset >= end || this.gone.has(record.offset) || record.value !== null) continue;
      const horizon = decided.get(record.batchBase) ?? {
        fromMs: now.fromMs + DELAY_MS,
        toMs: now.toMs + DELAY_MS,
      };
      decided.set(record.batchBase, horizon);
      this.horizons.set(record.offset, horizon);
    }
  }
}

function counts(record: Written): boolean {
  return record.transaction === undefined || record.transaction.outcome === 'committed';
}

interface Run extends TestStore {
  readonly log: DiskLog;
  readonly oracle: Oracle;
}

function write(run: Run, command: Extract<Command, { kind: 'write' }>): void {
  const { log, oracle } = run;
  const { producer, records } = command;
  const timestamp = 1_000_000 + log.logEndOffset;
  let transaction: Transaction | undefined;
  if (isTransactional(producer)) {
    transaction = oracle.transactions.get(producer) ?? { outcome: 'open' };
    oracle.transactions.set(producer, transaction);
  }
  const sequence = oracle.sequences.get(producer) ?? 0;
  const inputs = records.map(({ key, tombstone }, index) => ({
    timestamp: timestamp + index,
    key: `key ${key}`,
    value: tombstone ? null : `value at ${log.logEndOffset + index}`,
  }));
  const isIdempotent = idOf(producer) >= 0;
  const bytes = encodeBatch(inputs, {
    compression: command.compress ? 'gzip' : 'none',
    producerId: idOf(producer),
    producerEpoch: isIdempotent ? 0 : -1,
    baseSequence: isIdempotent ? sequence : -1,
    transactional: transaction !== undefined,
  });
  const base = append(log, bytes);
  oracle.sequences.set(producer, sequence + records.length);
  inputs.forEach((input, index) => {
    const { key, value } = input;
    oracle.written.push({
      offset: base + index,
      key,
      value,
      timestamp: input.timestamp,
      batchBase: base,
      producer,
      transaction,
    });
  });
}

function end(run: Run, command: Extract<Command, { kind: 'end' }>): void {
  const { log, oracle } = run;
  const transaction = oracle.transactions.get(command.producer);
  if (transaction === undefined) return;
  oracle.transactions.delete(command.producer);
  transaction.outcome = command.commit ? 'committed' : 'aborted';
  const marker = {
    producerId: idOf(command.producer),
    producerEpoch: 0,
    commit: command.commit,
    coordinatorEpoch: 0,
  };
  append(log, encodeEndTransactionMarker(marker, { timestampMs: 1_000_000 }), 'control');
}

interface Seen {
  readonly records: Written[];
  readonly lastBatches: Map<number, { lastOffset: number; baseSequence: number; count: number }>;
}

/** Every batch and record that is in the log now, read as a client does. */
async function readLog({ machine, log }: Run): Promise<Seen> {
  const seen: Seen = { records: [], lastBatches: new Map() };
  for (let next = 0; ; ) {
    const result = await machine.run(
      log.read(next, { maxBytes: 700, atLeastOneBatch: true, isolation: 'read_uncommitted' }),
    );
    const { records: bytes } = result;
    for (let at = 0; at < bytes.length; ) {
      const stop = batchEnd(bytes, at, bytes.length);
      next = lastOffset(bytes, at) + 1;
      if (!isControl(attributes(bytes, at))) note(seen, bytes, at, stop);
      at = stop;
    }
    result.release();
    expect(result.error).toBe('NONE');
    if (bytes.length === 0) return seen;
  }
}

function note(seen: Seen, bytes: Buffer, at: number, stop: number): void {
  const producer = producerId(bytes, at);
  expect(leaderEpoch(bytes, at)).toBe(0);
  seen.lastBatches.set(producer, {
    lastOffset: lastOffset(bytes, at),
    baseSequence: baseSequence(bytes, at),
    count: recordCount(bytes, at),
  });
  for (const record of readRecords(bytes, at, stop))
    seen.records.push({
      offset: record.offset,
      key: record.key?.toString() ?? '',
      value: record.value?.toString() ?? null,
      timestamp: record.timestamp,
      batchBase: baseOffset(bytes, at),
      producer,
      transaction: undefined,
    });
}

async function compact(run: Run, afterMs: number): Promise<void> {
  const { machine, store, log, oracle } = run;
  await machine.runFor(afterMs);
  const before = log.compactedTo;
  const segmentsBefore = store.stats().segments;
  const fromMs = machine.wallMs();
  await machine.run(store.runCompaction());
  const now = { fromMs, toMs: machine.wallMs() };
  expect(store.stats().segments).toBeLessThanOrEqual(segmentsBefore);
  const active = log.active?.baseOffset ?? 0;
  expect(log.compactedTo).toBeLessThanOrEqual(Math.min(active, log.lastStableOffset));
  if (log.compactedTo === before) return;
  const byOffset = new Map(oracle.written.map((record) => [record.offset, record]));
  const seen = await readLog(run);
  const offsets = new Set(seen.records.map(({ offset }) => offset));
  const expected = oracle.compacted(log.compactedTo, now, offsets);
  expect(seen.records.map(({ offset }) => offset)).toEqual(expected);
  for (const record of seen.records) {
    const { key, value, timestamp, batchBase } = byOffset.get(record.offset) as Written;
    expect(record).toMatchObject({ key, value, timestamp, batchBase });
  }
  // The last batch of each producer is there, if only as a header, with its sequence.
  for (const producer of [2, 3, 4]) {
    const last = oracle.written.findLast((record) => record.producer === producer);
    if (last === undefined) continue;
    const kept = seen.lastBatches.get(idOf(producer));
    expect(kept?.lastOffset).toBe(last.offset);
    const sequence = oracle.sequences.get(producer) ?? 0;
    expect((kept?.baseSequence ?? 0) + last.offset - last.batchBase + 1).toBe(sequence);
  }
}

const commands = fc.array(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('write' as const),
        producer: fc.nat(PRODUCERS - 1),
        records: fc.array(
          fc.record({
            key: fc.nat(KEYS - 1),
            tombstone: fc.boolean(),
          }),
          { minLength: 1, maxLength: 5 },
        ),
        compress: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('end' as const),
        producer: fc.integer({ min: 3, max: PRODUCERS - 1 }),
        commit: fc.boolean(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('compact' as const), afterMs: fc.nat(1500) }),
    },
  ),
  { minLength: 10, maxLength: 60 },
);

let compactions = 0;

test('leaves exactly what the rules say, wherever it is cut into segments', async () => {
  await fc.assert(
    fc.asyncProperty(commands, fc.constantFrom(1024, 1500, 4096), async (list, segmentBytes) => {
      const opened = await openOne({
        segmentBytes,
        cleanupCompact: true,
        cleanupDelete: false,
        deleteRetentionMs: DELAY_MS,
        minCleanableDirtyRatio: 0,
      });
      const run: Run = { ...opened, oracle: new Oracle() };
      for (const command of list) {
        if (command.kind === 'write') write(run, command);
        else if (command.kind === 'end') end(run, command);
        else await compact(run, command.afterMs);
      }
      for (const producer of run.oracle.transactions.keys())
        end(run, { kind: 'end', producer, commit: true });
      await run.machine.run(run.log.whenDurable(run.log.logEndOffset));
      run.log.roll();
      await compact(run, 10);
      // What is to go after its delay goes with the next compaction, which needs something to do.
      const records = [{ key: KEYS, tombstone: false }];
      write(run, { kind: 'write', producer: 0, records, compress: false });
      await run.machine.run(run.log.whenDurable(run.log.logEndOffset));
      run.log.roll();
      await compact(run, DELAY_MS + 100);
      await run.machine.run(run.store.close());
      expect(run.fatal).toEqual([]);
      compactions += run.oracle.compactions;
    }),
    { numRuns: 60 },
  );
  expect(compactions).toBeGreaterThan(60);
});

/**
 * Reclaiming against a naive oracle, over random logs: plain, idempotent and transactional producers, commits, aborts and open
 * transactions, records settled in any order, in segments of any shape, reclaimed again and again, with restarts between.
 *
 * Whatever is live is there, byte by byte at its offset; nothing else turns up; and a consumer that reads committed records by the rules
 * of the protocol never sees an aborted one, though markers have gone.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { append, openOne, reopenOne, type TestStore } from '../../test/log/fixture.ts';
import { encodeEndTransactionMarker } from '../wire/kafka/records/control-records.ts';
import { encodeBatch } from '../wire/kafka/records/record-batch-builder.ts';
import {
  attributes,
  baseSequence,
  batchEnd,
  isControl,
  isTransactional,
  lastOffset,
  producerId,
} from '../wire/kafka/records/record-batch.ts';
import { readEndTransactionMarker } from '../wire/kafka/records/control-records.ts';
import { readRecords } from '../wire/kafka/records/record-reader.ts';
import type { DiskLog } from './partition-log.ts';
import type { ReadResult } from './types.ts';

type Command =
  | {
      readonly kind: 'write';
      readonly producer: number;
      readonly count: number;
      readonly compress: boolean;
    }
  | { readonly kind: 'end'; readonly producer: number; readonly commit: boolean }
  | {
      readonly kind: 'settle';
      readonly from: number;
      readonly count: number;
      readonly step: number;
    }
  | { readonly kind: 'reclaim'; readonly trim: boolean }
  | { readonly kind: 'restart'; readonly how: 'close' | 'kill' };

interface Written {
  readonly offset: number;
  readonly value: string;
  readonly transaction: { outcome: 'open' | 'committed' | 'aborted' } | undefined;
}

/** Producers 0 and 1 are plain, 2 idempotent, 3 and 4 transactional. */
const PRODUCERS = 5;
const idOf = (producer: number): number => (producer < 2 ? -1 : 100 + producer);

class Run {
  opened: TestStore & { readonly log: DiskLog };
  readonly config: { readonly segmentBytes: number };
  readonly written: Written[] = [];
  readonly transactions = new Map<number, NonNullable<Written['transaction']>>();
  readonly sequences = new Map<number, number>();
  readonly lastBatches = new Map<number, { lastOffset: number; baseSequence: number }>();
  readonly settled = new Set<number>();
  freedBytes = 0;

  constructor(
    opened: TestStore & { readonly log: DiskLog },
    config: { readonly segmentBytes: number },
  ) {
    this.opened = opened;
    this.config = config;
  }

  get log(): DiskLog {
    return this.opened.log;
  }

  write({ producer, count, compress }: Extract<Command, { kind: 'write' }>): void {
    const { log, sequences, transactions } = this;
    const isInTransaction = producer >= 3;
    if (isInTransaction && !transactions.has(producer))
      transactions.set(producer, { outcome: 'open' });
    const sequence = sequences.get(producer) ?? 0;
    const isIdempotent = idOf(producer) >= 0;
    const values = Array.from({ length: count }, (_, index) => {
      return `${producer}: ${log.logEndOffset + index} ${'x'.repeat(20 + ((sequence + index) % 90))}`;
    });
    const bytes = encodeBatch(
      values.map((value, index) => ({ timestamp: 1000 + index, key: null, value })),
      {
        compression: compress ? 'gzip' : 'none',
        producerId: idOf(producer),
        producerEpoch: isIdempotent ? 0 : -1,
        baseSequence: isIdempotent ? sequence : -1,
        transactional: isInTransaction,
      },
    );
    const base = append(log, bytes);
    sequences.set(producer, sequence + count);
    this.lastBatches.set(producer, { lastOffset: base + count - 1, baseSequence: sequence });
    values.forEach((value, index) => {
      const transaction = isInTransaction ? transactions.get(producer) : undefined;
      this.written.push({ offset: base + index, value, transaction });
    });
  }

  end(producer: number, commit: boolean): void {
    const transaction = this.transactions.get(producer);
    if (transaction === undefined) return;
    this.transactions.delete(producer);
    transaction.outcome = commit ? 'committed' : 'aborted';
    const marker = { producerId: idOf(producer), producerEpoch: 0, commit, coordinatorEpoch: 0 };
    append(this.log, encodeEndTransactionMarker(marker, { timestampMs: 1 }), 'control');
  }

  settle({ from, count, step }: Extract<Command, { kind: 'settle' }>): void {
    const { logEndOffset } = this.log;
    const first = Math.floor((from * logEndOffset) / 1000);
    for (let offset = first; offset < Math.min(logEndOffset, first + count); offset += step)
      this.settled.add(offset);
  }

  async reclaim(trim: boolean): Promise<void> {
    const { log, settled } = this;
    const { machine } = this.opened;
    if (trim) {
      let floor = 0;
      while (settled.has(floor)) floor++;
      await machine.run(log.deleteRecordsBefore(Math.min(floor, log.highWatermark)));
    }
    const before = log.sizeBytes;
    const result = await machine.run(log.reclaim(this.live(), { below: log.logEndOffset }));
    expect(before - log.sizeBytes).toBe(result.bytesFreed);
    this.freedBytes += result.bytesFreed;
  }

  live() {
    const { settled } = this;
    return {
      in: (from: number, to: number): number => {
        let count = 0;
        for (let offset = from; offset < to; offset++) if (!settled.has(offset)) count++;
        return count;
      },
      has: (offset: number): boolean => !settled.has(offset),
    };
  }

  async restart(how: 'close' | 'kill'): Promise<void> {
    const { machine, store } = this.opened;
    await this.durable();
    if (how === 'close') await machine.run(store.close());
    machine.kill();
    this.opened = await reopenOne(machine, machine.boot(), {
      ...this.config,
      cleanupDelete: false,
    });
  }

  async durable(): Promise<void> {
    await this.opened.machine.run(this.log.whenDurable(this.log.logEndOffset));
  }

  async check(): Promise<void> {
    await this.durable();
    const { log, written, settled } = this;
    const found = new Map<number, string>();
    await this.eachBatch((bytes, at, stop) => {
      if (isControl(attributes(bytes, at))) return;
      for (const { offset, value } of readRecords(bytes, at, stop))
        if (offset >= log.logStartOffset) found.set(offset, value?.toString() ?? '');
    });
    const byOffset = new Map(written.map((record) => [record.offset, record]));
    for (const [offset, value] of found) expect(value).toBe(byOffset.get(offset)?.value);
    const isWanted = ({ offset, transaction }: Written): boolean =>
      !settled.has(offset) && transaction?.outcome !== 'aborted';
    for (const record of written)
      if (isWanted(record)) expect(found.get(record.offset)).toBe(record.value);
    const committed = await this.readCommitted();
    for (const offset of committed)
      expect(byOffset.get(offset)?.transaction?.outcome ?? 'committed').toBe('committed');
    const seen = new Set(committed);
    for (const record of written)
      if (isWanted(record) && record.offset < log.lastStableOffset)
        expect(seen.has(record.offset)).toBe(true);
  }

  /** Offsets that a consumer with `isolation.level=read_committed` hands to its program. */
  private async readCommitted(): Promise<number[]> {
    const { machine } = this.opened;
    const offsets: number[] = [];
    for (let next = this.log.logStartOffset; ; ) {
      const result = await machine.run(
        this.log.read(next, { maxBytes: 900, atLeastOneBatch: true, isolation: 'read_committed' }),
      );
      expect(result.error).toBe('NONE');
      if (result.records.length === 0) return offsets;
      next = takeCommitted(result, next, offsets);
      result.release();
    }
  }

  private async eachBatch(visit: (bytes: Buffer, at: number, stop: number) => void): Promise<void> {
    const { machine } = this.opened;
    for (let next = this.log.logStartOffset; ; ) {
      const { error, records, release } = await machine.run(
        this.log.read(next, {
          maxBytes: 900,
          atLeastOneBatch: true,
          isolation: 'read_uncommitted',
        }),
      );
      expect(error).toBe('NONE');
      for (let at = 0; at < records.length; ) {
        const stop = batchEnd(records, at, records.length);
        expect(lastOffset(records, at)).toBeGreaterThanOrEqual(next);
        next = lastOffset(records, at) + 1;
        visit(records, at, stop);
        at = stop;
      }
      release();
      if (records.length === 0) return;
    }
  }

  /** The last batch of each producer is there, if only as a header, with its sequence. */
  async checkProducers(): Promise<void> {
    const found = new Map<number, { lastOffset: number; baseSequence: number }>();
    await this.eachBatch((bytes, at) => {
      if (isControl(attributes(bytes, at))) return;
      found.set(producerId(bytes, at), {
        lastOffset: lastOffset(bytes, at),
        baseSequence: baseSequence(bytes, at),
      });
    });
    for (const [producer, last] of this.lastBatches)
      if (producer >= 2 && last.lastOffset >= this.log.logStartOffset)
        expect(found.get(idOf(producer))).toEqual(last);
  }
}

function takeCommitted(result: ReadResult, from: number, offsets: number[]): number {
  const { records: bytes } = result;
  const aborted = result.abortedTransactions.toSorted((a, b) => a.firstOffset - b.firstOffset);
  const open = new Set<number>();
  let next = from;
  for (let at = 0; at < bytes.length; ) {
    const stop = batchEnd(bytes, at, bytes.length);
    const producer = producerId(bytes, at);
    next = lastOffset(bytes, at) + 1;
    while ((aborted[0]?.firstOffset ?? Infinity) < next)
      open.add(aborted.shift()?.producerId ?? -1);
    const flags = attributes(bytes, at);
    if (isControl(flags)) {
      if (readEndTransactionMarker(bytes, at, stop)?.commit === false) open.delete(producer);
    } else if (!isTransactional(flags) || !open.has(producer)) {
      for (const { offset } of readRecords(bytes, at, stop))
        if (offset >= from) offsets.push(offset);
    }
    at = stop;
  }
  return next;
}

async function perform(run: Run, command: Command): Promise<void> {
  switch (command.kind) {
    case 'write':
      run.write(command);
      break;
    case 'end':
      run.end(command.producer, command.commit);
      break;
    case 'settle':
      run.settle(command);
      break;
    case 'reclaim':
      await run.durable();
      await run.reclaim(command.trim);
      await run.check();
      await run.checkProducers();
      break;
    case 'restart':
      await run.restart(command.how);
      await run.check();
      break;
  }
}

const write = fc.record({
  kind: fc.constant('write' as const),
  producer: fc.nat(PRODUCERS - 1),
  count: fc.integer({ min: 1, max: 5 }),
  compress: fc.boolean(),
});
const end = fc.record({
  kind: fc.constant('end' as const),
  producer: fc.integer({ min: 3, max: PRODUCERS - 1 }),
  commit: fc.boolean(),
});
const settle = fc.record({
  kind: fc.constant('settle' as const),
  from: fc.nat(1000),
  count: fc.integer({ min: 1, max: 60 }),
  step: fc.constantFrom(1, 1, 1, 2, 3),
});
const reclaim = fc.record({ kind: fc.constant('reclaim' as const), trim: fc.boolean() });
const restart = fc.record({
  kind: fc.constant('restart' as const),
  how: fc.constantFrom('close' as const, 'kill' as const),
});
const commands = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: write },
    { weight: 4, arbitrary: end },
    { weight: 5, arbitrary: settle },
    { weight: 3, arbitrary: reclaim },
    { weight: 1, arbitrary: restart },
  ),
  { minLength: 20, maxLength: 90 },
);

test('what is live stays as it is, and what was aborted unseen', async () => {
  let freedBytes = 0;
  await fc.assert(
    fc.asyncProperty(commands, fc.constantFrom(1024, 1500, 4096), async (list, segmentBytes) => {
      const config = { segmentBytes, cleanupDelete: false };
      const run = new Run(await openOne(config), config);
      for (const command of list) await perform(run, command);
      for (const producer of [...run.transactions.keys()]) run.end(producer, true);
      await run.check();
      // All of it settled: next to nothing is left, although nothing was deleted from the start.
      run.settle({ kind: 'settle', from: 0, count: Infinity, step: 1 });
      run.log.roll();
      await run.durable();
      // A marker whose transaction began in another group goes when the two have been joined.
      for (let round = 0; round < 4; round++) await run.reclaim(false);
      await run.check();
      await run.checkProducers();
      const records = run.written.length;
      expect(run.log.sizeBytes).toBeLessThan(800 + 70 * run.log.segments.length);
      if (records > 0) expect(run.log.segments.length).toBeLessThan(8);
      await run.opened.machine.run(run.opened.store.close());
      expect(run.opened.fatal).toEqual([]);
      freedBytes += run.freedBytes;
    }),
    { numRuns: 60 },
  );
  expect(freedBytes).toBeGreaterThan(50_000);
});

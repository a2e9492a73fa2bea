/** A random log that is reclaimed, and the naive oracle that it is compared with: see reclaim.property.test.ts. */
import assert from 'node:assert/strict';
import {
  encodeEndTransactionMarker,
  readEndTransactionMarker,
} from '../../src/wire/kafka/records/control-records.ts';
import { encodeBatch } from '../../src/wire/kafka/records/record-batch-builder.ts';
import {
  attributes,
  baseSequence,
  batchEnd,
  isControl,
  isTransactional,
  lastOffset,
  producerId,
} from '../../src/wire/kafka/records/record-batch.ts';
import { readRecords } from '../../src/wire/kafka/records/record-reader.ts';
import { SimPowerCut } from '../../src/core/sim/sim-machine.ts';
import type { DiskLog } from '../../src/log/partition-log.ts';
import type { ReadResult } from '../../src/log/types.ts';
import { append, reopenOne, type TestStore } from './fixture.ts';

export type ReclaimCommand =
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
  | { readonly kind: 'reclaim'; readonly trim: boolean; readonly below: number }
  | { readonly kind: 'crash'; readonly steps: number }
  | { readonly kind: 'restart'; readonly how: 'close' | 'kill' };

interface Written {
  readonly offset: number;
  readonly value: string;
  readonly transaction: Transaction | undefined;
}

interface Transaction {
  outcome: 'open' | 'committed' | 'aborted';
  /** Offset of its marker. */
  marker: number | undefined;
}

/** Producers 0 and 1 are plain, 2 idempotent, 3 and 4 transactional. */
export const PRODUCERS = 5;
const idOf = (producer: number): number => (producer < 2 ? -1 : 100 + producer);

export class ReclaimRun {
  opened: TestStore & { readonly log: DiskLog };
  readonly config: { readonly segmentBytes: number };
  readonly written: Written[] = [];
  readonly transactions = new Map<number, Transaction>();
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

  write({ producer, count, compress }: Extract<ReclaimCommand, { kind: 'write' }>): void {
    const { log, sequences, transactions } = this;
    const isInTransaction = producer >= 3;
    if (isInTransaction && !transactions.has(producer))
      transactions.set(producer, { outcome: 'open', marker: undefined });
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
    const bytes = encodeEndTransactionMarker(marker, { timestampMs: 1 });
    transaction.marker = append(this.log, bytes, 'control');
  }

  settle({ from, count, step }: Extract<ReclaimCommand, { kind: 'settle' }>): void {
    const { logEndOffset } = this.log;
    const first = Math.floor((from * logEndOffset) / 1000);
    for (let offset = first; offset < Math.min(logEndOffset, first + count); offset += step)
      this.settled.add(offset);
  }

  async reclaim(trim: boolean, share = 1): Promise<void> {
    const { log, settled } = this;
    const { machine } = this.opened;
    if (trim) {
      let floor = 0;
      while (settled.has(floor)) floor++;
      await machine.run(log.deleteRecordsBefore(Math.min(floor, log.highWatermark)));
    }
    const before = log.sizeBytes;
    const below = Math.floor(log.logEndOffset * share);
    const untouched = Math.min(below, log.lastStableOffset);
    const all = (await this.offsets()).filter((offset) => offset >= untouched);
    const result = await machine.run(log.reclaim(this.live(), { below }));
    assert.equal(before - log.sizeBytes, result.bytesFreed);
    assert.deepEqual(
      (await this.offsets()).filter((offset) => offset >= untouched),
      all,
    );
    this.freedBytes += result.bytesFreed;
  }

  /** Of all records that are there, markers too. */
  private async offsets(): Promise<number[]> {
    const offsets: number[] = [];
    await this.eachBatch((bytes, at, stop) => {
      for (const { offset } of readRecords(bytes, at, stop)) offsets.push(offset);
    });
    return offsets;
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

  /** The power goes while space is reclaimed, or right after. */
  async crash(steps: number): Promise<void> {
    await this.durable();
    const { machine } = this.opened;
    machine.cutAtStep(machine.stepCount + 1 + steps);
    try {
      await machine.run(this.log.reclaim(this.live(), { below: this.log.logEndOffset }));
    } catch (error) {
      if (!(error instanceof SimPowerCut)) throw error;
    }
    const env = machine.reboot();
    this.opened = await reopenOne(machine, env, { ...this.config, cleanupDelete: false });
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
    for (const [offset, value] of found) assert.equal(value, byOffset.get(offset)?.value);
    const isWanted = ({ offset, transaction }: Written): boolean =>
      !settled.has(offset) && transaction?.outcome !== 'aborted';
    for (const record of written)
      if (isWanted(record)) assert.equal(found.get(record.offset), record.value);
    const all = new Set(await this.offsets());
    for (const { offset, transaction } of written)
      if (transaction?.marker !== undefined && found.has(offset))
        assert(all.has(transaction.marker));
    const committed = await this.readCommitted();
    for (const offset of committed)
      assert.equal(byOffset.get(offset)?.transaction?.outcome ?? 'committed', 'committed');
    const seen = new Set(committed);
    for (const record of written)
      if (isWanted(record) && record.offset < log.lastStableOffset) assert(seen.has(record.offset));
  }

  /** Offsets that a consumer with `isolation.level=read_committed` hands to its program. */
  private async readCommitted(): Promise<number[]> {
    const { machine } = this.opened;
    const offsets: number[] = [];
    for (let next = this.log.logStartOffset; ; ) {
      const result = await machine.run(
        this.log.read(next, { maxBytes: 900, atLeastOneBatch: true, isolation: 'read_committed' }),
      );
      assert.equal(result.error, 'NONE');
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
      assert.equal(error, 'NONE');
      for (let at = 0; at < records.length; ) {
        const stop = batchEnd(records, at, records.length);
        assert(lastOffset(records, at) >= next);
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
        assert.deepEqual(found.get(idOf(producer)), last);
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

export async function perform(run: ReclaimRun, command: ReclaimCommand): Promise<void> {
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
      await run.reclaim(command.trim, command.below);
      await run.check();
      await run.checkProducers();
      break;
    case 'crash':
      await run.crash(command.steps);
      await run.check();
      await run.checkProducers();
      break;
    case 'restart':
      await run.restart(command.how);
      await run.check();
      break;
  }
}

/**
 * What reclaiming keeps of a batch: the records that are live. A batch of which all is live stays byte by byte. Records of aborted
 * transactions go at once, and a marker with the last record of its transaction: nobody needs it then. Pure: bytes in, bytes out.
 *
 * Invariant: as that of compaction; batches are visited in the order of the log, from the start of what is rewritten together.
 */
import { readEndTransactionMarker } from '../wire/kafka/records/control-records.ts';
import {
  attributes,
  baseOffset,
  isControl,
  isTransactional,
  lastOffset,
  producerId,
  recordCount,
} from '../wire/kafka/records/record-batch.ts';
import { emptyBatch, retainRecords } from '../wire/kafka/records/retain-records.ts';
import {
  type CleanedTransactions,
  type CleaningFilter,
  isLastOfProducer,
  isUnreadable,
  type LastOfProducer,
} from './cleaning-filter.ts';
import type { LiveRecords } from './types.ts';

export class LiveFilter implements CleaningFilter {
  /** Records that stay, without markers. */
  recordsKept = 0;
  private readonly live: LiveRecords;
  private readonly producers: ReadonlyMap<number, LastOfProducer>;
  private readonly transactions: CleanedTransactions;

  constructor(
    live: LiveRecords,
    producers: ReadonlyMap<number, LastOfProducer>,
    transactions: CleanedTransactions,
  ) {
    this.live = live;
    this.producers = producers;
    this.transactions = transactions;
  }

  filter(buffer: Buffer, position: number, end: number, keepEmpty: boolean): Buffer | undefined {
    const kept = isControl(attributes(buffer, position))
      ? this.marker(buffer, position, end)
      : this.data(buffer, position, end);
    if (recordCount(kept, 0) > 0) return kept;
    return keepEmpty || isLastOfProducer(this.producers, buffer, position) ? kept : undefined;
  }

  private data(buffer: Buffer, position: number, end: number): Buffer {
    const producer = producerId(buffer, position);
    const last = lastOffset(buffer, position);
    const transactional = isTransactional(attributes(buffer, position));
    const isAborted = this.transactions.isAborted(producer, last, transactional);
    if (recordCount(buffer, position) === 0) return buffer.subarray(position, end);
    const kept = isAborted
      ? emptyBatch(buffer, position)
      : this.liveOf(buffer, position, end, last);
    const count = recordCount(kept, 0);
    this.recordsKept += count;
    if (count > 0 && transactional) this.transactions.stays(producer);
    return kept;
  }

  private liveOf(buffer: Buffer, position: number, end: number, last: number): Buffer {
    const { live } = this;
    const base = baseOffset(buffer, position);
    const count = live.in(base, last + 1);
    if (count === 0) return emptyBatch(buffer, position);
    if (count === last + 1 - base) return buffer.subarray(position, end);
    try {
      return retainRecords(buffer, position, (record) => live.has(record.offset));
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return buffer.subarray(position, end);
    }
  }

  private marker(buffer: Buffer, position: number, end: number): Buffer {
    const marker =
      recordCount(buffer, position) === 0
        ? undefined
        : readEndTransactionMarker(buffer, position, end);
    const producer = producerId(buffer, position);
    const last = lastOffset(buffer, position);
    const isOver = this.transactions.marker(producer, last, marker?.commit ?? true);
    return marker !== undefined && isOver
      ? emptyBatch(buffer, position)
      : buffer.subarray(position, end);
  }
}

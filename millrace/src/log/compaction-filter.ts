/**
 * What compaction keeps of a batch. Pure: bytes in, bytes out, nothing of files.
 *
 * A record stays when it is the latest of its key as far as the offset map knows, or lies beyond what the map has seen.
 * A tombstone, and the marker of a transaction of which nothing is left, gets a delete horizon the first time compaction
 * meets it, and goes when the clock has passed it: so every reader has the delay to see it. Records of aborted
 * transactions go at once. The last batch of each producer stays, without records if need be: it holds the producer's
 * sequence and epoch. So does the last batch of what is cleaned: it holds the end.
 *
 * Invariant: offsets, leader epochs, producer ids, epochs and sequences never change; batches are visited in the order
 * of the log, from the start of the log, in one pass.
 *
 * Source: KIP-58 (lag), KIP-98 (transactions), KIP-534 (delete horizon).
 */
import { readEndTransactionMarker } from '../wire/kafka/records/control-records.ts';
import {
  attributes,
  deleteHorizon,
  isControl,
  isTransactional,
  lastOffset,
  NO_TIMESTAMP,
  producerId,
  recordCount,
} from '../wire/kafka/records/record-batch.ts';
import type { RecordReader } from '../wire/kafka/records/record-reader.ts';
import { emptyBatch, retainRecords } from '../wire/kafka/records/retain-records.ts';
import {
  type CleanedTransactions,
  type CleaningFilter,
  isLastOfProducer,
  isUnreadable,
  type LastOfProducer,
} from './cleaning-filter.ts';
import type { OffsetMap } from './offset-map.ts';

export interface FilterOptions {
  readonly map: OffsetMap;
  readonly nowMs: number;
  readonly deleteRetentionMs: number;
  readonly producers: ReadonlyMap<number, LastOfProducer>;
}

/** Records and batches of one pass. */
export interface FilterCounts {
  recordsRead: number;
  recordsKept: number;
  /** Records that no key says what they replace: dropped, as Kafka does. */
  recordsWithoutKey: number;
  /** Batches whose records cannot be read though they are as their producer wrote them: kept as they are. */
  batchesUnreadable: number;
}

export class BatchFilter implements CleaningFilter {
  readonly counts: FilterCounts = {
    recordsRead: 0,
    recordsKept: 0,
    recordsWithoutKey: 0,
    batchesUnreadable: 0,
  };
  private readonly options: FilterOptions;
  private readonly transactions: CleanedTransactions;

  constructor(options: FilterOptions, transactions: CleanedTransactions) {
    this.options = options;
    this.transactions = transactions;
  }

  /**
   * What stays of the batch buffer[position, end), which is whole and good.
   * @param keepEmpty the batch stays even when it has no records left
   * @returns undefined when the batch goes; a view of `buffer` when it stays as it is; or a new batch
   */
  filter(buffer: Buffer, position: number, end: number, keepEmpty: boolean): Buffer | undefined {
    const control = isControl(attributes(buffer, position));
    this.counts.recordsRead += recordCount(buffer, position);
    const kept = this.filterReadable(buffer, position, end, control);
    const count = recordCount(kept, 0);
    this.counts.recordsKept += count;
    if (count > 0 || keepEmpty || isLastOfProducer(this.options.producers, buffer, position))
      return kept;
    return undefined;
  }

  private filterReadable(buffer: Buffer, position: number, end: number, control: boolean): Buffer {
    try {
      return control
        ? this.filterMarker(buffer, position, end)
        : this.filterData(buffer, position, end);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      this.counts.batchesUnreadable++;
      return buffer.subarray(position, end);
    }
  }

  private filterData(buffer: Buffer, position: number, end: number): Buffer {
    const aborted = this.transactions.data(
      producerId(buffer, position),
      lastOffset(buffer, position),
      isTransactional(attributes(buffer, position)),
    );
    if (recordCount(buffer, position) === 0) return buffer.subarray(position, end);
    if (aborted) return emptyBatch(buffer, position);
    const { nowMs, deleteRetentionMs } = this.options;
    const horizon = deleteHorizon(buffer, position);
    const tombstonesStay = horizon === NO_TIMESTAMP || nowMs < horizon;
    return retainRecords(buffer, position, (record) => this.keepsRecord(record, tombstonesStay), {
      deleteHorizonMs: nowMs + deleteRetentionMs,
    });
  }

  private keepsRecord(record: RecordReader, tombstonesStay: boolean): boolean {
    const { map } = this.options;
    if (record.offset > map.latestOffset) return true;
    if (record.keyStart < 0) {
      this.counts.recordsWithoutKey++;
      return false;
    }
    if (record.offset < map.get(record.data, record.keyStart, record.keyEnd)) return false;
    return record.valueStart >= 0 || tombstonesStay;
  }

  private filterMarker(buffer: Buffer, position: number, end: number): Buffer {
    const producer = producerId(buffer, position);
    const last = lastOffset(buffer, position);
    if (recordCount(buffer, position) === 0) {
      // Emptied before, when nothing was left of its transaction.
      this.transactions.marker(producer, last, true);
      this.transactions.marker(producer, last, false);
      return buffer.subarray(position, end);
    }
    const marker = readEndTransactionMarker(buffer, position, end);
    if (marker === undefined || !this.transactions.marker(producer, last, marker.commit))
      return buffer.subarray(position, end);
    const { nowMs, deleteRetentionMs } = this.options;
    const horizon = deleteHorizon(buffer, position);
    if (horizon !== NO_TIMESTAMP && horizon <= nowMs) return emptyBatch(buffer, position);
    return retainRecords(buffer, position, keepAll, {
      deleteHorizonMs: nowMs + deleteRetentionMs,
      deleteHorizonFor: 'any',
    });
  }
}

function keepAll(): boolean {
  return true;
}

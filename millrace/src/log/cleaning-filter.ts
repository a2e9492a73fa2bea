/**
 * What the filters of a cleaning have in common: the last batch of each producer stays, without records if need be, for it holds the
 * producer's sequence and epoch; records of aborted transactions go; and the marker of a transaction stays at least as long as anything
 * of the transaction. Pure: nothing here touches a file.
 *
 * Source: KIP-98 (transactions); Kafka's documentation of log compaction.
 */
import { MillraceError } from '../core/errors.ts';
import {
  attributes,
  isControl,
  lastOffset,
  NO_PRODUCER_ID,
  producerEpoch,
  producerId,
} from '../wire/kafka/records/record-batch.ts';
import type { AbortedTransaction } from './types.ts';

/** Decides what stays. Batches are given in the order of the log. */
export interface CleaningFilter {
  /**
   * What stays of the batch buffer[position, end), which is whole and good.
   * @param keepEmpty the batch stays even when it has no records left
   * @returns undefined when the batch goes; a view of `buffer` when it stays as it is; or a new batch
   */
  filter(buffer: Buffer, position: number, end: number, keepEmpty: boolean): Buffer | undefined;
}

/** The last thing that the log holds of a producer that may still write. */
export interface LastOfProducer {
  /** Last offset of its newest batch of data; -1 when only a marker is left of it. */
  readonly lastDataOffset: number;
  readonly producerEpoch: number;
}

/** Which transactions the batches that pass by belong to, and how they ended. */
export class CleanedTransactions {
  /** Sorted by first offset; taken from the front as the pass reaches them. */
  private readonly aborted: AbortedTransaction[];
  private taken = 0;
  /** Aborted transactions under way: whether a batch of theirs was met. */
  private readonly abortedOpen = new Map<number, boolean>();
  private readonly committedOpen = new Set<number>();
  /** Producers of which a marker was met: what they wrote after it began here. */
  private readonly begunHere = new Set<number>();
  private readonly isFromStart: boolean;

  /**
   * @param aborted those that overlap what is cleaned, in any order; of those that end here nothing lies before it
   * @param isFromStart nothing lies before what is cleaned. Otherwise the first marker of a producer may end what began there. Default true
   */
  constructor(aborted: readonly AbortedTransaction[], isFromStart = true) {
    this.isFromStart = isFromStart;
    this.aborted = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  }

  /** Tells of the next batch of data, of which something may stay. @returns true when its transaction was aborted */
  data(producer: number, last: number, transactional: boolean): boolean {
    const isAborted = this.isAborted(producer, last, transactional);
    if (transactional) this.stays(producer);
    return isAborted;
  }

  /** Tells of the next batch of data. @returns true when its transaction was aborted */
  isAborted(producer: number, last: number, transactional: boolean): boolean {
    this.takeUpTo(last);
    return transactional && this.abortedOpen.has(producer);
  }

  /** Something of that batch, which belongs to a transaction, stays. */
  stays(producer: number): void {
    if (this.abortedOpen.has(producer)) this.abortedOpen.set(producer, true);
    else this.committedOpen.add(producer);
  }

  /** Tells of the next marker. @returns true when nothing is left of the transaction that it ended */
  marker(producer: number, last: number, commit: boolean): boolean {
    this.takeUpTo(last);
    const isKnown = this.isFromStart || this.begunHere.has(producer);
    this.begunHere.add(producer);
    if (commit) return !this.committedOpen.delete(producer) && isKnown;
    const isListed = this.abortedOpen.has(producer);
    const met = this.abortedOpen.get(producer) ?? false;
    this.abortedOpen.delete(producer);
    return !met && (isKnown || isListed);
  }

  private takeUpTo(last: number): void {
    for (let next = this.aborted[this.taken]; next !== undefined; next = this.aborted[this.taken]) {
      if (next.firstOffset > last) break;
      this.abortedOpen.set(next.producerId, this.abortedOpen.get(next.producerId) ?? false);
      this.taken++;
    }
  }
}

/** Whether the batch has to stay, if only as a header: it holds the sequence and the epoch of a producer. */
export function isLastOfProducer(
  producers: ReadonlyMap<number, LastOfProducer>,
  buffer: Buffer,
  position: number,
): boolean {
  const producer = producerId(buffer, position);
  if (producer === NO_PRODUCER_ID) return false;
  const last = producers.get(producer);
  if (last === undefined) return false;
  if (last.lastDataOffset >= 0) return last.lastDataOffset === lastOffset(buffer, position);
  const isMarker = isControl(attributes(buffer, position));
  return isMarker && last.producerEpoch === producerEpoch(buffer, position);
}

/** Whether the records of a batch are not what its format says: the log takes batches without decoding them. */
export function isUnreadable(error: unknown): boolean {
  if (!(error instanceof MillraceError)) return false;
  return error.code === 'ML_RECORDS_MALFORMED' || error.code === 'ML_RECORDS_TOO_LARGE';
}

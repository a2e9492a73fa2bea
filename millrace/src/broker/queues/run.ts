/**
 * A run: neighbouring batches of a log in memory, as they lie on the disk; and how to go over its messages. Control batches, records of
 * aborted transactions and offsets that are missing are passed over.
 *
 * @hot `RunReader`
 */
import type { AbortedTransaction } from '../../log/types.ts';
import {
  attributes,
  batchEnd,
  isControl,
  isTransactional,
  lastOffset,
  producerId,
  recordCount,
} from '../../wire/kafka/records/record-batch.ts';
import { RecordReader } from '../../wire/kafka/records/record-reader.ts';
import type { RecordView } from './message-record.ts';

export interface Run {
  /** Everything that the log has of [first, end) is in it. */
  readonly first: number;
  readonly end: number;
  /** Whole batches; nobody writes to them. */
  readonly data: Buffer;
  readonly aborted: readonly AbortedTransaction[];
  /** Its messages by position, once somebody has looked for one. */
  index: readonly RecordView[] | undefined;
}

export function makeRun(
  first: number,
  end: number,
  data: Buffer,
  aborted: readonly AbortedTransaction[] = NO_TRANSACTIONS,
): Run {
  const inOrder =
    aborted.length < 2 ? aborted : aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  return { first, end, data, aborted: inOrder, index: undefined };
}

const NO_TRANSACTIONS: readonly AbortedTransaction[] = [];

/** Goes over the messages of a run. One reader serves many runs. */
export class RunReader {
  /** The message that `next` has found. */
  readonly record = new RecordReader();
  private run: Run | undefined;
  private at = 0;
  private isInBatch = false;
  /** Producers with an aborted transaction that is open here. */
  private readonly aborted = new Set<number>();
  private nextAborted = 0;
  /** Batches whose records are no records, so far. */
  malformed = 0;

  /** Goes before the first message. */
  open(run: Run): void {
    this.run = run;
    this.at = 0;
    this.isInBatch = false;
    // Not without need: it takes new memory each time.
    if (this.aborted.size > 0) this.aborted.clear();
    this.nextAborted = 0;
  }

  /** Forgets the run, which may then leave the memory. */
  close(): void {
    this.run = undefined;
    this.isInBatch = false;
    this.record.data = NO_BYTES;
  }

  /**
   * Goes to the next message at or behind `from`.
   * @param limit messages of a batch that reaches it are not found yet: call again later
   * @returns false at the end of the run, or before `limit`
   */
  next(from: number, limit: number): boolean {
    const { run, record } = this;
    if (run === undefined) return false;
    for (;;) {
      if (this.isInBatch) {
        if (this.step()) {
          if (record.offset >= from) return true;
          continue;
        }
        this.isInBatch = false;
      }
      const { data } = run;
      const end = batchEnd(data, this.at, data.length);
      if (end < 0) return false;
      const last = lastOffset(data, this.at);
      if (last >= limit) return false;
      if (this.isWanted(run, last >= from)) this.openBatch(data, end);
      this.at = end;
    }
  }

  private step(): boolean {
    try {
      return this.record.next();
    } catch {
      // What a client has written is not readable as records: nobody can be given any of the rest.
      this.malformed++;
      return false;
    }
  }

  private openBatch(data: Buffer, end: number): void {
    try {
      this.record.open(data, this.at, end);
      this.isInBatch = true;
    } catch {
      this.malformed++;
    }
  }

  /** Whether the batch holds messages; follows which transactions are aborted. */
  private isWanted(run: Run, isReached: boolean): boolean {
    const { data } = run;
    const flags = attributes(data, this.at);
    if (isTransactional(flags) && run.aborted.length > 0) {
      const producer = producerId(data, this.at);
      this.beginAborted(run, lastOffset(data, this.at));
      if (isControl(flags)) this.aborted.delete(producer);
      else if (this.aborted.has(producer)) return false;
    }
    return isReached && !isControl(flags) && recordCount(data, this.at) > 0;
  }

  /** Transactions that have begun by `offset`, in the order in which they begin: one at a time is open of each producer. */
  private beginAborted(run: Run, offset: number): void {
    for (;;) {
      const next = run.aborted[this.nextAborted];
      if (next === undefined || next.firstOffset > offset) return;
      this.aborted.add(next.producerId);
      this.nextAborted++;
    }
  }
}

const NO_BYTES = Buffer.alloc(0);

/** The message at exactly this offset; undefined when there is none. */
export function recordAt(run: Run, offset: number): RecordView | undefined {
  const index = (run.index ??= indexOf(run));
  let low = 0;
  let high = index.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((index[middle] as RecordView).offset < offset) low = middle + 1;
    else high = middle;
  }
  const found = index[low];
  return found?.offset === offset ? found : undefined;
}

function indexOf(run: Run): RecordView[] {
  const reader = new RunReader();
  reader.open(run);
  const index: RecordView[] = [];
  while (reader.next(run.first, Infinity)) {
    const { record } = reader;
    index.push({
      data: record.data,
      offset: record.offset,
      timestamp: record.timestamp,
      keyStart: record.keyStart,
      keyEnd: record.keyEnd,
      valueStart: record.valueStart,
      valueEnd: record.valueEnd,
      headerCount: record.headerCount,
      headersStart: record.headersStart,
      headersEnd: record.headersEnd,
    });
  }
  return index;
}

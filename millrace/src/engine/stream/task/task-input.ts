/**
 * One partition that a task reads: what was fetched and is not processed, and the record that comes next, decoded.
 *
 * Owns: the position of the input. `next` is the offset to commit: all before it has been processed, or refused.
 *
 * @hot Nothing is allocated per record but what the serdes make.
 */
import { visibleBatches } from '../../../client/kafka/fetched-records.ts';
import type { LogRecords, TopicPartition } from '../../../client/log.ts';

/** A cursor over the records of a batch. */
export type RecordReader =
  ReturnType<typeof visibleBatches> extends Generator<infer Reader> ? Reader : never;

/** What becomes of the records of an input. */
export interface Feed {
  /** Of the record that was decoded last. */
  readonly time: number;
  /** Decodes the record that the reader is on. `skipped`: there is nothing to deliver. */
  decode(reader: RecordReader): Decoded;
  /** Its time counts from now on. */
  count(): void;
  /** Hands it over. */
  deliver(): void;
}

/** `waits`: for a promise; `wake` is called when it is settled, and `decoded` says what became of it. */
export type Decoded = 'ready' | 'skipped' | 'waits';

/** Which of the inputs of a task is next is decided by the times of their heads. */
export type Head = 'ready' | 'waits' | 'empty' | 'unknown';

/** A record is being decoded: where errors say they are. */
type OnRecord = (input: TopicPartition, offset: number) => void;

export interface TaskInputOptions {
  readonly feed: Feed;
  readonly clocks: readonly number[];
  readonly onRecord: OnRecord;
}

export class TaskInput implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  readonly feed: Feed;
  /** Its numbers in the time tracker. */
  readonly clocks: readonly number[];
  /** Bytes fetched and not processed. */
  bytes = 0;
  /** undefined: it has not been read yet. */
  next: number | undefined;
  /** Of the head, when that is ready. */
  headTime = 0;
  headOffset = -1;
  /** Records processed since the task began. */
  records = 0;
  /** Records were processed since somebody has looked. */
  hasDelivered = false;
  /** It was read to its end once. Set by its owner. */
  hasBeenAtEnd = false;
  /** Offset up to which the log was known to go. */
  end = 0;
  /** How the feed tells of errors where it is. */
  private readonly onRecord: OnRecord;
  #head: 'ready' | 'waits' | 'none' = 'none';
  #fetched: LogRecords[] = [];
  #current: LogRecords | undefined;
  #batches: Iterator<RecordReader> | undefined;
  #reader: RecordReader | undefined;
  #isCaughtUp = false;

  constructor(at: TopicPartition, options: TaskInputOptions) {
    this.topic = at.topic;
    this.partition = at.partition;
    this.feed = options.feed;
    this.clocks = options.clocks;
    this.onRecord = options.onRecord;
  }

  add(records: LogRecords): void {
    this.next ??= records.from;
    this.end = records.end;
    this.#isCaughtUp = records.next >= records.end;
    if (records.bytes.length === 0 && this.#isEmpty) {
      this.next = Math.max(this.next, records.next);
      return;
    }
    this.#fetched.push(records);
    this.bytes += records.bytes.length;
  }

  /** Decodes the next record, unless it is there. */
  head(): Head {
    if (this.#head !== 'none') return this.#head;
    while (this.#toNext()) {
      const reader = this.#reader as RecordReader;
      this.headOffset = reader.offset;
      this.onRecord(this, reader.offset);
      const decoded = this.feed.decode(reader);
      if (decoded !== 'skipped') {
        this.headTime = this.feed.time;
        return (this.#head = decoded);
      }
      this.next = reader.offset + 1;
    }
    return this.#isCaughtUp ? 'empty' : 'unknown';
  }

  /** For a promise of a serde. */
  get isWaiting(): boolean {
    return this.#head === 'waits';
  }

  /** The promise of the head is settled. */
  settle(isReady: boolean): void {
    this.#head = isReady ? 'ready' : 'none';
    this.headTime = this.feed.time;
    if (!isReady) this.next = this.headOffset + 1;
  }

  /** The head is processed from now on: `feed.deliver` hands it over. */
  take(): void {
    this.#head = 'none';
    this.next = this.headOffset + 1;
    this.records++;
    this.hasDelivered = true;
    this.feed.count();
  }

  /** Nothing waits, and the log is known to have no more. */
  get isAtEnd(): boolean {
    return this.#isCaughtUp && this.#head === 'none' && this.#isEmpty;
  }

  /** Records in the log that were not processed, about. */
  get lagRecords(): number {
    return this.next === undefined ? 0 : Math.max(this.end - this.next, 0);
  }

  /** Drops what was fetched: it is read again from `next`. */
  reset(next: number | undefined): void {
    this.next = next;
    this.bytes = 0;
    this.#head = 'none';
    this.#fetched = [];
    this.#current = undefined;
    this.#batches = undefined;
    this.#reader = undefined;
    this.#isCaughtUp = false;
  }

  get #isEmpty(): boolean {
    return this.#current === undefined && this.#fetched.length === 0;
  }

  /** Goes on to the next record that is to be seen. */
  #toNext(): boolean {
    for (;;) {
      const reader = this.#reader;
      if (reader !== undefined) {
        const from = this.next ?? 0;
        while (reader.next()) if (reader.offset >= from) return true;
        this.#reader = undefined;
      }
      if (this.#batches === undefined && !this.#toNextFetched()) return false;
      const batch = this.#batches?.next();
      if (batch === undefined || batch.done === true) this.#drained();
      else this.#reader = batch.value;
    }
  }

  #toNextFetched(): boolean {
    this.#current = this.#fetched.shift();
    if (this.#current === undefined) return false;
    this.#batches = visibleBatches(this.#current)[Symbol.iterator]();
    return true;
  }

  /** Also what cannot be seen is behind us: control records, and those of aborted transactions. */
  #drained(): void {
    this.#batches = undefined;
    if (this.#current === undefined) return;
    this.bytes -= this.#current.bytes.length;
    this.next = Math.max(this.next ?? 0, this.#current.next);
    this.#current = undefined;
  }
}

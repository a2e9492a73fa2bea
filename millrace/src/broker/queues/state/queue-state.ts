/**
 * What a queue knows of the messages of one partition, and does not forget: which are settled, how often the others were returned.
 *
 *   0 … floor         all settled
 *   floor … next      were handed out once: settled ones are known by ranges or bits, in chunks; the rest is unsettled
 *   next … log end    never handed out, except single ones (settled or counted ahead of `next`: expired, delayed, taken by priority)
 *
 * Memory follows the settled ranges and the counts, never the number of ready messages: 100 million messages settled at random take at
 * most some 15 MB. Written so that share groups (KIP-932) can sit on it: accepted, archived and released are what settling and counting say.
 */
export interface QueueState {
  /** All offsets below are settled. Rises by itself. */
  readonly floor: number;
  /** Offsets at or above were never handed out in the order of the log; those below, and unsettled, may have been with somebody. */
  readonly next: number;
  /** Settled offsets at or above `floor`. */
  readonly settledAbove: number;
  isSettled(offset: number): boolean;
  /** Idempotent. Forgets the count of the offset, and when it is due. */
  settle(offset: number): void;
  /** Settles [from, to). */
  settleRange(from: number, to: number): void;
  /** The first unsettled offset at or above `from`. */
  unsettledFrom(from: number): number;
  /** Unsettled offsets in [from, to). */
  unsettledIn(from: number, to: number): number;
  /** Moves `next` forward. */
  handOutTo(next: number): void;
  /** How often an unsettled offset came back: 0 at first. */
  countOf(offset: number): number;
  /** Adds one, and returns it. */
  raiseCount(offset: number): number;
  /** When an unsettled offset is due that was given back for later: milliseconds since 1970, or 0. It stays known when that time has come. */
  dueOf(offset: number): number;
  /** Of more than QUEUE_DUES_MAX it is not known. */
  setDue(offset: number, dueMs: number): void;
  /** Offsets with such a time, in order. */
  dueOffsets(): Float64Array;
  /** The lowest unsettled offset that is marked (below), or -1: where an index over such messages has to be rebuilt from. */
  readonly markedFrom: number;
  /** The owner keeps something in memory of this unsettled message that only its record tells (expiration, delay, priority). Idempotent.
   * Marks at or above `notes.countedTo` may be missing after a crash: whoever goes on counting from there marks again. */
  mark(offset: number): void;
  /** Small numbers of the owner that are written along: bodies' bytes of unsettled messages below `countedTo`, for one. */
  readonly notes: QueueNotes;
  note(notes: QueueNotes): void;
  /** Deduplication: remembers a key until a time, durably. */
  remember(key: string, untilMs: number): void;
  /** Whether the key is remembered now. */
  remembers(key: string, nowMs: number): boolean;
}

export interface QueueNotes {
  /** Bytes of the bodies of unsettled messages below `countedTo`. */
  readonly bytes: number;
  /** Up to where `bytes` counts. */
  readonly countedTo: number;
}

/** What has to be known of the log that a state speaks of. A `PartitionLog` is one. */
export interface QueuedLog {
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** Without both of these a log that lost its end is only noticed if nothing was appended to it since. */
  readonly leaderEpoch?: number;
  endOffsetForEpoch?(leaderEpoch: number): { readonly endOffset: number };
}

/** Which partition of which queue. */
export interface QueueStateId {
  readonly queueId: string;
  readonly partition: number;
}

/**
 * The states of all queues, in one compacted internal topic, written a little later: settling is no promise. They go through the same journal
 * as messages, so a state never gets ahead of what it speaks of.
 */
export interface QueueStates {
  /** The state of a partition, as it was last written; new when there is none. What speaks of offsets that the log does not have (any more,
   * or after a power cut yet) is taken back, durably, before it resolves.
   * The log is looked at again whenever the state is written.
   * @param durable false: nothing of it is written
   * @param startOffset where a queue that has no state yet begins, durably; default: the log start offset
   * @throws {MillraceError} ML_DISK_FULL (retriable) when what is taken back could not be written */
  open(
    id: QueueStateId,
    log: QueuedLog,
    options: { readonly durable: boolean; readonly startOffset?: number },
  ): Promise<QueueState>;
  /** Appends what has changed; resolves when it is durable. Happens by itself QUEUE_STATE_FLUSH_MS after a change, or later when much has to
   * be written.
   * @throws {MillraceError} ML_DISK_FULL (retriable): it is tried again by itself; ML_LOG_FAILED */
  flush(): Promise<void>;
  /** Forgets a queue, all its partitions. */
  remove(queueId: string): Promise<void>;
  /** Queues that have a state: those without a queue are removed at start. */
  ids(): readonly string[];
  /** Flushes and stops. */
  close(): Promise<void>;
}

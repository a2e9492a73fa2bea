/**
 * What the rest of Millrace knows of the durable log. `log-store.ts` opens a directory of many partition logs behind
 * one journal; `partition-log.ts` is one of them.
 *
 * Invariants
 * - Offsets are dense per batch, assigned in `append`, never reused for something else once acknowledged.
 * - Nothing at or above `highWatermark` is ever read by anybody: the high watermark moves only after the journal's
 *   fdatasync (or, for `flush: interval | os` topics, as that policy says).
 * - The bytes of a segment are exactly Kafka's v2 record batches (KIP-98), so Kafka's own tools read them.
 */
import type { ErrorName } from '../wire/kafka/error-codes.ts';

/** Names a partition log. The topic is named by id (a UUID with hyphens), so a topic name never becomes a path. */
export interface LogId {
  readonly topicId: string;
  readonly partition: number;
}

/** When an append is acknowledged. `commit`: after fdatasync of the journal. `interval`: when written, synced every
 * `flushMs`. `os`: when written, synced when the operating system likes. */
export type FlushPolicy = 'commit' | 'interval' | 'os';

/** What a topic's configuration means to its logs. All of it may change while the log is open. */
export interface LogConfig {
  /** A segment is closed before it would grow above this. Bytes, at least 1 KiB. Default 128 MiB. Kafka: segment.bytes */
  readonly segmentBytes: number;
  /** A segment is closed when its first record is older than this. Default 7 days. Kafka: segment.ms */
  readonly segmentMs: number;
  /** Bytes of log between two index entries. Default 4096. Kafka: index.interval.bytes */
  readonly indexIntervalBytes: number;
  /** Closed segments whose newest timestamp is older are deleted; -1 = never. Default 7 days. Kafka: retention.ms */
  readonly retentionMs: number;
  /** The oldest closed segments are deleted while the log without them still holds this much; -1 = no limit (default). */
  readonly retentionBytes: number;
  readonly cleanupDelete: boolean;
  readonly cleanupCompact: boolean;
  /** How long compaction keeps tombstones and transaction markers. Default 1 day. Kafka: delete.retention.ms */
  readonly deleteRetentionMs: number;
  /** Share of a log that must be dirty before it is compacted. Default 0.5. Kafka: min.cleanable.dirty.ratio */
  readonly minCleanableDirtyRatio: number;
  readonly minCompactionLagMs: number;
  readonly maxCompactionLagMs: number;
  readonly flush: FlushPolicy;
  /** For `interval`: the longest time that a record stays unsynced. Default 1,000. Kafka: flush.ms */
  readonly flushMs: number;
  /** true: the broker's clock is stamped on each batch. Kafka: message.timestamp.type = LogAppendTime */
  readonly appendTime: boolean;
}

export interface AppendOptions {
  /** `client` checks producer ids, epochs and sequences; `internal` is for coordinators, whose batches are trusted;
   * `control` is for transaction markers, whose producer epoch may be newer than the open transaction's. */
  readonly origin: 'client' | 'internal' | 'control';
}

export interface Appended {
  readonly ok: true;
  /** First and last offset. For a duplicate: those of the batch that is already there. */
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** Milliseconds; -1 unless the topic stamps append time. */
  readonly appendTimeMs: number;
  readonly logStartOffset: number;
  readonly duplicate: boolean;
}

/** Nothing was written; the log is as before. */
export interface Refused {
  readonly ok: false;
  readonly error: ErrorName;
  readonly message: string;
}

export type AppendResult = Appended | Refused;

export type Isolation = 'read_uncommitted' | 'read_committed';

export interface ReadOptions {
  /** Stop before this many bytes, but never inside a batch. */
  readonly maxBytes: number;
  /** Return the first batch even when it alone is larger than `maxBytes` (KIP-74). */
  readonly atLeastOneBatch: boolean;
  readonly isolation: Isolation;
}

export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
}

export interface ReadResult {
  /** NONE, OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE (the batch at the offset is damaged on disk) or KAFKA_STORAGE_ERROR. */
  readonly error: ErrorName;
  /** Whole batches, the first one holding the asked offset (or the next that exists); empty at the end of the log. */
  readonly records: Buffer;
  /** Returns the memory of `records` to its pool; call exactly once, after the last use of `records`. */
  readonly release: () => void;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  /** For read_committed: the aborted transactions that overlap `records`; otherwise empty. */
  readonly abortedTransactions: readonly AbortedTransaction[];
}

export interface TimestampOffset {
  readonly offset: number;
  readonly timestampMs: number;
  readonly leaderEpoch: number;
}

export interface ActiveProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly lastSequence: number;
  readonly lastTimestampMs: number;
  readonly coordinatorEpoch: number;
  /** First offset of the open transaction; -1 when there is none. */
  readonly currentTransactionStartOffset: number;
}

/**
 * Which records of a log are still wanted, as its owner knows it. Asked while a reclaim runs, piece by piece, so the answers may change
 * between two calls; but what was not live once is never live again, not even after a crash: the owner has made that durable before.
 */
export interface LiveRecords {
  /** How many offsets of [from, to) are live. */
  in(from: number, to: number): number;
  has(offset: number): boolean;
  /**
   * Asked before what is not live is given up for good: resolves when the reason is durable, for each that `has` has denied until then.
   * It may be a record of another log that is still on its way to the disk.
   */
  known?(): Promise<void>;
}

export interface ReclaimOptions {
  /** Nothing at or above this offset is touched. */
  readonly below: number;
}

export interface ReclaimResult {
  /** Bytes of segments before, less those after. */
  readonly bytesFreed: number;
  /** Segments that were removed, or are part of a smaller one now. */
  readonly segmentsReplaced: number;
}

export interface PartitionLog {
  readonly id: LogId;
  readonly config: LogConfig;
  readonly logStartOffset: number;
  /** The offset the next record will get. */
  readonly logEndOffset: number;
  /** One past the last durable record. */
  readonly highWatermark: number;
  /** First offset of the oldest open transaction, or the high watermark. */
  readonly lastStableOffset: number;
  /** Epoch stamped on batches appended by this process. */
  readonly leaderEpoch: number;
  readonly sizeBytes: number;
  /** Nothing is appended for want of space. */
  readonly isDiskFull: boolean;

  /**
   * Appends one or more record batches that lie back to back in `batches`; the CRC of each is checked, then base offset
   * and leader epoch are patched IN PLACE (the buffer is the log's until `whenDurable` settles; it must not be
   * reused before). Offsets are assigned and the segment is written before it returns; durability follows.
   */
  append(batches: Buffer, options: AppendOptions): AppendResult;
  /** Resolves when all records below `endOffset` are durable as the flush policy says. One promise is shared by all
   * waiters of a group commit. Rejects only when the process is about to stop (fsync failed). */
  whenDurable(endOffset: number): Promise<void>;
  read(offset: number, options: ReadOptions): Promise<ReadResult>;
  /** The first record whose timestamp is at or after `timestampMs`; undefined when there is none. */
  offsetForTimestamp(
    timestampMs: number,
    isolation: Isolation,
  ): Promise<TimestampOffset | undefined>;
  /** The record with the largest timestamp (KIP-734); undefined when the log is empty. */
  maxTimestamp(): Promise<TimestampOffset | undefined>;
  /** KIP-320: the largest epoch at or below `leaderEpoch`, and where it ends; epoch -1 when unknown. */
  endOffsetForEpoch(leaderEpoch: number): {
    readonly leaderEpoch: number;
    readonly endOffset: number;
  };
  /** Moves the log start offset forward, durably; -1 = to the high watermark. Returns the new start.
   * @throws {MillraceError} ML_OFFSET_OUT_OF_RANGE above the high watermark */
  deleteRecordsBefore(offset: number): Promise<number>;
  /**
   * Gives back space of records that are not live: closed segments below the log start offset are removed, others below the recovery point
   * of which less than half is live are rewritten without the rest, by the cleaner that compaction uses. Offsets and bytes of what is live
   * stay; between them offsets may be missing, before and after batches. For the prefix that nobody wants call `deleteRecordsBefore` first.
   * While the disk is full, a segment that is written to goes too when nothing in it is wanted.
   * One at a time with retention and compaction of the log; in the background, so that it may wait for a checkpoint. What cannot be
   * rewritten (damage, a full disk) is told to the logger and left as it is. Never to be used on a log that is compacted by key.
   */
  reclaim(live: LiveRecords, options: ReclaimOptions): Promise<ReclaimResult>;
  producers(): ActiveProducer[];
  updateConfig(config: LogConfig): void;
  /** Calls back after each time the high watermark or the last stable offset moved; returns the way to stop. */
  onAdvance(listener: () => void): () => void;
}

export interface LogStoreStats {
  readonly logs: number;
  readonly segments: number;
  readonly journalBytes: number;
  readonly journalGroups: number;
  readonly journalEntries: number;
  readonly diskFull: boolean;
  /** Ranges found damaged below the recovery point since the start. */
  readonly damagedRanges: number;
}

export interface OpenLogOptions {
  /** The log may use the reserve when the disk is full: internal topics, so that commits go on. Default false. */
  readonly reserved?: boolean;
  /** Nobody opens the log after a restart, when `finishRecovery` drops it: that it was deleted need not be durable. Default false. */
  readonly transient?: boolean;
}

export interface LogStore {
  /** Most of the files that the process can have open are segments that were written and not synced: who writes to ever other logs should wait. */
  readonly isShortOfFiles: boolean;
  readonly leaderEpoch: number;
  /** true when the last stop was clean: nothing had to be replayed. */
  readonly cleanStart: boolean;
  /** Partition logs that exist: in the directory, in the checkpoint or in the journal. */
  existing(): LogId[];
  /** Opens a log, recovering it from the recovery point and the journal; creates it when it has no directory. */
  openLog(id: LogId, config: LogConfig, options?: OpenLogOptions): PartitionLog;
  /** Removes a log and its files. Durable when it resolves, unless the log is transient. */
  deleteLog(id: LogId): Promise<void>;
  /** Call once, after every log that should live was opened: what the journal and the directory hold for others is
   * dropped, a checkpoint is taken, background work (checkpoints, retention, compaction) starts. */
  finishRecovery(): Promise<void>;
  /** Syncs the segments and moves the recovery point. */
  checkpoint(): Promise<void>;
  runRetention(): Promise<void>;
  runCompaction(): Promise<void>;
  stats(): LogStoreStats;
  /** Clean stop: waits for the journal, checkpoints, writes indexes, releases the lock. Idempotent. */
  close(): Promise<void>;
}

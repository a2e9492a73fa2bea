/** How a log store is opened. */
import type { Logger } from '../core/log.ts';
import type { VerifyReads } from './log-context.ts';

export interface LogStoreOptions {
  /** The data directory; created when absent. */
  readonly directory: string;
  /** Default: silent. */
  readonly logger?: Logger;
  /** The store can no longer keep its promises (fsync failed): stop the process. Called at most once. */
  readonly onFatal: (error: unknown) => void;
  /** Keep what is good of a damaged journal or without a checkpoint, instead of refusing to start. Default false. */
  readonly repair?: boolean;
  /** Default `cold`. */
  readonly verifyReads?: VerifyReads;
  /** Size of one journal file. Default JOURNAL_FILE_BYTES. */
  readonly journalFileBytes?: number;
  /** All journal files together, at least two of them. Default JOURNAL_BYTES_MAX. */
  readonly journalBytesMax?: number;
  /** Journal in use that starts a checkpoint. Default CHECKPOINT_JOURNAL_BYTES. */
  readonly checkpointJournalBytes?: number;
  /** Unsynced bytes of a segment that are synced ahead of the checkpoint. Default SEGMENT_UNSYNCED_BYTES_MAX. */
  readonly segmentUnsyncedBytesMax?: number;
  /** Longest time between checkpoints of a store that is written to. Default CHECKPOINT_INTERVAL_MS. */
  readonly checkpointIntervalMs?: number;
  /** Time between two runs of retention. Default RETENTION_INTERVAL_MS. */
  readonly retentionIntervalMs?: number;
  /** Time between two looks for logs to compact. Default COMPACTION_INTERVAL_MS. */
  readonly compactionIntervalMs?: number;
  /** Memory of a compaction's offset map. Default COMPACTION_MAP_BYTES_MAX. */
  readonly compactionMapBytesMax?: number;
  /** Space kept for internal topics when the disk is full; 0 = none. Default RESERVE_BYTES. */
  readonly reserveBytes?: number;
  /** Segment files open at once. Default OPEN_SEGMENTS_MAX. */
  readonly openSegmentsMax?: number;
  /** A producer that has not written for so long is forgotten. Default PRODUCER_EXPIRATION_MS. */
  readonly producerExpirationMs?: number;
}

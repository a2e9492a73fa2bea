/** What the logs of one store share: the machine, the journal, the pools and the ways to reach the store. */
import type { Env } from '../core/env.ts';
import type { Logger } from '../core/log.ts';
import type { IndexMemory } from './index-memory.ts';
import type { Journal } from './journal.ts';
import type { ReadBuffers } from './read-buffers.ts';
import type { Segment, SegmentEnvironment } from './segment.ts';
import type { LiveRecords, LogId, ReclaimOptions, ReclaimResult } from './types.ts';

/** When reads check the CRC of the batches they return. `cold`: unless this process wrote them a short while ago. */
export type VerifyReads = 'all' | 'cold' | 'none';

export interface LogCounters {
  damagedRanges: number;
}

export interface LogContext {
  readonly env: Env;
  readonly logger: Logger;
  readonly journal: Journal;
  readonly segments: SegmentEnvironment;
  readonly readBuffers: ReadBuffers;
  readonly indexMemory: IndexMemory;
  readonly counters: LogCounters;
  /** Stamped on every batch that this process appends. */
  readonly leaderEpoch: number;
  readonly verifyReads: VerifyReads;
  /** Unsynced bytes of a segment that are worth a sync ahead of the checkpoint. */
  readonly segmentUnsyncedBytesMax: number;
  /** Largest batch that fits into the journal. */
  readonly batchBytesMax: number;
  /** The device has no room: only reserved logs may append. */
  isDiskFull(): boolean;
  /** An append was refused: there are too few descriptors. */
  onShortOfFiles(error: unknown): void;
  /** A write failed for want of space. Returns whether a reserve was given up, so that trying again may help. */
  onDiskFull(isReserved: boolean): boolean;
  /** The store can no longer keep its promises. */
  fail(error: unknown): void;
  /** The segment holds enough unsynced bytes that they should be synced ahead of the checkpoint. */
  wantsSync(segment: Segment): void;
  /** Syncs what segments hold, and their names. A failure ends the store. */
  sync(segments: readonly Segment[]): Promise<void>;
  /** As `sync`, in the background. */
  flush(segments: readonly Segment[]): void;
  /** Names in `directory` must be made durable by the next checkpoint. */
  onNamesChanged(directory: string): void;
  /** Reclaims the space of a log, after whatever else maintains it. */
  reclaim(id: LogId, live: LiveRecords, options: ReclaimOptions): Promise<ReclaimResult>;
  /** Resolves when a checkpoint that began after this call is complete. */
  nextCheckpoint(): Promise<void>;
}

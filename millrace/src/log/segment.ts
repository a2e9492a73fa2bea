/**
 * One segment of a log: a file of record batches from a base offset on.
 *
 * Owns the file and what is known to be durable of it; its indexes are `segment-indexes.ts`.
 *
 * Invariants
 * - Bytes below `syncedBytes` are durable. Bytes are only added at the end, after every check.
 * - An index entry is only a hint: who uses one checks the batch header it leads to, and calls `rebuildIndexes` when it lies.
 */
import type { Clock, File, FileSystem } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { readFully, writeFully } from '../core/files.ts';
import { HEADER_BYTES, maxTimestamp } from '../wire/kafka/records/record-batch.ts';
import type { OffsetIndex } from './offset-index.ts';
import type { HoldsFile, OpenFiles } from './open-files.ts';
import { LOG_SUFFIX, segmentPath } from './segment-files.ts';
import {
  type IndexedSegment,
  type IndexRange,
  SegmentIndexes,
  type StoredIndexes,
} from './segment-indexes.ts';
import type { TimeIndex } from './time-index.ts';
import { AbortedTransactions, type StoredAborted } from './transaction-index.ts';

/** What all segments of a store share. */
export interface SegmentEnvironment {
  readonly fs: FileSystem;
  readonly clock: Clock;
  readonly openFiles: OpenFiles;
  /** A file could not be brought back into a known state: nothing can be promised any more. */
  readonly fail: (error: unknown) => void;
}

/** Bytes of a segment that are not what was written, and the offsets that are lost with them. */
export interface DamagedRange {
  readonly start: number;
  readonly end: number;
  readonly firstOffset: number;
  /** Exclusive: where reading goes on. */
  readonly endOffset: number;
}

export interface SegmentPlace {
  readonly directory: string;
  readonly baseOffset: number;
  /** Default: the path that its name should be. Another one while compaction has not put the segment in place. */
  readonly logPath?: string;
}

/** What is known of a segment when it is opened. */
export interface SegmentState {
  readonly sizeBytes: number;
  /** undefined = sealed, with complete index files. */
  readonly indexes: StoredIndexes | undefined;
  readonly aborted: StoredAborted | undefined;
}

export class Segment implements HoldsFile, IndexedSegment {
  readonly baseOffset: number;
  /** Of its files, without suffix. */
  readonly path: string;
  /** Of the batches: `path` and its suffix, except while compaction puts the segment in place. */
  private logPath: string;
  sizeBytes: number;
  syncedBytes: number;
  /** Written to by this process from here on; what lies before came from the disk. */
  readonly openedBytes: number;
  /** When this process began to use the segment, by the monotonic clock. */
  readonly openedMs: number;
  /** No more appends. */
  isSealed = false;
  readonly damaged: DamagedRange[] = [];
  readonly indexes: SegmentIndexes;
  readonly aborted: AbortedTransactions;
  wasUsed = true;
  /** Readers that hold on to the file across a wait. */
  private pinCount = 0;
  private isRetired = false;
  /** The sync that is under way, or has failed. */
  private syncing: Promise<void> | undefined;
  private file: File | undefined;
  /** undefined = not looked at yet. */
  private firstMs: number | undefined;
  private readonly env: SegmentEnvironment;

  constructor(env: SegmentEnvironment, place: SegmentPlace, state: SegmentState) {
    this.env = env;
    this.baseOffset = place.baseOffset;
    this.path = segmentPath(place.directory, place.baseOffset);
    this.logPath = place.logPath ?? this.path + LOG_SUFFIX;
    this.sizeBytes = state.sizeBytes;
    this.openedBytes = state.sizeBytes;
    this.openedMs = env.clock.monotonicMs();
    this.syncedBytes = state.sizeBytes;
    this.isSealed = state.indexes === undefined;
    this.indexes = new SegmentIndexes(env.fs, this, state.indexes);
    this.aborted = new AbortedTransactions(env.fs, this, state.aborted);
  }

  get isBusy(): boolean {
    return this.pinCount > 0 || this.syncedBytes < this.sizeBytes;
  }

  /** Creates the file; what an abandoned one of the same name holds is dropped. */
  create(): void {
    this.env.openFiles.admit();
    const file = this.env.fs.open(this.logPath, 'open');
    if (file.size() > 0) file.truncate(0);
    // The output of a compaction is not in place yet: that file is still of the segment that it will replace.
    if (this.logPath === this.path + LOG_SUFFIX) this.aborted.cutFile();
    this.file = file;
    this.env.openFiles.add(this);
    this.sizeBytes = 0;
    this.indexes.reset();
  }

  /** The open file. Hold it across a wait only between `pin` and `unpin`. */
  use(): File {
    this.wasUsed = true;
    if (this.file === undefined) {
      // Another file may have the name by now.
      if (this.isRetired)
        throw new MillraceError('ML_FILE_CLOSED', `${this.logPath} is not in use any more`);
      this.file = this.env.fs.open(this.logPath, 'write');
      this.env.openFiles.add(this);
    }
    return this.file;
  }

  pin(): void {
    this.pinCount++;
  }

  unpin(): void {
    this.pinCount--;
    if (this.isRetired && this.pinCount === 0) this.closeFile();
    else this.env.openFiles.becameIdle(this);
  }

  closeFile(): void {
    if (this.file === undefined) return;
    this.env.openFiles.remove(this);
    this.file.close();
    this.file = undefined;
  }

  /** Gives the file of the batches another name, in place of whatever has it. Who reads it reads on. */
  moveLog(path: string): void {
    this.env.fs.rename(this.logPath, path);
    this.logPath = path;
  }

  /** No longer part of the log: its file may be gone, and another may have its name. */
  get isOutOfUse(): boolean {
    return this.isRetired;
  }

  /** Out of use: closes the file as soon as nobody reads it. */
  retire(): void {
    this.isRetired = true;
    if (this.pinCount === 0) this.closeFile();
  }

  // ---- Writing ------------------------------------------------------------------------------------------------------

  /** Writes a batch at the end. After a throw the segment is as before, unless the file cannot even be cut back. */
  append(buffer: Buffer, start: number, end: number): void {
    if (this.file === undefined) this.env.openFiles.admit();
    const file = this.use();
    try {
      writeFully(file, buffer, start, end, this.sizeBytes);
    } catch (error) {
      this.cutBack(file);
      throw error;
    }
    if (this.sizeBytes === 0) this.firstMs = maxTimestamp(buffer, start);
    this.sizeBytes += end - start;
  }

  /** Largest timestamp of the first batch; -1 when there is none. */
  firstTimestampMs(): number {
    if (this.firstMs === undefined) {
      const head = Buffer.allocUnsafe(HEADER_BYTES);
      const count = readFully(this.use(), head, 0, HEADER_BYTES, 0);
      this.firstMs = count < HEADER_BYTES ? -1 : maxTimestamp(head, 0);
    }
    return this.firstMs;
  }

  private cutBack(file: File): void {
    try {
      file.truncate(this.sizeBytes);
    } catch (error) {
      this.env.fail(error);
    }
  }

  /** Ends the writing: completes the indexes, which the caller has loaded and stores. */
  seal(): void {
    this.isSealed = true;
    this.indexes.complete();
  }

  /** Cuts the file back (recovery only). */
  cut(sizeBytes: number): void {
    const file = this.use();
    if (file.size() > sizeBytes) file.truncate(sizeBytes);
    this.sizeBytes = sizeBytes;
    this.syncedBytes = Math.min(this.syncedBytes, sizeBytes);
  }

  /**
   * fdatasync of everything written so far. One at a time: of two at once on one file the kernel tells only one that it
   * failed. After a failure every call fails, because the next fdatasync would succeed and mean nothing. Of a segment that
   * is out of use nobody needs anything: its file may be gone.
   */
  async sync(): Promise<void> {
    while (this.syncing !== undefined) await this.syncing;
    if (this.sizeBytes === this.syncedBytes || this.isRetired) return;
    this.syncing = this.syncOnce();
    await this.syncing;
  }

  private async syncOnce(): Promise<void> {
    const bytes = this.sizeBytes;
    this.pin();
    try {
      await this.use().sync();
      this.syncedBytes = Math.max(this.syncedBytes, bytes);
      this.syncing = undefined;
    } finally {
      this.unpin();
    }
  }

  // ---- Indexes ------------------------------------------------------------------------------------------------------

  get offsetIndex(): OffsetIndex {
    return this.indexes.offsets;
  }

  get timeIndex(): TimeIndex {
    return this.indexes.times;
  }

  /** Largest timestamp, and the last offset of the batch that has it; known once the indexes are loaded. */
  get maxTimestampMs(): number {
    return this.indexes.maxTimestampMs;
  }

  get maxTimestampOffset(): number {
    return this.indexes.maxTimestampOffset;
  }

  /** Takes a batch that was appended at `position` into the indexes. */
  indexBatch(
    position: number,
    bytes: number,
    batch: { readonly lastOffset: number; readonly maxTimestampMs: number },
    indexIntervalBytes: number,
  ): void {
    this.indexes.add(position, bytes, batch, indexIntervalBytes);
  }

  /** Loads the indexes if need be, and completes them. */
  ensureIndexes(range: IndexRange): void {
    this.indexes.ensure(range);
  }

  /** Builds the indexes anew from the batches. */
  rebuildIndexes(range: IndexRange): void {
    this.indexes.rebuild(range);
  }

  /** Writes the index files, without a sync. */
  storeIndexes(): void {
    this.indexes.store();
  }

  /** Syncs the index files, if they were written. */
  syncIndexes(): Promise<void> {
    return this.indexes.sync();
  }
}

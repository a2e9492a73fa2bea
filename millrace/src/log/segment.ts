/**
 * One segment of a log: a file of record batches from a base offset on, with its offset and time index.
 *
 * Owns the file, what is known to be durable of it, and the indexes: built in memory while the segment is written,
 * stored when it is sealed and at checkpoints, loaded when needed, rebuilt from the batches when they are missing or wrong.
 *
 * Invariants
 * - Bytes below `syncedBytes` are durable. Bytes are only added at the end, after every check.
 * - An index entry is only a hint: who uses one checks the batch header it leads to, and calls `rebuildIndexes` when it lies.
 */
import type { File, FileSystem } from '../core/env.ts';
import { assert } from '../core/errors.ts';
import { readFully, writeFully } from '../core/files.ts';
import { crc32c } from '../wire/kafka/records/crc32c.ts';
import {
  BATCH_OK,
  baseOffset,
  checkBatch,
  HEADER_BYTES,
  lastOffset,
  maxTimestamp,
} from '../wire/kafka/records/record-batch.ts';
import { findBatch, readBatch } from './batch-walk.ts';
import { OFFSET_INDEX_ENTRY_BYTES, OffsetIndex } from './offset-index.ts';
import type { HoldsFile, OpenFiles } from './open-files.ts';
import { INDEX_SUFFIX, LOG_SUFFIX, segmentPath, TIME_INDEX_SUFFIX } from './segment-files.ts';
import { TIME_INDEX_ENTRY_BYTES, TimeIndex } from './time-index.ts';
import { AbortedTransactions, type StoredAborted } from './transaction-index.ts';

/** What all segments of a store share. */
export interface SegmentEnvironment {
  readonly fs: FileSystem;
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

/** How much of the index files belongs to the segment as a checkpoint knows it. */
export interface StoredIndexes {
  readonly offsetEntries: number;
  readonly timeEntries: number;
  /** CRC-32C over those offset index entries, then those time index entries. */
  readonly crc: number;
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

/** What a segment has to know of its log to build its indexes. */
export interface IndexRange {
  /** One past the last offset that the segment can hold. */
  readonly endOffset: number;
  /** Below it offsets may be missing between batches. */
  readonly gapsBelow: number;
  /** Bytes between two entries, as the topic is configured. */
  readonly intervalBytes: number;
}

export const NO_STORED_INDEXES: StoredIndexes = { offsetEntries: 0, timeEntries: 0, crc: 0 };

interface Indexes {
  readonly offsets: OffsetIndex;
  readonly times: TimeIndex;
}

export class Segment implements HoldsFile {
  readonly baseOffset: number;
  /** Of its files, without suffix. */
  readonly path: string;
  /** Of the batches: `path` and its suffix, except while compaction puts the segment in place. */
  private logPath: string;
  sizeBytes: number;
  syncedBytes: number;
  /** Written to by this process from here on; what lies before came from the disk. */
  readonly openedBytes: number;
  /** No more appends. */
  isSealed = false;
  /** Largest timestamp and the last offset of the batch that has it; known once the indexes are. */
  maxTimestampMs = -1;
  maxTimestampOffset = -1;
  readonly damaged: DamagedRange[] = [];
  readonly aborted: AbortedTransactions;
  wasUsed = true;
  /** Readers that hold on to the file across a wait. */
  private pinCount = 0;
  private isRetired = false;
  /** The sync that is under way, or has failed. */
  private syncing: Promise<void> | undefined;
  private file: File | undefined;
  private indexes: Indexes | undefined;
  private stored: StoredIndexes;
  private areIndexFilesUnsynced = false;
  /** Bytes of the segment that the index files are about. */
  private storedBytes: number;
  private bytesSinceIndexed = 0;
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
    this.syncedBytes = state.sizeBytes;
    this.storedBytes = state.sizeBytes;
    this.stored = state.indexes ?? NO_STORED_INDEXES;
    this.isSealed = state.indexes === undefined;
    this.aborted = new AbortedTransactions(env.fs, this, state.aborted);
  }

  get isBusy(): boolean {
    return this.pinCount > 0 || this.syncedBytes < this.sizeBytes;
  }

  /** Creates the file; what an abandoned one of the same name holds is dropped. */
  create(): void {
    const file = this.env.fs.open(this.logPath, 'open');
    if (file.size() > 0) file.truncate(0);
    this.file = file;
    this.env.openFiles.add(this);
    this.indexes = { offsets: new OffsetIndex(), times: new TimeIndex() };
    this.sizeBytes = 0;
    // Nothing of an older index file counts.
    this.stored = NO_STORED_INDEXES;
  }

  /** The open file. Hold it across a wait only between `pin` and `unpin`. */
  use(): File {
    this.wasUsed = true;
    if (this.file === undefined) {
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

  /** Takes a batch that was appended at `position` into the indexes. */
  indexBatch(
    position: number,
    bytes: number,
    batch: { readonly lastOffset: number; readonly maxTimestampMs: number },
    indexIntervalBytes: number,
  ): void {
    const { offsets, times } = this.loadedIndexes();
    if (batch.maxTimestampMs > this.maxTimestampMs) {
      this.maxTimestampMs = batch.maxTimestampMs;
      this.maxTimestampOffset = batch.lastOffset;
    }
    if (this.bytesSinceIndexed > indexIntervalBytes) {
      offsets.append(batch.lastOffset - this.baseOffset, position);
      if (this.maxTimestampOffset >= 0)
        times.append(this.maxTimestampMs, this.maxTimestampOffset - this.baseOffset);
      this.bytesSinceIndexed = 0;
    }
    this.bytesSinceIndexed += bytes;
  }

  /** Ends the writing: completes the time index. The caller stores the indexes. */
  seal(): void {
    this.isSealed = true;
    const { times } = this.loadedIndexes();
    if (this.maxTimestampOffset >= 0)
      times.append(this.maxTimestampMs, this.maxTimestampOffset - this.baseOffset);
  }

  /** Cuts the file back (recovery only). */
  cut(sizeBytes: number): void {
    const file = this.use();
    if (file.size() > sizeBytes) file.truncate(sizeBytes);
    this.sizeBytes = sizeBytes;
    this.syncedBytes = Math.min(this.syncedBytes, sizeBytes);
  }

  /** Cuts the index files back to what the checkpoint knows (recovery only): what follows is about a lost tail. */
  cutIndexFiles(): void {
    this.cutIndexFile(INDEX_SUFFIX, this.stored.offsetEntries * OFFSET_INDEX_ENTRY_BYTES);
    this.cutIndexFile(TIME_INDEX_SUFFIX, this.stored.timeEntries * TIME_INDEX_ENTRY_BYTES);
  }

  /**
   * fdatasync of everything written so far. One at a time: of two at once on one file the kernel tells only one that it
   * failed. After a failure every call fails, because the next fdatasync would succeed and mean nothing.
   */
  async sync(): Promise<void> {
    while (this.syncing !== undefined) await this.syncing;
    if (this.sizeBytes === this.syncedBytes) return;
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
      this.env.openFiles.trim();
    }
  }

  // ---- Indexes ------------------------------------------------------------------------------------------------------

  get offsetIndex(): OffsetIndex {
    return this.loadedIndexes().offsets;
  }

  get timeIndex(): TimeIndex {
    return this.loadedIndexes().times;
  }

  /** Memory of the loaded indexes. */
  get indexBytes(): number {
    return this.indexes === undefined ? 0 : this.indexes.offsets.bytes + this.indexes.times.bytes;
  }

  get areIndexesStored(): boolean {
    if (this.indexes === undefined) return true;
    const { offsets, times } = this.indexes;
    return offsets.count === this.stored.offsetEntries && times.count === this.stored.timeEntries;
  }

  /** Gives the memory back. Only when the segment is sealed and the indexes are stored. */
  unloadIndexes(): void {
    if (this.isSealed && this.areIndexesStored) this.indexes = undefined;
  }

  /**
   * Writes what the index files lack, without a sync. Returns what a checkpoint needs to know to trust them.
   * A file that is longer than that (entries of a tail that recovery has cut off) is cut to it.
   */
  storeIndexes(): StoredIndexes {
    if (this.indexes === undefined || this.areIndexesStored) return this.stored;
    const { offsets, times } = this.indexes;
    const { stored } = this;
    const offsetBytes = offsets.encode(0);
    const timeBytes = times.encode(0);
    this.writeIndexFile(INDEX_SUFFIX, offsetBytes, stored.offsetEntries * OFFSET_INDEX_ENTRY_BYTES);
    this.writeIndexFile(TIME_INDEX_SUFFIX, timeBytes, stored.timeEntries * TIME_INDEX_ENTRY_BYTES);
    this.stored = {
      offsetEntries: offsets.count,
      timeEntries: times.count,
      crc: indexCrc(offsetBytes, timeBytes),
    };
    this.areIndexFilesUnsynced = true;
    this.storedBytes = this.sizeBytes;
    return this.stored;
  }

  /** Bytes that a start would have to read to complete the index files. */
  get unindexedBytes(): number {
    return this.sizeBytes - this.storedBytes;
  }

  /** What the index files are known to hold. */
  get storedIndexes(): StoredIndexes {
    return this.stored;
  }

  /** Syncs the index files, if they were written since the last time. */
  async syncIndexes(): Promise<void> {
    if (!this.areIndexFilesUnsynced) return;
    this.areIndexFilesUnsynced = false;
    for (const suffix of [INDEX_SUFFIX, TIME_INDEX_SUFFIX]) {
      const file = this.env.fs.open(this.path + suffix, 'open');
      try {
        await file.sync();
      } finally {
        file.close();
      }
    }
  }

  /** Builds the indexes anew from the batches. */
  rebuildIndexes(range: IndexRange): void {
    this.indexes = { offsets: new OffsetIndex(), times: new TimeIndex() };
    this.stored = NO_STORED_INDEXES;
    this.storedBytes = 0;
    this.maxTimestampMs = -1;
    this.maxTimestampOffset = -1;
    this.bytesSinceIndexed = 0;
    this.indexFrom(0, this.baseOffset, range);
    if (this.isSealed) this.seal();
  }

  /** Loads the indexes if need be, and takes in the batches behind their last entry. */
  ensureIndexes(range: IndexRange): void {
    if (this.indexes !== undefined) return;
    const loaded = this.loadIndexes();
    if (loaded === undefined) {
      this.rebuildIndexes(range);
      return;
    }
    this.indexes = loaded;
    const { offsets, times } = loaded;
    const lastTime = times.count - 1;
    this.maxTimestampMs = lastTime < 0 ? -1 : times.timestampMs(lastTime);
    this.maxTimestampOffset = lastTime < 0 ? -1 : this.baseOffset + times.relativeOffset(lastTime);
    this.bytesSinceIndexed = 0;
    const last = offsets.count - 1;
    const isGood = last < 0 || this.leadsTo(offsets.position(last), offsets.relativeOffset(last));
    if (!isGood) this.rebuildIndexes(range);
    else if (last < 0) this.indexFrom(0, this.baseOffset, range);
    else this.indexFrom(offsets.position(last), -1, range);
  }

  /** Whether a batch that ends at `relativeOffset` begins at `position`. */
  private leadsTo(position: number, relativeOffset: number): boolean {
    const batch = readBatch(this.use(), position, this.sizeBytes);
    return (
      batch !== undefined &&
      checkBatch(batch, 0, batch.length) === BATCH_OK &&
      lastOffset(batch, 0) === this.baseOffset + relativeOffset
    );
  }

  private loadedIndexes(): Indexes {
    assert(this.indexes !== undefined, 'the indexes of a segment are used before they are loaded');
    return this.indexes;
  }

  /**
   * Indexes the batches from `position` on, passing over damage. Each is checked as a whole: its base offset too, which its
   * CRC does not cover, must be the one that follows.
   * @param expected the offset that the first batch begins with; -1 = it is the last that the index knows
   */
  private indexFrom(position: number, expected: number, range: IndexRange): void {
    const file = this.use();
    let nextOffset = expected;
    let at = position;
    while (at < this.sizeBytes) {
      const batch = readBatch(file, at, this.sizeBytes);
      const base = batch === undefined ? -1 : baseOffset(batch, 0);
      const isNext = base === nextOffset || nextOffset < 0;
      if (
        batch !== undefined &&
        (isNext || (base > nextOffset && nextOffset < range.gapsBelow)) &&
        checkBatch(batch, 0, batch.length) === BATCH_OK
      ) {
        const last = lastOffset(batch, 0);
        const facts = { lastOffset: last, maxTimestampMs: maxTimestamp(batch, 0) };
        this.indexBatch(at, batch.length, facts, range.intervalBytes);
        nextOffset = last + 1;
        at += batch.length;
        continue;
      }
      const offsets = { first: nextOffset + 1, end: range.endOffset };
      const found = findBatch(file, at + 1, this.sizeBytes, offsets);
      if (found === undefined) return;
      at = found.position;
      nextOffset = found.baseOffset;
    }
  }

  /** What the files hold, if it is what a checkpoint knows of them or, for a sealed segment, can be right. */
  private loadIndexes(): Indexes | undefined {
    const { stored } = this;
    const trustsAll = this.isSealed && stored === NO_STORED_INDEXES;
    const offsetBytes = this.readIndexFile(
      INDEX_SUFFIX,
      trustsAll ? Infinity : stored.offsetEntries * OFFSET_INDEX_ENTRY_BYTES,
    );
    const timeBytes = this.readIndexFile(
      TIME_INDEX_SUFFIX,
      trustsAll ? Infinity : stored.timeEntries * TIME_INDEX_ENTRY_BYTES,
    );
    if (offsetBytes === undefined || timeBytes === undefined) return undefined;
    if (!trustsAll && indexCrc(offsetBytes, timeBytes) !== stored.crc) return undefined;
    const offsets = OffsetIndex.decode(offsetBytes, this.sizeBytes);
    const times = TimeIndex.decode(timeBytes);
    if (offsets === undefined || times === undefined) return undefined;
    if (trustsAll)
      this.stored = {
        offsetEntries: offsets.count,
        timeEntries: times.count,
        crc: indexCrc(offsetBytes, timeBytes),
      };
    return { offsets, times };
  }

  /** At most `bytes` bytes of an index file; undefined when it is missing or shorter than a given limit. */
  private readIndexFile(suffix: string, bytes: number): Buffer | undefined {
    if (bytes === 0) return Buffer.alloc(0);
    if (this.env.fs.stat(this.path + suffix) === undefined) return undefined;
    const file = this.env.fs.open(this.path + suffix, 'read');
    try {
      const size = Math.min(file.size(), bytes);
      if (bytes !== Infinity && size < bytes) return undefined;
      const content = Buffer.allocUnsafe(size);
      return readFully(file, content, 0, size, 0) === size ? content : undefined;
    } finally {
      file.close();
    }
  }

  private cutIndexFile(suffix: string, bytes: number): void {
    const stat = this.env.fs.stat(this.path + suffix);
    if (stat === undefined || stat.sizeBytes <= bytes) return;
    const file = this.env.fs.open(this.path + suffix, 'write');
    file.truncate(bytes);
    file.close();
  }

  private writeIndexFile(suffix: string, content: Buffer, storedBytes: number): void {
    const file = this.env.fs.open(this.path + suffix, 'open');
    try {
      const from = Math.min(storedBytes, content.length);
      writeFully(file, content, from, content.length, from);
      if (file.size() > content.length) file.truncate(content.length);
    } finally {
      file.close();
    }
  }
}

function indexCrc(offsetBytes: Buffer, timeBytes: Buffer): number {
  return crc32c(timeBytes, 0, timeBytes.length, crc32c(offsetBytes, 0, offsetBytes.length));
}

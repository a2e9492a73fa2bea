/**
 * The offset and time index of one segment: built in memory while the segment is written, stored in files when that is worth
 * it, loaded when they are needed, and built anew from the batches when the files are missing or wrong.
 *
 * Invariant: an entry is made only from a batch that was checked as a whole and begins with the offset that it has to begin
 * with. What a checkpoint knows of the files (`StoredIndexes`) is verified by a CRC; index files are never needed.
 */
import type { File, FileSystem } from '../core/env.ts';
import { assert } from '../core/errors.ts';
import { readFully, writeFully } from '../core/files.ts';
import { crc32c } from '../core/crc32c.ts';
import {
  BATCH_OK,
  baseOffset,
  checkBatch,
  lastOffset,
  maxTimestamp,
} from '../wire/kafka/records/record-batch.ts';
import { findBatch, readBatch } from './batch-walk.ts';
import { OFFSET_INDEX_ENTRY_BYTES, OffsetIndex } from './offset-index.ts';
import { INDEX_SUFFIX, TIME_INDEX_SUFFIX } from './segment-files.ts';
import { TIME_INDEX_ENTRY_BYTES, TimeIndex } from './time-index.ts';

/** How much of the index files belongs to the segment as a checkpoint knows it. */
export interface StoredIndexes {
  readonly offsetEntries: number;
  readonly timeEntries: number;
  /** CRC-32C over those offset index entries, then those time index entries. */
  readonly crc: number;
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

/** The segment as seen from here. */
export interface IndexedSegment {
  readonly baseOffset: number;
  /** Of its files, without suffix. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly isSealed: boolean;
  use(): File;
}

export class SegmentIndexes {
  /** Largest timestamp and the last offset of the batch that has it; known once the indexes are loaded. */
  maxTimestampMs = -1;
  maxTimestampOffset = -1;
  private readonly fs: FileSystem;
  private readonly segment: IndexedSegment;
  private loaded: Indexes | undefined;
  private stored: StoredIndexes;
  /** The files are complete and no checkpoint vouches for them: the segment was sealed before the last one. */
  private takesWholeFiles: boolean;
  /** Bytes of the segment that the files are about. */
  private storedBytes: number;
  private areFilesUnsynced = false;
  private bytesSinceEntry = 0;

  /** @param stored undefined = the files are complete */
  constructor(fs: FileSystem, segment: IndexedSegment, stored: StoredIndexes | undefined) {
    this.fs = fs;
    this.segment = segment;
    this.stored = stored ?? NO_STORED_INDEXES;
    this.takesWholeFiles = stored === undefined;
    this.storedBytes = segment.sizeBytes;
  }

  /** The segment is new and empty: nothing of older files counts. */
  reset(): void {
    this.loaded = { offsets: new OffsetIndex(), times: new TimeIndex() };
    this.stored = NO_STORED_INDEXES;
    this.takesWholeFiles = false;
    this.storedBytes = 0;
    this.maxTimestampMs = -1;
    this.maxTimestampOffset = -1;
    this.bytesSinceEntry = 0;
  }

  get offsets(): OffsetIndex {
    return this.needed().offsets;
  }

  get times(): TimeIndex {
    return this.needed().times;
  }

  /** Memory held. */
  get bytes(): number {
    return this.loaded === undefined ? 0 : this.loaded.offsets.bytes + this.loaded.times.bytes;
  }

  /** What the files are known to hold. */
  get storedState(): StoredIndexes {
    return this.stored;
  }

  /** Bytes that a start would have to read to complete the files. */
  get unindexedBytes(): number {
    return this.segment.sizeBytes - this.storedBytes;
  }

  private get areStored(): boolean {
    if (this.loaded === undefined) return true;
    const { offsets, times } = this.loaded;
    return offsets.count === this.stored.offsetEntries && times.count === this.stored.timeEntries;
  }

  /** Takes in a batch that begins at `position`, behind all that were. */
  add(
    position: number,
    bytes: number,
    batch: { readonly lastOffset: number; readonly maxTimestampMs: number },
    intervalBytes: number,
  ): void {
    const { offsets, times } = this.needed();
    if (batch.maxTimestampMs > this.maxTimestampMs) {
      this.maxTimestampMs = batch.maxTimestampMs;
      this.maxTimestampOffset = batch.lastOffset;
    }
    if (this.bytesSinceEntry > intervalBytes) {
      offsets.append(batch.lastOffset - this.segment.baseOffset, position);
      this.addTime(times);
      this.bytesSinceEntry = 0;
    }
    this.bytesSinceEntry += bytes;
  }

  /** No more batches will come: completes the time index. */
  complete(): void {
    this.addTime(this.needed().times);
  }

  /** Gives the memory back, if the files have it all. */
  unload(): void {
    if (this.segment.isSealed && this.areStored) this.loaded = undefined;
  }

  // ---- Files --------------------------------------------------------------------------------------------------------

  /** Writes what the files lack, without a sync. A longer file (of a tail that recovery has cut off) is cut to it. */
  store(): void {
    if (this.loaded === undefined || this.areStored) return;
    const { offsets, times } = this.loaded;
    const { stored } = this;
    const offsetBytes = offsets.encode(0);
    const timeBytes = times.encode(0);
    this.writeFile(INDEX_SUFFIX, offsetBytes, stored.offsetEntries * OFFSET_INDEX_ENTRY_BYTES);
    this.writeFile(TIME_INDEX_SUFFIX, timeBytes, stored.timeEntries * TIME_INDEX_ENTRY_BYTES);
    this.stored = storedState(offsets, times, indexCrc(offsetBytes, timeBytes));
    this.areFilesUnsynced = true;
    this.storedBytes = this.segment.sizeBytes;
  }

  /** Syncs the files, if they were written since the last time. */
  async sync(): Promise<void> {
    if (!this.areFilesUnsynced) return;
    this.areFilesUnsynced = false;
    for (const suffix of [INDEX_SUFFIX, TIME_INDEX_SUFFIX]) {
      const file = this.fs.open(this.segment.path + suffix, 'open');
      try {
        await file.sync();
      } finally {
        file.close();
      }
    }
  }

  /** Cuts the files back to what the checkpoint knows (recovery only): what follows is about a lost tail. */
  cutFiles(): void {
    this.cutFile(INDEX_SUFFIX, this.stored.offsetEntries * OFFSET_INDEX_ENTRY_BYTES);
    this.cutFile(TIME_INDEX_SUFFIX, this.stored.timeEntries * TIME_INDEX_ENTRY_BYTES);
  }

  /** Loads the indexes if need be, and takes in the batches behind their last entry. */
  ensure(range: IndexRange): void {
    if (this.loaded !== undefined) return;
    const loaded = this.load();
    if (loaded === undefined) {
      this.rebuild(range);
      return;
    }
    this.loaded = loaded;
    const { baseOffset } = this.segment;
    const { offsets, times } = loaded;
    const lastTime = times.count - 1;
    this.maxTimestampMs = lastTime < 0 ? -1 : times.timestampMs(lastTime);
    this.maxTimestampOffset = lastTime < 0 ? -1 : baseOffset + times.relativeOffset(lastTime);
    this.bytesSinceEntry = 0;
    const last = offsets.count - 1;
    const isGood = last < 0 || this.leadsTo(offsets.position(last), offsets.relativeOffset(last));
    if (!isGood) this.rebuild(range);
    else if (last < 0) this.addFrom(0, baseOffset, range);
    else this.addFrom(offsets.position(last), -1, range);
  }

  /** Builds the indexes anew from the batches. */
  rebuild(range: IndexRange): void {
    this.reset();
    this.addFrom(0, this.segment.baseOffset, range);
    if (this.segment.isSealed) this.complete();
  }

  /** Whether a batch that ends at `relativeOffset` begins at `position`. */
  private leadsTo(position: number, relativeOffset: number): boolean {
    const batch = readBatch(this.segment.use(), position, this.segment.sizeBytes);
    return (
      batch !== undefined &&
      checkBatch(batch, 0, batch.length) === BATCH_OK &&
      lastOffset(batch, 0) === this.segment.baseOffset + relativeOffset
    );
  }

  private needed(): Indexes {
    assert(this.loaded !== undefined, 'the indexes of a segment are used before they are loaded');
    return this.loaded;
  }

  private addTime(times: TimeIndex): void {
    if (this.maxTimestampOffset >= 0)
      times.append(this.maxTimestampMs, this.maxTimestampOffset - this.segment.baseOffset);
  }

  /**
   * Indexes the batches from `position` on, passing over damage. Each is checked as a whole: its base offset too, which its
   * CRC does not cover, must be the one that follows.
   * @param expected the offset that the first batch begins with; -1 = it is the last that the index knows
   */
  private addFrom(position: number, expected: number, range: IndexRange): void {
    const { segment } = this;
    const file = segment.use();
    let nextOffset = expected;
    let at = position;
    while (at < segment.sizeBytes) {
      const batch = readBatch(file, at, segment.sizeBytes);
      const base = batch === undefined ? -1 : baseOffset(batch, 0);
      const isNext = base === nextOffset || nextOffset < 0;
      if (
        batch !== undefined &&
        (isNext || (base > nextOffset && nextOffset < range.gapsBelow)) &&
        checkBatch(batch, 0, batch.length) === BATCH_OK
      ) {
        const last = lastOffset(batch, 0);
        const facts = { lastOffset: last, maxTimestampMs: maxTimestamp(batch, 0) };
        this.add(at, batch.length, facts, range.intervalBytes);
        nextOffset = last + 1;
        at += batch.length;
        continue;
      }
      const offsets = { first: nextOffset + 1, end: range.endOffset };
      const found = findBatch(file, at + 1, segment.sizeBytes, offsets);
      if (found === undefined) return;
      at = found.position;
      nextOffset = found.baseOffset;
    }
  }

  /** What the files hold, if it is what a checkpoint knows of them or, without one, can be right. */
  private load(): Indexes | undefined {
    const { stored, takesWholeFiles } = this;
    const offsetBytes = this.readFile(
      INDEX_SUFFIX,
      takesWholeFiles ? Infinity : stored.offsetEntries * OFFSET_INDEX_ENTRY_BYTES,
    );
    const timeBytes = this.readFile(
      TIME_INDEX_SUFFIX,
      takesWholeFiles ? Infinity : stored.timeEntries * TIME_INDEX_ENTRY_BYTES,
    );
    if (offsetBytes === undefined || timeBytes === undefined) return undefined;
    const crc = indexCrc(offsetBytes, timeBytes);
    if (!takesWholeFiles && crc !== stored.crc) return undefined;
    const offsets = OffsetIndex.decode(offsetBytes, this.segment.sizeBytes);
    const times = TimeIndex.decode(timeBytes);
    if (offsets === undefined || times === undefined) return undefined;
    this.stored = storedState(offsets, times, crc);
    this.takesWholeFiles = false;
    return { offsets, times };
  }

  /** At most `bytes` bytes of an index file; undefined when it is missing or shorter than a given limit. */
  private readFile(suffix: string, bytes: number): Buffer | undefined {
    if (bytes === 0) return Buffer.alloc(0);
    if (this.fs.stat(this.segment.path + suffix) === undefined) return undefined;
    const file = this.fs.open(this.segment.path + suffix, 'read');
    try {
      const size = Math.min(file.size(), bytes);
      if (bytes !== Infinity && size < bytes) return undefined;
      const content = Buffer.allocUnsafe(size);
      return readFully(file, content, 0, size, 0) === size ? content : undefined;
    } finally {
      file.close();
    }
  }

  private cutFile(suffix: string, bytes: number): void {
    const stat = this.fs.stat(this.segment.path + suffix);
    if (stat === undefined || stat.sizeBytes <= bytes) return;
    const file = this.fs.open(this.segment.path + suffix, 'write');
    file.truncate(bytes);
    file.close();
  }

  private writeFile(suffix: string, content: Buffer, storedBytes: number): void {
    const file = this.fs.open(this.segment.path + suffix, 'open');
    try {
      const from = Math.min(storedBytes, content.length);
      writeFully(file, content, from, content.length, from);
      if (file.size() > content.length) file.truncate(content.length);
    } finally {
      file.close();
    }
  }
}

function storedState(offsets: OffsetIndex, times: TimeIndex, crc: number): StoredIndexes {
  return { offsetEntries: offsets.count, timeEntries: times.count, crc };
}

function indexCrc(offsetBytes: Buffer, timeBytes: Buffer): number {
  return crc32c(timeBytes, 0, timeBytes.length, crc32c(offsetBytes, 0, offsetBytes.length));
}

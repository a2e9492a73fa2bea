/**
 * Goes over the records of one segment, block by block, in a region of a buffer that several cursors share. Every block is checked
 * before anything of it is used.
 *
 * @hot
 */
import { crc32 } from 'node:zlib';
import { assert } from '../../../core/errors.ts';
import type { RunSource, RunStorage } from '../exchange.ts';
import type { RunSegment } from '../stage.ts';
import type { SegmentIndex } from './run-format.ts';
import {
  BLOCK_HEADER_BYTES,
  BLOCK_HEADER_WORDS,
  damagedRun,
  decodeIndex,
  wordsOf,
} from './run-format.ts';

/** Memory that cursors share, seen in all the ways that they need. */
export interface ReadBuffer {
  readonly words: Int32Array;
  readonly bytes: Buffer;
  readonly view: DataView;
}

/** Words of keys are read beyond their ends. */
const SLACK_BYTES = 16;

export function createReadBuffer(byteLength: number): ReadBuffer {
  const memory = new ArrayBuffer(byteLength + SLACK_BYTES);
  return {
    words: new Int32Array(memory),
    bytes: Buffer.from(memory),
    view: new DataView(memory),
  };
}

/** Where the records of a segment are that are wanted: those with rank `from` and above, below `to`. */
export interface RankRange {
  readonly from: number;
  readonly to: number;
}

/** Where to begin to read, to come to rank `from`. */
export interface SeekPoint {
  readonly position: number;
  readonly ordinal: number;
}

export const SEGMENT_START: SeekPoint = { position: 0, ordinal: 0 };

/** What is wanted of one run. */
export interface RunPart {
  readonly segment: RunSegment;
  readonly index: SegmentIndex;
  /** Ranks of the records that are wanted. */
  readonly range: RankRange;
  readonly seek: SeekPoint;
}

export class SegmentCursor {
  /** The word where the current record begins. Valid after `advance` has returned true. */
  at = 0;

  private readonly buffer: ReadBuffer;
  private readonly words: Int32Array;
  private readonly segment: RunSegment;
  private readonly source: RunSource;
  private readonly blockBytesMax: number;
  private readonly regionStart: number;
  private readonly regionEnd: number;

  /** The word behind the current block, where the next one begins if it has been read. */
  private blockEnd: number;
  /** The record behind the current one. */
  private nextAt = 0;
  /** Bytes of the region up to here have been read. */
  private filledEnd: number;
  /** Where to go on reading, from the beginning of the segment. */
  private position: number;
  /** Records that are still to be given out. */
  private left: number;

  /** @param regionStart a multiple of 4; the region holds the largest block of the segment */
  constructor(
    segment: RunSegment,
    index: SegmentIndex,
    storage: RunStorage,
    region: { readonly buffer: ReadBuffer; readonly start: number; readonly end: number },
    range: RankRange,
    from: SeekPoint,
  ) {
    this.segment = segment;
    this.blockBytesMax = index.blockBytesMax;
    this.buffer = region.buffer;
    this.words = region.buffer.words;
    this.regionStart = region.start;
    this.regionEnd = region.end;
    assert(region.end - region.start >= index.blockBytesMax, 'a region holds a block');
    this.blockEnd = region.start >>> 2;
    this.nextAt = this.blockEnd;
    this.filledEnd = region.start;
    this.position = from.position;
    this.source = storage.open(segment.path);
    this.left = range.from - from.ordinal;
    try {
      while (this.advance());
    } catch (error) {
      this.source.close();
      throw error;
    }
    this.left = range.to - range.from;
  }

  /** Goes to the next record; false behind the last one. What was read before may be overwritten when `isLastOfBlock`. */
  advance(): boolean {
    if (this.left === 0) return false;
    if (this.nextAt === this.blockEnd) this.nextBlock();
    this.left--;
    this.at = this.nextAt;
    this.nextAt += wordsOf(this.words, this.at);
    return true;
  }

  /** The next record, if there is one, is in another block, or another segment. */
  get isLastOfBlock(): boolean {
    return this.left === 0 || this.nextAt === this.blockEnd;
  }

  close(): void {
    this.source.close();
  }

  private nextBlock(): void {
    const { words } = this;
    let start = this.blockEnd * 4;
    if (start + BLOCK_HEADER_BYTES > this.filledEnd) start = this.fill(start);
    if (start + BLOCK_HEADER_BYTES > this.filledEnd) throw this.damaged('it has fewer records');
    let bytes = words[(start >>> 2) + 1] as number;
    if (bytes <= 0 || bytes % 4 !== 0 || bytes + BLOCK_HEADER_BYTES > this.blockBytesMax)
      throw this.damaged('the length of a block is wrong');
    if (start + BLOCK_HEADER_BYTES + bytes > this.filledEnd) {
      start = this.fill(start);
      bytes = words[(start >>> 2) + 1] as number;
    }
    const end = start + BLOCK_HEADER_BYTES + bytes;
    if (end > this.filledEnd) throw this.damaged('it ends in the middle of a block');
    if (crc32(this.buffer.bytes.subarray(start + 4, end)) !== (words[start >>> 2] as number) >>> 0)
      throw this.damaged('a block does not have the checksum that it was written with');
    this.nextAt = (start >>> 2) + BLOCK_HEADER_WORDS;
    this.blockEnd = end >>> 2;
  }

  /** Moves what is left, from `start`, to the beginning of the region and reads as much as fits behind it. */
  private fill(start: number): number {
    const { regionStart, buffer, segment } = this;
    buffer.bytes.copyWithin(regionStart, start, this.filledEnd);
    const kept = regionStart + this.filledEnd - start;
    const count = Math.min(this.regionEnd - kept, segment.bytes - this.position);
    if (count > 0) this.source.read(buffer.bytes, kept, count, segment.position + this.position);
    this.position += count;
    this.filledEnd = kept + count;
    return regionStart;
  }

  private damaged(what: string): Error {
    return damagedRun(this.segment.path, what);
  }
}

/** The index of a segment that is not empty. */
export function readIndex(
  segment: RunSegment,
  storage: RunStorage,
  withEntries: boolean,
): SegmentIndex {
  const source = storage.open(segment.path);
  try {
    const bytes = Buffer.allocUnsafe(segment.indexBytes);
    source.read(bytes, 0, segment.indexBytes, segment.indexPosition);
    return decodeIndex(bytes, segment.path, withEntries);
  } finally {
    source.close();
  }
}

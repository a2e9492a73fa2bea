/**
 * Writes runs: records as words, in the order of the segments. Blocks are put together in one buffer and written several at a time.
 * Layout: `run-format.ts`.
 *
 * @hot
 */
import { crc32 } from 'node:zlib';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { INDEX_ENTRIES_MAX, INDEX_KEY_BYTES_MAX, RUN_BLOCK_BYTES } from '../../../core/limits.ts';
import type { RunFile, RunStorage } from '../exchange.ts';
import type { RunSegment } from '../stage.ts';
import type { IndexEntry } from './run-format.ts';
import {
  BLOCK_HEADER_WORDS,
  encodeIndex,
  indexKey,
  keyBytesOf,
  keyWord,
  wordsOf,
} from './run-format.ts';

/** Records of one key that filled blocks. */
export interface HeavyKey {
  readonly key: Buffer;
  readonly records: number;
}

export interface FinishedSegment {
  readonly segment: RunSegment;
  /** Only for sorted runs. */
  readonly heavy: readonly HeavyKey[];
}

export class RunWriter {
  private readonly file: RunFile;
  private readonly isSorted: boolean;
  /** Blocks, some of them. */
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly blockWords: number;
  /** Where the current block begins in `words`, and where it goes on. */
  private blockAt = 0;
  private at = BLOCK_HEADER_WORDS;
  private blockRecords = 0;
  /** Bytes written to the file. */
  private written = 0;

  private segmentPosition = 0;
  private records = 0;
  private blockBytesMax = 0;
  private entries: IndexEntry[] = [];
  /** An entry is made for every so many blocks: more than one when there are very many. */
  private stride = 1;
  private blocks = 0;

  /** @param buffer where blocks are put together: at least 2 KiB */
  constructor(storage: RunStorage, isSorted: boolean, buffer: Int32Array) {
    this.isSorted = isSorted;
    this.words = buffer;
    this.bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    this.blockWords = Math.min(RUN_BLOCK_BYTES >>> 2, buffer.length);
    this.file = storage.create();
  }

  get path(): string {
    return this.file.path;
  }

  /** Bytes of the run so far. */
  get length(): number {
    return this.written;
  }

  /** Copies the record at source[from]. */
  add(source: Int32Array, from: number): void {
    const count = wordsOf(source, from);
    let { at } = this;
    if (at + count > this.blockAt + this.blockWords) {
      if (!this.startBlock(source, from, count)) return;
      at = this.at;
    }
    const { words } = this;
    if (this.blockRecords++ === 0) this.addEntry(source, from);
    let index = 0;
    for (; index + 4 <= count; index += 4) {
      words[at + index] = source[from + index] as number;
      words[at + index + 1] = source[from + index + 1] as number;
      words[at + index + 2] = source[from + index + 2] as number;
      words[at + index + 3] = source[from + index + 3] as number;
    }
    for (; index < count; index++) words[at + index] = source[from + index] as number;
    this.at = at + count;
  }

  /** Ends the segment, and writes its index. */
  endSegment(): FinishedSegment {
    this.endBlock();
    this.flush();
    const position = this.segmentPosition;
    const indexPosition = this.written;
    const { records } = this;
    if (records > 0) this.writeIndex();
    const segment: RunSegment = {
      path: this.file.path,
      position,
      bytes: indexPosition - position,
      records,
      indexPosition,
      indexBytes: this.written - indexPosition,
    };
    const heavy = this.isSorted ? heavyKeys(this.entries) : [];
    this.entries = [];
    this.stride = 1;
    this.blocks = 0;
    this.records = 0;
    this.blockBytesMax = 0;
    this.segmentPosition = this.written;
    return { segment, heavy };
  }

  close(): void {
    this.file.close();
  }

  /** Makes room for a record of `count` words. Returns false when it was too large for any block and has been written. */
  private startBlock(source: Int32Array, from: number, count: number): boolean {
    this.endBlock();
    if (this.blockAt + this.blockWords > this.words.length) this.flush();
    if (BLOCK_HEADER_WORDS + count <= this.blockWords) return true;
    this.flush();
    this.writeLarge(source, from, count);
    return false;
  }

  private endBlock(): void {
    if (this.blockRecords === 0) return;
    const { blockAt, words } = this;
    const byteLength = (this.at - blockAt) * 4;
    words[blockAt + 1] = byteLength - BLOCK_HEADER_WORDS * 4;
    words[blockAt + 2] = this.blockRecords;
    words[blockAt] = crc32(this.bytes.subarray(blockAt * 4 + 4, this.at * 4));
    this.countBlock(byteLength, this.blockRecords);
    this.blockAt = this.at;
    this.at += BLOCK_HEADER_WORDS;
    this.blockRecords = 0;
  }

  private countBlock(byteLength: number, records: number): void {
    this.records += records;
    this.blocks++;
    if (byteLength > this.blockBytesMax) this.blockBytesMax = byteLength;
  }

  private flush(): void {
    if (this.blockAt > 0) this.write(this.bytes, 0, this.blockAt * 4);
    this.blockAt = 0;
    this.at = BLOCK_HEADER_WORDS;
  }

  /** A block of one record, from where it is. */
  private writeLarge(source: Int32Array, from: number, count: number): void {
    const { words, bytes } = this;
    this.addEntry(source, from);
    words[1] = count * 4;
    words[2] = 1;
    const record = new Uint8Array(source.buffer, source.byteOffset + from * 4, count * 4);
    words[0] = crc32(record, crc32(bytes.subarray(4, BLOCK_HEADER_WORDS * 4)));
    this.write(bytes, 0, BLOCK_HEADER_WORDS * 4);
    this.write(record, 0, record.length);
    this.countBlock((BLOCK_HEADER_WORDS + count) * 4, 1);
  }

  private write(bytes: Uint8Array, start: number, end: number): void {
    this.file.write(bytes, start, end);
    this.written += end - start;
  }

  /** For the block that begins with the record at source[from]. */
  private addEntry(source: Int32Array, from: number): void {
    if (this.blocks % this.stride !== 0) return;
    if (this.entries.length === INDEX_ENTRIES_MAX) {
      this.entries = this.entries.filter((_, index) => index % 2 === 0);
      this.stride *= 2;
      if (this.blocks % this.stride !== 0) return;
    }
    this.entries.push({
      position: this.written + this.blockAt * 4 - this.segmentPosition,
      ordinal: this.records,
      key: this.isSorted ? keyOf(source, from) : Buffer.alloc(0),
      isCut: this.isSorted && keyBytesOf(source, from) > INDEX_KEY_BYTES_MAX,
    });
  }

  private writeIndex(): void {
    const { isSorted, blockBytesMax, entries } = this;
    const writer = new ByteWriter(1024);
    encodeIndex({ isSorted, blockBytesMax, entries }, writer);
    this.write(writer.buffer, 0, writer.length);
  }
}

function keyOf(words: Int32Array, at: number): Buffer {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  const start = keyWord(words, at) * 4;
  return indexKey(bytes, start, start + keyBytesOf(words, at));
}

/** Two entries with one key have nothing else between them. */
function heavyKeys(entries: readonly IndexEntry[]): HeavyKey[] {
  const heavy: HeavyKey[] = [];
  for (let first = 0; first < entries.length; ) {
    const entry = entries[first] as IndexEntry;
    let last = first;
    while (last + 1 < entries.length && entries[last + 1]?.key.equals(entry.key) === true) last++;
    if (last > first && !entry.isCut)
      heavy.push({
        key: entry.key,
        records: (entries[last] as IndexEntry).ordinal - entry.ordinal,
      });
    first = last + 1;
  }
  return heavy;
}

/**
 * The chunks of a split, cut at the ends of rows: what decoders, and engines that compute on bytes, work on.
 *
 * One buffer is used again and again. What follows the last end of a row moves to its beginning before the next read; it grows only
 * for rows that are longer than itself, up to `lineBytesMax`.
 *
 * Where quotes count (`quote` ≥ 0), a row ends at an LF with an even number of quotes before it. That depends on nothing but the
 * bytes of the file, so that splits, chunks and decoders agree, whatever is malformed inside the row.
 */
import { MillraceError } from '../../core/errors.ts';
import { FILE_READ_BYTES } from '../../core/limits.ts';
import type { ByteChunk, ChunkReader, ReadContext } from '../../flow/source.ts';
import { countByte, isOddCount } from './byte-search.ts';
import type { Content } from './content.ts';
import type { FileSplit } from './file-split.ts';
import { countLines } from './line-numbers.ts';
import { openContent } from './open-content.ts';

export interface RowChunkOptions {
  /** Longest row, in bytes without its line end. */
  readonly lineBytesMax: number;
  /** Inside two of these a line end is no end of a row; -1: there are none. */
  readonly quote: number;
  /** Names the columns that the first row of a file writes; undefined: it is a row as any other. */
  readonly parseHeader?: (
    buffer: Buffer,
    start: number,
    end: number,
    position: string,
  ) => readonly string[];
  /** Bytes read at once. Default FILE_READ_BYTES. */
  readonly chunkBytes?: number | undefined;
}

const LF = 10;
/** Of a record that was too long, so much is told. */
export const RAW_BYTES_MAX = 1024;

/** Also the chunk that it returns, so that nothing is allocated for it. */
export class RowChunks implements ChunkReader, ByteChunk {
  buffer: Buffer;
  start = 0;
  end = 0;
  header: readonly string[] | undefined;
  /** Content position of buffer[0]: bytes of the decompressed file. */
  private basePosition: number;
  /** Bytes in the buffer. */
  private filled = 0;
  /** Bytes that were looked through for an end of a row, and whether there was an odd number of quotes in them. */
  private scanned = 0;
  private isInQuotes = false;
  private isContentEnded = false;
  /** Inside a row that was too long and skipped. */
  private isSkipping = false;
  /** The byte order mark, and the header, are still to come. */
  private isAtStart: boolean;
  /** Compressed files cannot be read again for line numbers: LFs before buffer[0], and up to `countedTo`. */
  private baseLines = 0;
  private countedTo = 0;
  private countedLines = 0;
  private readonly split: FileSplit;
  private readonly context: ReadContext;
  private readonly options: RowChunkOptions;
  private readonly content: Content;

  constructor(split: FileSplit, context: ReadContext, options: RowChunkOptions) {
    this.split = split;
    this.context = context;
    this.options = options;
    this.header = split.header;
    this.basePosition = split.from;
    this.isAtStart = split.from === 0;
    this.content = openContent(context.env, split);
    this.buffer = Buffer.allocUnsafeSlow(
      Math.max(4, Math.min(options.chunkBytes ?? FILE_READ_BYTES, this.sizeBytesMax())),
    );
  }

  get consumedBytes(): number {
    return this.content.consumedBytes;
  }

  next(): ByteChunk | undefined | Promise<ByteChunk | undefined> {
    this.dropChunk();
    return this.readOn();
  }

  locate(at: number): string {
    return this.locateMark(this.mark(at));
  }

  /** A number for byte `at` of the buffer, which outlives the chunk. Marks are to be asked for in ascending order. */
  mark(at: number): number {
    return this.split.compression === 'none' ? this.basePosition + at : this.linesBefore(at);
  }

  locateMark(mark: number): string {
    const { compression, name, path } = this.split;
    if (compression !== 'none') return `${name}:${mark + 1}`;
    return `${name}:${countLines(this.context.env, path, mark) + 1}`;
  }

  /** For a row that the decoder finds to be too long. */
  tooLong(start: number): MillraceError {
    const { lineBytesMax } = this.options;
    const position = this.locate(start);
    return new MillraceError(
      'ML_LINE_TOO_LONG',
      `${position}: the line is longer than ${lineBytesMax} bytes`,
      {
        fields: { file: this.split.name, position, lineBytesMax },
        hint:
          this.options.quote < 0
            ? 'Check that the file holds lines; if it does, raise `lineBytesMax` of the source'
            : 'Look for a quote that is never closed; if there is none, raise `lineBytesMax` of the source',
      },
    );
  }

  close(): void {
    this.content.close();
  }

  private readOn(): ByteChunk | undefined | Promise<ByteChunk | undefined> {
    for (;;) {
      const count = this.isContentEnded
        ? 0
        : this.content.read(this.buffer, this.filled, this.buffer.length);
      if (typeof count !== 'number')
        return count.then((count) => this.take(count) ?? this.readOn());
      const chunk = this.take(count);
      if (chunk !== undefined) return chunk;
      if (this.isContentEnded) return undefined;
    }
  }

  /** Takes `count` bytes more. Returns a chunk when there are whole rows. */
  private take(count: number): ByteChunk | undefined {
    this.filled += count;
    this.isContentEnded ||= count === 0;
    if (this.isAtStart && !this.skipMark()) return undefined;
    if (this.isSkipping && !this.skipRow()) return undefined;
    const end = this.isContentEnded ? this.filled : this.rowsEnd();
    if (end <= this.start) {
      this.makeRoom();
      return undefined;
    }
    this.end = end;
    if (this.header === undefined && this.options.parseHeader !== undefined) this.takeHeader();
    return this.start < this.end ? this : this.dropChunk();
  }

  /** Drops a byte order mark. False while it cannot be told whether there is one. */
  private skipMark(): boolean {
    if (this.filled < 3 && !this.isContentEnded) return false;
    this.isAtStart = false;
    const { buffer } = this;
    const isMark =
      this.filled >= 3 && buffer[0] === 0xef && buffer[1] === 0xbb && buffer[2] === 0xbf;
    if (isMark) this.start = this.scanned = 3;
    return true;
  }

  /** The end of the last whole row of the buffer; `start` when there is none. */
  private rowsEnd(): number {
    const { buffer, scanned, filled } = this;
    const { quote } = this.options;
    const from = scanned;
    this.scanned = filled;
    const wasInQuotes = this.isInQuotes;
    if (quote >= 0 && isOddCount(buffer, from, filled, quote)) this.isInQuotes = !wasInQuotes;
    // Backwards from the end, from quote to quote: outside of quotes the last LF counts.
    let isInside = this.isInQuotes;
    for (let end = filled; end > from; ) {
      const quoteAt = quote < 0 ? -1 : buffer.lastIndexOf(quote, end - 1);
      const regionStart = Math.max(quoteAt + 1, from);
      if (!isInside && end > regionStart) {
        const at = buffer.lastIndexOf(LF, end - 1);
        if (at >= regionStart) return at + 1;
      }
      if (quoteAt < from) break;
      end = quoteAt;
      isInside = !isInside;
    }
    return this.start;
  }

  /** No row ends in the buffer: more of it must be read. */
  private makeRoom(): void {
    if (this.isContentEnded) return;
    const { lineBytesMax } = this.options;
    // A CR may come before the LF that is missing.
    if (this.filled - this.start > lineBytesMax + 1) {
      const raw = this.buffer.latin1Slice(
        this.start,
        Math.min(this.filled, this.start + RAW_BYTES_MAX),
      );
      this.context.malformed(this.tooLong(this.start), raw);
      this.isSkipping = true;
      this.drop(this.filled);
    } else if (this.filled === this.buffer.length) {
      const grown = Buffer.allocUnsafeSlow(this.buffer.length * 2);
      this.buffer.copy(grown, 0, 0, this.filled);
      this.buffer = grown;
    }
  }

  /** Drops bytes up to the end of a row that is skipped. True when it was found: `start` is behind it. */
  private skipRow(): boolean {
    const { quote } = this.options;
    const { buffer, filled } = this;
    for (let at = this.scanned; at < filled; at++) {
      const byte = buffer[at];
      if (byte === quote) this.isInQuotes = !this.isInQuotes;
      else if (byte === LF && !this.isInQuotes) {
        this.isSkipping = false;
        this.start = this.scanned = at + 1;
        return true;
      }
    }
    this.drop(filled);
    return false;
  }

  private takeHeader(): void {
    const { parseHeader, quote } = this.options;
    if (parseHeader === undefined) return;
    const end = rowEnd(this.buffer, this.start, this.end, quote);
    this.header = parseHeader(this.buffer, this.start, end, this.locate(this.start));
    this.start = end;
  }

  /** What was handed out is done with. */
  private dropChunk(): undefined {
    this.drop(this.end);
    return undefined;
  }

  /** Forgets the bytes before `at`, and moves the rest to the front. */
  private drop(at: number): void {
    if (at === 0) return;
    if (this.split.compression !== 'none') {
      this.baseLines = this.linesBefore(at);
      this.countedTo = this.countedLines = 0;
    }
    this.buffer.copyWithin(0, at, this.filled);
    this.basePosition += at;
    this.filled -= at;
    this.scanned = Math.max(this.scanned - at, 0);
    this.start = this.end = 0;
  }

  private linesBefore(at: number): number {
    if (at < this.countedTo) this.countedTo = this.countedLines = 0;
    this.countedLines += countByte(this.buffer, this.countedTo, at, LF);
    this.countedTo = at;
    return this.baseLines + this.countedLines;
  }

  /** A small split needs no more room than its bytes. */
  private sizeBytesMax(): number {
    const { compression, from, to } = this.split;
    return compression === 'none' ? to - from + 1 : Number.POSITIVE_INFINITY;
  }
}

/** The end of the row that begins at `start`, behind its LF; `end` when it has none. */
export function rowEnd(buffer: Buffer, start: number, end: number, quote: number): number {
  for (let at = start, isInside = false; ; ) {
    const lf = buffer.indexOf(LF, at);
    if (lf < 0 || lf >= end) return end;
    if (quote >= 0 && isOddCount(buffer, at, lf, quote)) isInside = !isInside;
    at = lf + 1;
    if (!isInside) return at;
  }
}

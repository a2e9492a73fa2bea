/**
 * Sorting lines by their bytes: from the chunks of a source into the exchange, and from the exchange into a sink of lines. See
 * `isLineSort` for when, and for what the records are.
 *
 * @hot A line is copied into the writer's buffer, and out of the reader's.
 */
import { isUtf8 } from 'node:buffer';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import { INPUT_CHUNK_RECORDS } from '../../../core/limits.ts';
import { decodeText } from '../../../core/text-escape.ts';
import type { ByteChunk, ChunkReader, ReadContext, Source, Split } from '../../../flow/source.ts';
import type { ExchangeWriter, MergeReader } from '../exchange.ts';
import { ReaderInput, type TaskInput } from '../inputs/task-input.ts';
import { connectScanKernels, type ScanKernels } from './kernels.ts';
import { LaneMemory, PADDING_BYTES, type Region } from './lane-memory.ts';
import { longLine } from './long-line.ts';
import { BATCH_ROWS } from './vectors.ts';

export interface LineSortInputOptions {
  readonly source: Source;
  readonly splits: readonly Split[];
  readonly context: ReadContext;
  /** Of the exchange that sorts. Its owner finishes it, when `read` has returned true. */
  readonly writer: ExchangeWriter;
}

const LF = 0x0a;
/** The value is the key. */
const IS_KEY = -1;
const NOTHING = Buffer.alloc(0);

/** Reads the lines of splits into a sorting exchange. */
export class LineSortInput implements TaskInput {
  readonly needsDrain = false;
  records = 0;
  private readonly options: LineSortInputOptions;
  private readonly lineBytesMax: number;
  private readonly memory = new LaneMemory();
  private readonly next = this.memory.reserve(8);
  private readonly rows = this.memory.reserve(BATCH_ROWS * 8);
  private readonly kernels: ScanKernels;
  private readonly window: Region;
  private readonly stringTag: number;
  private readonly keyBytes = new ByteWriter();
  private index = 0;
  private bytesBefore = 0;
  private chunks: ChunkReader | undefined;
  private chunk: ByteChunk | undefined;

  constructor(options: LineSortInputOptions) {
    this.options = options;
    const { columns } = options.source;
    this.lineBytesMax = columns?.kind === 'line' ? columns.lineBytesMax : 0;
    const { memory, next, rows } = this;
    const shape = { separator: LF, isRepeatable: false, quote: -1, flags: 0, fields: [] };
    this.kernels = connectScanKernels(memory, { ...shape, rows, next }, undefined);
    this.window = memory.region();
    encodeKey('', this.keyBytes);
    this.stringTag = this.keyBytes.buffer[0] as number;
  }

  get bytes(): number {
    return this.bytesBefore + (this.chunks?.consumedBytes ?? 0);
  }

  /** Bytes held in memory now, besides the writer's. */
  get heldBytes(): number {
    return this.memory.bytes;
  }

  read(): boolean | Promise<boolean> {
    this.chunks ??= this.openChunks();
    if (this.chunks === undefined) return true;
    const chunk = this.chunks.next();
    return chunk instanceof Promise ? chunk.then((some) => this.take(some)) : this.take(chunk);
  }

  position(): string {
    const { chunk, chunks } = this;
    return chunk === undefined || chunks === undefined ? '' : chunks.locate(chunk.start);
  }

  mark(): string {
    return this.position();
  }

  locate(mark: number | string): string {
    return String(mark);
  }

  close(): void | Promise<void> {
    const { chunks } = this;
    this.chunks = undefined;
    this.chunk = undefined;
    return chunks?.close();
  }

  private openChunks(): ChunkReader | undefined {
    const { source, splits, context } = this.options;
    const split = splits[this.index];
    return split && source.openBytes?.(split, context);
  }

  /** Never the end of all: that is when there is no split any more. */
  private take(chunk: ByteChunk | undefined): boolean | Promise<boolean> {
    if (chunk === undefined) {
      this.bytesBefore = this.bytes;
      this.index++;
      const closed = this.close();
      return closed instanceof Promise ? closed.then(() => false) : false;
    }
    this.chunk = chunk;
    const { memory, window } = this;
    const { buffer, start, end } = chunk;
    // The byte before a line becomes the tag of its key: before the first line, too, there must be one.
    memory.resize(window, PADDING_BYTES + end - start + 1);
    const from = window.start + PADDING_BYTES;
    buffer.copy(memory.buffer, from, start, end);
    let stop = from + end - start;
    if (buffer[end - 1] !== LF) memory.buffer[stop++] = LF;
    const isText = isUtf8(buffer.subarray(start, end));
    const { kernels, next } = this;
    for (let at = from; at < stop; at = memory.i32[next >> 2] as number)
      this.append(kernels.scan(at, stop, BATCH_ROWS), isText, start - from);
    return false;
  }

  /** @param offset what leads from an address to the place in the chunk */
  private append(rows: number, isText: boolean, offset: number): void {
    const { memory, rows: ranges, stringTag, lineBytesMax } = this;
    const { writer } = this.options;
    const { buffer, i32 } = memory;
    this.records += rows;
    for (let row = 0; row < rows; row++) {
      const start = i32[(ranges >> 2) + row * 2] as number;
      const end = i32[(ranges >> 2) + row * 2 + 1] as number;
      if (end - start > lineBytesMax) this.tooLong(start + offset);
      else if (isText || isAsciiRange(buffer, start, end)) {
        buffer[start - 1] = stringTag;
        writer.append(0, buffer, start - 1, end, NOTHING, IS_KEY, IS_KEY);
      } else this.appendBytes(buffer, start, end);
    }
  }

  /** A line that may not be UTF-8: its key is that of the string that it becomes. */
  private appendBytes(buffer: Buffer, start: number, end: number): void {
    const { keyBytes } = this;
    keyBytes.clear();
    encodeKey(decodeText(buffer, start, end), keyBytes);
    const key = keyBytes.buffer;
    this.options.writer.append(0, key, 0, keyBytes.length, buffer, start, end);
  }

  private tooLong(at: number): void {
    const { chunk, chunks, lineBytesMax } = this;
    if (chunk === undefined || chunks === undefined) return;
    const { error, raw } = longLine(chunk, chunks, at, lineBytesMax);
    this.options.context.malformed(error, raw);
    this.records--;
  }
}

function isAsciiRange(buffer: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if ((buffer[at] as number) >= 0x80) return false;
  return true;
}

/** Writes lines that an exchange has sorted. */
export class LineSortOutput extends ReaderInput {
  private readonly writeLine: (buffer: Buffer, start: number, end: number) => boolean;

  /**
   * @param writeLine takes the line buffer[start, end), which is valid during the call; false when it can take no more before it has
   * been waited for
   */
  constructor(
    name: string,
    reader: MergeReader,
    writeLine: (buffer: Buffer, start: number, end: number) => boolean,
  ) {
    super(name, reader);
    this.writeLine = writeLine;
  }

  read(): boolean {
    const { reader, writeLine } = this;
    for (let count = 0; count < INPUT_CHUNK_RECORDS; count++) {
      if (!reader.next()) return true;
      const { buffer, keyStart, valueStart } = reader;
      const isKey = valueStart === keyStart;
      if (!writeLine(buffer, isKey ? keyStart + 1 : valueStart, reader.valueEnd)) return false;
    }
    return false;
  }
}

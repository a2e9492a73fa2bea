/**
 * Readers of formats whose rows are lines. A chunk is decoded in blocks of whole rows, of LINE_BLOCK_BYTES unless one row is longer:
 * one native call makes the string of a block, and V8 cuts lines and fields from it.
 *
 * Why blocks, and why small ones: a native call per line costs more than all else for short lines, and a substring keeps its parent
 * alive. What a program keeps of a record therefore holds on to one block, or one line, and never to a whole chunk.
 *
 * @hot
 */
import { isAscii } from 'node:buffer';
import { LINE_BLOCK_BYTES } from '../../core/limits.ts';
import { decodeText } from '../../core/text-escape.ts';
import type { ByteChunk, ReadContext } from '../../flow/source.ts';
import type { FileSplit } from './file-split.ts';
import { RAW_BYTES_MAX, type RowChunks } from './row-chunks.ts';
import { RowReader, type EmitRow } from './row-reader.ts';

const LF = 10;
const CR = 13;

export abstract class BlockReader<Value> extends RowReader<Value> {
  /** Whole lines: each ends behind `\n`, but the last of a file may lack it. */
  protected block = '';
  /** The next line begins here in `block`… */
  protected at = 0;
  /** …and the one that was emitted last, or is being decoded, here. */
  protected lineAt = 0;
  protected readonly lineBytesMax: number;
  private readonly quote: number;
  /** The first quote at or behind the block. */
  private quoteAt = -1;
  private readonly blockBytes: number;
  private buffer: Buffer = EMPTY;
  private isAsciiChunk = true;
  private blockFrom = 0;
  private blockTo = 0;
  private chunkEnd = 0;

  /** @param quote as in RowChunkOptions; where quotes count, subclasses look after `lineBytesMax` themselves */
  constructor(
    chunks: RowChunks,
    split: FileSplit,
    context: ReadContext,
    { lineBytesMax, quote = -1 }: { readonly lineBytesMax: number; readonly quote?: number },
  ) {
    super(chunks, split, context);
    this.lineBytesMax = lineBytesMax;
    this.quote = quote;
    this.blockBytes = Math.max(1, Math.min(LINE_BLOCK_BYTES, lineBytesMax));
  }

  /**
   * Decodes the lines of `block` from `at` on: sets `lineAt` and `at` before it emits.
   * @returns false when `emit` paused it, a promise when something has to be waited for
   */
  protected abstract decodeBlock(emit: EmitRow<Value>): boolean | Promise<boolean>;

  protected begin(chunk: ByteChunk): void {
    const { buffer, start, end } = chunk;
    this.buffer = buffer;
    this.isAsciiChunk = isAscii(buffer.subarray(start, end));
    this.blockFrom = this.blockTo = start;
    this.chunkEnd = end;
    this.block = '';
    this.at = this.lineAt = 0;
    this.quoteAt = -1;
  }

  protected decode(emit: EmitRow<Value>): boolean | Promise<boolean> {
    const isDone = this.decodeBlocks(emit);
    return typeof isDone === 'boolean' ? isDone : this.decodeAfter(isDone, emit);
  }

  protected rowStart(): number {
    return this.byteAt(this.lineAt);
  }

  /** Where the line that begins at `start` in the block begins in the buffer. */
  protected byteAt(start: number): number {
    if (this.isAsciiChunk) return this.blockFrom + start;
    let at = this.blockFrom;
    for (let index = this.block.indexOf('\n'); index >= 0 && index < start; ) {
      at = this.buffer.indexOf(LF, at) + 1;
      index = this.block.indexOf('\n', index + 1);
    }
    return at;
  }

  /** Bytes that the block was made from. */
  protected get blockLength(): number {
    return this.blockTo - this.blockFrom;
  }

  private decodeBlocks(emit: EmitRow<Value>): boolean | Promise<boolean> {
    while (this.at < this.block.length || this.nextBlock()) {
      const isDone = this.decodeBlock(emit);
      if (isDone !== true) return isDone;
    }
    return true;
  }

  private async decodeAfter(waiting: Promise<boolean>, emit: EmitRow<Value>): Promise<boolean> {
    for (let isDone = waiting; await isDone; ) {
      const next = this.decodeBlocks(emit);
      if (typeof next === 'boolean') return next;
      isDone = next;
    }
    return false;
  }

  /** Makes the next block of the chunk. False when there is none. */
  private nextBlock(): boolean {
    const { buffer, chunkEnd, blockBytes } = this;
    for (let from = this.blockTo; from < chunkEnd; from = this.blockTo) {
      let to = from + blockBytes;
      let isLong = false;
      if (to >= chunkEnd) to = chunkEnd;
      else {
        to = buffer.lastIndexOf(LF, to - 1) + 1;
        if (to <= from) {
          to = buffer.indexOf(LF, from) + 1;
          if (to === 0 || to > chunkEnd) to = chunkEnd;
          isLong = this.quote < 0 && lineBytes(buffer, from, to) > this.lineBytesMax;
        }
      }
      if (this.quote >= 0) to = this.unquotedEnd(from, to);
      this.blockFrom = from;
      this.blockTo = to;
      this.at = this.lineAt = 0;
      if (!isLong) {
        this.block = this.isAsciiChunk
          ? buffer.latin1Slice(from, to)
          : decodeText(buffer, from, to);
        return true;
      }
      this.block = '';
      const raw = decodeText(buffer, from, Math.min(to, from + RAW_BYTES_MAX));
      this.context.malformed(this.chunks.tooLong(from), raw);
    }
    return false;
  }

  /** `to`, or, when the line end there is inside quotes, the end of the row that it belongs to. */
  private unquotedEnd(from: number, to: number): number {
    const { buffer, chunkEnd, quote } = this;
    if (this.quoteAt < from) {
      const found = buffer.indexOf(quote, from);
      this.quoteAt = found < 0 ? chunkEnd : found;
    }
    if (this.quoteAt >= to) return to;
    let isInside = false;
    for (let at = this.quoteAt; at < chunkEnd; at++) {
      const byte = buffer[at];
      if (byte === quote) isInside = !isInside;
      if (at >= to - 1 && byte === LF && !isInside) return at + 1;
    }
    return chunkEnd;
  }
}

/** The end of the line [start, end) of a block, `end` being the place of its LF, or the end of the file: a CR does not belong to it. */
export function lineEnd(block: string, start: number, end: number): number {
  return end > start && block.charCodeAt(end - 1) === CR ? end - 1 : end;
}

/** Bytes of the line buffer[start, end) without its line end. */
function lineBytes(buffer: Buffer, start: number, end: number): number {
  const stop = end > start && buffer[end - 1] === LF ? end - 1 : end;
  return (stop > start && buffer[stop - 1] === CR ? stop - 1 : stop) - start;
}

const EMPTY = Buffer.alloc(0);

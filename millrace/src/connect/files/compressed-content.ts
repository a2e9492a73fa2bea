/**
 * What a gzip or zstd file decompresses to. A file may be several members (frames) one after the other, as `cat a.gz b.gz` and
 * parallel compressors make them.
 *
 * Memory is bounded: one piece of input, and the output that Node's stream holds (CHUNK_BYTES and its high water mark), wait to be
 * read. Decompression runs beside the event loop.
 */
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib';
import type { File } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Compression } from './compression.ts';
import { shrunk, type Content } from './content.ts';

const INPUT_BYTES = 128 * 1024;
const CHUNK_BYTES = 256 * 1024;

export class CompressedContent implements Content {
  consumedBytes = 0;
  private readonly file: File;
  private readonly sizeBytes: number;
  private readonly compression: Compression;
  private readonly name: string;
  private member: Member | undefined;
  /** Where the member begins in the file. */
  private memberPosition = 0;
  /** Decompressed bytes that were not read yet. */
  private chunk: Buffer = EMPTY;
  private chunkAt = 0;

  constructor(file: File, sizeBytes: number, compression: Compression, name: string) {
    this.file = file;
    this.sizeBytes = sizeBytes;
    this.compression = compression;
    this.name = name;
  }

  read(buffer: Buffer, start: number, end: number): number | Promise<number> {
    if (this.chunkAt < this.chunk.length) return this.take(buffer, start, end);
    return this.readNext(buffer, start, end);
  }

  close(): void {
    this.member?.close();
    this.file.close();
  }

  private take(buffer: Buffer, start: number, end: number): number {
    const count = Math.min(end - start, this.chunk.length - this.chunkAt);
    this.chunk.copy(buffer, start, this.chunkAt, this.chunkAt + count);
    this.chunkAt += count;
    return count;
  }

  private async readNext(buffer: Buffer, start: number, end: number): Promise<number> {
    for (;;) {
      this.member ??= this.openMember();
      if (this.member === undefined) return 0;
      const chunk = await this.member.next();
      this.consumedBytes = Math.min(this.memberPosition + this.member.inputBytes, this.sizeBytes);
      if (chunk !== undefined) {
        this.chunk = chunk;
        this.chunkAt = 0;
        return this.take(buffer, start, end);
      }
      this.memberPosition += this.member.inputBytes;
      this.member.close();
      this.member = undefined;
    }
  }

  private openMember(): Member | undefined {
    const { memberPosition, sizeBytes } = this;
    const isFirst = memberPosition === 0;
    if (!isFirst && (memberPosition >= sizeBytes || this.isPadding())) return undefined;
    return new Member(this.file, memberPosition, sizeBytes, this.compression, this.name);
  }

  /** Zeros up to the end of the file: tapes and block devices leave them. */
  private isPadding(): boolean {
    const piece = Buffer.allocUnsafe(64 * 1024);
    for (let position = this.memberPosition; position < this.sizeBytes; ) {
      const wanted = Math.min(piece.length, this.sizeBytes - position);
      const count = this.file.read(piece, 0, wanted, position);
      if (count === 0) throw shrunk(this.name, this.sizeBytes, position);
      for (let at = 0; at < count; at++) if (piece[at] !== 0) return false;
      position += count;
    }
    this.consumedBytes = this.sizeBytes;
    return true;
  }
}

/** One decompression stream, pulled. It ends with its member, or goes on with the next where Node does so by itself. */
class Member {
  private readonly stream: Gunzip | ZstdDecompress;
  private readonly file: File;
  private position: number;
  private readonly end: number;
  private readonly what: string;
  private readonly name: string;
  private readonly input = Buffer.allocUnsafeSlow(INPUT_BYTES);
  private isInputTaken = true;
  private isInputEnded = false;
  private isEnded = false;
  private error: Error | undefined;
  private wake: () => void = () => {};

  constructor(file: File, position: number, end: number, compression: Compression, name: string) {
    this.file = file;
    this.position = position;
    this.end = end;
    this.name = name;
    this.what = compression;
    const options = { chunkSize: CHUNK_BYTES };
    this.stream = compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options);
    this.stream.on('readable', () => this.wake());
    this.stream.on('end', () => {
      this.isEnded = true;
      this.wake();
    });
    this.stream.on('error', (error) => {
      this.error = error;
      this.wake();
    });
  }

  /** Input bytes that were decompressed. */
  get inputBytes(): number {
    return this.stream.bytesWritten;
  }

  /** The next piece of output; undefined at the end of the member. */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      const chunk = this.stream.read() as Buffer | null;
      if (chunk !== null) return chunk;
      if (this.isEnded) return undefined;
      if (this.error !== undefined) throw this.corrupt(this.error);
      const event = new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.feed();
      await event;
    }
  }

  close(): void {
    this.stream.destroy();
  }

  private feed(): void {
    if (!this.isInputTaken || this.isInputEnded) return;
    const wanted = Math.min(this.input.length, this.end - this.position);
    if (wanted === 0) {
      this.isInputEnded = true;
      this.stream.end();
      return;
    }
    const count = this.file.read(this.input, 0, wanted, this.position);
    if (count === 0) throw shrunk(this.name, this.end, this.position);
    this.position += count;
    this.isInputTaken = false;
    this.stream.write(this.input.subarray(0, count), () => {
      this.isInputTaken = true;
      this.wake();
    });
  }

  private corrupt(cause: Error): MillraceError {
    const { name, what } = this;
    return new MillraceError(
      'ML_INPUT_MALFORMED',
      `${name} is damaged: its ${what} data ends, or breaks, before byte ${this.position} of the file: ${cause.message}`,
      { cause, fields: { file: name }, hint: 'Copy or compress the file anew' },
    );
  }
}

const EMPTY = Buffer.alloc(0);

/**
 * The parts that one task writes: encoded bytes are collected in one buffer, written or compressed when it is full, and a part is
 * closed and the next one begun when it has reached its size. Formats encode into `out` and call `spill` between records.
 *
 * Invariant: `out` holds whole records when `spill` is called, so a part ends between two of them. A part of a directory that is
 * told of in `finish` is on the disk.
 *
 * @hot `recordCount` is counted by the formats; nothing here runs per record.
 */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { ByteWriter } from '../../core/byte-writer.ts';
import type { File } from '../../core/env.ts';
import { writeFully } from '../../core/files.ts';
import { SINK_BUFFER_BYTES, SINK_TEXT_CHARS } from '../../core/limits.ts';
import type { Part, WriteContext } from '../../flow/sink.ts';
import { Compressor } from './sink-compressor.ts';
import type { Compression, ResolvedTarget } from './sink-target.ts';

/** What stands at the beginning of every part. */
export interface Head {
  readonly text: Uint8Array;
  readonly key: string;
}

export class PartWriter {
  readonly out = new ByteWriter(SINK_BUFFER_BYTES);
  /** `out` is to be spilled when it holds so much: less than its room when parts are small. */
  readonly limitBytes: number;
  /** The same for text that is not encoded yet. */
  readonly limitChars: number;
  /** Records since the current part was begun. */
  recordCount = 0;
  head: Head | undefined;
  private readonly context: WriteContext;
  private readonly target: ResolvedTarget;
  private current: OpenPart | undefined;
  private readonly all: OpenPart[] = [];
  private readonly parts: Promise<Part>[] = [];
  private closingCount = 0;

  constructor(context: WriteContext, target: ResolvedTarget) {
    this.context = context;
    this.target = target;
    this.limitBytes = Math.min(SINK_BUFFER_BYTES, target.partBytes ?? SINK_BUFFER_BYTES);
    this.limitChars = Math.min(SINK_TEXT_CHARS, this.limitBytes);
  }

  get isBusy(): boolean {
    return this.closingCount > 0 || this.current?.compressor?.isBusy === true;
  }

  async drain(): Promise<void> {
    await this.current?.compressor?.drain();
    await Promise.all(this.parts);
  }

  /** Encoded text was added to `out`, whole records of it. */
  added(): void {
    if (this.out.length >= this.limitBytes - this.limitChars) this.spill();
  }

  /** Passes on what is in `out`; call it between records, when `out` is full. */
  spill(): void {
    const { out } = this;
    const { partBytes } = this.target;
    if (out.length === 0) return;
    const part = this.current ?? this.begin();
    part.write(out.buffer, 0, out.length);
    // One very large record must not be the size of the buffer for ever.
    if (out.buffer.length > 4 * SINK_BUFFER_BYTES)
      out.buffer = Buffer.allocUnsafeSlow(SINK_BUFFER_BYTES);
    out.clear();
    if (partBytes !== undefined && part.bytes >= partBytes) this.end(part);
  }

  /** @param isWanted an empty part, with its head, is written when there is none */
  async finish(isWanted: boolean): Promise<readonly Part[]> {
    this.spill();
    if (this.current === undefined && this.parts.length === 0 && isWanted) this.begin();
    if (this.current !== undefined) this.end(this.current);
    return Promise.all(this.parts);
  }

  async abort(): Promise<void> {
    for (const part of this.all) part.abort();
    await Promise.allSettled(this.parts);
  }

  private begin(): OpenPart {
    const { directory, env } = this.context;
    const path = `${directory}/${String(this.all.length).padStart(5, '0')}`;
    const part = new OpenPart(env.fs.open(path, 'publish'), this.target);
    this.all.push(part);
    this.current = part;
    if (this.head !== undefined) part.writeHead(this.head);
    return part;
  }

  private end(part: OpenPart): void {
    this.current = undefined;
    const records = this.recordCount;
    this.recordCount = 0;
    this.closingCount++;
    const closing = part.finish(records).finally(() => {
      this.closingCount--;
    });
    // Whoever awaits it gets the failure; until then it is not unhandled.
    closing.catch(() => {});
    this.parts.push(closing);
  }
}

class OpenPart {
  readonly compressor: Compressor | undefined;
  /** Written to the file so far. */
  bytes = 0;
  private readonly file: File;
  private readonly compression: Compression;
  /** Parts that are appended to another one are read once and removed: they need not reach the disk. */
  private readonly isSynced: boolean;
  private head: Part['head'];

  constructor(file: File, { compression, target }: ResolvedTarget) {
    this.file = file;
    this.compression = compression;
    this.isSynced = target.kind === 'directory';
    if (compression !== 'none')
      this.compressor = new Compressor(compression, (bytes) => this.put(bytes, 0, bytes.length));
  }

  write(buffer: Uint8Array, start: number, end: number): void {
    if (this.compressor === undefined) this.put(buffer, start, end);
    else this.compressor.write(buffer, start, end);
  }

  /** A member, or frame, of its own, so that it can be left out when parts are put together. */
  writeHead({ text, key }: Head): void {
    const bytes =
      this.compression === 'none' || text.length === 0
        ? text
        : this.compression === 'gzip'
          ? gzipSync(text)
          : zstdCompressSync(text);
    this.put(bytes, 0, bytes.length);
    this.head = { bytes: bytes.length, key };
  }

  async finish(records: number): Promise<Part> {
    try {
      await this.compressor?.end();
      if (this.isSynced) await this.file.sync();
    } finally {
      this.file.close();
    }
    const { bytes, head } = this;
    const part = { path: this.file.path, bytes, records };
    return head === undefined ? part : { ...part, head };
  }

  abort(): void {
    this.compressor?.destroy();
    this.file.close();
  }

  private put(buffer: Uint8Array, start: number, end: number): void {
    writeFully(this.file, buffer, start, end, this.bytes);
    this.bytes += end - start;
  }
}

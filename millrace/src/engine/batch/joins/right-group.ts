/**
 * The right rows of one key, to be gone through once for each left row. Rows are kept as bytes and decoded once; those beyond the
 * budget go to a run on disk and are read, and decoded, again each time.
 *
 * A spilled row: length of the value, 32 bits big-endian, then the value.
 *
 * @hot
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { JOIN_SPILL_BUFFER_BYTES, JOIN_VALUE_OVERHEAD_BYTES } from '../../../core/limits.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import type { RunFile, RunSource, RunStorage } from '../exchange.ts';

const LENGTH_BYTES = 4;
/** A decoded value takes about so many bytes for each byte that it was encoded in, and its encoding is kept as well. */
const HELD_FACTOR = 3;

export class RightGroup {
  /** Rows of the group. */
  count = 0;
  /** Groups that went to disk, at least in part, and their bytes. */
  spills = 0;
  spilledBytes = 0;
  /** The row that `next` stands on. */
  buffer: Buffer;
  start = 0;
  end = 0;

  private readonly storage: RunStorage;
  private readonly memoryBytes: number;
  private readonly arena = new ByteWriter(1024);
  /** Row i ends at ends[i]; it begins where the one before ends. */
  private ends = new Float64Array(16);
  private readonly decoded: unknown[] = [];
  /** Rows that are in memory: the first ones of the group. */
  private heldRows = 0;
  private heldBytes = 0;
  private at = -1;

  private file: RunFile | undefined;
  private fileBytes = 0;
  private readonly pending = new ByteWriter(1024);
  private source: RunSource | undefined;
  private window: Buffer = Buffer.alloc(0);
  /** The window holds the bytes of the file from windowPosition on, up to windowBytes. */
  private windowPosition = 0;
  private windowBytes = 0;
  private windowAt = 0;

  constructor(options: {
    readonly storage: RunStorage;
    readonly memoryBytes: number;
  }) {
    this.storage = options.storage;
    this.memoryBytes = options.memoryBytes;
    this.buffer = this.arena.buffer;
  }

  /** Forgets the group. */
  clear(): void {
    this.count = 0;
    this.heldRows = 0;
    this.heldBytes = 0;
    this.decoded.length = 0;
    this.arena.clear();
    if (this.file !== undefined) this.forgetFile();
  }

  /** Takes one row. */
  add(buffer: Buffer, start: number, end: number): void {
    this.count++;
    const bytes = (end - start) * HELD_FACTOR + JOIN_VALUE_OVERHEAD_BYTES;
    if (this.file !== undefined || this.heldBytes + bytes > this.memoryBytes) {
      this.spill(buffer, start, end);
      return;
    }
    this.heldBytes += bytes;
    this.arena.bytes(buffer, start, end);
    if (this.heldRows === this.ends.length) {
      const grown = new Float64Array(this.ends.length * 2);
      grown.set(this.ends);
      this.ends = grown;
    }
    this.ends[this.heldRows++] = this.arena.length;
    this.decoded.push(NOT_DECODED);
  }

  /** Before the first row. All rows have been added. */
  rewind(): void {
    this.at = -1;
    this.windowAt = 0;
    if (this.file === undefined) return;
    if (this.source === undefined) this.finishFile(this.file);
    if (this.windowPosition !== 0) this.windowBytes = 0;
    this.windowPosition = 0;
  }

  /** To the next row; false behind the last one. */
  next(): boolean {
    const at = ++this.at;
    if (at < this.heldRows) {
      this.buffer = this.arena.buffer;
      this.start = at === 0 ? 0 : (this.ends[at - 1] ?? 0);
      this.end = this.ends[at] ?? 0;
      return true;
    }
    return at < this.count && this.nextSpilled();
  }

  /** The row that `next` stands on, decoded. */
  value(): unknown {
    const { at } = this;
    if (at >= this.heldRows) return decodeValue(this.buffer, this.start, this.end);
    const known = this.decoded[at];
    if (known !== NOT_DECODED) return known;
    const value = decodeValue(this.buffer, this.start, this.end);
    this.decoded[at] = value;
    return value;
  }

  close(): void {
    this.clear();
  }

  private spill(buffer: Buffer, start: number, end: number): void {
    if (this.file === undefined) {
      this.file = this.storage.create();
      this.fileBytes = 0;
      this.spills++;
      this.pending.clear();
    }
    const bytes = end - start;
    this.pending.reserve(LENGTH_BYTES);
    this.pending.buffer.writeUInt32BE(bytes, this.pending.length);
    this.pending.length += LENGTH_BYTES;
    this.pending.bytes(buffer, start, end);
    this.spilledBytes += bytes;
    if (this.pending.length >= JOIN_SPILL_BUFFER_BYTES) this.flush(this.file);
  }

  private flush(file: RunFile): void {
    file.write(this.pending.buffer, 0, this.pending.length);
    this.fileBytes += this.pending.length;
    this.pending.clear();
  }

  private finishFile(file: RunFile): void {
    if (this.pending.length > 0) this.flush(file);
    file.close();
    this.source = this.storage.open(file.path);
    this.windowPosition = 0;
    this.windowBytes = 0;
  }

  private forgetFile(): void {
    if (this.source === undefined) this.file?.close();
    else this.source.close();
    if (this.file !== undefined) this.storage.remove(this.file.path);
    this.file = undefined;
    this.source = undefined;
  }

  private nextSpilled(): boolean {
    this.want(LENGTH_BYTES);
    const bytes = this.window.readUInt32BE(this.windowAt);
    this.want(LENGTH_BYTES + bytes);
    this.buffer = this.window;
    this.start = this.windowAt + LENGTH_BYTES;
    this.end = this.start + bytes;
    this.windowAt = this.end;
    return true;
  }

  /** Has `bytes` bytes in the window from windowAt on. */
  private want(bytes: number): void {
    if (this.windowAt + bytes <= this.windowBytes) return;
    const position = this.windowPosition + this.windowAt;
    const length = Math.min(Math.max(bytes, JOIN_SPILL_BUFFER_BYTES), this.fileBytes - position);
    if (this.window.length < length) this.window = Buffer.allocUnsafeSlow(length);
    this.source?.read(this.window, 0, length, position);
    this.windowPosition = position;
    this.windowBytes = length;
    this.windowAt = 0;
  }
}

const NOT_DECODED = Symbol('not decoded');

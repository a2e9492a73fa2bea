/**
 * Bytes that stay where they are put: a list of chunks, so that growing copies nothing and never takes more than one chunk. A position
 * is one number; the bytes that were put together lie in one buffer.
 *
 *     position  = chunk number × 16 KiB + place in the chunk        (a longer piece has as many chunk numbers as it needs)
 *
 * @hot
 */
import { Buffer } from 'node:buffer';

const SHIFT = 14;
const CHUNK_BYTES = 1 << SHIFT;

export class ByteArena {
  /** Of all chunks. */
  heldBytes = 0;
  private readonly chunks: Buffer[] = [];
  /** The position of the first byte of the chunk, by chunk number. */
  private readonly starts: number[] = [];
  private current: Buffer = Buffer.alloc(0);
  private currentStart = 0;
  /** Where the next bytes go, if the current chunk has room for them. */
  private end = 0;

  /** Bytes by which `heldBytes` grows when `bytes` more, in one piece, are put. */
  growth(bytes: number): number {
    if (this.end - this.currentStart + bytes <= this.current.length) return 0;
    return Math.max(Math.ceil(bytes / CHUNK_BYTES), 1) * CHUNK_BYTES;
  }

  /** The position from which the next `bytes` bytes, put by calls of `put`, lie in one piece. */
  reserve(bytes: number): number {
    const growth = this.growth(bytes);
    if (growth > 0) {
      const start = this.chunks.length * CHUNK_BYTES;
      const chunk = Buffer.allocUnsafeSlow(growth);
      for (let count = growth / CHUNK_BYTES; count > 0; count--) {
        this.chunks.push(chunk);
        this.starts.push(start);
      }
      this.current = chunk;
      this.currentStart = start;
      this.end = start;
      this.heldBytes += growth;
    }
    return this.end;
  }

  /** Copies bytes for which there was a `reserve`. Returns their position. */
  put(buffer: Buffer, start: number, end: number): number {
    const at = this.end;
    buffer.copy(this.current, at - this.currentStart, start, end);
    this.end = at + end - start;
    return at;
  }

  /** The buffer that the bytes at a position are in… */
  bufferOf(position: number): Buffer {
    return this.chunks[position >>> SHIFT] ?? this.current;
  }

  /** …and where in it. */
  placeOf(position: number): number {
    return position - (this.starts[position >>> SHIFT] ?? 0);
  }

  clear(): void {
    this.heldBytes = 0;
    this.chunks.length = 0;
    this.starts.length = 0;
    this.current = Buffer.alloc(0);
    this.currentStart = 0;
    this.end = 0;
  }
}

/**
 * Memory for Produce requests, used again and again: a request's bytes go from the socket into one of these buffers,
 * and from there to segment and journal without another copy.
 *
 * Owns: free buffers by size class (powers of two). Invariant: a buffer is either free here or has one owner, who gives it
 * back once, after nobody reads it any more.
 *
 * @hot
 */
import {
  FRAME_POOL_BUFFER_BYTES_MAX,
  FRAME_POOL_BUFFER_BYTES_MIN,
  FRAME_POOL_BYTES_MAX,
} from '../../core/limits.ts';

export class FramePool {
  private readonly free = new Map<number, Buffer[]>();
  private freeBytes = 0;

  /** A buffer of at least `bytes`, with arbitrary content. */
  take(bytes: number): Buffer {
    if (bytes > FRAME_POOL_BUFFER_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes);
    if (bytes < FRAME_POOL_BUFFER_BYTES_MIN) return Buffer.allocUnsafe(bytes);
    const size = 2 ** (32 - Math.clz32(bytes - 1));
    const buffer = this.free.get(size)?.pop();
    if (buffer === undefined) return Buffer.allocUnsafeSlow(size);
    this.freeBytes -= size;
    return buffer;
  }

  /** Takes back a buffer of `take` (any length that `take` gave; those that are not pooled are left to the collector). */
  give(buffer: Buffer): void {
    const size = buffer.length;
    if (size < FRAME_POOL_BUFFER_BYTES_MIN || size > FRAME_POOL_BUFFER_BYTES_MAX) return;
    if (this.freeBytes + size > FRAME_POOL_BYTES_MAX) return;
    const list = this.free.get(size);
    if (list === undefined) this.free.set(size, [buffer]);
    else list.push(buffer);
    this.freeBytes += size;
  }
}

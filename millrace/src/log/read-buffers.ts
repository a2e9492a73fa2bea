/**
 * Memory for reads, used again and again: a fetch of a megabyte must not cost an allocation of a megabyte.
 * Buffers have sizes of powers of two. What exceeds the pool's bound is left to the garbage collector.
 */

/** Smallest and largest pooled size: 2^14 = 16 KiB, 2^23 = 8 MiB. */
const SMALLEST_POWER = 14;
const LARGEST_POWER = 23;

export class ReadBuffers {
  private readonly free: Buffer[][] = [];
  private readonly bytesMax: number;
  private heldBytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
    for (let power = SMALLEST_POWER; power <= LARGEST_POWER; power++) this.free.push([]);
  }

  /** A buffer of at least `bytes` bytes with any content. */
  take(bytes: number): Buffer {
    const power = Math.max(SMALLEST_POWER, 32 - Math.clz32(bytes - 1));
    if (power > LARGEST_POWER) return Buffer.allocUnsafeSlow(bytes);
    const buffer = this.free[power - SMALLEST_POWER]?.pop();
    if (buffer === undefined) return Buffer.allocUnsafeSlow(2 ** power);
    this.heldBytes -= buffer.length;
    return buffer;
  }

  /** Takes a buffer back. It must have come from `take`, and nobody may use it any more. */
  give(buffer: Buffer): void {
    const power = 31 - Math.clz32(buffer.length);
    const list = this.free[power - SMALLEST_POWER];
    if (list === undefined || buffer.length !== 2 ** power) return;
    if (this.heldBytes + buffer.length > this.bytesMax) return;
    this.heldBytes += buffer.length;
    list.push(buffer);
  }
}

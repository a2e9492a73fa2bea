/** A buffer that grows: what codecs write into. Not for sharing: the buffer changes when it grows. */
export class ByteWriter {
  buffer: Buffer;
  /** Bytes written. */
  length = 0;

  constructor(capacityBytes = 256) {
    this.buffer = Buffer.allocUnsafeSlow(capacityBytes);
  }

  /** Makes room for `bytes` more. Writers may then set `buffer[length…]` and add to `length` themselves. */
  reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    let capacity = this.buffer.length * 2;
    while (capacity < needed) capacity *= 2;
    const grown = Buffer.allocUnsafeSlow(capacity);
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }

  byte(value: number): void {
    this.reserve(1);
    this.buffer[this.length++] = value;
  }

  bytes(source: Uint8Array, start: number, end: number): void {
    const count = end - start;
    this.reserve(count);
    if (count < 32) {
      for (let at = start; at < end; at++) this.buffer[this.length++] = source[at] ?? 0;
      return;
    }
    this.buffer.set(source.subarray(start, end), this.length);
    this.length += count;
  }

  clear(): void {
    this.length = 0;
  }
}

/**
 * Bodies of messages under measurement: which message it is, when it was due, and bytes that follow from that.
 *
 *   sequence float64 | due float64, ms | filler
 */

const HEAD_BYTES = 16;

export class Bodies {
  readonly bytes: number;
  private readonly filler: Buffer;

  /** @param bytes of a body, at least 16 */
  constructor(bytes: number) {
    this.bytes = bytes;
    this.filler = Buffer.alloc(bytes - HEAD_BYTES);
    // Nothing that compresses well.
    for (let at = 0, state = 1; at < this.filler.length; at++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      this.filler[at] = state >> 16;
    }
  }

  /** Writes the filler: once for each place that is used again. */
  prepare(into: Buffer, at: number): void {
    this.filler.copy(into, at + HEAD_BYTES);
  }

  write(into: Buffer, at: number, sequence: number, dueMs: number): void {
    into.writeDoubleBE(sequence, at);
    into.writeDoubleBE(dueMs, at + 8);
  }

  sequence(from: Buffer, at: number): number {
    return from.readDoubleBE(at);
  }

  dueMs(from: Buffer, at: number): number {
    return from.readDoubleBE(at + 8);
  }

  isIntact(from: Buffer, start: number, end: number): boolean {
    if (end - start !== this.bytes) return false;
    return from.compare(this.filler, 0, this.filler.length, start + HEAD_BYTES, end) === 0;
  }
}

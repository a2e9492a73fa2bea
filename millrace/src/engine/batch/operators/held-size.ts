/**
 * How much memory values take that grow in place, such as lists in an accumulator: every so often one that grows is measured, and what
 * it grew by stands for all since the last one.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeValue } from '../../../core/value-codec.ts';

/** Decoded, a value takes about so many bytes for each byte of its encoding. */
const HELD_FACTOR = 3;
const INTERVAL_MIN = 64;
/** Measuring costs about so many bytes of encoding for each change. */
const BYTES_PER_CHANGE = 64;

export class HeldSize {
  heldBytes = 0;
  private readonly scratch = new ByteWriter(256);
  private interval = INTERVAL_MIN;
  private changes = 0;

  /** Whether the next change is to be measured: count it. */
  isDue(): boolean {
    return ++this.changes >= this.interval;
  }

  /** Encoded size; 0 for what cannot be encoded (it will be refused when it is written). */
  measure(value: unknown): number {
    if (typeof value !== 'object' || value === null)
      return typeof value === 'string' ? value.length : 8;
    this.scratch.clear();
    try {
      encodeValue(value, this.scratch);
    } catch {
      return 0;
    }
    return this.scratch.length;
  }

  /** The change that was due made a value of `before` bytes one of `after` bytes. */
  changed(before: number, after: number): void {
    this.heldBytes = Math.max(this.heldBytes + (after - before) * HELD_FACTOR * this.changes, 0);
    this.changes = 0;
    this.interval = Math.max(INTERVAL_MIN, Math.ceil((before + after) / BYTES_PER_CHANGE));
  }

  /** Of `before` values of nearly the same size `after` are left: the share of all that is held goes. */
  shrunk(before: number, after: number, all: number): void {
    const gone = Math.min(Math.max(before - after, 0) / Math.max(all, 1), 1);
    this.heldBytes -= this.heldBytes * gone;
  }

  clear(): void {
    this.heldBytes = 0;
    this.changes = 0;
    this.interval = INTERVAL_MIN;
  }
}

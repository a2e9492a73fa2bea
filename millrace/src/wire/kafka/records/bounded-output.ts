/**
 * A growing buffer with an end: what the decoders of LZ4 and Snappy write into.
 *
 * Owns: the promise that no input, whatever it declares, makes a decoder hold more than `bytesMax`.
 * Invariant: length <= buffer.length <= bytesMax.
 */
import { MillraceError } from '../../../core/errors.ts';

/** Smallest first allocation, so that tiny inputs do not grow step by step. */
const FIRST_BYTES_MIN = 256;

export class BoundedOutput {
  buffer: Buffer;
  /** Bytes written so far. */
  length: number;
  readonly bytesMax: number;

  /** @param expectedBytes a guess at the final size; more than `bytesMax` is cut down to it. */
  constructor(expectedBytes: number, bytesMax: number) {
    this.buffer = Buffer.allocUnsafe(Math.min(Math.max(expectedBytes, FIRST_BYTES_MIN), bytesMax));
    this.length = 0;
    this.bytesMax = bytesMax;
  }

  /**
   * Makes room for `bytes` more.
   * @throws {MillraceError} ML_RECORDS_TOO_LARGE when that would pass `bytesMax`.
   */
  reserve(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    if (needed > this.bytesMax) throw decompressedTooLarge(this.bytesMax);
    const grown = Buffer.allocUnsafe(
      Math.min(Math.max(needed, this.buffer.length * 2), this.bytesMax),
    );
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }

  /** Appends bytes [start, end) of `source`. */
  append(source: Buffer, start: number, end: number): void {
    this.reserve(end - start);
    source.copy(this.buffer, this.length, start, end);
    this.length += end - start;
  }

  /** What was written, as a view. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.length);
  }
}

/** The error for records that decompress to more than they may. */
export function decompressedTooLarge(bytesMax: number): MillraceError {
  return new MillraceError(
    'ML_RECORDS_TOO_LARGE',
    `compressed records become more than ${bytesMax} bytes, the limit for their size`,
    { fields: { bytesMax } },
  );
}

/** The error for bytes that are not what `format` says. */
export function malformedCompression(format: string, reason: string): MillraceError {
  return new MillraceError('ML_RECORDS_MALFORMED', `bad ${format} data: ${reason}`, {
    fields: { format },
  });
}

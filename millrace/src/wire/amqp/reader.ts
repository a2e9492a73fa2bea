/**
 * Reads AMQP's primitive types from a range of bytes that may be hostile. Owns every bounds check of the decoders: nothing is read past
 * `end`, and a length is compared with what is left before anything is made of it.
 *
 * Source: AMQP 0-9-1, "AMQP Data Types".
 */
import { SHORT_TEXT_BYTES_MAX, shortText } from '../../core/short-text.ts';
import { AmqpFault } from './reply-codes.ts';
import { readShortString } from './short-strings.ts';

const EMPTY: Buffer = Buffer.alloc(0);

export class AmqpReader {
  buffer = EMPTY;
  position = 0;
  /** Where reading stops, exclusive. */
  end = 0;

  /** Begins anew with buffer[start, end). */
  over(buffer: Buffer, start: number, end: number): this {
    this.buffer = buffer;
    this.position = start;
    this.end = end;
    return this;
  }

  /** Lets go of the buffer. */
  release(): void {
    this.buffer = EMPTY;
    this.position = 0;
    this.end = 0;
  }

  remaining(): number {
    return this.end - this.position;
  }

  fail(reason: string): never {
    throw new AmqpFault('SYNTAX_ERROR', reason);
  }

  /** Moves past `length` bytes and returns where they start. */
  take(length: number): number {
    const start = this.position;
    if (length > this.end - start) {
      this.fail(`${length} bytes needed, ${this.end - start} left`);
    }
    this.position = start + length;
    return start;
  }

  octet(): number {
    return this.buffer[this.take(1)] as number;
  }

  short(): number {
    const at = this.take(2);
    const { buffer } = this;
    return ((buffer[at] as number) << 8) | (buffer[at + 1] as number);
  }

  long(): number {
    return longAt(this.buffer, this.take(4));
  }

  /** Unsigned; beyond 2^53 not exact. */
  longlong(): number {
    const at = this.take(8);
    return longAt(this.buffer, at) * 0x1_0000_0000 + longAt(this.buffer, at + 4);
  }

  /** @throws {AmqpFault} FRAME_ERROR for what is no UTF-8 */
  shortString(): string {
    const length = this.octet();
    return readShortString(this.buffer, this.take(length), length, true);
  }

  /** The same where brokers look less closely: in tables and properties. Bytes that are no UTF-8 become U+FFFD. */
  shortText(): string {
    const length = this.octet();
    return readShortString(this.buffer, this.take(length), length, false);
  }

  /** Bytes that are no UTF-8 become U+FFFD. */
  longText(): string {
    const length = this.long();
    const start = this.take(length);
    if (length <= SHORT_TEXT_BYTES_MAX && isAscii(this.buffer, start, length)) {
      return shortText(this.buffer, start, length);
    }
    return this.buffer.utf8Slice(start, start + length);
  }

  /** A copy. */
  longBytes(): Buffer {
    const length = this.long();
    const start = this.take(length);
    return Buffer.from(this.buffer.subarray(start, start + length));
  }
}

/** @hot The unsigned 32 bits at `at`, without a check of bounds. */
export function longAt(buffer: Uint8Array, at: number): number {
  return (
    (buffer[at] as number) * 0x100_0000 +
    (((buffer[at + 1] as number) << 16) |
      ((buffer[at + 2] as number) << 8) |
      (buffer[at + 3] as number))
  );
}

function isAscii(buffer: Uint8Array, start: number, length: number): boolean {
  for (let at = start; at < start + length; at++) {
    if ((buffer[at] as number) >= 0x80) return false;
  }
  return true;
}

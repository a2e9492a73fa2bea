/**
 * Writes Kafka's primitive types into one growing buffer. Values out of range are faults of the caller, caught here
 * before they reach the wire; codec.ts adds the field's path.
 *
 * Source: Kafka protocol guide, "Protocol Primitive Types".
 */
import { WIRE_MESSAGE_BYTES_MAX, WIRE_STRING_BYTES_MAX } from '../../core/limits.ts';
import { unsignedVarintBytes } from './primitives.ts';
import { WireFault } from './reader.ts';

const INITIAL_BYTES = 256;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export class Writer {
  /** Bytes written so far. */
  position = 0;
  #buffer: Buffer;
  #view: DataView;

  /** @param sizeHint bytes to begin with: exactly as many as the message takes when they are known. */
  constructor(sizeHint: number = INITIAL_BYTES) {
    this.#buffer = Buffer.allocUnsafe(sizeHint);
    this.#view = viewOf(this.#buffer);
  }

  /** What was written since `start`, without a copy. Writing more may move to another buffer, but not change this. */
  since(start: number): Buffer {
    return this.#buffer.subarray(start, this.position);
  }

  /** What was written, without a copy: the writer must not be used after. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.position);
  }

  fail(reason: string): never {
    throw new WireFault(reason, this.position);
  }

  bool(value: boolean): void {
    const start = this.#reserve(1);
    this.#buffer[start] = value ? 1 : 0;
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) this.fail(`${value} is not an 8-bit integer`);
    const start = this.#reserve(1);
    this.#buffer[start] = value & 0xff;
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) this.fail(`${value} is not a 16-bit integer`);
    const start = this.#reserve(2);
    this.#view.setInt16(start, value);
  }

  int32(value: number): void {
    if ((value | 0) !== value) this.fail(`${value} is not a 32-bit integer`);
    const start = this.#reserve(4);
    this.#view.setInt32(start, value);
  }

  int64(value: number): void {
    if (!Number.isSafeInteger(value)) this.fail(`${value} is not a safe integer`);
    const start = this.#reserve(8);
    this.#view.setInt32(start, Math.floor(value / 0x1_0000_0000));
    // The shift takes the low 32 bits of the two's complement, of large and negative numbers too.
    this.#view.setUint32(start + 4, value >>> 0);
  }

  unsignedVarint(value: number): void {
    if (value >= 0 && value < 0x80) {
      // Fractions and NaN do not get here: every caller counts something.
      const only = this.#reserve(1);
      this.#buffer[only] = value;
      return;
    }
    if (value >>> 0 !== value) this.fail(`${value} is not an unsigned 32-bit integer`);
    let start = this.#reserve(unsignedVarintBytes(value));
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[start++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[start] = rest;
  }

  uuid(value: string): void {
    if (!UUID.test(value)) this.fail(`'${value}' is not a lower-case hyphenated uuid`);
    const start = this.#reserve(16);
    this.#buffer.write(value.replaceAll('-', ''), start, 'hex');
  }

  string(value: string): void {
    const length = this.#stringBytes(value);
    this.int16(length);
    this.#text(value, length);
  }

  compactString(value: string): void {
    const length = this.#stringBytes(value);
    this.unsignedVarint(length + 1);
    this.#text(value, length);
  }

  /** An array's count, or the length in front of bytes; -1 is null. */
  count(flexible: boolean, value: number): void {
    if (flexible) this.unsignedVarint(value + 1);
    else this.int32(value);
  }

  nullableString(flexible: boolean, value: string | null): void {
    if (value !== null) {
      if (flexible) this.compactString(value);
      else this.string(value);
    } else if (flexible) this.unsignedVarint(0);
    else this.int16(-1);
  }

  raw(value: Uint8Array): void {
    const start = this.#reserve(value.length);
    this.#buffer.set(value, start);
  }

  /** Puts the length of what was written since `start` in front of it, as an unsigned varint. */
  insertLength(start: number): void {
    const length = this.position - start;
    const prefix = unsignedVarintBytes(length);
    this.#reserve(prefix);
    this.#buffer.copyWithin(start + prefix, start, start + length);
    const end = this.position;
    this.position = start;
    this.unsignedVarint(length);
    this.position = end;
  }

  #stringBytes(value: string): number {
    const length = Buffer.byteLength(value);
    if (length > WIRE_STRING_BYTES_MAX) {
      this.fail(`a string of ${length} bytes is over the limit of ${WIRE_STRING_BYTES_MAX}`);
    }
    return length;
  }

  #text(value: string, length: number): void {
    if (length === 0) return;
    const start = this.#reserve(length);
    this.#buffer.write(value, start, 'utf8');
  }

  /** Makes room and returns where it starts. Call it before touching `#buffer`, which it may replace. */
  #reserve(length: number): number {
    const start = this.position;
    const end = start + length;
    if (end > this.#buffer.length) this.#grow(end);
    this.position = end;
    return start;
  }

  #grow(needed: number): void {
    if (needed > WIRE_MESSAGE_BYTES_MAX) {
      this.fail(`a message of more than ${WIRE_MESSAGE_BYTES_MAX} bytes`);
    }
    const grown = Buffer.allocUnsafe(
      Math.min(WIRE_MESSAGE_BYTES_MAX, Math.max(needed, this.#buffer.length * 2)),
    );
    this.#buffer.copy(grown, 0, 0, this.position);
    this.#buffer = grown;
    this.#view = viewOf(grown);
  }
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}

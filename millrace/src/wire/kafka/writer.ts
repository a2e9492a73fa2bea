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

  constructor(sizeHint: number = INITIAL_BYTES) {
    this.#buffer = Buffer.allocUnsafe(sizeHint);
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
    this.#buffer.writeInt16BE(value, start);
  }

  int32(value: number): void {
    if ((value | 0) !== value) this.fail(`${value} is not a 32-bit integer`);
    const start = this.#reserve(4);
    this.#buffer.writeInt32BE(value, start);
  }

  int64(value: number): void {
    if (!Number.isSafeInteger(value)) this.fail(`${value} is not a safe integer`);
    const start = this.#reserve(8);
    const high = Math.floor(value / 0x1_0000_0000);
    this.#buffer.writeInt32BE(high, start);
    this.#buffer.writeUInt32BE(value - high * 0x1_0000_0000, start + 4);
  }

  unsignedVarint(value: number): void {
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

  bytes(value: Uint8Array): void {
    this.int32(value.length);
    this.raw(value);
  }

  compactBytes(value: Uint8Array): void {
    this.unsignedVarint(value.length + 1);
    this.raw(value);
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

  /** Overwrites the four bytes at `start`, for a size that is known only at the end. */
  int32At(start: number, value: number): void {
    this.#buffer.writeInt32BE(value, start);
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
  }
}

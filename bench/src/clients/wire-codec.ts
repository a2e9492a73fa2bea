/**
 * Reading and writing the primitive types of the Kafka protocol, as far as the benchmark's own client needs them.
 * Written apart from Millrace's codecs on purpose: the side that is measured must not also be the judge.
 *
 * Source: https://kafka.apache.org/protocol (non-flexible versions only).
 */

const INITIAL_BYTES = 256;
const TWO_POW_32 = 0x1_0000_0000;

/** A growing buffer of big-endian fields. */
export class WireWriter {
  #buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  #length = 0;

  int8(value: number): this {
    this.#room(1);
    this.#length = this.#buffer.writeInt8(value, this.#length);
    return this;
  }

  int16(value: number): this {
    this.#room(2);
    this.#length = this.#buffer.writeInt16BE(value, this.#length);
    return this;
  }

  int32(value: number): this {
    this.#room(4);
    this.#length = this.#buffer.writeInt32BE(value, this.#length);
    return this;
  }

  uint32(value: number): this {
    this.#room(4);
    this.#length = this.#buffer.writeUInt32BE(value, this.#length);
    return this;
  }

  /** A safe integer as a signed 64-bit field. */
  int64(value: number): this {
    this.#room(8);
    const high = Math.floor(value / TWO_POW_32);
    this.#length = this.#buffer.writeInt32BE(high, this.#length);
    this.#length = this.#buffer.writeUInt32BE(value - high * TWO_POW_32, this.#length);
    return this;
  }

  /** Zigzag variable-length integer of 32 bits or fewer. */
  varint(value: number): this {
    this.#room(5);
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    while (rest > 0x7f) {
      this.#buffer[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
    return this;
  }

  string(value: string | null): this {
    if (value === null) return this.int16(-1);
    const bytes = Buffer.from(value, 'utf8');
    return this.int16(bytes.length).raw(bytes);
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Writes the length of `items`, then each of them. */
  array<T>(items: readonly T[], write: (item: T) => void): this {
    this.int32(items.length);
    for (const item of items) write(item);
    return this;
  }

  /** A copy of what was written. */
  finish(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** Reads fields in order. Reading past the end throws a RangeError. */
export class WireReader {
  position: number;
  readonly #buffer: Buffer;

  constructor(buffer: Buffer, position = 0) {
    this.#buffer = buffer;
    this.position = position;
  }

  int8(): number {
    return this.#buffer.readInt8(this.#advance(1));
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#advance(4));
  }

  int64(): number {
    const at = this.#advance(8);
    return this.#buffer.readInt32BE(at) * TWO_POW_32 + this.#buffer.readUInt32BE(at + 4);
  }

  varint(): number {
    let raw = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#buffer.readUInt8(this.#advance(1));
      raw |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (raw >>> 1) ^ -(raw & 1);
    }
    throw new RangeError('a varint of more than five bytes');
  }

  /** Skips a variable-length integer of up to 64 bits. */
  skipVarlong(): void {
    while (this.#buffer.readUInt8(this.#advance(1)) >= 0x80);
  }

  string(): string | null {
    const length = this.int16();
    if (length < 0) return null;
    const at = this.#advance(length);
    return this.#buffer.toString('utf8', at, at + length);
  }

  /** A view of `length` bytes. */
  raw(length: number): Buffer {
    const at = this.#advance(length);
    if (at + length > this.#buffer.length) throw new RangeError('a field past the end');
    return this.#buffer.subarray(at, at + length);
  }

  array<T>(read: () => T): T[] {
    const count = this.int32();
    const items: T[] = [];
    for (let index = 0; index < count; index++) items.push(read());
    return items;
  }

  #advance(bytes: number): number {
    const at = this.position;
    this.position += bytes;
    return at;
  }
}

/**
 * Reads Kafka's primitive types from a range of bytes that may be hostile. Owns every bounds check of the decoders:
 * nothing is read past `end`, and a length or count is compared with what is left before anything is allocated.
 * A fault is a WireFault with the byte position; codec.ts adds the field's path and makes a MillraceError of it.
 *
 * Source: Kafka protocol guide, "Protocol Primitive Types".
 */
import { WIRE_STRING_BYTES_MAX } from '../../core/limits.ts';

/** What a codec throws inside; never leaves this folder. `path` grows from the inside out. */
export class WireFault extends Error {
  override readonly name = 'WireFault';
  readonly position: number;
  path = '';

  constructor(reason: string, position: number) {
    super(reason);
    this.position = position;
  }

  /** Called by each level on the way out with the name of the field (`topics`) or the index (`[3]`). */
  within(step: string): this {
    if (this.path === '') this.path = step;
    else this.path = this.path.startsWith('[') ? `${step}${this.path}` : `${step}.${this.path}`;
    return this;
  }
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
);

export class Reader {
  readonly buffer: Buffer;
  readonly #view: DataView;
  position: number;
  /** Where reading stops, exclusive: the end of the message, or of the tagged field being read. */
  end: number;
  /** Array elements that may still be made: bounds the memory that a message of tiny elements can take. */
  elementsLeft: number;

  constructor(
    buffer: Buffer,
    range: { readonly start: number; readonly end: number; readonly elementsMax: number },
  ) {
    this.buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    this.position = range.start;
    this.end = range.end;
    this.elementsLeft = range.elementsMax;
  }

  remaining(): number {
    return this.end - this.position;
  }

  fail(reason: string): never {
    throw new WireFault(reason, this.position);
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

  bool(): boolean {
    return this.buffer[this.take(1)] !== 0;
  }

  int8(): number {
    return this.#view.getInt8(this.take(1));
  }

  int16(): number {
    return this.#view.getInt16(this.take(2));
  }

  int32(): number {
    return this.#view.getInt32(this.take(4));
  }

  int64(): number {
    const start = this.take(8);
    const value = this.#view.getInt32(start) * 0x1_0000_0000 + this.#view.getUint32(start + 4);
    if (!Number.isSafeInteger(value)) {
      this.position = start;
      this.fail('a 64-bit integer beyond 2^53');
    }
    return value;
  }

  /** At most 32 bits in at most 5 bytes, the low 7 bits first. */
  unsignedVarint(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    for (let shift = 7; shift < 28; shift += 7) {
      const byte = this.#byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    const last = this.#byte();
    if (last > 0x0f) this.fail('a varint of more than 32 bits');
    return value + last * 0x1000_0000;
  }

  uuid(): string {
    const start = this.take(16);
    const { buffer } = this;
    let text = '';
    for (let index = 0; index < 16; index++) {
      if (index === 4 || index === 6 || index === 8 || index === 10) text += '-';
      text += HEX[buffer[start + index] ?? 0];
    }
    return text;
  }

  /** A length of an old-style string: -1 is null. */
  stringLength(): number {
    return this.#checked(this.int16(), WIRE_STRING_BYTES_MAX);
  }

  /** A length of a compact string: 0 on the wire is null, -1 here. */
  compactStringLength(): number {
    return this.#checked(this.unsignedVarint() - 1, WIRE_STRING_BYTES_MAX);
  }

  bytesLength(): number {
    return this.#checked(this.int32(), Infinity);
  }

  compactBytesLength(): number {
    return this.#checked(this.unsignedVarint() - 1, Infinity);
  }

  /** The characters of a string whose length was read; bytes that are not UTF-8 become U+FFFD, as in Java. */
  text(length: number): string {
    if (length === 0) return '';
    const start = this.take(length);
    return this.buffer.toString('utf8', start, start + length);
  }

  /** A view of the next `length` bytes, not a copy. */
  view(length: number): Buffer {
    const start = this.take(length);
    return this.buffer.subarray(start, start + length);
  }

  /**
   * Accepts an array's element count (-1 is null) if that many elements of at least `elementBytesMin` bytes can follow
   * and the message's element budget allows them.
   */
  checkCount(count: number, elementBytesMin: number): number {
    if (count < -1) this.fail(`an array of ${count} elements`);
    if (count * elementBytesMin > this.remaining()) {
      this.fail(`an array of ${count} elements in ${this.remaining()} bytes`);
    }
    if (count > this.elementsLeft) this.fail(`an array of ${count} elements is too many`);
    if (count > 0) this.elementsLeft -= count;
    return count;
  }

  /** Moves past a section of tagged fields of which none is known. */
  skipTaggedFields(): void {
    const count = this.unsignedVarint();
    for (let index = 0; index < count; index++) {
      this.unsignedVarint();
      this.take(this.unsignedVarint());
    }
  }

  #byte(): number {
    return this.buffer[this.take(1)] ?? 0;
  }

  #checked(length: number, max: number): number {
    if (length < -1) this.fail(`a length of ${length}`);
    if (length > max) this.fail(`a length of ${length} is over the limit of ${max}`);
    if (length > this.remaining()) {
      this.fail(`a length of ${length} with ${this.remaining()} bytes left`);
    }
    return length;
  }
}

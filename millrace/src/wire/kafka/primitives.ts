/**
 * @hot Sizes of Kafka's primitive types, and functions that write them at a position of a buffer and return the position
 * after. For encoders that know the size of their message beforehand: the room must be there.
 *
 * `flexible` chooses compact encodings (KIP-482). Source: Kafka protocol guide, "Protocol Primitive Types".
 */
import { assert } from '../../core/errors.ts';
import { WIRE_STRING_BYTES_MAX } from '../../core/limits.ts';

/** The size of a 32-bit unsigned varint, 1 to 5 bytes. */
export function unsignedVarintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  return 5;
}

/** The size of an array's count, or of the length in front of bytes; -1 is null. */
export function countBytes(flexible: boolean, count: number): number {
  return flexible ? unsignedVarintBytes(count + 1) : 4;
}

/** The size of a string with its length. */
export function stringBytes(flexible: boolean, text: string | null): number {
  const length = text === null ? 0 : Buffer.byteLength(text);
  assert(length <= WIRE_STRING_BYTES_MAX, `a string of ${length} bytes cannot be written`);
  if (!flexible) return 2 + length;
  return length + (text === null ? 1 : unsignedVarintBytes(length + 1));
}

export function writeUnsignedVarint(buffer: Buffer, start: number, value: number): number {
  let position = start;
  let rest = value;
  while (rest > 0x7f) {
    buffer[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[position++] = rest;
  return position;
}

/** An array's count, or the length in front of bytes; -1 is null. */
export function writeCount(
  buffer: Buffer,
  position: number,
  flexible: boolean,
  count: number,
): number {
  return flexible
    ? writeUnsignedVarint(buffer, position, count + 1)
    : buffer.writeInt32BE(count, position);
}

export function writeString(
  buffer: Buffer,
  position: number,
  flexible: boolean,
  text: string | null,
): number {
  const length = text === null ? -1 : Buffer.byteLength(text);
  const start = flexible
    ? writeUnsignedVarint(buffer, position, length + 1)
    : buffer.writeInt16BE(length, position);
  return text === null || length === 0 ? start : start + buffer.write(text, start, 'utf8');
}

/** A lower-case uuid with hyphens as 16 bytes. */
export function writeUuid(buffer: Buffer, position: number, uuid: string): number {
  const written = buffer.write(uuid.replaceAll('-', ''), position, 16, 'hex');
  assert(written === 16, `'${uuid}' is not a uuid`);
  return position + 16;
}

export function writeInt64(buffer: Buffer, position: number, value: number): number {
  assert(Number.isSafeInteger(value), `${value} is not a safe integer`);
  const high = Math.floor(value / 0x1_0000_0000);
  buffer.writeInt32BE(high, position);
  return buffer.writeUInt32BE(value - high * 0x1_0000_0000, position + 4);
}

/**
 * The variable-length integers of the Kafka protocol: seven bits a byte, least significant group first, the high bit
 * set on all but the last byte. "Zigzag" ones interleave signs (0, -1, 1, -2, … become 0, 1, 2, 3, …).
 *
 * Owns: reading and writing them at a position of a buffer, inside bounds, without allocating. A reader moves
 * `cursor.position`; a writer returns the position after what it wrote.
 *
 *   varint    zigzag, 32 bits, at most 5 bytes      record lengths, offset deltas, header counts
 *   varlong   zigzag, 64 bits, at most 10 bytes     timestamp deltas
 *   uvarint   unsigned, 32 bits, at most 5 bytes    compact lengths and tagged fields of flexible messages
 *
 * Bad bytes are a result here, not a throw: a reader that meets the end of its range, an encoding that is too long, or
 * (varlong) a number outside the safe integers sets `cursor.position` to -1 and returns 0. It stays -1 over further
 * reads, so a caller may read several fields and look once.
 *
 * @hot
 * Source: KIP-98 (record format), KIP-482 (flexible versions).
 */

export const VARINT_BYTES_MAX = 5;
export const VARLONG_BYTES_MAX = 10;

/** Where a reader is in its buffer. `position` is -1 after bad bytes; `end` (exclusive) is never passed. */
export class Cursor {
  buffer: Uint8Array;
  position: number;
  end: number;

  constructor(buffer: Uint8Array, position: number, end: number) {
    this.buffer = buffer;
    this.position = position;
    this.end = end;
  }

  /** Points this cursor at another range, so that one object serves many reads. */
  reset(buffer: Uint8Array, position: number, end: number): void {
    this.buffer = buffer;
    this.position = position;
    this.end = end;
  }
}

/** An unsigned integer of up to 32 bits. */
export function readUvarint(cursor: Cursor): number {
  const { buffer, end } = cursor;
  let position = cursor.position;
  if (position < 0) return 0;
  let value = 0;
  for (let shift = 0; shift < 35 && position < end; shift += 7) {
    const byte = buffer[position++] as number;
    // The fifth byte holds the top four bits: anything more would not fit into 32.
    if (shift === 28 && byte > 15) break;
    value |= (byte & 127) << shift;
    if (byte < 128) {
      cursor.position = position;
      return value >>> 0;
    }
  }
  cursor.position = -1;
  return 0;
}

/** A zigzag integer of up to 32 bits. */
export function readVarint(cursor: Cursor): number {
  const raw = readUvarint(cursor);
  return (raw >>> 1) ^ -(raw & 1);
}

/** A zigzag integer of up to 64 bits, when it is a safe integer; else bad bytes. */
export function readVarlong(cursor: Cursor): number {
  const { buffer, end } = cursor;
  let position = cursor.position;
  if (position < 0) return 0;
  // 28 bits in `low` and 36 in `high`, so that both stay exact and the common short forms never leave 31-bit numbers.
  let low = 0;
  let high = 0;
  let scale = 1;
  for (let index = 0; index < VARLONG_BYTES_MAX && position < end; index++) {
    const byte = buffer[position++] as number;
    if (index < 4) {
      low |= (byte & 127) << (index * 7);
    } else {
      high += (byte & 127) * scale;
      scale *= 128;
    }
    if (byte < 128) {
      const value = unzigzag(high, low);
      // Also what has more than 64 bits ends here: the tenth byte alone puts it far beyond.
      if (!Number.isSafeInteger(value)) break;
      cursor.position = position;
      return value;
    }
  }
  cursor.position = -1;
  return 0;
}

/** From `high * 2^28 + low` (64 bits, unsigned) to the signed number it stands for. */
function unzigzag(high: number, low: number): number {
  const negative = (low & 1) === 1;
  // Halving first keeps every step below 2^63, and exact as long as the result is a safe integer.
  const half = high * 2 ** 27 + (low >>> 1);
  return negative ? -half - 1 : half;
}

/**
 * Writes an unsigned integer of 0 to 2^32-1 and returns the position after it.
 * The caller has made room: `uvarintBytes(value)` bytes, at most VARINT_BYTES_MAX.
 */
export function writeUvarint(buffer: Uint8Array, position: number, value: number): number {
  let rest = value >>> 0;
  let at = position;
  while (rest > 127) {
    buffer[at++] = (rest & 127) | 128;
    rest >>>= 7;
  }
  buffer[at++] = rest;
  return at;
}

/** Writes a zigzag integer of -2^31 to 2^31-1 and returns the position after it. */
export function writeVarint(buffer: Uint8Array, position: number, value: number): number {
  return writeUvarint(buffer, position, (value << 1) ^ (value >> 31));
}

/** Writes a zigzag integer (any safe integer) and returns the position after it. */
export function writeVarlong(buffer: Uint8Array, position: number, value: number): number {
  if (value === (value | 0)) return writeVarint(buffer, position, value);
  // |value| may be 2^53: doubling it is exact (a power of two more), taking one off need not be. So the parity, which
  // is the sign, goes into the first byte and only the half is divided further.
  const negative = value < 0;
  let half = negative ? -(value + 1) : value;
  let at = position;
  buffer[at++] = ((half % 64) * 2 + (negative ? 1 : 0)) | 128;
  half = Math.floor(half / 64);
  while (half > 127) {
    buffer[at++] = (half % 128) | 128;
    half = Math.floor(half / 128);
  }
  buffer[at++] = half;
  return at;
}

/** How many bytes `writeUvarint` writes. */
export function uvarintBytes(value: number): number {
  // 32 - clz32 bits are in use (at least one); seven go into a byte, rounded up.
  return ((38 - Math.clz32(value | 1)) / 7) | 0;
}

/** How many bytes `writeVarint` writes. */
export function varintBytes(value: number): number {
  return uvarintBytes((value << 1) ^ (value >> 31));
}

/** How many bytes `writeVarlong` writes. */
export function varlongBytes(value: number): number {
  if (value === (value | 0)) return varintBytes(value);
  let half = Math.floor((value < 0 ? -(value + 1) : value) / 64);
  let bytes = 2;
  while (half > 127) {
    half = Math.floor(half / 128);
    bytes++;
  }
  return bytes;
}

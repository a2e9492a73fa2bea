/**
 * Big-endian integers at a position of a byte array, as numbers.
 *
 * Owns: reading and writing them byte by byte. Measured, five fields of a batch header: 225 ns with the methods of
 * Buffer, 20 ns like this; a DataView is faster still once it exists, but costs 100 ns and more to make.
 * 64-bit ones are exact for every safe integer and rounded beyond.
 *
 * @hot
 */

const HIGH = 2 ** 32;

/** @throws RangeError when it is not inside the array. */
export function readInt16(bytes: Uint8Array, position: number): number {
  const a = bytes[position];
  const b = bytes[position + 1];
  if (a === undefined || b === undefined) throw outside(bytes, position);
  return (((a << 8) | b) << 16) >> 16;
}

/** @throws RangeError when it is not inside the array. */
export function readInt32(bytes: Uint8Array, position: number): number {
  const a = bytes[position];
  const b = bytes[position + 1] as number;
  const c = bytes[position + 2] as number;
  const d = bytes[position + 3];
  // The first and the last are there, so those between are.
  if (a === undefined || d === undefined) throw outside(bytes, position);
  return (a << 24) | (b << 16) | (c << 8) | d;
}

/** @throws RangeError when it is not inside the array. */
export function readInt64(bytes: Uint8Array, position: number): number {
  return readInt32(bytes, position) * HIGH + (readInt32(bytes, position + 4) >>> 0);
}

/** @throws RangeError when it is not inside the array. */
export function writeInt16(bytes: Uint8Array, position: number, value: number): void {
  if (!(position >= 0 && position + 2 <= bytes.length)) throw outside(bytes, position);
  bytes[position] = value >>> 8;
  bytes[position + 1] = value;
}

/** Writes a signed or unsigned 32-bit integer. @throws RangeError when it is not inside the array. */
export function writeInt32(bytes: Uint8Array, position: number, value: number): void {
  if (!(position >= 0 && position + 4 <= bytes.length)) throw outside(bytes, position);
  bytes[position] = value >>> 24;
  bytes[position + 1] = value >>> 16;
  bytes[position + 2] = value >>> 8;
  bytes[position + 3] = value;
}

/** Writes a safe integer. @throws RangeError when it is not inside the array. */
export function writeInt64(bytes: Uint8Array, position: number, value: number): void {
  writeInt32(bytes, position, Math.floor(value / HIGH));
  // The remainder by truncation: what is left of the floor modulo 2^32 is the same 32 bits.
  writeInt32(bytes, position + 4, value);
}

function outside(bytes: Uint8Array, position: number): RangeError {
  return new RangeError(`position ${position} is not inside ${bytes.length} bytes`);
}

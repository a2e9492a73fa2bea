/**
 * CRC-32C (Castagnoli): the checksum of record batches, of the journal, of tables and of every small file of ours.
 *
 * Owns: the choice between the native routine and the one in JavaScript. Both give the same number for the same
 * bytes; the choice is only speed. A native call costs about half a microsecond before it looks at the first byte
 * (a view of the range, and the crossing), so short ranges stay in JavaScript, which is also the whole answer on a
 * platform the native package has no build for.
 *
 * @hot
 * Source: RFC 3720 appendix B.4 (polynomial 0x1EDC6F41, reflected 0x82F63B78, initial and final value all ones).
 */
import { createRequire } from 'node:module';

/** Ranges shorter than this are summed in JavaScript. Measured crossing point: 300 to 500 bytes. */
const NATIVE_BYTES_MIN = 384;

/** Ranges at least this long are summed by words where there is no native routine. */
const WORDS_BYTES_MIN = 512;

const POLYNOMIAL_REFLECTED = 0x82f63b78;
const SLICES = 8;

/** `TABLES[256 * n + byte]` is the effect of `byte` followed by n zero bytes. */
const TABLES = buildTables();

type NativeCrc32c = (input: Uint8Array, initial?: number) => number;
const native = loadNative();

/** Whether long ranges go to the native routine on this platform. */
export const CRC32C_IS_NATIVE = native !== undefined;

/**
 * The CRC-32C of bytes [start, end) of `buffer`.
 * @param seed the result for the bytes before these, to continue over several ranges. Default 0: the first range.
 * @returns an unsigned 32-bit number. An empty range gives `seed`.
 * @throws RangeError when the range is not inside the buffer.
 * @example crc32c(Buffer.from('123456789'), 0, 9) // => 0xe3069283
 */
export function crc32c(buffer: Uint8Array, start: number, end: number, seed = 0): number {
  if (native === undefined || end - start < NATIVE_BYTES_MIN)
    return crc32cJs(buffer, start, end, seed);
  checkRange(buffer, start, end);
  return native(new Uint8Array(buffer.buffer, buffer.byteOffset + start, end - start), seed);
}

/** The same in JavaScript alone, eight bytes a step. Exported for the tests that compare the two. */
export function crc32cJs(buffer: Uint8Array, start: number, end: number, seed = 0): number {
  checkRange(buffer, start, end);
  // A view of words doubles the speed (0.5 to 1 GB/s) but takes some 200 ns to make.
  if (end - start < WORDS_BYTES_MIN) return sumBytes(buffer, start, end, seed);
  const wordsEnd = end - ((end - start) % SLICES);
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  return sumBytes(buffer, wordsEnd, end, sumWords(TABLES, view, start, wordsEnd, seed));
}

/** The inner loop for long ranges, of whole steps. Every index is inside: the range was checked. */
function sumWords(t: Int32Array, view: DataView, start: number, end: number, seed: number): number {
  let crc = ~seed;
  for (let i = start; i < end; i += SLICES) {
    const low = crc ^ view.getInt32(i, true);
    const high = view.getInt32(i + 4, true);
    crc =
      at(t, 1792 + (low & 255)) ^
      at(t, 1536 + ((low >>> 8) & 255)) ^
      at(t, 1280 + ((low >>> 16) & 255)) ^
      at(t, 1024 + (low >>> 24)) ^
      at(t, 768 + (high & 255)) ^
      at(t, 512 + ((high >>> 8) & 255)) ^
      at(t, 256 + ((high >>> 16) & 255)) ^
      at(t, high >>> 24);
  }
  return ~crc >>> 0;
}

/** The inner loop for short ranges of any size. */
function sumBytes(b: Uint8Array, start: number, end: number, seed: number): number {
  const t = TABLES;
  let crc = ~seed;
  let i = start;
  for (const last = end - (SLICES - 1); i < last; i += SLICES) {
    const low =
      crc ^ (at(b, i) | (at(b, i + 1) << 8) | (at(b, i + 2) << 16) | (at(b, i + 3) << 24));
    crc =
      at(t, 1792 + (low & 255)) ^
      at(t, 1536 + ((low >>> 8) & 255)) ^
      at(t, 1280 + ((low >>> 16) & 255)) ^
      at(t, 1024 + (low >>> 24)) ^
      at(t, 768 + at(b, i + 4)) ^
      at(t, 512 + at(b, i + 5)) ^
      at(t, 256 + at(b, i + 6)) ^
      at(t, at(b, i + 7));
  }
  for (; i < end; i++) crc = at(t, (crc ^ at(b, i)) & 255) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** An element that is known to be there; V8 inlines it. */
function at(array: Uint8Array | Int32Array, index: number): number {
  return array[index] as number;
}

function checkRange(buffer: Uint8Array, start: number, end: number): void {
  if (!(start >= 0 && start <= end && end <= buffer.length))
    throw new RangeError(`range ${start}..${end} is not inside ${buffer.length} bytes`);
}

function buildTables(): Int32Array {
  const tables = new Int32Array(256 * SLICES);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++)
      crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL_REFLECTED : crc >>> 1;
    tables[byte] = crc;
  }
  for (let index = 256; index < tables.length; index++) {
    const previous = at(tables, index - 256);
    tables[index] = (previous >>> 8) ^ at(tables, previous & 255);
  }
  return tables;
}

/** The native routine, or undefined where the package has no build for this platform. */
function loadNative(): NativeCrc32c | undefined {
  try {
    const loaded: unknown = createRequire(import.meta.url)('@node-rs/crc32');
    return (loaded as { crc32c: NativeCrc32c }).crc32c;
  } catch {
    return undefined; // No build for this platform: JavaScript gives the same numbers, more slowly.
  }
}

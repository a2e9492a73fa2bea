/**
 * Searches over bytes that Buffer has no call for.
 *
 * @hot Four bytes at a time: a word has its high bit set wherever `word ^ pattern` has a zero byte (Warren, Hacker's Delight §6-1).
 */

/** How often `byte` is in buffer[start, end). */
export function countByte(buffer: Buffer, start: number, end: number, byte: number): number {
  let count = 0;
  let at = start;
  for (; at < end && ((buffer.byteOffset + at) & 3) !== 0; at++) if (buffer[at] === byte) count++;
  const words = wordsOf(buffer, at, end);
  const pattern = byte * 0x01010101;
  for (let index = 0; index < words.length; index++) {
    const x = (words[index] ?? 0) ^ pattern;
    const zeros = ~(((x & 0x7f7f7f7f) + 0x7f7f7f7f) | x | 0x7f7f7f7f);
    // The four flags are bits 7, 15, 23 and 31: the multiplication adds them up in the highest byte.
    count += Math.imul((zeros >>> 7) & 0x01010101, 0x01010101) >>> 24;
  }
  for (at += words.length * 4; at < end; at++) if (buffer[at] === byte) count++;
  return count;
}

/** Whether `byte` is in buffer[start, end) an odd number of times. */
export function isOddCount(buffer: Buffer, start: number, end: number, byte: number): boolean {
  const first = buffer.indexOf(byte, start);
  if (first < 0 || first >= end) return false;
  let parity = 0;
  let at = first;
  for (; at < end && ((buffer.byteOffset + at) & 3) !== 0; at++)
    parity ^= buffer[at] === byte ? 1 : 0;
  const words = wordsOf(buffer, at, end);
  const pattern = byte * 0x01010101;
  let flags = 0;
  for (let index = 0; index < words.length; index++) {
    const x = (words[index] ?? 0) ^ pattern;
    flags ^= ~(((x & 0x7f7f7f7f) + 0x7f7f7f7f) | x | 0x7f7f7f7f);
  }
  for (at += words.length * 4; at < end; at++) parity ^= buffer[at] === byte ? 1 : 0;
  const folded = flags ^ (flags >>> 16);
  return ((parity ^ ((folded ^ (folded >>> 8)) >>> 7)) & 1) === 1;
}

/** The whole words of buffer[at, end), where `at` is a multiple of 4 in memory. */
function wordsOf(buffer: Buffer, at: number, end: number): Uint32Array {
  if (end - at < 4) return NO_WORDS;
  return new Uint32Array(buffer.buffer, buffer.byteOffset + at, (end - at) >>> 2);
}

const NO_WORDS = new Uint32Array(0);

/**
 * Layout of runs: what the arena of an exchange writer, run files and the buffers of readers have in common.
 * NOTE: runs live as long as their job and do not leave its machine; words are in its byte order.
 *
 *   run      segment of partition 0, its index, segment of partition 1, its index, …
 *   segment  blocks of about 64 KiB, of whole records
 *   block    crc of the rest, bytes of records, number of records (words), records
 *   record   1 word: bit 31 value is the key | bits 11 to 30 bytes of the value | bits 0 to 10 bytes of the key
 *            or 3 words: -1, bytes of the key, bytes of the value (-1: the value is the key);
 *            the key, the value, zeros up to the next word
 *   index    crc of the rest, then see `encodeIndex`
 *
 * Words make copies cheap: a record moves from arena to file to merged file as words, never byte by byte.
 *
 * @hot
 */
import { crc32 } from 'node:zlib';
import type { ByteWriter } from '../../../core/byte-writer.ts';
import { MillraceError } from '../../../core/errors.ts';
import { INDEX_KEY_BYTES_MAX } from '../../../core/limits.ts';

export const BLOCK_HEADER_WORDS = 3;
export const BLOCK_HEADER_BYTES = BLOCK_HEADER_WORDS * 4;
const SHORT_KEY_BYTES_MAX = 0x7ff;
const SHORT_VALUE_BYTES_MAX = 0xfffff;
const VALUE_IS_KEY = 0x80000000 | 0;

/** Whether the lengths of a record fit into one word. */
export function isShort(keyBytes: number, valueBytes: number): boolean {
  return keyBytes <= SHORT_KEY_BYTES_MAX && valueBytes <= SHORT_VALUE_BYTES_MAX;
}

/** Words that a record takes. A value that is the key has 0 bytes. */
export function recordWords(keyBytes: number, valueBytes: number): number {
  return (isShort(keyBytes, valueBytes) ? 1 : 3) + ((keyBytes + valueBytes + 3) >>> 2);
}

/** Writes the lengths at words[at]; returns where the key begins, as a word. */
export function writeLengths(
  words: Int32Array,
  at: number,
  keyBytes: number,
  valueBytes: number,
  isKey: boolean,
): number {
  if (isShort(keyBytes, valueBytes)) {
    words[at] = keyBytes | (valueBytes << 11) | (isKey ? VALUE_IS_KEY : 0);
    return at + 1;
  }
  words[at] = -1;
  words[at + 1] = keyBytes;
  words[at + 2] = isKey ? -1 : valueBytes;
  return at + 3;
}

/** The word where the key of the record at words[at] begins. */
export function keyWord(words: Int32Array, at: number): number {
  return (words[at] as number) === -1 ? at + 3 : at + 1;
}

export function keyBytesOf(words: Int32Array, at: number): number {
  const first = words[at] as number;
  return first === -1 ? (words[at + 1] as number) : first & SHORT_KEY_BYTES_MAX;
}

/** Bytes of the value as stored: 0 when it is the key. */
export function valueBytesOf(words: Int32Array, at: number): number {
  const first = words[at] as number;
  if (first !== -1) return (first >>> 11) & SHORT_VALUE_BYTES_MAX;
  const bytes = words[at + 2] as number;
  return bytes === -1 ? 0 : bytes;
}

export function isValueKey(words: Int32Array, at: number): boolean {
  const first = words[at] as number;
  return first === -1 ? words[at + 2] === -1 : first < 0;
}

/** Words of the record at words[at], lengths included. */
export function wordsOf(words: Int32Array, at: number): number {
  const first = words[at] as number;
  if (first !== -1)
    return (
      1 + (((first & SHORT_KEY_BYTES_MAX) + ((first >>> 11) & SHORT_VALUE_BYTES_MAX) + 3) >>> 2)
    );
  return 3 + (((words[at + 1] as number) + valueBytesOf(words, at) + 3) >>> 2);
}

/** The first record of a block. */
export interface IndexEntry {
  /** Bytes from the beginning of the segment to the block. */
  readonly position: number;
  /** Records of the segment before it. */
  readonly ordinal: number;
  /** The first bytes of the key: the whole key unless `isCut`. Empty in unsorted segments. */
  readonly key: Buffer;
  readonly isCut: boolean;
}

/** What a reader has to know of a segment before it reads it. */
export interface SegmentIndex {
  readonly isSorted: boolean;
  /** Of the largest block, with its header. */
  readonly blockBytesMax: number;
  readonly entries: readonly IndexEntry[];
}

export function encodeIndex(index: SegmentIndex, writer: ByteWriter): void {
  const from = writer.length;
  writer.reserve(13);
  const { buffer } = writer;
  buffer[from + 4] = index.isSorted ? 1 : 0;
  buffer.writeUInt32LE(index.blockBytesMax, from + 5);
  buffer.writeUInt32LE(index.entries.length, from + 9);
  writer.length = from + 13;
  for (const entry of index.entries) {
    writer.reserve(19);
    const at = writer.length;
    writer.buffer.writeDoubleLE(entry.position, at);
    writer.buffer.writeDoubleLE(entry.ordinal, at + 8);
    writer.buffer[at + 16] = entry.isCut ? 1 : 0;
    writer.buffer.writeUInt16LE(entry.key.length, at + 17);
    writer.length = at + 19;
    writer.bytes(entry.key, 0, entry.key.length);
  }
  // Whole words, so that the next segment begins at one.
  while ((writer.length - from) % 4 !== 0) writer.byte(0);
  const crc = crc32(writer.buffer.subarray(from + 4, writer.length));
  writer.buffer.writeUInt32LE(crc, from);
}

/**
 * @param withEntries false leaves them out: they are for ranges
 * @throws {MillraceError} ML_IO when the bytes are no index
 */
export function decodeIndex(buffer: Buffer, path: string, withEntries: boolean): SegmentIndex {
  if (buffer.length < 13 || buffer.readUInt32LE(0) !== crc32(buffer.subarray(4)))
    throw damagedRun(path, 'its index does not have the checksum that it was written with');
  const isSorted = buffer[4] === 1;
  const blockBytesMax = buffer.readUInt32LE(5);
  const count = withEntries ? buffer.readUInt32LE(9) : 0;
  let at = 13;
  const entries: IndexEntry[] = [];
  for (let index = 0; index < count; index++) {
    const keyEnd = at + 19 + buffer.readUInt16LE(at + 17);
    entries.push({
      position: buffer.readDoubleLE(at),
      ordinal: buffer.readDoubleLE(at + 8),
      isCut: buffer[at + 16] === 1,
      key: buffer.subarray(at + 19, keyEnd),
    });
    at = keyEnd;
  }
  return { isSorted, blockBytesMax, entries };
}

/** The part of a key that an index keeps. */
export function indexKey(bytes: Uint8Array, start: number, end: number): Buffer {
  return Buffer.from(bytes.subarray(start, Math.min(end, start + INDEX_KEY_BYTES_MAX)));
}

export function damagedRun(path: string, what: string): MillraceError {
  return new MillraceError('ML_IO', `the run ${path} does not hold what was written: ${what}`, {
    hint: 'Look for disk errors with `dmesg`, and run the job again',
    fields: { path },
  });
}

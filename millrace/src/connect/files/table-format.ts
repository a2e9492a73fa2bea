/**
 * The files of a table: what they are called, their fixed parts, and the filter that tells which keys are certainly not there.
 * docs/formats/table.md draws them byte by byte.
 *
 * Invariant: every byte that decides an answer is under a CRC-32C, so damage is an error and never another answer.
 */
import { crc32c } from '../../core/crc32c.ts';
import type { FileSystem } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { readWholeFile } from '../../core/files.ts';
import { TABLE_PARTITIONS_MAX } from '../../core/limits.ts';
import { murmur2 } from '../../core/murmur2.ts';

/** NOTE: persistent format: names, numbers and the order of fields are read by other versions. */
export const TABLE_FILE = '_table.json';
export const FOOTER_BYTES = 64;
export const CRC_BYTES = 4;
/** Value of an entry of the index: position (8), bytes (4), filter (4). */
export const POINTER_BYTES = 16;
/** Entry of the list of filters: position (8), bytes (4), keys (4). */
export const FILTER_ENTRY_BYTES = 16;
const MAGIC = 0x4d4c5442; // MLTB
const VERSION = 1;
const MANIFEST_FORMAT = 1;
const FILTER_BITS_PER_KEY = 10;
const FILTER_PROBES = 7;

export interface Footer {
  readonly keys: number;
  readonly indexPosition: number;
  readonly indexBytes: number;
  readonly blocks: number;
  readonly filters: number;
  /** The hash of the first key, and the greatest common divisor of the differences of all others from it: whether the file is
   * partition i of n can be told without reading it. */
  readonly residue: number;
  readonly modulus: number;
}

/** `_table.json`: the files of a table, partition by partition. */
export interface TableManifest {
  readonly keys: number;
  /** `hash`: file i holds exactly the keys of partition i. `none`: any file may hold a key, the last one that does wins. */
  readonly partitioning: 'hash' | 'none';
  readonly files: readonly TableFileEntry[];
}

export interface TableFileEntry {
  readonly name: string;
  readonly bytes: number;
  readonly keys: number;
  /** CRC at the end of its footer: tells it from a file of another version. */
  readonly crc: number;
}

export function damaged(path: string, position: number, what: string): MillraceError {
  return new MillraceError('ML_TABLE_DAMAGED', `${path} is damaged at ${position}: ${what}`, {
    fields: { path, position },
  });
}

export function encodeFooter(footer: Footer): Buffer {
  const bytes = Buffer.alloc(FOOTER_BYTES);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(VERSION, 4);
  writeSize(bytes, footer.keys, 8);
  writeSize(bytes, footer.indexPosition, 16);
  bytes.writeUInt32BE(footer.indexBytes, 24);
  bytes.writeUInt32BE(footer.blocks, 28);
  bytes.writeUInt32BE(footer.filters, 32);
  bytes.writeUInt32BE(footer.residue, 36);
  bytes.writeUInt32BE(footer.modulus, 40);
  bytes.writeUInt32BE(crc32c(bytes, 0, FOOTER_BYTES - CRC_BYTES), FOOTER_BYTES - CRC_BYTES);
  return bytes;
}

/** @param position where the footer is in the file, for errors */
export function decodeFooter(bytes: Buffer, path: string, position: number): Footer {
  if (bytes.length < FOOTER_BYTES || bytes.readUInt32BE(0) !== MAGIC)
    throw damaged(path, position, 'there is no footer');
  const crcAt = FOOTER_BYTES - CRC_BYTES;
  if (crc32c(bytes, 0, crcAt) !== bytes.readUInt32BE(crcAt))
    throw damaged(path, position, 'the checksum of the footer does not match');
  if (bytes.readUInt32BE(4) !== VERSION)
    throw new MillraceError('ML_DATA_NEWER', `${path} is of a format that this version lacks`, {
      fields: { path },
    });
  return {
    keys: readSize(bytes, 8),
    indexPosition: readSize(bytes, 16),
    indexBytes: bytes.readUInt32BE(24),
    blocks: bytes.readUInt32BE(28),
    filters: bytes.readUInt32BE(32),
    residue: bytes.readUInt32BE(36),
    modulus: bytes.readUInt32BE(40),
  };
}

/** JSON, then a line with its CRC-32C in hexadecimal digits. */
export function encodeManifest(manifest: TableManifest): Buffer {
  const text = Buffer.from(
    `${JSON.stringify({ format: MANIFEST_FORMAT, ...manifest }, undefined, 2)}\n`,
  );
  return Buffer.concat([text, Buffer.from(`${hex(crc32c(text, 0, text.length))}\n`)]);
}

/** The manifest and its checksum. @throws {MillraceError} ML_FILE_NOT_FOUND, ML_TABLE_DAMAGED, ML_DATA_NEWER */
export function readManifest(
  fs: FileSystem,
  directory: string,
): { readonly manifest: TableManifest; readonly crc: string } {
  const path = `${directory}/${TABLE_FILE}`;
  const bytes = readWholeFile(fs, path);
  const end = bytes.length - 9;
  const crc = end < 0 ? '' : bytes.toString('latin1', end, end + 8);
  if (end < 0 || bytes[bytes.length - 1] !== 10 || hex(crc32c(bytes, 0, end)) !== crc)
    throw damaged(path, Math.max(0, end), 'its checksum does not match');
  const value = JSON.parse(bytes.toString('utf8', 0, end)) as TableManifest & { format: unknown };
  if (value.format !== MANIFEST_FORMAT)
    throw new MillraceError('ML_DATA_NEWER', `${path} is of a format that this version lacks`, {
      fields: { path },
    });
  const { files } = value;
  if (files.length === 0 || files.length > TABLE_PARTITIONS_MAX)
    throw damaged(path, 0, `${files.length} partitions`);
  return { manifest: value, crc };
}

/** What partitions and filters go by: the same hash as `partitionOfKey`. Never negative. */
export function hashOf(key: Uint8Array, start: number, end: number): number {
  return murmur2(key, start + 1, end) & 0x7fffffff;
}

export function greatestCommonDivisor(a: number, b: number): number {
  let [high, low] = [a, b];
  while (low !== 0) [high, low] = [low, high % low];
  return high;
}

/** A filter over these hashes: a Bloom filter of 10 bits per key, then its CRC. About 1 % of absent keys pass. */
export function buildFilter(hashes: Uint32Array): Buffer {
  const bits = Math.ceil((Math.max(1, hashes.length) * FILTER_BITS_PER_KEY) / 64) * 64;
  const filter = Buffer.alloc(bits / 8 + CRC_BYTES);
  for (const hash of hashes) {
    const step = mix(hash ^ 0x9e3779b9) | 1;
    let at = mix(hash);
    for (let probe = 0; probe < FILTER_PROBES; probe++) {
      const bit = bitOf(at, bits);
      const index = bit >>> 3;
      filter[index] = (filter[index] as number) | (1 << (bit & 7));
      at = (at + step) | 0;
    }
  }
  filter.writeUInt32BE(crc32c(filter, 0, bits / 8), bits / 8);
  return filter;
}

/** False: no key with this hash is there. @param filter without its CRC */
export function mayHold(filter: Uint8Array, hash: number): boolean {
  const bits = filter.length * 8;
  const step = mix(hash ^ 0x9e3779b9) | 1;
  let at = mix(hash);
  for (let probe = 0; probe < FILTER_PROBES; probe++) {
    const bit = bitOf(at, bits);
    if (((filter[bit >>> 3] as number) & (1 << (bit & 7))) === 0) return false;
    at = (at + step) | 0;
  }
  return true;
}

/** A number of up to 2^53 in 8 bytes. */
export function writeSize(buffer: Buffer, value: number, at: number): void {
  buffer.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  buffer.writeUInt32BE(value % 2 ** 32, at + 4);
}

export function readSize(buffer: Buffer, at: number): number {
  return buffer.readUInt32BE(at) * 2 ** 32 + buffer.readUInt32BE(at + 4);
}

/** The high bits of a hash as a number below `bits`: exact, because the product is below 2^53. */
function bitOf(hash: number, bits: number): number {
  return Math.floor(((hash >>> 0) * bits) / 2 ** 32);
}

/** Spreads the bits: keys of one partition have the lowest ones in common. Source: the finaliser of MurmurHash3. */
function mix(hash: number): number {
  let mixed = hash;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}

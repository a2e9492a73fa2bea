/**
 * The bytes of a journal file: layouts, and nothing that reads or writes files. docs/formats/journal.md says the same in
 * prose. All numbers are big-endian; checksums are CRC-32C.
 *
 *   file  = header sector (512 bytes), then groups, each beginning on a multiple of 512
 *   group = header (64) | table (56 per entry) | payloads, in the order of the table | zeros up to a multiple of 512
 *
 * A group is what one fdatasync commits. The table holds the first 21 bytes of each record batch, the only ones that
 * the batch's own CRC does not cover, and one checksum covers the table: so every byte of a group is covered and the
 * payload bytes are not summed a second time.
 *
 * Invariant: group sequences are strictly increasing over the life of a store, and group N+1 is written only after
 * group N was durable. What an older use of a recycled file left behind has a lower sequence and is never taken for new.
 */
import { crc32c } from '../core/crc32c.ts';
import { ATTRIBUTES_AT, readInt64, writeInt64 } from '../wire/kafka/records/record-batch.ts';
import type { LogId } from './types.ts';

/** NOTE: persistent format, do not renumber (this and every constant below). */
export const JOURNAL_FORMAT_VERSION = 1;
/** Groups begin on multiples of this: the smallest unit that a device writes at once. */
export const SECTOR_BYTES = 512;
export const GROUP_HEADER_BYTES = 64;
export const ENTRY_BYTES = 56;
/** Bytes of a record batch that its CRC does not cover; the table of the group holds them. */
export const BATCH_PREFIX_BYTES = ATTRIBUTES_AT;
export const STORE_ID_BYTES = 16;

const FILE_MAGIC = 0x4d4c4a46; // MLJF
const GROUP_MAGIC = 0x4d4c4a47; // MLJG

/** What an entry says of its log. */
export const ENTRY_BATCH = 1;
/** The log start offset moved forward to `offset`. */
export const ENTRY_LOG_START = 2;
/** The log was deleted: everything about it before this entry is void. */
export const ENTRY_DELETED = 3;
export type EntryKind = 1 | 2 | 3;

export interface JournalFileHeader {
  readonly fileSequence: number;
  /** The store that wrote the file: files of another one are not ours to replay. */
  readonly storeId: Buffer;
}

export interface GroupHeader {
  readonly groupSequence: number;
  readonly fileSequence: number;
  readonly firstEntrySequence: number;
  /** The last group that was known to be durable when this one was written. */
  readonly durableGroupSequence: number;
  readonly entryCount: number;
  readonly payloadBytes: number;
  readonly tableCrc: number;
}

/** Rounds up to whole sectors. */
export function wholeSectors(bytes: number): number {
  return Math.ceil(bytes / SECTOR_BYTES) * SECTOR_BYTES;
}

/** Size in the file of a group, padding included. */
export function groupBytes(entryCount: number, payloadBytes: number): number {
  return wholeSectors(GROUP_HEADER_BYTES + entryCount * ENTRY_BYTES + payloadBytes);
}

/*
 * File header
 *    0      4         8               16         32    36        512
 *   +------+---------+---------------+----------+-----+-- … ----+
 *   | MLJF | version | file sequence | store id | CRC | zeros   |
 *   +------+---------+---------------+----------+-----+-- … ----+     the CRC covers 0..32
 */
const FILE_CRC_AT = 32;

export function writeFileHeader(buffer: Buffer, header: JournalFileHeader): void {
  buffer.fill(0, 0, SECTOR_BYTES);
  buffer.writeUInt32BE(FILE_MAGIC, 0);
  buffer.writeUInt32BE(JOURNAL_FORMAT_VERSION, 4);
  writeInt64(buffer, 8, header.fileSequence);
  header.storeId.copy(buffer, 16, 0, STORE_ID_BYTES);
  buffer.writeUInt32BE(crc32c(buffer, 0, FILE_CRC_AT), FILE_CRC_AT);
}

/** undefined when the sector is not a header: never written, or damaged. */
export function readFileHeader(buffer: Buffer): JournalFileHeader | undefined {
  if (buffer.length < SECTOR_BYTES) return undefined;
  if (buffer.readUInt32BE(0) !== FILE_MAGIC) return undefined;
  if (buffer.readUInt32BE(FILE_CRC_AT) !== crc32c(buffer, 0, FILE_CRC_AT)) return undefined;
  if (buffer.readUInt32BE(4) !== JOURNAL_FORMAT_VERSION) return undefined;
  const fileSequence = readInt64(buffer, 8);
  return { fileSequence, storeId: Buffer.from(buffer.subarray(16, 16 + STORE_ID_BYTES)) };
}

/*
 * Group header
 *    0      4     8           16         24            32              40      44        48    52     64
 *   +------+-----+-----------+----------+-------------+---------------+-------+---------+-----+------+
 *   | MLJG | CRC | group     | file     | sequence of | last durable  | entry | payload | tab.| zero |
 *   |      |     | sequence  | sequence | first entry | group         | count | bytes   | CRC |      |
 *   +------+-----+-----------+----------+-------------+---------------+-------+---------+-----+------+
 *   the CRC covers 8..64, the table CRC all entries of the table
 */
const GROUP_CRC_AT = 4;

/** Writes header and checksums of a group whose table lies right behind the header. */
export function writeGroupHeader(
  buffer: Buffer,
  position: number,
  header: Omit<GroupHeader, 'tableCrc'>,
): void {
  const tableAt = position + GROUP_HEADER_BYTES;
  buffer.writeUInt32BE(GROUP_MAGIC, position);
  writeInt64(buffer, position + 8, header.groupSequence);
  writeInt64(buffer, position + 16, header.fileSequence);
  writeInt64(buffer, position + 24, header.firstEntrySequence);
  writeInt64(buffer, position + 32, header.durableGroupSequence);
  buffer.writeUInt32BE(header.entryCount, position + 40);
  buffer.writeUInt32BE(header.payloadBytes, position + 44);
  const tableCrc = crc32c(buffer, tableAt, tableAt + header.entryCount * ENTRY_BYTES);
  buffer.writeUInt32BE(tableCrc, position + 48);
  buffer.fill(0, position + 52, tableAt);
  buffer.writeUInt32BE(crc32c(buffer, position + 8, tableAt), position + GROUP_CRC_AT);
}

/** undefined when no group header begins at `position`, or it is damaged. */
export function readGroupHeader(buffer: Buffer, position: number): GroupHeader | undefined {
  if (buffer.length - position < GROUP_HEADER_BYTES) return undefined;
  if (buffer.readUInt32BE(position) !== GROUP_MAGIC) return undefined;
  const crc = crc32c(buffer, position + 8, position + GROUP_HEADER_BYTES);
  if (buffer.readUInt32BE(position + GROUP_CRC_AT) !== crc) return undefined;
  return {
    groupSequence: readInt64(buffer, position + 8),
    fileSequence: readInt64(buffer, position + 16),
    firstEntrySequence: readInt64(buffer, position + 24),
    durableGroupSequence: readInt64(buffer, position + 32),
    entryCount: buffer.readUInt32BE(position + 40),
    payloadBytes: buffer.readUInt32BE(position + 44),
    tableCrc: buffer.readUInt32BE(position + 48),
  };
}

/*
 * Entry of the table
 *    0          16          20       28        32     33                     54     56
 *   +----------+-----------+--------+---------+------+----------------------+------+
 *   | topic id | partition | offset | payload | kind | first 21 bytes of    | zero |
 *   |          | i32       | i64    | bytes   |      | the batch, or zeros  |      |
 *   +----------+-----------+--------+---------+------+----------------------+------+
 *   payload bytes = size of the batch - 21
 */

/** The topic id of a log as the four numbers that a table entry holds, so that writing one copies no buffer. */
export interface EntryKey {
  readonly topicId0: number;
  readonly topicId1: number;
  readonly topicId2: number;
  readonly topicId3: number;
  readonly partition: number;
}

/** @param topicId a UUID with hyphens */
export function entryKey(topicId: string, partition: number): EntryKey {
  const bytes = Buffer.from(topicId.replaceAll('-', ''), 'hex');
  return {
    topicId0: bytes.readUInt32BE(0),
    topicId1: bytes.readUInt32BE(4),
    topicId2: bytes.readUInt32BE(8),
    topicId3: bytes.readUInt32BE(12),
    partition,
  };
}

/** The name under which the topic id and partition of an entry are looked up: see `logKey`. */
export function entryLogKey(buffer: Buffer, position: number): string {
  const hex = buffer.toString('hex', position, position + 16);
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  return logKey(uuid, buffer.readInt32BE(position + 16));
}

/** One string per log. */
export function logKey(topicId: string, partition: number): string {
  return `${topicId}/${partition}`;
}

/** What `logKey` was made of. */
export function logIdOf(key: string): LogId {
  const slash = key.indexOf('/');
  return { topicId: key.slice(0, slash), partition: Number(key.slice(slash + 1)) };
}

/** Writes a table entry without a batch: the prefix is zeros and there is no payload. */
export function writeEntry(
  buffer: Buffer,
  position: number,
  key: EntryKey,
  kind: EntryKind,
  offset: number,
): void {
  buffer.writeUInt32BE(key.topicId0, position);
  buffer.writeUInt32BE(key.topicId1, position + 4);
  buffer.writeUInt32BE(key.topicId2, position + 8);
  buffer.writeUInt32BE(key.topicId3, position + 12);
  buffer.writeInt32BE(key.partition, position + 16);
  writeInt64(buffer, position + 20, offset);
  buffer.writeUInt32BE(0, position + 28);
  buffer[position + 32] = kind;
  buffer.fill(0, position + 33, position + ENTRY_BYTES);
}

/** As `writeEntry` for a record batch, batch[start, end), which must be at least BATCH_PREFIX_BYTES long. */
export function writeBatchEntry(
  buffer: Buffer,
  position: number,
  key: EntryKey,
  offset: number,
  batch: Buffer,
  start: number,
  end: number,
): void {
  buffer.writeUInt32BE(key.topicId0, position);
  buffer.writeUInt32BE(key.topicId1, position + 4);
  buffer.writeUInt32BE(key.topicId2, position + 8);
  buffer.writeUInt32BE(key.topicId3, position + 12);
  buffer.writeInt32BE(key.partition, position + 16);
  writeInt64(buffer, position + 20, offset);
  buffer.writeUInt32BE(end - start - BATCH_PREFIX_BYTES, position + 28);
  buffer[position + 32] = ENTRY_BATCH;
  for (let index = 0; index < BATCH_PREFIX_BYTES; index++)
    buffer[position + 33 + index] = batch[start + index] as number;
  buffer[position + 54] = 0;
  buffer[position + 55] = 0;
}

export function entryKind(buffer: Buffer, position: number): number {
  return buffer.readUInt8(position + 32);
}

export function entryOffset(buffer: Buffer, position: number): number {
  return readInt64(buffer, position + 20);
}

export function entryPayloadBytes(buffer: Buffer, position: number): number {
  return buffer.readUInt32BE(position + 28);
}

/** Where the prefix of the batch is in the entry that begins at `position`. */
export function entryPrefixAt(position: number): number {
  return position + 33;
}

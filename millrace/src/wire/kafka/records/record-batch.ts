/**
 * The header of a record batch, format v2: where its fields are, and what can be said about a batch without decoding
 * its records. A segment file is a sequence of these batches, and so is the records field of Produce and Fetch.
 *
 *    0                   8        12       16 17       21    23
 *   +-------------------+--------+--------+--+--------+-----+--------+
 *   | base offset       | length | leader |M | CRC    | att | last   |
 *   | i64               | i32    | epoch  |i8| u32    | i16 | offset |
 *   |                   |        | i32    |  |        |     | delta  |
 *   +-------------------+--------+--------+--+--------+-----+--------+
 *    27                  35                  43                  51
 *   +-------------------+-------------------+-------------------+
 *   | base timestamp    | max timestamp     | producer id       |
 *   | i64 ms            | i64 ms            | i64, -1 = none    |
 *   +-------------------+-------------------+-------------------+
 *    51         53         57         61                   12 + length
 *   +----------+----------+----------+--------- … --------+
 *   | producer | base     | record   | records,           |
 *   | epoch i16| seq. i32 | count i32| maybe compressed   |
 *   +----------+----------+----------+--------------------+
 *
 * All numbers are big-endian. `length` counts the bytes after itself. The CRC-32C covers everything from `attributes`
 * to the end, so base offset and leader epoch are the broker's to write: patching them leaves the CRC good.
 *
 *   attributes   bits 0-2 codec (none gzip snappy lz4 zstd)   bit 3 timestamps are of the append
 *                bit 4 transactional   bit 5 control batch    bit 6 base timestamp is the delete horizon
 *
 * Invariant: nothing here reads past `end`, and nothing throws on bad bytes: `checkBatch` says what is wrong. The
 * accessors read a batch that has passed `checkBatch`, or at least has HEADER_BYTES.
 * 64-bit fields are returned as numbers: exact for every safe integer, rounded beyond.
 *
 * @hot
 * Source: KIP-98 (format), KIP-32 (timestamps), KIP-101 (leader epoch), KIP-110 (zstd), KIP-534 (delete horizon).
 */
import { RECORD_BATCH_BYTES_MAX } from '../../../core/limits.ts';
import {
  readInt16,
  readInt32,
  readInt64,
  writeInt16,
  writeInt32,
  writeInt64,
} from './big-endian.ts';
import { crc32c } from '../../../core/crc32c.ts';

export { readInt64, writeInt64 } from './big-endian.ts';

// NOTE: persistent format, do not renumber.
export const BASE_OFFSET_AT = 0;
export const BATCH_LENGTH_AT = 8;
export const LEADER_EPOCH_AT = 12;
export const MAGIC_AT = 16;
export const CRC_AT = 17;
export const ATTRIBUTES_AT = 21;
export const LAST_OFFSET_DELTA_AT = 23;
export const BASE_TIMESTAMP_AT = 27;
export const MAX_TIMESTAMP_AT = 35;
export const PRODUCER_ID_AT = 43;
export const PRODUCER_EPOCH_AT = 51;
export const BASE_SEQUENCE_AT = 53;
export const RECORD_COUNT_AT = 57;
/** Size of the whole header: where the records begin. */
export const HEADER_BYTES = 61;
/** The bytes before and including `length`, which `length` does not count. */
export const LENGTH_OVERHEAD_BYTES = 12;
export const MAGIC_V2 = 2;

// NOTE: persistent format, do not renumber.
export const COMPRESSION_MASK = 0x07;
export const APPEND_TIME_FLAG = 0x08;
export const TRANSACTIONAL_FLAG = 0x10;
export const CONTROL_FLAG = 0x20;
export const DELETE_HORIZON_FLAG = 0x40;

/** Producer id, epoch and sequence of a batch without an idempotent producer; timestamp of one without time. */
export const NO_PRODUCER_ID = -1;
export const NO_PRODUCER_EPOCH = -1;
export const NO_SEQUENCE = -1;
export const NO_TIMESTAMP = -1;

// ---- Fields. `position` is where the batch begins in `buffer`. ------------------------------------------------------

/** Offset of the first record the batch was written with (compaction may have removed that record). */
export function baseOffset(buffer: Buffer, position: number): number {
  return readInt64(buffer, position + BASE_OFFSET_AT);
}

/** Offset of the last record the batch was written with. */
export function lastOffset(buffer: Buffer, position: number): number {
  return baseOffset(buffer, position) + lastOffsetDelta(buffer, position);
}

/** The length field: bytes after itself. For the whole batch see `batchBytes`. */
export function batchLength(buffer: Buffer, position: number): number {
  return readInt32(buffer, position + BATCH_LENGTH_AT);
}

/** Size of the whole batch in bytes, header and records, as its length field claims. */
export function batchBytes(buffer: Buffer, position: number): number {
  return LENGTH_OVERHEAD_BYTES + batchLength(buffer, position);
}

export function leaderEpoch(buffer: Buffer, position: number): number {
  return readInt32(buffer, position + LEADER_EPOCH_AT);
}

/** The format: 2, or 0 and 1 for the message sets of before 2017, which have theirs at the same place. */
export function magic(buffer: Buffer, position: number): number {
  return buffer.readInt8(position + MAGIC_AT);
}

/** The checksum that the batch claims, unsigned. */
export function storedCrc(buffer: Buffer, position: number): number {
  return readInt32(buffer, position + CRC_AT) >>> 0;
}

export function attributes(buffer: Buffer, position: number): number {
  return readInt16(buffer, position + ATTRIBUTES_AT);
}

export function lastOffsetDelta(buffer: Buffer, position: number): number {
  return readInt32(buffer, position + LAST_OFFSET_DELTA_AT);
}

/**
 * What record timestamps are relative to, in milliseconds since 1970; -1 in an empty batch. With the delete horizon
 * flag set it is also the time from which tombstones of the batch may go.
 */
export function baseTimestamp(buffer: Buffer, position: number): number {
  return readInt64(buffer, position + BASE_TIMESTAMP_AT);
}

/** Highest timestamp of the batch in milliseconds since 1970 (with append time: the timestamp of all); -1 = none. */
export function maxTimestamp(buffer: Buffer, position: number): number {
  return readInt64(buffer, position + MAX_TIMESTAMP_AT);
}

/** -1 = not from an idempotent producer. */
export function producerId(buffer: Buffer, position: number): number {
  return readInt64(buffer, position + PRODUCER_ID_AT);
}

export function producerEpoch(buffer: Buffer, position: number): number {
  return readInt16(buffer, position + PRODUCER_EPOCH_AT);
}

/** Sequence number of the first record; -1 = none. */
export function baseSequence(buffer: Buffer, position: number): number {
  return readInt32(buffer, position + BASE_SEQUENCE_AT);
}

/** Sequence number of the last record; numbers wrap from 2^31-1 to 0. -1 = none. */
export function lastSequence(buffer: Buffer, position: number): number {
  const first = baseSequence(buffer, position);
  return first === NO_SEQUENCE
    ? NO_SEQUENCE
    : addSequence(first, lastOffsetDelta(buffer, position));
}

/** `sequence + increment` in the ring of 2^31 sequence numbers. Both 0 to 2^31-1. */
export function addSequence(sequence: number, increment: number): number {
  return (sequence + increment) % 2 ** 31;
}

/** How many records are in the batch now: at most lastOffsetDelta + 1, fewer after compaction, maybe none. */
export function recordCount(buffer: Buffer, position: number): number {
  return readInt32(buffer, position + RECORD_COUNT_AT);
}

// ---- Attributes -----------------------------------------------------------------------------------------------------

/** The codec's number: see `compression.ts`. 0 = none; 5 to 7 do not exist. */
export function compressionOf(attributes: number): number {
  return attributes & COMPRESSION_MASK;
}

export function isAppendTime(attributes: number): boolean {
  return (attributes & APPEND_TIME_FLAG) !== 0;
}

export function isTransactional(attributes: number): boolean {
  return (attributes & TRANSACTIONAL_FLAG) !== 0;
}

/** Whether the records are control records (transaction markers), which no consumer is shown. */
export function isControl(attributes: number): boolean {
  return (attributes & CONTROL_FLAG) !== 0;
}

export function hasDeleteHorizon(attributes: number): boolean {
  return (attributes & DELETE_HORIZON_FLAG) !== 0;
}

/** The time from which tombstones and markers of the batch may be removed, ms since 1970; -1 = not decided yet. */
export function deleteHorizon(buffer: Buffer, position: number): number {
  return hasDeleteHorizon(attributes(buffer, position))
    ? baseTimestamp(buffer, position)
    : NO_TIMESTAMP;
}

// ---- Walking --------------------------------------------------------------------------------------------------------

/**
 * The position after the batch that begins at `position`, or -1 when it does not end by `end` or its length cannot be.
 * Looks at the length only: this walks bytes that were checked before.
 * @example for (let at = 0, next; (next = batchEnd(buffer, at, end)) !== -1; at = next) count += recordCount(buffer, at)
 */
export function batchEnd(buffer: Buffer, position: number, end: number): number {
  if (end - position < LENGTH_OVERHEAD_BYTES) return -1;
  const length = batchLength(buffer, position);
  if (length < HEADER_BYTES - LENGTH_OVERHEAD_BYTES) return -1;
  const next = position + LENGTH_OVERHEAD_BYTES + length;
  return next <= end ? next : -1;
}

// ---- Checking -------------------------------------------------------------------------------------------------------

export const BATCH_OK = 0;
/** `end` comes before the end of the batch (or of its header): more bytes are needed to say anything. */
export const BATCH_INCOMPLETE = 1;
/** The length is less than a header, or more than RECORD_BATCH_BYTES_MAX. */
export const BATCH_BAD_LENGTH = 2;
/** A message set of format 0 or 1, which no client has written by default since 2017 and we do not store. */
export const BATCH_LEGACY_MAGIC = 3;
/** A format that does not exist. */
export const BATCH_BAD_MAGIC = 4;
/** The bytes are not the ones that were summed. */
export const BATCH_BAD_CRC = 5;
/** A codec that does not exist. */
export const BATCH_BAD_ATTRIBUTES = 6;
/** The record count does not go with the offsets. */
export const BATCH_BAD_COUNTS = 7;

/** An offset, timestamp or producer id beyond 2^53, which no real one is: we could not tell it from its neighbours. */
export const BATCH_BAD_VALUES = 8;

export type BatchCheck = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

const BATCH_CHECK_TEXTS: Readonly<Record<BatchCheck, string>> = {
  [BATCH_OK]: 'ok',
  [BATCH_INCOMPLETE]: 'incomplete record batch',
  [BATCH_BAD_LENGTH]: 'record batch of an impossible length',
  [BATCH_LEGACY_MAGIC]: 'message format 0 or 1, which is not supported: set the client to format 2',
  [BATCH_BAD_MAGIC]: 'record batch of an unknown format',
  [BATCH_BAD_CRC]: 'record batch whose CRC does not match',
  [BATCH_BAD_ATTRIBUTES]: 'record batch with an unknown compression codec',
  [BATCH_BAD_COUNTS]: 'record batch whose record count does not go with its offsets',
  [BATCH_BAD_VALUES]: 'record batch with an offset, timestamp or producer id beyond 2^53',
};

/** What a check found, in words, for error messages and logs. */
export function batchCheckText(check: BatchCheck): string {
  return BATCH_CHECK_TEXTS[check];
}

/**
 * Whether a whole and good batch begins at `position` of a stored sequence and ends by `end`. Everything but the
 * records themselves is checked: length, format, CRC, codec, and that there are at most as many records as offsets
 * (compaction removes records and keeps the offsets).
 *
 * Cost: one pass of CRC-32C.
 */
export function checkBatch(buffer: Buffer, position: number, end: number): BatchCheck {
  const frame = checkBatchFrame(buffer, position, end);
  if (frame !== BATCH_OK) return frame;
  const next = position + batchBytes(buffer, position);
  if (crc32c(buffer, position + ATTRIBUTES_AT, next) !== storedCrc(buffer, position))
    return BATCH_BAD_CRC;
  return checkFields(buffer, position);
}

/** `checkBatch` but for the CRC: of a batch that this process has summed just now, in memory that nobody else has had. */
export function checkOwnBatch(buffer: Buffer, position: number, end: number): BatchCheck {
  const frame = checkBatchFrame(buffer, position, end);
  return frame === BATCH_OK ? checkFields(buffer, position) : frame;
}

function checkFields(buffer: Buffer, position: number): BatchCheck {
  if (compressionOf(attributes(buffer, position)) > 4) return BATCH_BAD_ATTRIBUTES;
  const count = recordCount(buffer, position);
  const delta = lastOffsetDelta(buffer, position);
  if (!(delta >= 0 && count >= 0 && count <= delta + 1)) return BATCH_BAD_COUNTS;
  return hasSafeValues(buffer, position) ? BATCH_OK : BATCH_BAD_VALUES;
}

function hasSafeValues(buffer: Buffer, position: number): boolean {
  return (
    Number.isSafeInteger(lastOffset(buffer, position)) &&
    Number.isSafeInteger(baseTimestamp(buffer, position)) &&
    Number.isSafeInteger(maxTimestamp(buffer, position)) &&
    Number.isSafeInteger(producerId(buffer, position))
  );
}

/**
 * `checkBatch`, and what a batch fresh from a producer must also be: not empty, and with one record per offset.
 * Whether the producer may write control batches, and whether its fields go together, is the broker's to say.
 */
export function checkProducedBatch(buffer: Buffer, position: number, end: number): BatchCheck {
  const stored = checkBatch(buffer, position, end);
  if (stored !== BATCH_OK) return stored;
  return recordCount(buffer, position) === lastOffsetDelta(buffer, position) + 1
    ? BATCH_OK
    : BATCH_BAD_COUNTS;
}

/** Length and format only: what can be said before the CRC, and what a scan needs to find its way. */
export function checkBatchFrame(buffer: Buffer, position: number, end: number): BatchCheck {
  const available = end - position;
  if (available < LENGTH_OVERHEAD_BYTES) return BATCH_INCOMPLETE;
  const length = batchLength(buffer, position);
  // Message sets have their format at the same place and may be shorter than our header: look at it first if it is there.
  if (available > MAGIC_AT) {
    const format = magic(buffer, position);
    if (format === 0 || format === 1) return BATCH_LEGACY_MAGIC;
    if (format !== MAGIC_V2) return BATCH_BAD_MAGIC;
  }
  if (length < HEADER_BYTES - LENGTH_OVERHEAD_BYTES) return BATCH_BAD_LENGTH;
  if (length > RECORD_BATCH_BYTES_MAX - LENGTH_OVERHEAD_BYTES) return BATCH_BAD_LENGTH;
  return length + LENGTH_OVERHEAD_BYTES <= available ? BATCH_OK : BATCH_INCOMPLETE;
}

// ---- Patching in place ----------------------------------------------------------------------------------------------

/** Writes the base offset, which the CRC does not cover. */
export function setBaseOffset(buffer: Buffer, position: number, offset: number): void {
  writeInt64(buffer, position + BASE_OFFSET_AT, offset);
}

/** Writes the leader epoch, which the CRC does not cover. */
export function setLeaderEpoch(buffer: Buffer, position: number, epoch: number): void {
  writeInt32(buffer, position + LEADER_EPOCH_AT, epoch);
}

/**
 * Marks the batch as stamped by the log (message.timestamp.type = LogAppendTime): sets the flag and the maximum
 * timestamp, and the CRC anew. The records keep their deltas; readers use the maximum for all of them.
 */
export function setAppendTime(buffer: Buffer, position: number, timestampMs: number): void {
  const flags = attributes(buffer, position) | APPEND_TIME_FLAG;
  writeInt16(buffer, position + ATTRIBUTES_AT, flags);
  writeInt64(buffer, position + MAX_TIMESTAMP_AT, timestampMs);
  setCrc(buffer, position);
}

/** Computes and writes the CRC of the batch at `position`, whose length field is right. */
export function setCrc(buffer: Buffer, position: number): void {
  const end = position + batchBytes(buffer, position);
  writeInt32(buffer, position + CRC_AT, crc32c(buffer, position + ATTRIBUTES_AT, end));
}

/**
 * Record batches (format v2, uncompressed) as the benchmark's own client writes and checks them.
 *
 *   base offset int64 | length int32 | leader epoch int32 | magic int8 = 2 | crc uint32 (CRC-32C of all that follows)
 *   | attributes int16 | last offset delta int32 | first timestamp int64 | max timestamp int64 | producer id int64
 *   | producer epoch int16 | base sequence int32 | record count int32 | records
 *   record = length varint | attributes int8 | timestamp delta varlong | offset delta varint | key | value | headers
 *
 * Source: https://kafka.apache.org/documentation/#recordbatch
 */
import { crc32c } from '@node-rs/crc32';
import { WireReader, WireWriter } from './wire-codec.ts';

/** NOTE: persistent format, do not renumber. */
const LENGTH_AT = 8;
const BATCH_PREFIX_BYTES = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const CRC_START = 21;
const LAST_OFFSET_DELTA_AT = 23;
const COMPRESSION_MASK = 0b111;
const MAGIC = 2;

/** A batch of records without keys. All carry the timestamp `timestampMs`. */
export function encodeBatch(values: readonly Uint8Array[], timestampMs: number): Buffer {
  const checked = new WireWriter()
    .int16(0)
    .int32(values.length - 1)
    .int64(timestampMs)
    .int64(timestampMs)
    .int64(-1)
    .int16(-1)
    .int32(-1)
    .int32(values.length);
  for (const [index, value] of values.entries()) {
    const record = new WireWriter()
      .int8(0)
      .varint(0)
      .varint(index)
      .varint(-1)
      .varint(value.length)
      .raw(value)
      .varint(0)
      .finish();
    checked.varint(record.length).raw(record);
  }
  const body = checked.finish();
  return new WireWriter()
    .int64(0)
    .int32(CRC_START - BATCH_PREFIX_BYTES + body.length)
    .int32(-1)
    .int8(MAGIC)
    .uint32(crc32c(body))
    .raw(body)
    .finish();
}

/** What was in some batches, in a form that two brokers can be compared by. */
export interface Content {
  recordCount: number;
  valueBytes: number;
  /** Sum, modulo 2^32, of the CRC-32C of every record's key and value: the order does not matter. */
  checksum: number;
}

export function emptyContent(): Content {
  return { recordCount: 0, valueBytes: 0, checksum: 0 };
}

/**
 * Checks the CRC of every whole batch in `records`, adds up the records from `fromOffset` on, and returns the offset
 * to fetch next (`fromOffset` when there was no whole batch).
 * @throws {Error} on a bad CRC, an unknown format or a compressed batch: the benchmark sends none
 */
export function readBatches(records: Buffer, fromOffset: number, content: Content): number {
  return forEachValue(records, fromOffset, (value, key) => {
    content.recordCount += 1;
    content.valueBytes += value.length;
    content.checksum = (content.checksum + crc32c(value, crc32c(key))) >>> 0;
  });
}

/** As `readBatches`, handing over the value and the key (empty when null) of every record. */
export function forEachValue(
  records: Buffer,
  fromOffset: number,
  take: (value: Buffer, key: Buffer) => void,
): number {
  let at = 0;
  let next = fromOffset;
  while (at + BATCH_PREFIX_BYTES <= records.length) {
    const end = at + BATCH_PREFIX_BYTES + records.readInt32BE(at + LENGTH_AT);
    if (end > records.length) break;
    if (records.readInt8(at + MAGIC_AT) !== MAGIC) throw new Error('a batch that is not v2');
    const crc = records.readUInt32BE(at + CRC_AT);
    if (crc32c(records.subarray(at + CRC_START, end)) !== crc) {
      throw new Error(`a batch with a wrong CRC near offset ${next}`);
    }
    next = readBatch(records.subarray(at, end), fromOffset, take);
    at = end;
  }
  return next;
}

/** The offset to fetch next after the whole batches of `records`, without looking into them. */
export function skipBatches(records: Buffer, fromOffset: number): number {
  let at = 0;
  let next = fromOffset;
  while (at + LAST_OFFSET_DELTA_AT + 4 <= records.length) {
    const end = at + BATCH_PREFIX_BYTES + records.readInt32BE(at + LENGTH_AT);
    if (end > records.length) break;
    next = new WireReader(records, at).int64() + records.readInt32BE(at + LAST_OFFSET_DELTA_AT) + 1;
    at = end;
  }
  return next;
}

function readBatch(
  batch: Buffer,
  fromOffset: number,
  take: (value: Buffer, key: Buffer) => void,
): number {
  const reader = new WireReader(batch);
  const baseOffset = reader.int64();
  reader.position = CRC_START;
  if ((reader.int16() & COMPRESSION_MASK) !== 0) throw new Error('a compressed batch');
  const lastOffset = baseOffset + reader.int32();
  // Timestamps, producer id and epoch, base sequence.
  reader.position += 8 + 8 + 8 + 2 + 4;
  const count = reader.int32();
  for (let index = 0; index < count; index++) {
    const length = reader.varint();
    const end = reader.position + length;
    reader.int8();
    reader.skipVarlong();
    const offset = baseOffset + reader.varint();
    const key = reader.raw(Math.max(0, reader.varint()));
    const value = reader.raw(Math.max(0, reader.varint()));
    reader.position = end;
    if (offset >= fromOffset) take(value, key);
  }
  return lastOffset + 1;
}

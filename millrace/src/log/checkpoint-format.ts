/**
 * The bytes of a checkpoint: the recovery point of a whole store. docs/formats/checkpoint.md says the same in prose.
 * All numbers are big-endian.
 *
 *   file = header (112 bytes) | log records, one after the other
 *
 * Invariant: one CRC-32C covers everything behind it, header and records: a checkpoint is whole or it is none.
 */
import { crc32c } from '../core/crc32c.ts';
import { readInt64, writeInt64 } from '../wire/kafka/records/record-batch.ts';
import type { EpochEntry } from './epoch-cache.ts';
import { entryKey, entryLogKey, logIdOf, STORE_ID_BYTES } from './journal-format.ts';
import type { JournalPosition } from './journal-ring.ts';
import { type ProducerEntry, PRODUCER_BATCHES_KEPT } from './producer-state.ts';
import type { StoredIndexes } from './segment-indexes.ts';
import type { StoredAborted } from './transaction-index.ts';
import type { LogId } from './types.ts';

/** NOTE: persistent format, do not renumber (this and every constant below). */
export const CHECKPOINT_FORMAT_VERSION = 1;
export const CHECKPOINT_HEADER_BYTES = 112;
const MAGIC = 0x4d4c4350; // MLCP
const CRC_AT = 4;
const CRC_FROM = 8;
const FLAG_CLEAN = 1;
const LOG_FLAG_SCAN = 1;

export interface CheckpointHeader {
  readonly storeId: Buffer;
  /** Rises by one with each checkpoint: the higher of two copies is the newer. */
  readonly version: number;
  readonly leaderEpoch: number;
  /** The store was closed in order: the journal holds nothing that is needed. */
  readonly isClean: boolean;
  /** Where the replay of the journal begins. */
  readonly replayFrom: JournalPosition;
  /** Wall clock of the last run of retention, ms since 1970; -1 = never. */
  readonly retentionRanMs: number;
}

/** What is known of one log up to `endOffset`, all of it durable in its segments. */
export interface LogRecord {
  readonly id: LogId;
  readonly logStartOffset: number;
  /** One past the last record below the recovery point. */
  readonly endOffset: number;
  /** Base offset of the segment that the recovery point lies in; -1 = the log has no segment. */
  readonly segmentBaseOffset: number;
  /** Bytes of that segment that lie below the recovery point. */
  readonly segmentBytes: number;
  /** How much of the index files of that segment belongs to these bytes. */
  readonly indexes: StoredIndexes;
  readonly aborted: StoredAborted;
  /** Everything below was compacted; 0 = nothing was. */
  readonly compactedTo: number;
  /** Offsets below may be missing between batches: compaction, or a repair, has taken them out. */
  readonly gapsBelow: number;
  /** Timestamp stamped last on a batch; -1 = none. Append times never go back. */
  readonly appendTimeMs: number;
  /** Batches behind the recovery point may be in the segments only: the flush policy was not `commit`. */
  readonly needsScan: boolean;
  readonly epochs: readonly EpochEntry[];
  readonly producers: readonly ProducerEntry[];
}

export interface Checkpoint {
  readonly header: CheckpointHeader;
  /** Encoded log records by log. */
  readonly records: ReadonlyMap<string, Buffer>;
}

/*
 * Header
 *    0      4     8        12      16        24        32       36      40
 *   +------+-----+--------+-------+---------+---------+--------+-------+
 *   | MLCP | CRC | format | flags | version | content | leader | log   |
 *   |      |     |        |       |         | bytes   | epoch  | count |
 *   +------+-----+--------+-------+---------+---------+--------+-------+
 *    40         56         64         72         80         88           96      112
 *   +----------+----------+----------+----------+----------+-----------+-------+
 *   | store id | file     | position | group    | entry    | retention | zeros |
 *   |          | sequence |          | sequence | sequence | ran ms    |       |
 *   +----------+----------+----------+----------+----------+-----------+-------+
 */
export function encodeCheckpoint(header: CheckpointHeader, records: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(CHECKPOINT_HEADER_BYTES);
  const bytes = records.reduce((sum, record) => sum + record.length, CHECKPOINT_HEADER_BYTES);
  head.writeUInt32BE(MAGIC, 0);
  head.writeUInt32BE(CHECKPOINT_FORMAT_VERSION, 8);
  head.writeUInt32BE(header.isClean ? FLAG_CLEAN : 0, 12);
  writeInt64(head, 16, header.version);
  writeInt64(head, 24, bytes);
  head.writeInt32BE(header.leaderEpoch, 32);
  head.writeUInt32BE(records.length, 36);
  header.storeId.copy(head, 40, 0, STORE_ID_BYTES);
  writeInt64(head, 56, header.replayFrom.fileSequence);
  writeInt64(head, 64, header.replayFrom.position);
  writeInt64(head, 72, header.replayFrom.groupSequence);
  writeInt64(head, 80, header.replayFrom.entrySequence);
  writeInt64(head, 88, header.retentionRanMs);
  const whole = Buffer.concat([head, ...records], bytes);
  whole.writeUInt32BE(crc32c(whole, CRC_FROM, bytes), CRC_AT);
  return whole;
}

/** undefined when the bytes are not a whole checkpoint. Bytes behind it are ignored. */
export function decodeCheckpoint(bytes: Buffer): Checkpoint | undefined {
  if (bytes.length < CHECKPOINT_HEADER_BYTES || bytes.readUInt32BE(0) !== MAGIC) return undefined;
  const contentBytes = readInt64(bytes, 24);
  if (contentBytes < CHECKPOINT_HEADER_BYTES || contentBytes > bytes.length) return undefined;
  if (crc32c(bytes, CRC_FROM, contentBytes) !== bytes.readUInt32BE(CRC_AT)) return undefined;
  if (bytes.readUInt32BE(8) !== CHECKPOINT_FORMAT_VERSION) return undefined;
  const records = new Map<string, Buffer>();
  let at = CHECKPOINT_HEADER_BYTES;
  for (let count = bytes.readUInt32BE(36); count > 0; count--) {
    const end = at + bytes.readUInt32BE(at);
    records.set(recordKey(bytes, at), bytes.subarray(at, end));
    at = end;
  }
  const header: CheckpointHeader = {
    storeId: Buffer.from(bytes.subarray(40, 40 + STORE_ID_BYTES)),
    version: readInt64(bytes, 16),
    leaderEpoch: bytes.readInt32BE(32),
    isClean: (bytes.readUInt32BE(12) & FLAG_CLEAN) !== 0,
    replayFrom: {
      fileSequence: readInt64(bytes, 56),
      position: readInt64(bytes, 64),
      groupSequence: readInt64(bytes, 72),
      entrySequence: readInt64(bytes, 80),
    },
    retentionRanMs: readInt64(bytes, 88),
  };
  return { header, records };
}

/*
 * Log record
 *    0       4          20          24      28      32      40      48
 *   +-------+----------+-----------+-------+-------+-------+-------+
 *   | bytes | topic id | partition | flags | epoch | start | end   |
 *   |       |          |           |       | count | offset| offset|
 *   +-------+----------+-----------+-------+-------+-------+-------+
 *    48         56         64          72         76        80        84      88        92      96
 *   +----------+----------+-----------+----------+---------+---------+-------+---------+-------+
 *   | segment  | segment  | append    | producer | offset  | time    | index | aborted | ab.   |
 *   | base     | bytes    | time ms   | count    | entries | entries | CRC   | entries | CRC   |
 *   +----------+----------+-----------+----------+---------+---------+-------+---------+-------+
 *    96          104      112
 *   +-----------+--------+-------------------+
 *   | compacted | gaps   | epochs, producers |
 *   | to        | below  |                   |
 *   +-----------+--------+-------------------+
 *
 * Epoch:    epoch i32 | start offset i64
 * Producer: id i64 | epoch i16 | coordinator epoch i32 | last timestamp i64 | transaction start i64 (-1 = none)
 *           | batch count u8, then per batch: last sequence i32 | last offset i64 | offset delta i32 | timestamp i64
 */
const LOG_FIXED_BYTES = 112;
const EPOCH_BYTES = 12;
const PRODUCER_FIXED_BYTES = 31;
const PRODUCER_BATCH_BYTES = 24;

export function encodeLogRecord(record: LogRecord): Buffer {
  const { epochs, producers } = record;
  let bytes = LOG_FIXED_BYTES + epochs.length * EPOCH_BYTES;
  for (const { batches } of producers)
    bytes += PRODUCER_FIXED_BYTES + batches.length * PRODUCER_BATCH_BYTES;
  const out = Buffer.alloc(bytes);
  const key = entryKey(record.id.topicId, record.id.partition);
  out.writeUInt32BE(bytes, 0);
  out.writeUInt32BE(key.topicId0, 4);
  out.writeUInt32BE(key.topicId1, 8);
  out.writeUInt32BE(key.topicId2, 12);
  out.writeUInt32BE(key.topicId3, 16);
  out.writeInt32BE(key.partition, 20);
  out.writeUInt32BE(record.needsScan ? LOG_FLAG_SCAN : 0, 24);
  out.writeUInt32BE(epochs.length, 28);
  writeInt64(out, 32, record.logStartOffset);
  writeInt64(out, 40, record.endOffset);
  writeInt64(out, 48, record.segmentBaseOffset);
  writeInt64(out, 56, record.segmentBytes);
  writeInt64(out, 64, record.appendTimeMs);
  out.writeUInt32BE(producers.length, 72);
  out.writeUInt32BE(record.indexes.offsetEntries, 76);
  out.writeUInt32BE(record.indexes.timeEntries, 80);
  out.writeUInt32BE(record.indexes.crc, 84);
  out.writeUInt32BE(record.aborted.entries, 88);
  out.writeUInt32BE(record.aborted.crc, 92);
  writeInt64(out, 96, record.compactedTo);
  writeInt64(out, 104, record.gapsBelow);
  let at = LOG_FIXED_BYTES;
  for (const { epoch, startOffset } of epochs) {
    out.writeInt32BE(epoch, at);
    writeInt64(out, at + 4, startOffset);
    at += EPOCH_BYTES;
  }
  for (const producer of producers) at = writeProducer(out, at, producer);
  return out;
}

/** A record of a checkpoint whose CRC was good. */
export function decodeLogRecord(bytes: Buffer): LogRecord {
  let at = LOG_FIXED_BYTES;
  const epochs: EpochEntry[] = [];
  for (let count = bytes.readUInt32BE(28); count > 0; count--) {
    epochs.push({ epoch: bytes.readInt32BE(at), startOffset: readInt64(bytes, at + 4) });
    at += EPOCH_BYTES;
  }
  const producers: ProducerEntry[] = [];
  for (let count = bytes.readUInt32BE(72); count > 0; count--) {
    const producer = readProducer(bytes, at);
    producers.push(producer);
    at += PRODUCER_FIXED_BYTES + producer.batches.length * PRODUCER_BATCH_BYTES;
  }
  return {
    id: logIdOf(recordKey(bytes)),
    needsScan: (bytes.readUInt32BE(24) & LOG_FLAG_SCAN) !== 0,
    logStartOffset: readInt64(bytes, 32),
    endOffset: readInt64(bytes, 40),
    segmentBaseOffset: readInt64(bytes, 48),
    segmentBytes: readInt64(bytes, 56),
    appendTimeMs: readInt64(bytes, 64),
    indexes: {
      offsetEntries: bytes.readUInt32BE(76),
      timeEntries: bytes.readUInt32BE(80),
      crc: bytes.readUInt32BE(84),
    },
    aborted: { entries: bytes.readUInt32BE(88), crc: bytes.readUInt32BE(92) },
    compactedTo: readInt64(bytes, 96),
    gapsBelow: readInt64(bytes, 104),
    epochs,
    producers,
  };
}

/** Which log the encoded record at `position` is about: see `logKey`. */
export function recordKey(bytes: Buffer, position = 0): string {
  return entryLogKey(bytes, position + 4);
}

function writeProducer(out: Buffer, position: number, producer: ProducerEntry): number {
  writeInt64(out, position, producer.producerId);
  out.writeInt16BE(producer.epoch, position + 8);
  out.writeInt32BE(producer.coordinatorEpoch, position + 10);
  writeInt64(out, position + 14, producer.lastTimestampMs);
  writeInt64(out, position + 22, producer.transactionStart);
  out.writeUInt8(producer.batches.length, position + 30);
  let at = position + PRODUCER_FIXED_BYTES;
  for (const batch of producer.batches) {
    out.writeInt32BE(batch.lastSequence, at);
    writeInt64(out, at + 4, batch.lastOffset);
    out.writeInt32BE(batch.offsetDelta, at + 12);
    writeInt64(out, at + 16, batch.timestampMs);
    at += PRODUCER_BATCH_BYTES;
  }
  return at;
}

function readProducer(bytes: Buffer, position: number): ProducerEntry {
  const producer: ProducerEntry = {
    producerId: readInt64(bytes, position),
    epoch: bytes.readInt16BE(position + 8),
    coordinatorEpoch: bytes.readInt32BE(position + 10),
    lastTimestampMs: readInt64(bytes, position + 14),
    transactionStart: readInt64(bytes, position + 22),
    batches: [],
  };
  const count = Math.min(bytes.readUInt8(position + 30), PRODUCER_BATCHES_KEPT);
  let at = position + PRODUCER_FIXED_BYTES;
  for (let index = 0; index < count; index++, at += PRODUCER_BATCH_BYTES)
    producer.batches.push({
      lastSequence: bytes.readInt32BE(at),
      lastOffset: readInt64(bytes, at + 4),
      offsetDelta: bytes.readInt32BE(at + 12),
      timestampMs: readInt64(bytes, at + 16),
    });
  return producer;
}

/**
 * Writing record batches: one growing buffer a batch, records encoded straight into it.
 *
 * Owns: the encoding of records (the reader is `record-reader.ts`; the picture of a record is there).
 * Invariant: until `finish` the header is blank and the records are plain; `finish` compresses, fills in the header
 * and the CRC, and gives the memory away.
 *
 * @hot
 * Source: KIP-98, KIP-534.
 */
import { assert, MillraceError } from '../../../core/errors.ts';
import { RECORD_BATCH_BYTES_MAX } from '../../../core/limits.ts';
import { writeInt16, writeInt32, writeInt64 } from './big-endian.ts';
import { type Compression, compress, compressionId } from './compression.ts';
import {
  APPEND_TIME_FLAG,
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_LENGTH_AT,
  CONTROL_FLAG,
  DELETE_HORIZON_FLAG,
  HEADER_BYTES,
  LAST_OFFSET_DELTA_AT,
  LEADER_EPOCH_AT,
  LENGTH_OVERHEAD_BYTES,
  MAGIC_AT,
  MAGIC_V2,
  MAX_TIMESTAMP_AT,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  NO_TIMESTAMP,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  setCrc,
  TRANSACTIONAL_FLAG,
} from './record-batch.ts';
import {
  VARINT_BYTES_MAX,
  varintBytes,
  varlongBytes,
  writeVarint,
  writeVarlong,
} from './varint.ts';

/** Bytes, or a string that is written as UTF-8. */
export type RecordBytes = Uint8Array | string;

export interface RecordHeader {
  readonly key: string;
  readonly value: RecordBytes | null;
}

export interface RecordInput {
  /** Milliseconds since 1970; -1 = none. */
  readonly timestamp: number;
  readonly key: RecordBytes | null;
  /** null is a tombstone. */
  readonly value: RecordBytes | null;
  readonly headers?: readonly RecordHeader[];
  /** Default: the one after the record before; the first has the batch's base offset. Must rise. */
  readonly offset?: number;
}

export interface BatchOptions {
  /** Default 'none'. */
  readonly compression?: Compression;
  /** Default 0: what producers send, and brokers overwrite. */
  readonly baseOffset?: number;
  /** Default 0. */
  readonly leaderEpoch?: number;
  /** Default -1: not an idempotent producer. */
  readonly producerId?: number;
  /** Default -1. */
  readonly producerEpoch?: number;
  /** Sequence number of the first record. Default -1. */
  readonly baseSequence?: number;
  readonly transactional?: boolean;
  /** Records are control records, which consumers do not see. */
  readonly control?: boolean;
  /** Milliseconds: marks the batch as stamped by the log with this time. Default: timestamps are the records' own. */
  readonly appendTimeMs?: number;
  /** Milliseconds: sets the delete horizon, which takes the place of the base timestamp (KIP-534). Default: none. */
  readonly deleteHorizonMs?: number;
  /** Offset that the batch ends with, when its last records are not in it (compaction). Default: of the last record. */
  readonly lastOffset?: number;
}

/** First allocation of a builder. */
const FIRST_BYTES = 512;
const NO_HEADERS: readonly RecordHeader[] = [];

/**
 * Builds one batch.
 * @example
 * const builder = new RecordBatchBuilder({ compression: 'lz4' });
 * builder.append(1_700_000_000_000, 'key', 'value');
 * const batch = builder.finish();
 */
export class RecordBatchBuilder {
  readonly #options: BatchOptions;
  readonly #baseOffset: number;
  #buffer: Buffer;
  #end: number;
  #count: number;
  #baseTimestamp: number;
  #maxTimestamp: number;
  #nextOffsetDelta: number;
  #finished: boolean;

  /**
   * @param first size of the first allocation, when the size of the batch is known (default 512); or memory to begin with, which belongs
   * to the batch from then on
   */
  constructor(options: BatchOptions = {}, first: number | Buffer = FIRST_BYTES) {
    this.#options = options;
    this.#baseOffset = options.baseOffset ?? 0;
    this.#buffer =
      typeof first === 'number' ? Buffer.allocUnsafe(Math.max(first, HEADER_BYTES)) : first;
    this.#end = HEADER_BYTES;
    this.#count = 0;
    this.#baseTimestamp = options.deleteHorizonMs ?? NO_TIMESTAMP;
    this.#maxTimestamp = NO_TIMESTAMP;
    this.#nextOffsetDelta = 0;
    this.#finished = false;
  }

  /** Records so far. */
  get count(): number {
    return this.#count;
  }

  /** Size of the batch so far in bytes, header included, before compression. */
  get bytes(): number {
    return this.#end;
  }

  /** The offset that the next record gets. */
  get nextOffset(): number {
    return this.#baseOffset + this.#nextOffsetDelta;
  }

  /** Leaves a gap: the next record gets `offset`, which must not be below `nextOffset`. */
  skipTo(offset: number): void {
    assert(offset >= this.nextOffset, 'offsets in a batch rise');
    this.#nextOffsetDelta = offset - this.#baseOffset;
  }

  /**
   * Adds a record with the next offset.
   * @param timestamp milliseconds since 1970; -1 = none.
   * @throws {MillraceError} ML_RECORDS_TOO_LARGE when the batch would be larger than RECORD_BATCH_BYTES_MAX; the batch
   * is as before then.
   */
  append(
    timestamp: number,
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers: readonly RecordHeader[] = NO_HEADERS,
  ): void {
    assert(!this.#finished, 'a finished batch takes no more records');
    const keyBytes = bytesOf(key);
    const valueBytes = bytesOf(value);
    const base = this.#baseFor(timestamp);
    const delta = timestamp - base;
    const bodyBytes =
      1 +
      varlongBytes(delta) +
      varintBytes(this.#nextOffsetDelta) +
      varintBytes(keyBytes) +
      Math.max(keyBytes, 0) +
      varintBytes(valueBytes) +
      Math.max(valueBytes, 0) +
      headersBytes(headers);
    this.#reserve(VARINT_BYTES_MAX + bodyBytes);
    const buffer = this.#buffer;
    let at = writeVarint(buffer, this.#end, bodyBytes);
    buffer[at++] = 0; // Attributes of a record: none are defined.
    at = writeVarlong(buffer, at, delta);
    at = writeVarint(buffer, at, this.#nextOffsetDelta);
    at = writeBytes(buffer, at, key, keyBytes);
    at = writeBytes(buffer, at, value, valueBytes);
    at = writeVarint(buffer, at, headers.length);
    for (const header of headers) {
      at = writeBytes(buffer, at, header.key, bytesOf(header.key));
      at = writeBytes(buffer, at, header.value, bytesOf(header.value));
    }
    this.#added(timestamp, base, at);
  }

  /**
   * Adds a record that is encoded already, with its own offset: all from its offset delta on, which is what does not
   * depend on the timestamps of the batch. `nextOffset` must have been set by `skipTo`.
   */
  appendEncoded(timestamp: number, source: Buffer, tailStart: number, tailEnd: number): void {
    assert(!this.#finished, 'a finished batch takes no more records');
    const base = this.#baseFor(timestamp);
    const delta = timestamp - base;
    const bodyBytes = 1 + varlongBytes(delta) + (tailEnd - tailStart);
    this.#reserve(VARINT_BYTES_MAX + bodyBytes);
    let at = writeVarint(this.#buffer, this.#end, bodyBytes);
    this.#buffer[at++] = 0;
    at = writeVarlong(this.#buffer, at, delta);
    source.copy(this.#buffer, at, tailStart, tailEnd);
    this.#added(timestamp, base, at + tailEnd - tailStart);
  }

  /**
   * Completes the batch. Without records it is an empty one, which needs the option `lastOffset`, and has
   * `maxTimestamp` as its time.
   * @returns the whole batch. The builder is spent.
   */
  finish(maxTimestamp: number = this.#maxTimestamp): Buffer {
    assert(!this.#finished, 'a batch is finished once');
    this.#finished = true;
    const options = this.#options;
    const compression = this.#count === 0 ? 'none' : (options.compression ?? 'none');
    if (compression !== 'none') this.#compress(compression);
    const buffer = this.#buffer;
    const lastOffset = options.lastOffset ?? this.nextOffset - 1;
    assert(
      lastOffset >= this.nextOffset - 1,
      'the last offset is not below that of the last record',
    );
    assert(lastOffset >= this.#baseOffset, 'a batch covers at least one offset');
    writeInt64(buffer, BASE_OFFSET_AT, this.#baseOffset);
    writeInt32(buffer, BATCH_LENGTH_AT, this.#end - LENGTH_OVERHEAD_BYTES);
    writeInt32(buffer, LEADER_EPOCH_AT, options.leaderEpoch ?? 0);
    buffer[MAGIC_AT] = MAGIC_V2;
    writeInt16(buffer, ATTRIBUTES_AT, this.#attributes(compression));
    writeInt32(buffer, LAST_OFFSET_DELTA_AT, lastOffset - this.#baseOffset);
    writeInt64(buffer, BASE_TIMESTAMP_AT, this.#baseTimestamp);
    writeInt64(buffer, MAX_TIMESTAMP_AT, options.appendTimeMs ?? maxTimestamp);
    writeInt64(buffer, PRODUCER_ID_AT, options.producerId ?? NO_PRODUCER_ID);
    writeInt16(buffer, PRODUCER_EPOCH_AT, options.producerEpoch ?? NO_PRODUCER_EPOCH);
    writeInt32(buffer, BASE_SEQUENCE_AT, options.baseSequence ?? NO_SEQUENCE);
    writeInt32(buffer, RECORD_COUNT_AT, this.#count);
    setCrc(buffer, 0);
    return buffer.subarray(0, this.#end);
  }

  #attributes(compression: Compression): number {
    const options = this.#options;
    return (
      compressionId(compression) |
      (options.appendTimeMs === undefined ? 0 : APPEND_TIME_FLAG) |
      (options.transactional === true ? TRANSACTIONAL_FLAG : 0) |
      (options.control === true ? CONTROL_FLAG : 0) |
      (options.deleteHorizonMs === undefined ? 0 : DELETE_HORIZON_FLAG)
    );
  }

  #compress(compression: Compression): void {
    const compressed = compress(compression, this.#buffer.subarray(HEADER_BYTES, this.#end));
    const end = HEADER_BYTES + compressed.length;
    if (end > RECORD_BATCH_BYTES_MAX) throw batchTooLarge(end);
    // Incompressible records grow a little.
    if (end > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(end);
    compressed.copy(this.#buffer, HEADER_BYTES);
    this.#end = end;
  }

  /** The base timestamp, which is the first record's unless a delete horizon takes its place. */
  #baseFor(timestamp: number): number {
    return this.#count === 0 && this.#options.deleteHorizonMs === undefined
      ? timestamp
      : this.#baseTimestamp;
  }

  #added(timestamp: number, baseTimestamp: number, end: number): void {
    this.#baseTimestamp = baseTimestamp;
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
    this.#count++;
    this.#nextOffsetDelta++;
    this.#end = end;
  }

  #reserve(bytes: number): void {
    const needed = this.#end + bytes;
    if (needed <= this.#buffer.length) return;
    if (needed > RECORD_BATCH_BYTES_MAX) throw batchTooLarge(needed);
    const size = Math.min(Math.max(needed, this.#buffer.length * 2), RECORD_BATCH_BYTES_MAX);
    const grown = Buffer.allocUnsafe(size);
    this.#buffer.copy(grown, 0, 0, this.#end);
    this.#buffer = grown;
  }
}

/**
 * A batch of `records`, complete with its CRC.
 * @param records at least one.
 * @throws {MillraceError} ML_RECORDS_TOO_LARGE
 * @example encodeBatch([{ timestamp: 0, key: 'k', value: 'v' }], { producerId: 7, producerEpoch: 0, baseSequence: 0 })
 */
export function encodeBatch(records: readonly RecordInput[], options: BatchOptions = {}): Buffer {
  const builder = new RecordBatchBuilder(options);
  for (const record of records) {
    if (record.offset !== undefined) builder.skipTo(record.offset);
    builder.append(record.timestamp, record.key, record.value, record.headers ?? NO_HEADERS);
  }
  return builder.finish();
}

/** Size in bytes; -1 for null, as it is written. */
function bytesOf(data: RecordBytes | null): number {
  if (data === null) return -1;
  return typeof data === 'string' ? Buffer.byteLength(data, 'utf8') : data.length;
}

function headersBytes(headers: readonly RecordHeader[]): number {
  let bytes = varintBytes(headers.length);
  for (const header of headers) {
    const keyBytes = bytesOf(header.key);
    const valueBytes = bytesOf(header.value);
    bytes += varintBytes(keyBytes) + keyBytes + varintBytes(valueBytes) + Math.max(valueBytes, 0);
  }
  return bytes;
}

/** Writes the length as a varint, then the bytes. */
function writeBytes(
  buffer: Buffer,
  position: number,
  data: RecordBytes | null,
  bytes: number,
): number {
  const at = writeVarint(buffer, position, bytes);
  if (data === null) return at;
  if (typeof data === 'string') buffer.write(data, at, bytes, 'utf8');
  else buffer.set(data, at);
  return at + bytes;
}

function batchTooLarge(bytes: number): MillraceError {
  return new MillraceError(
    'ML_RECORDS_TOO_LARGE',
    `a record batch of ${bytes} bytes is larger than ${RECORD_BATCH_BYTES_MAX}`,
    { fields: { bytes, bytesMax: RECORD_BATCH_BYTES_MAX } },
  );
}

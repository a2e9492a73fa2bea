/**
 * Reading the records inside a batch.
 *
 *   length varint │ attributes i8 │ timestamp delta varlong │ offset delta varint
 *                 │ key length varint (-1 = null) │ key │ value length varint (-1 = null) │ value
 *                 │ header count varint │ headers: key length varint │ key utf8 │ value length varint (-1) │ value
 *
 * Owns: `RecordReader`, one object that visits the records of one batch after the other without allocating per record:
 * its fields ARE the current record. Keys and values are positions in `reader.data`, made into views when asked.
 * Invariant: whatever the bytes say, only whole records inside the batch come out, as many as the header says, with
 * rising offsets between the first and last of the batch; anything else is ML_RECORDS_MALFORMED, and nothing is
 * allocated for a count or a length before as many bytes are seen to be there.
 *
 * @hot
 * Source: KIP-98.
 */
import { MillraceError } from '../../../core/errors.ts';
import { RECORDS_DECOMPRESSED_BYTES_MAX } from '../../../core/limits.ts';
import { compressionName, decompress, decompressedBytesMax } from './compression.ts';
import {
  attributes,
  BATCH_OK,
  baseOffset,
  baseTimestamp,
  batchBytes,
  batchCheckText,
  checkBatchFrame,
  compressionOf,
  HEADER_BYTES,
  isAppendTime,
  lastOffsetDelta,
  maxTimestamp,
  recordCount,
} from './record-batch.ts';
import { Cursor, readVarint, readVarlong } from './varint.ts';

/** A record of nothing: its length and six fields of one byte. */
const RECORD_BYTES_MIN = 7;
/** A header of nothing: two lengths of one byte. */
const HEADER_FIELD_BYTES_MIN = 2;

export interface DecodeLimits {
  /** Most bytes that the records may be after decompression. Default RECORDS_DECOMPRESSED_BYTES_MAX. */
  readonly decompressedBytesMax?: number;
}

/** A record by itself, as tests, tools and other code off the hot path like it. */
export interface PlainRecord {
  readonly offset: number;
  /** Milliseconds since 1970; -1 = none. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly PlainHeader[];
}

export interface PlainHeader {
  readonly key: string;
  readonly value: Buffer | null;
}

/**
 * A cursor over the records of a batch. Use one for many batches.
 * @example
 * reader.open(buffer, position, end);
 * while (reader.next()) total += reader.valueEnd - reader.valueStart;
 */
export class RecordReader {
  /** What the positions below are in: the batch itself, or its decompressed records. Valid until `open`. */
  data: Buffer = Buffer.alloc(0);
  offset = -1;
  /** Milliseconds since 1970; -1 = none. */
  timestamp = -1;
  /** Key and value: [start, end) in `data`. Start and end of null are both -1. */
  keyStart = -1;
  keyEnd = -1;
  valueStart = -1;
  valueEnd = -1;
  headerCount = 0;
  /** The headers, encoded: [start, end) in `data`. */
  headersStart = 0;
  headersEnd = 0;
  /** Where the encoded record continues after its timestamp: the part that `appendEncoded` of a builder takes. */
  tailStart = 0;

  readonly #cursor = new Cursor(this.data, 0, 0);
  #count = 0;
  #remaining = 0;
  #start = 0;
  #end = 0;
  #baseOffset = 0;
  #lastOffsetDelta = 0;
  #offsetDelta = -1;
  #baseTimestamp = 0;
  /** Timestamp of all records when the log stamped them; else undefined. */
  #appendTime: number | undefined = undefined;

  /**
   * Goes before the first record of the batch at `position`, decompressing it if need be. The CRC is not looked at.
   * @param end (exclusive) where the bytes end; the batch must end by there.
   * @throws {MillraceError} ML_RECORDS_MALFORMED, ML_RECORDS_TOO_LARGE
   */
  open(buffer: Buffer, position: number, end: number, limits: DecodeLimits = {}): void {
    const check = checkBatchFrame(buffer, position, end);
    if (check !== BATCH_OK) throw malformed(batchCheckText(check), -1);
    const flags = attributes(buffer, position);
    this.#baseOffset = baseOffset(buffer, position);
    this.#lastOffsetDelta = lastOffsetDelta(buffer, position);
    this.#offsetDelta = -1;
    this.#baseTimestamp = baseTimestamp(buffer, position);
    this.#appendTime = isAppendTime(flags) ? maxTimestamp(buffer, position) : undefined;
    this.#remaining = recordCount(buffer, position);
    const batchEnd = position + batchBytes(buffer, position);
    this.#openRecords(buffer, position + HEADER_BYTES, batchEnd, { flags, limits });
    const count = this.#remaining;
    this.#count = count;
    if (count < 0 || count > (this.#end - this.#cursor.position) / RECORD_BYTES_MIN)
      throw malformed(`a batch of ${count} records does not hold as many`, this.#baseOffset);
    if (count === 0 && this.#cursor.position !== this.#end)
      throw malformed('bytes follow the last record of a batch', this.#baseOffset);
    if (!Number.isSafeInteger(this.#baseOffset + Math.abs(this.#lastOffsetDelta)))
      throw malformed('an offset is beyond 2^53', this.#baseOffset);
  }

  #openRecords(
    buffer: Buffer,
    start: number,
    end: number,
    how: { readonly flags: number; readonly limits: DecodeLimits },
  ): void {
    const compression = compressionName(compressionOf(how.flags));
    if (compression === 'none' || this.#remaining === 0) {
      this.data = buffer;
      this.#start = start;
      this.#end = end;
      this.#cursor.reset(buffer, start, end);
      return;
    }
    const bytesMax = how.limits.decompressedBytesMax ?? RECORDS_DECOMPRESSED_BYTES_MAX;
    this.data = decompress(
      compression,
      buffer.subarray(start, end),
      decompressedBytesMax(end - start, bytesMax),
    );
    this.#start = 0;
    this.#end = this.data.length;
    this.#cursor.reset(this.data, 0, this.#end);
  }

  /** Goes before the first record again, without decompressing anew. Only after records that were read without error. */
  rewind(): void {
    this.#remaining = this.#count;
    this.#offsetDelta = -1;
    this.#cursor.reset(this.data, this.#start, this.#end);
  }

  /** Records of the batch that `next` has not visited yet. */
  get remaining(): number {
    return this.#remaining;
  }

  /**
   * Goes to the next record.
   * @returns false after the last.
   * @throws {MillraceError} ML_RECORDS_MALFORMED
   */
  next(): boolean {
    if (this.#remaining === 0) return false;
    const cursor = this.#cursor;
    cursor.end = this.#end;
    const bytes = readVarint(cursor);
    const start = cursor.position;
    if (start < 0 || bytes < RECORD_BYTES_MIN - 1 || bytes > this.#end - start)
      throw this.#malformed('the length of a record is not possible');
    const end = start + bytes;
    cursor.end = end;
    cursor.position = start + 1; // Attributes: none are defined, and the Java client skips them too.
    const timestampDelta = readVarlong(cursor);
    this.tailStart = cursor.position;
    const offsetDelta = readVarint(cursor);
    this.#readKeyAndValue();
    this.#readHeaders(end);
    if (cursor.position !== end) throw this.#malformed('a record does not fill its length');
    if (offsetDelta <= this.#offsetDelta || offsetDelta > this.#lastOffsetDelta)
      throw this.#malformed('the offsets of a batch do not rise from its first to its last');
    this.#offsetDelta = offsetDelta;
    this.offset = this.#baseOffset + offsetDelta;
    this.timestamp = this.#appendTime ?? this.#baseTimestamp + timestampDelta;
    if (!Number.isSafeInteger(this.timestamp)) throw this.#malformed('a timestamp is beyond 2^53');
    this.#remaining--;
    if (this.#remaining === 0 && end !== this.#end)
      throw this.#malformed('bytes follow the last record of a batch');
    return true;
  }

  #readKeyAndValue(): void {
    const cursor = this.#cursor;
    const keyBytes = readVarint(cursor);
    this.keyStart = cursor.position;
    this.keyEnd = this.#skip(keyBytes);
    if (keyBytes < 0) this.keyStart = this.keyEnd = -1;
    const valueBytes = readVarint(cursor);
    this.valueStart = cursor.position;
    this.valueEnd = this.#skip(valueBytes);
    if (valueBytes < 0) this.valueStart = this.valueEnd = -1;
  }

  /** Checks that the headers are whole, and remembers where they are. */
  #readHeaders(end: number): void {
    const cursor = this.#cursor;
    const count = readVarint(cursor);
    this.headersStart = cursor.position;
    this.headersEnd = end;
    this.headerCount = count;
    if (
      cursor.position < 0 ||
      count < 0 ||
      count > (end - cursor.position) / HEADER_FIELD_BYTES_MIN
    )
      throw this.#malformed('a record does not hold as many headers as it says');
    for (let index = 0; index < count; index++) {
      const keyBytes = readVarint(cursor);
      if (keyBytes < 0) throw this.#malformed('a header has no key');
      this.#skip(keyBytes);
      this.#skip(readVarint(cursor));
    }
    if (cursor.position < 0) throw this.#malformed('a header is cut off');
  }

  /** Passes over `bytes` bytes (-1 = null: none) and returns the position after them, or -1 if they are not there. */
  #skip(bytes: number): number {
    const cursor = this.#cursor;
    if (cursor.position < 0) return -1;
    if (bytes === -1) return cursor.position;
    if (bytes < 0 || bytes > cursor.end - cursor.position) cursor.position = -1;
    else cursor.position += bytes;
    return cursor.position;
  }

  /** The key as a view of `data`. Copy it before keeping it: a view keeps the whole batch in memory. */
  key(): Buffer | null {
    return this.keyStart < 0 ? null : this.data.subarray(this.keyStart, this.keyEnd);
  }

  /** The value as a view of `data`; null is a tombstone. Copy it before keeping it. */
  value(): Buffer | null {
    return this.valueStart < 0 ? null : this.data.subarray(this.valueStart, this.valueEnd);
  }

  /** The headers, decoded now: keys are strings, values views of `data`. */
  headers(): PlainHeader[] {
    const headers: PlainHeader[] = [];
    const cursor = new Cursor(this.data, this.headersStart, this.headersEnd);
    for (let index = 0; index < this.headerCount; index++) {
      const keyBytes = readVarint(cursor);
      const key = this.data.toString('utf8', cursor.position, cursor.position + keyBytes);
      cursor.position += keyBytes;
      const valueBytes = readVarint(cursor);
      const start = cursor.position;
      if (valueBytes >= 0) cursor.position += valueBytes;
      headers.push({
        key,
        value: valueBytes < 0 ? null : this.data.subarray(start, start + valueBytes),
      });
    }
    return headers;
  }

  #malformed(reason: string): MillraceError {
    this.#remaining = 0;
    return malformed(reason, this.#baseOffset);
  }
}

/**
 * Visits the records of the batch at `position`.
 * @param visit sees one reader on each record; it must not keep it. Returning false ends the visit.
 * @throws {MillraceError} ML_RECORDS_MALFORMED, ML_RECORDS_TOO_LARGE
 */
export function decodeRecords(
  buffer: Buffer,
  range: { readonly position: number; readonly end: number },
  limits: DecodeLimits,
  visit: (record: RecordReader) => boolean | void,
): void {
  const reader = new RecordReader();
  reader.open(buffer, range.position, range.end, limits);
  while (reader.next()) if (visit(reader) === false) return;
}

/**
 * The records of the batch at `position` as plain objects whose keys and values are views.
 * @throws {MillraceError} ML_RECORDS_MALFORMED, ML_RECORDS_TOO_LARGE
 */
export function readRecords(
  buffer: Buffer,
  position = 0,
  end: number = buffer.length,
  limits: DecodeLimits = {},
): PlainRecord[] {
  const records: PlainRecord[] = [];
  const reader = new RecordReader();
  reader.open(buffer, position, end, limits);
  while (reader.next())
    records.push({
      offset: reader.offset,
      timestamp: reader.timestamp,
      key: reader.key(),
      value: reader.value(),
      headers: reader.headers(),
    });
  return records;
}

function malformed(reason: string, batchOffset: number): MillraceError {
  const where = batchOffset < 0 ? '' : ` (batch at offset ${batchOffset})`;
  return new MillraceError('ML_RECORDS_MALFORMED', `${reason}${where}`, {
    fields: { baseOffset: batchOffset },
  });
}

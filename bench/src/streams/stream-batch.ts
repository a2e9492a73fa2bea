/**
 * A record batch (format v2, uncompressed) that is filled record by record, with keys and times of their own. Apart from Millrace's codecs
 * on purpose: the side that is measured must not also be the judge.
 *
 * Source: https://kafka.apache.org/documentation/#recordbatch
 */

/** NOTE: persistent format, do not renumber. */
const HEADER_BYTES = 61;
const CRC_START = 21;
const MAGIC = 2;
const VARINT_BYTES_MAX = 10;

export class StreamBatch {
  count = 0;
  readonly #buffer: Buffer;
  readonly #record: Buffer;
  #length = HEADER_BYTES;
  #firstTime = 0;
  #maxTime = 0;
  readonly #bytes: number;

  /** @param bytes it is full with so many */
  constructor(bytes: number) {
    this.#bytes = bytes;
    this.#buffer = Buffer.allocUnsafe(bytes * 2);
    this.#record = Buffer.allocUnsafe(bytes);
  }

  /** ASCII alone. @returns false when it is full with this record */
  add(key: string | null, value: string, time: number): boolean {
    if (this.count === 0) this.#firstTime = this.#maxTime = time;
    this.#maxTime = Math.max(this.#maxTime, time);
    const record = this.#record;
    let at = 0;
    record[at++] = 0;
    at = putVarint(record, at, time - this.#firstTime);
    at = putVarint(record, at, this.count);
    at = putVarint(record, at, key === null ? -1 : key.length);
    if (key !== null) at += record.latin1Write(key, at);
    at = putVarint(record, at, value.length);
    at += record.latin1Write(value, at);
    record[at++] = 0;
    this.#length = putVarint(this.#buffer, this.#length, at);
    record.copy(this.#buffer, this.#length, 0, at);
    this.#length += at;
    this.count++;
    return this.#length + VARINT_BYTES_MAX < this.#bytes;
  }

  /** The batch, as a copy; this one is empty again. */
  finish(crc32c: (bytes: Buffer) => number): Buffer {
    const batch = Buffer.from(this.#buffer.subarray(0, this.#length));
    batch.fill(0, 0, 8);
    batch.writeInt32BE(batch.length - 12, 8);
    batch.writeInt32BE(-1, 12);
    batch.writeInt8(MAGIC, 16);
    batch.writeInt16BE(0, 21);
    batch.writeInt32BE(this.count - 1, 23);
    batch.writeBigInt64BE(BigInt(this.#firstTime), 27);
    batch.writeBigInt64BE(BigInt(this.#maxTime), 35);
    // No producer id, epoch and sequence.
    batch.fill(0xff, 43, 57);
    batch.writeInt32BE(this.count, 57);
    batch.writeUInt32BE(crc32c(batch.subarray(CRC_START)), 17);
    this.#length = HEADER_BYTES;
    this.count = 0;
    return batch;
  }
}

/** Zigzag, of a safe integer. @returns where it ends */
function putVarint(buffer: Buffer, start: number, value: number): number {
  let rest = value < 0 ? -2 * value - 1 : 2 * value;
  let at = start;
  while (rest > 0x7f) {
    buffer[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  buffer[at++] = rest;
  return at;
}

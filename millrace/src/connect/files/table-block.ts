/**
 * A block of a table: entries sorted by key, where each begins, and a checksum. Data blocks and the index have this form.
 *
 * ```
 * entries      each: length of the key (LEB128), key, value
 * u32 × count  where each entry begins
 * u32          count
 * u32          CRC-32C of all before
 * ```
 *
 * @hot A lookup compares keys in place; nothing is allocated.
 */
import { ByteWriter } from '../../core/byte-writer.ts';
import { crc32c } from '../../core/crc32c.ts';
import { compareKeys } from '../../core/key-codec.ts';
import { CRC_BYTES, damaged } from './table-format.ts';

const COUNT_BYTES = 4;
const OFFSET_BYTES = 4;

export class BlockBuilder {
  readonly out = new ByteWriter(16 * 1024);
  private offsets: number[] = [];
  /** Where the first key is in `out`. */
  firstKeyStart = 0;
  firstKeyEnd = 0;

  get count(): number {
    return this.offsets.length;
  }

  /** Bytes of the block if it were ended now. */
  get bytes(): number {
    return this.out.length + this.offsets.length * OFFSET_BYTES + COUNT_BYTES + CRC_BYTES;
  }

  add(key: ByteWriter, value: ByteWriter): void {
    const { out } = this;
    this.offsets.push(out.length);
    let length = key.length;
    while (length > 0x7f) {
      out.byte((length & 0x7f) | 0x80);
      length >>>= 7;
    }
    out.byte(length);
    if (this.offsets.length === 1) {
      this.firstKeyStart = out.length;
      this.firstKeyEnd = out.length + key.length;
    }
    out.bytes(key.buffer, 0, key.length);
    out.bytes(value.buffer, 0, value.length);
  }

  /** The whole block, in `out`. Then `clear`. */
  end(): ByteWriter {
    const { offsets, out } = this;
    out.reserve(offsets.length * OFFSET_BYTES + COUNT_BYTES + CRC_BYTES);
    for (const offset of offsets) out.length = out.buffer.writeUInt32BE(offset, out.length);
    out.length = out.buffer.writeUInt32BE(offsets.length, out.length);
    out.length = out.buffer.writeUInt32BE(crc32c(out.buffer, 0, out.length), out.length);
    return out;
  }

  clear(): void {
    this.out.clear();
    this.offsets = [];
  }
}

/** A block that was read and checked. `select` sets where the key and the value of an entry are in `buffer`. */
export class Block {
  readonly buffer: Buffer;
  readonly count: number;
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  private readonly offsetsAt: number;

  /**
   * @param buffer exactly one block
   * @param path and `position`: where it was read, for errors
   * @throws {MillraceError} ML_TABLE_DAMAGED
   */
  constructor(buffer: Buffer, path: string, position: number) {
    const crcAt = buffer.length - CRC_BYTES;
    if (crcAt < COUNT_BYTES || crc32c(buffer, 0, crcAt) !== buffer.readUInt32BE(crcAt))
      throw damaged(path, position, 'the checksum of a block does not match');
    this.buffer = buffer;
    this.count = buffer.readUInt32BE(crcAt - COUNT_BYTES);
    this.offsetsAt = crcAt - COUNT_BYTES - this.count * OFFSET_BYTES;
    // The checksum says that it is what was written; this, that it was written as a block.
    const last = this.count > 0 ? this.offset(this.count - 1) : 0;
    if (this.offsetsAt < 0 || last > this.offsetsAt || (this.count > 0 && this.offset(0) !== 0))
      throw damaged(path, position, 'a block is not what its size says');
  }

  select(index: number): void {
    const { buffer } = this;
    let at = this.offset(index);
    let byte = buffer[at++] as number;
    let length = byte & 0x7f;
    for (let shift = 7; byte > 0x7f; shift += 7) {
      byte = buffer[at++] as number;
      length |= (byte & 0x7f) << shift;
    }
    this.keyStart = at;
    this.keyEnd = at + length;
    this.valueStart = this.keyEnd;
    this.valueEnd = index + 1 < this.count ? this.offset(index + 1) : this.offsetsAt;
  }

  /** The first entry whose key is not below key[start, end); `count` when all are. */
  lowerBound(key: Uint8Array, start: number, end: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      this.select(middle);
      if (compareKeys(this.buffer, this.keyStart, this.keyEnd, key, start, end) < 0)
        low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether the selected entry has this key. */
  isKey(key: Uint8Array, start: number, end: number): boolean {
    return compareKeys(this.buffer, this.keyStart, this.keyEnd, key, start, end) === 0;
  }

  /** Whether keys ascend and lie inside their entries, as in every block that was written by a writer. */
  isSorted(): boolean {
    const { buffer, count } = this;
    let previousStart = 0;
    let previousEnd = 0;
    for (let index = 0; index < count; index++) {
      this.select(index);
      const { keyEnd, keyStart, valueEnd } = this;
      if (keyEnd <= keyStart || keyEnd > valueEnd) return false;
      const order = compareKeys(buffer, previousStart, previousEnd, buffer, keyStart, keyEnd);
      if (index > 0 && order >= 0) return false;
      previousStart = keyStart;
      previousEnd = keyEnd;
    }
    return true;
  }

  private offset(index: number): number {
    const { buffer } = this;
    const at = this.offsetsAt + index * OFFSET_BYTES;
    return (
      (((buffer[at] as number) << 24) |
        ((buffer[at + 1] as number) << 16) |
        ((buffer[at + 2] as number) << 8) |
        (buffer[at + 3] as number)) >>>
      0
    );
  }
}

/**
 * Writes one partition of a table: blocks of entries in the order of their keys, a filter behind every so many, then the index.
 *
 * Records come sorted by key. Of several with one key the last one in the order of the stream stays: a table is the latest value
 * per key. Memory: one block, the hashes of one filter, and the index, which is about half a percent of the file.
 */
import { ByteWriter } from '../../core/byte-writer.ts';
import type { File } from '../../core/env.ts';
import { assert } from '../../core/errors.ts';
import { writeFully } from '../../core/files.ts';
import { compareKeys, encodeKey } from '../../core/key-codec.ts';
import { SINK_BUFFER_BYTES, TABLE_BLOCK_BYTES, TABLE_FILTER_KEYS } from '../../core/limits.ts';
import { encodeValue } from '../../core/value-codec.ts';
import type { Part, SinkWriter, WriteContext } from '../../flow/sink.ts';
import { BlockBuilder } from './table-block.ts';
import type { Footer } from './table-format.ts';
import {
  buildFilter,
  CRC_BYTES,
  encodeFooter,
  FILTER_ENTRY_BYTES,
  FOOTER_BYTES,
  greatestCommonDivisor,
  hashOf,
  POINTER_BYTES,
  writeSize,
} from './table-format.ts';
import { crc32c } from '../../core/crc32c.ts';

/** `Part.extra`: what the manifest says of the file. Plain JSON. */
export interface TablePart {
  readonly keys: number;
  readonly residue: number;
  readonly modulus: number;
  readonly crc: number;
}

interface FilterEntry {
  readonly position: number;
  readonly bytes: number;
  readonly keys: number;
}

export class TableWriter implements SinkWriter<unknown, unknown> {
  readonly isBusy = false;
  private readonly file: File;
  private readonly out = new ByteWriter(SINK_BUFFER_BYTES + 64 * 1024);
  private readonly block = new BlockBuilder();
  private readonly index = new BlockBuilder();
  private readonly pointer = new ByteWriter(POINTER_BYTES);
  private readonly firstKey = new ByteWriter();
  /** The record that waits for a later one with its key. */
  private key = new ByteWriter();
  private readonly value = new ByteWriter();
  private hasPending = false;
  private nextKey = new ByteWriter();
  /** Of the keys that the next filter will hold. */
  private readonly hashes = new Uint32Array(TABLE_FILTER_KEYS);
  private hashCount = 0;
  private readonly filters: FilterEntry[] = [];
  private blockCount = 0;
  private keyCount = 0;
  private residue = 0;
  private modulus = 0;
  /** Where `out` begins in the file. */
  private position = 0;

  constructor({ directory, env }: WriteContext) {
    this.file = env.fs.open(`${directory}/partition`, 'publish');
  }

  write(value: unknown, key: unknown): void {
    const next = this.nextKey;
    next.clear();
    encodeKey(key, next);
    if (this.hasPending) {
      const { buffer, length } = this.key;
      const order = compareKeys(buffer, 0, length, next.buffer, 0, next.length);
      assert(order <= 0, 'records of a table come in the order of their keys');
      if (order < 0) this.put();
    }
    this.nextKey = this.key;
    this.key = next;
    this.value.clear();
    encodeValue(value, this.value);
    this.hasPending = true;
  }

  async drain(): Promise<void> {}

  async finish(): Promise<readonly Part[]> {
    if (this.hasPending) this.put();
    if (this.block.count > 0) this.endBlock();
    if (this.hashCount > 0) this.endFilter();
    const indexPosition = this.position + this.out.length;
    const index = this.index.end();
    this.append(index.buffer, index.length);
    const filters = this.filterList();
    this.append(filters, filters.length);
    const footer = this.footer(indexPosition, index.length);
    const bytes = encodeFooter(footer);
    this.append(bytes, bytes.length);
    this.flush();
    await this.file.sync();
    this.file.close();
    const { keys, modulus, residue } = footer;
    const crc = bytes.readUInt32BE(FOOTER_BYTES - CRC_BYTES);
    const extra: TablePart = { keys, residue, modulus, crc };
    return [{ path: this.file.path, bytes: this.position, records: keys, extra }];
  }

  async abort(): Promise<void> {
    this.file.close();
  }

  /** Writes the record that waits. */
  private put(): void {
    const { block, key, value } = this;
    const hash = hashOf(key.buffer, 0, key.length);
    if (this.keyCount === 0) this.residue = hash;
    else {
      const distance = Math.abs(hash - this.residue);
      if (this.modulus === 0) this.modulus = distance;
      else if (distance % this.modulus !== 0)
        this.modulus = greatestCommonDivisor(this.modulus, distance);
    }
    this.keyCount++;
    this.hashes[this.hashCount++] = hash;
    block.add(key, value);
    const isFull = this.hashCount === TABLE_FILTER_KEYS;
    if (isFull || block.bytes >= TABLE_BLOCK_BYTES) this.endBlock();
    if (isFull) this.endFilter();
  }

  private endBlock(): void {
    const { block, firstKey, pointer } = this;
    const { buffer, length } = block.end();
    firstKey.clear();
    firstKey.bytes(buffer, block.firstKeyStart, block.firstKeyEnd);
    writeSize(pointer.buffer, this.position + this.out.length, 0);
    pointer.buffer.writeUInt32BE(length, 8);
    pointer.buffer.writeUInt32BE(this.filters.length, 12);
    pointer.length = POINTER_BYTES;
    this.index.add(firstKey, pointer);
    this.append(buffer, length);
    block.clear();
    this.blockCount++;
  }

  private endFilter(): void {
    const filter = buildFilter(this.hashes.subarray(0, this.hashCount));
    const position = this.position + this.out.length;
    this.filters.push({ position, bytes: filter.length, keys: this.hashCount });
    this.append(filter, filter.length);
    this.hashCount = 0;
  }

  private filterList(): Buffer {
    const bytes = Buffer.alloc(this.filters.length * FILTER_ENTRY_BYTES + CRC_BYTES);
    this.filters.forEach((filter, index) => {
      const at = index * FILTER_ENTRY_BYTES;
      writeSize(bytes, filter.position, at);
      bytes.writeUInt32BE(filter.bytes, at + 8);
      bytes.writeUInt32BE(filter.keys, at + 12);
    });
    const crcAt = bytes.length - CRC_BYTES;
    bytes.writeUInt32BE(crc32c(bytes, 0, crcAt), crcAt);
    return bytes;
  }

  private footer(indexPosition: number, indexBytes: number): Footer {
    return {
      keys: this.keyCount,
      indexPosition,
      indexBytes,
      blocks: this.blockCount,
      filters: this.filters.length,
      residue: this.residue,
      modulus: this.modulus,
    };
  }

  private append(buffer: Uint8Array, length: number): void {
    this.out.bytes(buffer, 0, length);
    if (this.out.length >= SINK_BUFFER_BYTES) this.flush();
  }

  private flush(): void {
    const { out } = this;
    writeFully(this.file, out.buffer, 0, out.length, this.position);
    this.position += out.length;
    if (out.buffer.length > 4 * SINK_BUFFER_BYTES)
      out.buffer = Buffer.allocUnsafeSlow(SINK_BUFFER_BYTES);
    out.clear();
  }
}

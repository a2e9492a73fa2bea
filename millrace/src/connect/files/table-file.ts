/**
 * One partition file of a table, open: its index and filters are in memory, its blocks are read when they are asked for.
 *
 * Invariant: after `openTableFile` every pointer lies inside the file, in order; what is read later is checked by its own checksum.
 */
import { crc32c } from '../../core/crc32c.ts';
import type { Env, File } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { readFully, readFullyAsync } from '../../core/files.ts';
import { decodeKey } from '../../core/key-codec.ts';
import { decodeValue } from '../../core/value-codec.ts';
import { Block } from './table-block.ts';
import type { Footer, TableFileEntry } from './table-format.ts';
import {
  CRC_BYTES,
  damaged,
  decodeFooter,
  FILTER_ENTRY_BYTES,
  FOOTER_BYTES,
  mayHold,
  POINTER_BYTES,
  readSize,
} from './table-format.ts';

/** Opens and checks a partition file. Filters are left out when only blocks will be read. @throws {MillraceError} ML_TABLE_DAMAGED, ML_FILE_NOT_FOUND, … */
export async function openTableFile(
  env: Env,
  directory: string,
  entry: TableFileEntry,
  withFilters = true,
): Promise<TableFile> {
  const path = `${directory}/${entry.name}`;
  const file = env.fs.open(path, 'read');
  try {
    const sizeBytes = file.size();
    if (sizeBytes !== entry.bytes)
      throw damaged(
        path,
        Math.min(sizeBytes, entry.bytes),
        `it has ${sizeBytes} bytes, not ${entry.bytes}`,
      );
    const footerAt = sizeBytes - FOOTER_BYTES;
    const bytes = await readAt(file, Math.max(0, footerAt), FOOTER_BYTES);
    const footer = decodeFooter(bytes, path, footerAt);
    if (bytes.readUInt32BE(FOOTER_BYTES - CRC_BYTES) !== entry.crc)
      throw damaged(path, footerAt, 'it is not the file that the manifest names');
    const listAt = footer.indexPosition + footer.indexBytes;
    const listBytes = footer.filters * FILTER_ENTRY_BYTES + CRC_BYTES;
    if (listAt + listBytes !== footerAt) throw damaged(path, footerAt, 'the footer is wrong');
    const index = new Block(
      await readAt(file, footer.indexPosition, footer.indexBytes),
      path,
      footer.indexPosition,
    );
    checkIndex(index, footer, path);
    const filters = withFilters
      ? await readFilters(file, await readAt(file, listAt, listBytes), listAt)
      : [];
    return new TableFile(file, footer.keys, index, filters);
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Memory that one block after the other is read into: buffers of their own would keep the garbage collector busy. */
export interface Scratch {
  buffer: Buffer;
}

export class TableFile {
  readonly keys: number;
  private readonly file: File;
  private readonly index: Block;
  private readonly filters: readonly Buffer[];

  constructor(file: File, keys: number, index: Block, filters: readonly Buffer[]) {
    this.file = file;
    this.keys = keys;
    this.index = index;
    this.filters = filters;
  }

  get path(): string {
    return this.file.path;
  }

  get blocks(): number {
    return this.index.count;
  }

  /** The block that holds the key if any does; -1 when the key is certainly not there. */
  locate(key: Uint8Array, end: number, hash: number): number {
    const block = this.blockOf(key, 0, end);
    if (block < 0) return -1;
    this.index.select(block);
    const filter = this.filters[this.index.buffer.readUInt32BE(this.index.valueStart + 12)];
    return filter !== undefined && mayHold(filter, hash) ? block : -1;
  }

  /** The last block whose first key is not above the key; -1 when the key is before all. */
  blockOf(key: Uint8Array, start: number, end: number): number {
    const { index } = this;
    const bound = index.lowerBound(key, start, end);
    if (bound === index.count) return bound - 1;
    index.select(bound);
    return index.isKey(key, start, end) ? bound : bound - 1;
  }

  positionOf(block: number): number {
    this.index.select(block);
    return readSize(this.index.buffer, this.index.valueStart);
  }

  bytesOf(block: number): number {
    this.index.select(block);
    return this.index.buffer.readUInt32BE(this.index.valueStart + 8);
  }

  /** Reads a block, beside the event loop. */
  async read(block: number): Promise<Block> {
    const position = this.positionOf(block);
    const bytes = await readAt(this.file, position, this.bytesOf(block));
    return new Block(bytes, this.path, position);
  }

  /**
   * The same on the spot, for reads that the page cache serves.
   * @param scratch where the block may be put: it is valid until the next read into it
   */
  readNow(block: number, scratch: Scratch): Block {
    const position = this.positionOf(block);
    const length = this.bytesOf(block);
    if (length > scratch.buffer.length) scratch.buffer = Buffer.allocUnsafeSlow(length);
    const bytes = scratch.buffer.subarray(0, length);
    if (readFully(this.file, bytes, 0, length, position) < length)
      throw damaged(this.path, position, 'it ends here');
    return new Block(bytes, this.path, position);
  }

  /** The value of the entry that is selected. */
  valueOf(block: Block, number: number): unknown {
    try {
      return decodeValue(block.buffer, block.valueStart, block.valueEnd);
    } catch (cause) {
      throw this.undecodable(cause, number, block.valueStart);
    }
  }

  keyOf(block: Block, number: number): unknown {
    try {
      return decodeKey(block.buffer, block.keyStart, block.keyEnd);
    } catch (cause) {
      throw this.undecodable(cause, number, block.keyStart);
    }
  }

  close(): void {
    this.file.close();
  }

  private undecodable(cause: unknown, block: number, within: number): unknown {
    if (!(cause instanceof MillraceError)) return cause;
    return damaged(this.path, this.positionOf(block) + within, cause.message);
  }
}

async function readAt(file: File, position: number, bytes: number): Promise<Buffer> {
  const { path } = file;
  if (!Number.isSafeInteger(position + bytes) || position + bytes > file.size())
    throw damaged(path, file.size(), 'it ends here');
  // Its own memory: a slice of a pool would be shared with what codecs keep.
  const buffer = Buffer.allocUnsafeSlow(bytes);
  if ((await readFullyAsync(file, buffer, 0, bytes, position)) < bytes)
    throw damaged(path, position, 'it ends here');
  return buffer;
}

/** Blocks follow one another, and each names a filter that there is. */
function checkIndex(index: Block, footer: Footer, path: string): void {
  const fail = (what: string): never => {
    throw damaged(path, footer.indexPosition, what);
  };
  if (index.count !== footer.blocks) fail(`the index has ${index.count} blocks`);
  if (!index.isSorted()) fail('the index is not sorted');
  let end = 0;
  for (let block = 0; block < index.count; block++) {
    index.select(block);
    const at = index.valueStart;
    if (index.valueEnd - at !== POINTER_BYTES) fail('an entry of the index is no pointer');
    const position = readSize(index.buffer, at);
    const bytes = index.buffer.readUInt32BE(at + 8);
    if (position < end || position + bytes > footer.indexPosition) fail('a pointer leads outside');
    if (index.buffer.readUInt32BE(at + 12) >= footer.filters) fail('a block has no filter');
    end = position + bytes;
  }
}

async function readFilters(file: File, list: Buffer, listAt: number): Promise<Buffer[]> {
  const { path } = file;
  const crcAt = list.length - CRC_BYTES;
  if (crc32c(list, 0, crcAt) !== list.readUInt32BE(crcAt))
    throw damaged(path, listAt, 'the checksum of the list of filters does not match');
  const filters: Buffer[] = [];
  for (let at = 0; at < crcAt; at += FILTER_ENTRY_BYTES) {
    const position = readSize(list, at);
    const filter = await readAt(file, position, list.readUInt32BE(at + 8));
    const end = filter.length - CRC_BYTES;
    if (end <= 0 || crc32c(filter, 0, end) !== filter.readUInt32BE(end))
      throw damaged(path, position, 'the checksum of a filter does not match');
    filters.push(filter.subarray(0, end));
  }
  return filters;
}

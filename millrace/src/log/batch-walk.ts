/**
 * Walking over the batches of a segment file by their headers, without reading what they hold. For what is off the hot
 * path: rebuilding an index, recovery, looking for the next good batch behind damage.
 */
import type { File } from '../core/env.ts';
import { readFully } from '../core/files.ts';
import {
  BATCH_OK,
  baseOffset,
  batchBytes,
  checkBatch,
  HEADER_BYTES,
  lastOffsetDelta,
  LENGTH_OVERHEAD_BYTES,
  MAGIC_AT,
  MAGIC_V2,
} from '../wire/kafka/records/record-batch.ts';

const CHUNK_BYTES = 64 * 1024;

/**
 * Calls `visit(buffer, at, position)` for each header that can be one, from `position` to `end`: the header is at `at` in
 * `buffer`, the batch at `position` in the file. The walk ends when `visit` returns false, at `end`, or before a header
 * that cannot be one, or a batch that does not end by `end`. Returns the position where it ended.
 */
export function walkHeaders(
  file: File,
  position: number,
  end: number,
  visit: (buffer: Buffer, at: number, position: number) => boolean,
): number {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let chunkStart = 0;
  let chunkEnd = 0;
  let at = position;
  while (at + HEADER_BYTES <= end) {
    if (at < chunkStart || at + HEADER_BYTES > chunkEnd) {
      chunkStart = at;
      chunkEnd = at + readFully(file, chunk, 0, Math.min(CHUNK_BYTES, end - at), at);
      if (at + HEADER_BYTES > chunkEnd) return at;
    }
    const inChunk = at - chunkStart;
    if (!canBeHeader(chunk, inChunk)) return at;
    const next = at + batchBytes(chunk, inChunk);
    if (next > end) return at;
    if (!visit(chunk, inChunk, at)) return at;
    at = next;
  }
  return at;
}

/** Format, length and offset delta are possible. */
export function canBeHeader(buffer: Buffer, at: number): boolean {
  return (
    buffer[at + MAGIC_AT] === MAGIC_V2 &&
    batchBytes(buffer, at) >= HEADER_BYTES &&
    lastOffsetDelta(buffer, at) >= 0
  );
}

export interface FoundBatch {
  readonly position: number;
  readonly baseOffset: number;
}

/**
 * The first whole and good batch that begins at or behind `position`, has a base offset in [firstOffset, endOffset) and
 * ends by `end`; undefined when there is none. Looks at every byte: a damaged length does not say where the next begins.
 */
export function findBatch(
  file: File,
  position: number,
  end: number,
  offsets: { readonly first: number; readonly end: number },
): FoundBatch | undefined {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let chunkStart = position;
  while (chunkStart + HEADER_BYTES <= end) {
    const count = readFully(file, chunk, 0, Math.min(CHUNK_BYTES, end - chunkStart), chunkStart);
    if (count < HEADER_BYTES) return undefined;
    for (let at = 0; at + HEADER_BYTES <= count; at++) {
      if (chunk[at + MAGIC_AT] !== MAGIC_V2 || !canBeHeader(chunk, at)) continue;
      const offset = baseOffset(chunk, at);
      if (offset < offsets.first || offset >= offsets.end) continue;
      const found = { position: chunkStart + at, baseOffset: offset };
      if (isGoodBatch(file, found.position, end)) return found;
    }
    chunkStart += count - HEADER_BYTES + 1;
  }
  return undefined;
}

/** Whether a whole batch with a good CRC begins at `position` and ends by `end`. */
export function isGoodBatch(file: File, position: number, end: number): boolean {
  const batch = readBatch(file, position, end);
  return batch !== undefined && checkBatch(batch, 0, batch.length) === BATCH_OK;
}

/** The bytes of the batch that begins at `position` and, as its length says, ends by `end`; undefined when it does not. */
export function readBatch(file: File, position: number, end: number): Buffer | undefined {
  if (end - position < HEADER_BYTES) return undefined;
  const head = Buffer.allocUnsafe(LENGTH_OVERHEAD_BYTES);
  if (readFully(file, head, 0, head.length, position) < head.length) return undefined;
  const bytes = batchBytes(head, 0);
  if (bytes < HEADER_BYTES || position + bytes > end) return undefined;
  const batch = Buffer.allocUnsafe(bytes);
  return readFully(file, batch, 0, bytes, position) === bytes ? batch : undefined;
}

/**
 * Offsets by time: the first record at or after a timestamp, and the record with the largest one. The time index says
 * where to begin; the batches behind it are read, and decompressed where it matters.
 */
import { readFullyAsync } from '../core/files.ts';
import { TIMESTAMP_SEARCH_BYTES } from '../core/limits.ts';
import {
  BATCH_OK,
  batchBytes,
  checkBatch,
  checkBatchFrame,
  lastOffset,
  leaderEpoch,
  LENGTH_OVERHEAD_BYTES,
  maxTimestamp,
} from '../wire/kafka/records/record-batch.ts';
import { RecordReader } from '../wire/kafka/records/record-reader.ts';
import { damagedRangeAt } from './damage.ts';
import { indexRange, isReplaced, type ReadableLog } from './readable-log.ts';
import type { Segment } from './segment.ts';
import type { TimestampOffset } from './types.ts';

/** The first record below `limit`, and not below the log start, whose timestamp is at or after `timestampMs`. */
export async function searchTimestamp(
  log: ReadableLog,
  timestampMs: number,
  limit: number,
): Promise<TimestampOffset | undefined> {
  const { segments } = log;
  for (let number = 0; number < segments.length; number++) {
    const segment = segments[number] as Segment;
    const endOffset = segments[number + 1]?.baseOffset ?? log.logEndOffset;
    if (endOffset <= log.logStartOffset) continue;
    if (segment.baseOffset >= limit) return undefined;
    if (isReplaced(log, segments, segment)) return searchTimestamp(log, timestampMs, limit);
    loadIndexes(log, segment, endOffset);
    if (segment.maxTimestampMs < timestampMs) continue;
    const entry = segment.timeIndex.lastBefore(timestampMs);
    const from = entry < 0 ? -1 : segment.timeIndex.relativeOffset(entry);
    const found = await visitBatches(log, segment, { from, endOffset, limit }, (buffer, at) =>
      maxTimestamp(buffer, at) >= timestampMs
        ? firstRecordAt(buffer, at, { timestampMs, start: log.logStartOffset, limit })
        : undefined,
    );
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The record with the largest timestamp; the first of them when several have it. */
export async function searchMaxTimestamp(
  log: ReadableLog,
  limit: number,
): Promise<TimestampOffset | undefined> {
  const { segments } = log;
  let best: TimestampOffset | undefined;
  for (let number = segments.length - 1; number >= 0; number--) {
    const segment = segments[number] as Segment;
    const endOffset = segments[number + 1]?.baseOffset ?? log.logEndOffset;
    if (endOffset <= log.logStartOffset) break;
    if (isReplaced(log, segments, segment)) return searchMaxTimestamp(log, limit);
    loadIndexes(log, segment, endOffset);
    const timestampMs = segment.maxTimestampMs;
    if (segment.sizeBytes === 0 || timestampMs < (best?.timestampMs ?? -1)) continue;
    const found = await largestIn(log, segment, { endOffset, limit });
    if (found !== undefined && found.timestampMs >= (best?.timestampMs ?? -Infinity)) best = found;
  }
  return best;
}

async function largestIn(
  log: ReadableLog,
  segment: Segment,
  range: { readonly endOffset: number; readonly limit: number },
): Promise<TimestampOffset | undefined> {
  // The index knows the largest of all written batches. If that one is readable, it is the answer; else look at all.
  const isReadable =
    segment.maxTimestampOffset < range.limit && segment.maxTimestampOffset >= log.logStartOffset;
  const entry = isReadable ? segment.timeIndex.lastBefore(segment.maxTimestampMs) : -1;
  const from = entry < 0 ? -1 : segment.timeIndex.relativeOffset(entry);
  let best: TimestampOffset | undefined;
  await visitBatches(log, segment, { ...range, from }, (buffer, at) => {
    const timestampMs = maxTimestamp(buffer, at);
    if (timestampMs <= (best?.timestampMs ?? -2)) return undefined;
    const where = { timestampMs, start: log.logStartOffset, limit: range.limit };
    best = firstRecordAt(buffer, at, where) ?? best;
    return isReadable && best?.timestampMs === segment.maxTimestampMs ? best : undefined;
  });
  return best;
}

function loadIndexes(log: ReadableLog, segment: Segment, endOffset: number): void {
  segment.ensureIndexes(indexRange(log, endOffset));
  if (segment.isSealed) log.context.indexMemory.used(segment);
}

/** The first record of a batch that is at or after a time, and in a range of offsets. */
function firstRecordAt(
  buffer: Buffer,
  position: number,
  wanted: { readonly timestampMs: number; readonly start: number; readonly limit: number },
): TimestampOffset | undefined {
  const reader = new RecordReader();
  reader.open(buffer, position, position + batchBytes(buffer, position));
  while (reader.next()) {
    if (reader.offset >= wanted.limit) return undefined;
    if (reader.offset < wanted.start || reader.timestamp < wanted.timestampMs) continue;
    return {
      offset: reader.offset,
      timestampMs: reader.timestamp,
      leaderEpoch: leaderEpoch(buffer, position),
    };
  }
  return undefined;
}

/**
 * Visits the good batches of a segment below `limit`, from the one that ends behind relative offset `from` (-1 = the first),
 * until `visit` returns something. Damaged ones are passed over: they cannot be the answer.
 */
async function visitBatches(
  log: ReadableLog,
  segment: Segment,
  range: { readonly from: number; readonly endOffset: number; readonly limit: number },
  visit: (buffer: Buffer, at: number) => TimestampOffset | undefined,
): Promise<TimestampOffset | undefined> {
  const entry = range.from < 0 ? -1 : segment.offsetIndex.floor(range.from);
  let position = entry < 0 ? 0 : segment.offsetIndex.position(entry);
  let nextOffset = segment.baseOffset + Math.max(-1, range.from);
  let bytes = TIMESTAMP_SEARCH_BYTES;
  segment.pin();
  try {
    while (position < segment.sizeBytes) {
      const wanted = Math.min(bytes, segment.sizeBytes - position);
      const buffer = Buffer.allocUnsafe(wanted);
      const count = await readFullyAsync(segment.use(), buffer, 0, wanted, position);
      let at = 0;
      while (checkBatchFrame(buffer, at, count) === BATCH_OK) {
        if (checkBatch(buffer, at, count) !== BATCH_OK) break;
        const last = lastOffset(buffer, at);
        if (last >= range.limit) return undefined;
        const found = last > nextOffset || range.from < 0 ? visit(buffer, at) : undefined;
        if (found !== undefined) return found;
        nextOffset = Math.max(nextOffset, last);
        at += batchBytes(buffer, at);
      }
      position += at;
      bytes = TIMESTAMP_SEARCH_BYTES;
      if (at > 0 || position >= segment.sizeBytes) continue;
      // The batch is larger than the buffer, or damaged.
      const size = count >= LENGTH_OVERHEAD_BYTES ? batchBytes(buffer, 0) : 0;
      if (size > count && position + size <= segment.sizeBytes) {
        bytes = size;
        continue;
      }
      const offsets = { expected: nextOffset + 1, end: range.endOffset };
      position = damagedRangeAt(log, segment, position, offsets).end;
    }
    return undefined;
  } finally {
    segment.unpin();
  }
}

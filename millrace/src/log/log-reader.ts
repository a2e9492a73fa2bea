/**
 * Reading batches from a log: from an offset to a place in a segment, from there whole batches in one read.
 *
 * Invariants
 * - Nothing at or above the limit of the isolation (high watermark, last stable offset) is returned.
 * - What is returned is a run of batches whose offsets follow each other as they should; bytes that this process did not
 *   write a short while ago are checked against their CRCs (see `VerifyReads`).
 * - Damage answers CORRUPT_MESSAGE for its own offsets, and never hides what is behind it.
 *
 * @hot `scan`
 */
import { MillraceError } from '../core/errors.ts';
import { readFully, readFullyAsync } from '../core/files.ts';
import {
  READ_BYTES_MAX,
  READ_HOT_MS,
  READ_SYNC_BYTES_MAX,
  SEGMENT_HOT_BYTES,
} from '../core/limits.ts';
import type { ErrorName } from '../wire/kafka/error-codes.ts';
import {
  BATCH_INCOMPLETE,
  BATCH_OK,
  baseOffset,
  batchBytes,
  checkBatch,
  checkBatchFrame,
  lastOffset,
  LENGTH_OVERHEAD_BYTES,
} from '../wire/kafka/records/record-batch.ts';
import { damagedRangeAt, knownDamage } from './damage.ts';
import { indexRange, isReplaced, type ReadableLog, segmentNumberOf } from './readable-log.ts';
import type { Segment } from './segment.ts';
import type { AbortedTransaction, ReadOptions, ReadResult } from './types.ts';

const NO_RECORDS = Buffer.alloc(0);
const NO_TRANSACTIONS: readonly AbortedTransaction[] = [];
const nothing = (): void => {};
/** Places where readers that go on will go on: one per consumer that follows the log, up to this many. */
const PLACES_KEPT = 4;

/** A position in a segment where the batch with `offset` begins. */
interface Place {
  readonly segment: Segment;
  readonly position: number;
  readonly offset: number;
}

/** What one look at a stretch of a segment has found. */
type Scan =
  | {
      readonly kind: 'records';
      readonly start: number;
      readonly end: number;
      readonly next: number;
    }
  /** All batches lie below the offset, and the last of them is good: look on from here. */
  | { readonly kind: 'on'; readonly bytes: number; readonly expected: number }
  /** The batch is larger than the buffer. */
  | {
      readonly kind: 'grow';
      readonly skip: number;
      readonly bytes: number;
      readonly expected: number;
    }
  /** The next batch is at or above the limit. */
  | { readonly kind: 'limit' }
  | { readonly kind: 'bad'; readonly bytes: number; readonly expected: number }
  /** The index does not lead to the batch that it names, or that batch is bad: walk there from the start. */
  | { readonly kind: 'index' };

/** What a scan looks for, and what it knows of the bytes that it is given. */
interface ScanRange {
  readonly offset: number;
  readonly limit: number;
  /** One past the last offset that the segment can hold. */
  readonly endOffset: number;
  /** The offset that the first batch should begin with; -1 = unknown. */
  readonly expected: number;
  /** The offset that the first batch should end with, as the index says; -1 = unknown. */
  readonly indexed: number;
  readonly verify: boolean;
}

export class LogReader {
  private readonly log: ReadableLog;
  private readonly places: (Place | undefined)[] = [];
  private nextPlace = 0;

  constructor(log: ReadableLog) {
    this.log = log;
  }

  async read(offset: number, options: ReadOptions): Promise<ReadResult> {
    const { log } = this;
    if (log.isClosed) return this.empty('KAFKA_STORAGE_ERROR');
    if (offset < log.logStartOffset || offset > log.logEndOffset)
      return this.empty('OFFSET_OUT_OF_RANGE');
    const limit = log.readLimit(options.isolation);
    if (offset >= limit) return this.empty('NONE');
    const { segments } = log;
    const first = Math.max(0, segmentNumberOf(segments, offset));
    for (let number = first; number < segments.length; number++) {
      const segment = segments[number] as Segment;
      if (segment.baseOffset >= limit) break;
      const endOffset = segments[number + 1]?.baseOffset ?? log.logEndOffset;
      if (isReplaced(log, segments, segment)) return this.read(offset, options);
      segment.pin();
      try {
        const result = await this.readSegment(segment, { offset, limit, endOffset }, options);
        if (result !== undefined) {
          if (!isReplaced(log, segments, segment)) return result;
          result.release();
          return await this.read(offset, options);
        }
      } catch (error) {
        if (!(error instanceof MillraceError)) throw error;
        if (!log.isClosed) log.context.logger.error('A read failed', { ...log.id, offset, error });
        return this.empty('KAFKA_STORAGE_ERROR');
      } finally {
        segment.unpin();
      }
    }
    return this.empty('NONE');
  }

  /** undefined when the segment has nothing at or behind the offset. */
  private async readSegment(
    segment: Segment,
    range: { readonly offset: number; readonly limit: number; readonly endOffset: number },
    options: ReadOptions,
  ): Promise<ReadResult | undefined> {
    const { context, config } = this.log;
    const { offset, endOffset } = range;
    let { position, expected, indexed } = this.startOf(segment, offset, endOffset);
    let bytesMin = options.maxBytes + config.indexIntervalBytes;
    while (position < segment.sizeBytes) {
      const known = knownDamage(segment, position);
      if (known !== undefined) {
        if (offset < known.endOffset) return this.empty('CORRUPT_MESSAGE');
        ({ end: position, endOffset: expected } = known);
        indexed = -1;
        continue;
      }
      const available = segment.sizeBytes - position;
      const wanted = Math.min(available, Math.max(Math.min(bytesMin, READ_BYTES_MAX), 1024));
      const isHot = isHotAt(segment, position, context.env.clock.monotonicMs());
      const buffer = context.readBuffers.take(wanted);
      let scan: Scan;
      let isKept = false;
      try {
        const bytes =
          isHot && wanted <= READ_SYNC_BYTES_MAX
            ? readFully(segment.use(), buffer, 0, wanted, position)
            : await readFullyAsync(segment.use(), buffer, 0, wanted, position);
        const verify = context.verifyReads === 'all' || (context.verifyReads === 'cold' && !isHot);
        scan = this.scan(buffer, bytes, { ...range, expected, indexed, verify }, options);
        // The file is shorter than what was written to it.
        if (scan.kind === 'grow' && bytes < wanted)
          scan = { ...scan, kind: 'bad', bytes: scan.skip };
        if (scan.kind === 'records') {
          isKept = true;
          this.remember({ segment, position: position + scan.end, offset: scan.next });
          return this.result(buffer, scan, range, options);
        }
      } finally {
        if (!isKept) context.readBuffers.give(buffer);
      }
      indexed = -1;
      switch (scan.kind) {
        case 'limit':
          return this.empty('NONE');
        case 'on':
          position += scan.bytes;
          ({ expected } = scan);
          break;
        case 'grow':
          if (position + scan.skip + scan.bytes > segment.sizeBytes || scan.bytes <= 0) {
            // No batch of that size was ever written here.
            ({ position, expected } = this.passDamage(segment, position + scan.skip, scan, range));
            if (offset < expected) return this.empty('CORRUPT_MESSAGE');
            break;
          }
          if (!options.atLeastOneBatch && scan.bytes > options.maxBytes) return this.empty('NONE');
          position += scan.skip;
          ({ expected } = scan);
          bytesMin = Math.max(bytesMin, scan.bytes);
          if (scan.bytes <= READ_BYTES_MAX) break;
          return this.readLarge(segment, position, scan.bytes, { ...range, expected }, options);
        case 'bad':
          ({ position, expected } = this.passDamage(segment, position + scan.bytes, scan, range));
          if (offset < expected) return this.empty('CORRUPT_MESSAGE');
          break;
        case 'index':
          segment.rebuildIndexes(indexRange(this.log, endOffset));
          position = 0;
          expected = segment.baseOffset;
          break;
      }
    }
    return undefined;
  }

  /** A first batch that is larger than what a read takes at once. */
  private async readLarge(
    segment: Segment,
    position: number,
    bytes: number,
    range: {
      readonly offset: number;
      readonly limit: number;
      readonly endOffset: number;
      readonly expected: number;
    },
    options: ReadOptions,
  ): Promise<ReadResult | undefined> {
    const { readBuffers } = this.log.context;
    const buffer = readBuffers.take(bytes);
    const count = await readFullyAsync(segment.use(), buffer, 0, bytes, position);
    const scan = this.scan(buffer, count, { ...range, indexed: -1, verify: true }, options);
    if (scan.kind === 'records') {
      this.remember({ segment, position: position + scan.end, offset: scan.next });
      return this.result(buffer, scan, range, options);
    }
    readBuffers.give(buffer);
    if (scan.kind === 'limit') return this.empty('NONE');
    const { expected } = this.passDamage(segment, position, range, range);
    // What lies behind the damage is read by the next call.
    return range.offset < expected ? this.empty('CORRUPT_MESSAGE') : this.empty('NONE');
  }

  /** Where to begin: a place that a reader has left, or the index. */
  private startOf(
    segment: Segment,
    offset: number,
    endOffset: number,
  ): { position: number; expected: number; indexed: number } {
    for (const place of this.places)
      if (place?.offset === offset && place.segment === segment)
        return { position: place.position, expected: offset, indexed: -1 };
    const { context } = this.log;
    segment.ensureIndexes(indexRange(this.log, endOffset));
    if (segment.isSealed) context.indexMemory.used(segment);
    const index = segment.offsetIndex;
    const entry = index.floor(offset - segment.baseOffset);
    if (entry < 0) return { position: 0, expected: segment.baseOffset, indexed: -1 };
    const indexed = segment.baseOffset + index.relativeOffset(entry);
    return { position: index.position(entry), expected: -1, indexed };
  }

  private remember(place: Place): void {
    this.places[this.nextPlace] = place;
    this.nextPlace = (this.nextPlace + 1) % PLACES_KEPT;
  }

  /**
   * Finds the batches to return in buffer[0, bytes): from the one that holds the offset (or the next that exists) up to
   * the limit, `maxBytes`, damage, or the end of the buffer.
   */
  private scan(buffer: Buffer, bytes: number, range: ScanRange, options: ReadOptions): Scan {
    const { offset, limit } = range;
    let { expected } = range;
    let start = -1;
    let at = 0;
    let previous = -1;
    let beforePrevious = -1;
    while (at < bytes) {
      const frame = checkBatchFrame(buffer, at, bytes);
      if (frame === BATCH_INCOMPLETE) {
        if (start >= 0) break;
        if (bytes - at < LENGTH_OVERHEAD_BYTES && at > 0) break;
        const size = bytes - at < LENGTH_OVERHEAD_BYTES ? 0 : batchBytes(buffer, at);
        return { kind: 'grow', skip: at, bytes: size, expected };
      }
      const next = at + batchBytes(buffer, at);
      const base = baseOffset(buffer, at);
      const last = lastOffset(buffer, at);
      if (at === 0 && range.indexed >= 0 && last !== range.indexed) return { kind: 'index' };
      const isWanted = last >= offset && base < limit;
      const isGood =
        frame === BATCH_OK &&
        this.follows(buffer, at, bytes, { expected, previous, endOffset: range.endOffset }) &&
        !(isWanted && range.verify && checkBatch(buffer, at, bytes) !== BATCH_OK);
      if (!isGood) {
        if (start >= 0) break;
        if (expected < 0) return { kind: 'index' };
        // What does not fit together may be the fault of the batch before, whose CRC nobody has looked at.
        return previous >= 0 && checkBatch(buffer, previous, bytes) !== BATCH_OK
          ? { kind: 'bad', bytes: previous, expected: beforePrevious }
          : { kind: 'bad', bytes: at, expected };
      }
      if (last >= offset) {
        if (base >= limit) return start < 0 ? { kind: 'limit' } : records(start, at, expected);
        const isTooMuch = next - (start < 0 ? at : start) > options.maxBytes;
        if (isTooMuch && (start >= 0 || !options.atLeastOneBatch))
          return start < 0 ? { kind: 'limit' } : records(start, at, expected);
        if (range.verify) this.mendEpoch(buffer, at, base);
        if (start < 0) start = at;
      }
      beforePrevious = expected < 0 ? base : expected;
      expected = last + 1;
      previous = at;
      at = next;
    }
    if (start >= 0) return records(start, at, expected);
    if (previous >= 0 && checkBatch(buffer, previous, bytes) !== BATCH_OK)
      return { kind: 'bad', bytes: previous, expected: beforePrevious };
    return { kind: 'on', bytes: at, expected };
  }

  /** Whether the offsets of the batch at `at` are possible behind the batches before it. */
  private follows(
    buffer: Buffer,
    at: number,
    bytes: number,
    place: { readonly expected: number; readonly previous: number; readonly endOffset: number },
  ): boolean {
    const base = baseOffset(buffer, at);
    const last = lastOffset(buffer, at);
    if (base < place.expected || last < base || last >= place.endOffset) return false;
    if (base === place.expected || place.expected < 0) return true;
    // A gap is what compaction leaves, and nothing else.
    return place.expected < this.log.gapsBelow && isGapSound(buffer, place.previous, at, bytes);
  }

  /** The leader epoch lies outside the CRC, and we know which one it has to be. */
  private mendEpoch(buffer: Buffer, position: number, offset: number): void {
    const epoch = this.log.epochs.epochAt(offset);
    if (epoch >= 0 && buffer.readInt32BE(position + 12) !== epoch)
      buffer.writeInt32BE(epoch, position + 12);
  }

  private passDamage(
    segment: Segment,
    position: number,
    found: { readonly expected: number },
    range: { readonly endOffset: number },
  ): { position: number; expected: number } {
    const offsets = { expected: found.expected, end: range.endOffset };
    const damaged = damagedRangeAt(this.log, segment, position, offsets);
    return { position: damaged.end, expected: damaged.endOffset };
  }

  private result(
    buffer: Buffer,
    found: { readonly start: number; readonly end: number; readonly next: number },
    range: { readonly offset: number },
    options: ReadOptions,
  ): ReadResult {
    const { log } = this;
    const pool = log.context.readBuffers;
    let isReleased = false;
    return {
      error: 'NONE',
      records: buffer.subarray(found.start, found.end),
      release: () => {
        if (isReleased) return;
        isReleased = true;
        pool.give(buffer);
      },
      highWatermark: log.highWatermark,
      lastStableOffset: log.lastStableOffset,
      logStartOffset: log.logStartOffset,
      abortedTransactions:
        options.isolation === 'read_committed'
          ? abortedBetween(log, range.offset, found.next)
          : NO_TRANSACTIONS,
    };
  }

  private empty(error: ErrorName): ReadResult {
    const { log } = this;
    return {
      error,
      records: NO_RECORDS,
      release: nothing,
      highWatermark: log.highWatermark,
      lastStableOffset: log.lastStableOffset,
      logStartOffset: log.logStartOffset,
      abortedTransactions: NO_TRANSACTIONS,
    };
  }
}

function records(start: number, end: number, next: number): Scan {
  return { kind: 'records', start, end, next };
}

/** Written by this process, and so recently that it is in the page cache: the disk has had no part in it yet. */
function isHotAt(segment: Segment, position: number, nowMs: number): boolean {
  if (position < segment.openedBytes) return false;
  if (nowMs - segment.openedMs <= READ_HOT_MS) return true;
  return !segment.isSealed && segment.sizeBytes - position <= SEGMENT_HOT_BYTES;
}

/**
 * Whether the offsets between the batch at `previous` (-1 = not in the buffer) and the one at `at` may be missing: both
 * must be good, and the batch behind must not begin before this one ends.
 */
function isGapSound(buffer: Buffer, previous: number, at: number, end: number): boolean {
  if (previous >= 0 && checkBatch(buffer, previous, end) !== BATCH_OK) return false;
  if (checkBatch(buffer, at, end) !== BATCH_OK) return false;
  const next = at + batchBytes(buffer, at);
  return (
    checkBatchFrame(buffer, next, end) !== BATCH_OK ||
    baseOffset(buffer, next) > lastOffset(buffer, at)
  );
}

/** The aborted transactions that have records in [from, to). */
export function abortedBetween(
  log: ReadableLog,
  from: number,
  to: number,
): readonly AbortedTransaction[] {
  let found: AbortedTransaction[] | undefined;
  const { segments } = log;
  // A transaction is listed in the segment of its marker, which is not before its records.
  for (
    let number = Math.max(0, segmentNumberOf(segments, from));
    number < segments.length;
    number++
  ) {
    for (const entry of (segments[number] as Segment).aborted.all()) {
      if (entry.lastOffset < from) continue;
      if (entry.firstOffset < to) {
        found ??= [];
        found.push({ producerId: entry.producerId, firstOffset: entry.firstOffset });
      }
      if (entry.lastStableOffset >= to) return found ?? NO_TRANSACTIONS;
    }
  }
  return found ?? NO_TRANSACTIONS;
}

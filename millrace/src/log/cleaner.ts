/**
 * Cleaning: rewrites closed segments without what is not wanted any more. Compaction by key and the reclaiming of what a queue has settled
 * are two filters of it.
 *
 * Beside everything else: the segments are read in pieces, what stays is written to a new file, and readers keep what they have open. How the
 * new file takes the place of the old ones is in `compaction-swap.ts`.
 *
 * Invariants
 * - Only segments below the recovery point are touched, so a start never finds its checkpoint pointing into one.
 * - A batch that is damaged stops the cleaning of its segments: what cannot be read is never thrown away.
 * - The last batch of what is cleaned together stays, maybe without records: a segment is never empty.
 * - Of one log, compaction, reclaiming, retention and deletion run one at a time (the caller sees to it).
 */
import { MillraceError } from '../core/errors.ts';
import { readFullyAsync } from '../core/files.ts';
import { COMPACTION_CHUNK_BYTES } from '../core/limits.ts';
import {
  BATCH_OK,
  batchBytes,
  checkBatch,
  lastOffset,
  LENGTH_OVERHEAD_BYTES,
  maxTimestamp,
} from '../wire/kafka/records/record-batch.ts';
import type { CleaningFilter, LastOfProducer } from './cleaning-filter.ts';
import { cleanedPath, removeReplaced, type SwapRange, swapPath } from './compaction-swap.ts';
import type { DiskLog } from './partition-log.ts';
import { LOG_SUFFIX } from './segment-files.ts';
import { Segment } from './segment.ts';
import { NO_STORED_INDEXES } from './segment-indexes.ts';
import { NO_STORED_ABORTED } from './transaction-index.ts';

/** What cleanings since the start have read and written. */
export interface CleanerStats {
  bytesRead: number;
  bytesWritten: number;
}

/** The log was closed or changed under a cleaning, which is given up. */
export class Abandoned extends Error {}

export class Cleaner {
  readonly stats: CleanerStats = { bytesRead: 0, bytesWritten: 0 };
  isStopped = false;

  /** Gives up what runs, at its next piece: it throws `Abandoned` soon. */
  stop(): void {
    this.isStopped = true;
  }

  // ---- Rewriting --------------------------------------------------------------------------------------------------

  /**
   * Writes what stays of `group`, neighbours that are sealed and lie below the recovery point, into one new segment, and puts it in their
   * place. @returns the new segment; undefined when everything stays
   * @throws {MillraceError} ML_LOG_DAMAGED, ML_DISK_FULL; `Abandoned`
   */
  async rewrite(
    log: DiskLog,
    group: readonly Segment[],
    filter: CleaningFilter,
    mayReplace?: () => Promise<void> | undefined,
  ): Promise<Segment | undefined> {
    const first = group[0] as Segment;
    const last = group[group.length - 1] as Segment;
    const range = { baseOffset: first.baseOffset, endOffset: log.endOffsetOf(last) };
    const output = new Output(log, range);
    try {
      let isSame = group.length === 1;
      for (const segment of group) {
        const isLastSegment = segment === last;
        await this.eachBatch(log, segment, (buffer, at, end, isLastBatch) => {
          // The last batch stays, maybe without records: a segment is never empty.
          const kept = filter.filter(buffer, at, end, isLastSegment && isLastBatch);
          if (kept !== undefined) output.add(kept);
          isSame &&= kept !== undefined && isView(kept, buffer, at, end);
          return true;
        });
      }
      if (isSame) {
        await output.discard();
        return undefined;
      }
      await output.finish();
      await mayReplace?.();
      this.stats.bytesWritten += output.segment.sizeBytes;
      output.segment.moveLog(swapPath(log.directory, range));
    } catch (error) {
      await output.discard();
      throw error;
    }
    await this.putInPlace(log, group, output.segment, range);
    return output.segment;
  }

  private async putInPlace(
    log: DiskLog,
    old: readonly Segment[],
    segment: Segment,
    range: SwapRange,
  ): Promise<void> {
    const { directory } = log;
    const { fs } = log.context.env;
    try {
      await fs.syncDirectory(directory);
      log.replaceSegments(old, [segment]);
      const bases = old.map(({ baseOffset }) => baseOffset);
      await removeReplaced(fs, directory, range, bases);
      segment.moveLog(segment.path + LOG_SUFFIX);
      await fs.syncDirectory(directory);
    } catch (error) {
      // Half in place: only a start can tell what is left of the old segments.
      log.context.fail(error);
      throw error;
    }
    // Of no consequence when it fails, for want of space: an index that is not there is built when it is needed.
    segment.storeIndexes();
    await segment.syncIndexes();
  }

  // ---- Reading ----------------------------------------------------------------------------------------------------

  /**
   * Visits the batches of a segment in order, until `visit` returns false, with a wait between pieces. Checks each CRC.
   * @throws {MillraceError} ML_LOG_DAMAGED; `Abandoned`
   */
  async eachBatch(
    log: DiskLog,
    segment: Segment,
    visit: (buffer: Buffer, at: number, end: number, isLast: boolean) => boolean,
  ): Promise<void> {
    const { sizeBytes } = segment;
    let chunk = Buffer.allocUnsafe(Math.min(COMPACTION_CHUNK_BYTES, sizeBytes));
    segment.pin();
    try {
      for (let position = 0; position < sizeBytes; ) {
        const wanted = Math.min(chunk.length, sizeBytes - position);
        const bytes = await readFullyAsync(segment.use(), chunk, 0, wanted, position);
        if (this.isStopped || log.isClosed) throw new Abandoned();
        this.stats.bytesRead += bytes;
        let at = 0;
        while (bytes - at >= LENGTH_OVERHEAD_BYTES) {
          const size = batchBytes(chunk, at);
          if (size > bytes - at && position + at + size <= sizeBytes && bytes === wanted) break;
          if (checkBatch(chunk, at, bytes) !== BATCH_OK) throw damaged(segment, position + at);
          const isLast = position + at + size === sizeBytes;
          if (!visit(chunk, at, at + size, isLast)) return;
          at += size;
        }
        position += at;
        if (position === sizeBytes) return;
        const isShort = bytes - at < LENGTH_OVERHEAD_BYTES;
        if (isShort && (at === 0 || bytes < wanted)) throw damaged(segment, position);
        // The next batch is larger than the piece.
        const size = isShort ? 0 : batchBytes(chunk, at);
        if (size > chunk.length) chunk = Buffer.allocUnsafe(size);
      }
    } finally {
      segment.unpin();
    }
  }
}

/** The new segment of a group, while it is written. */
class Output {
  readonly segment: Segment;
  private readonly log: DiskLog;
  private readonly path: string;
  private chunk = Buffer.allocUnsafe(COMPACTION_CHUNK_BYTES);
  private chunkBytes = 0;
  /** Batches of the chunk: where each ends in it. */
  private ends: number[] = [];

  constructor(log: DiskLog, range: SwapRange) {
    this.log = log;
    const { directory, context } = log;
    this.path = cleanedPath(directory, range);
    this.segment = new Segment(
      context.segments,
      { directory, baseOffset: range.baseOffset, logPath: this.path },
      { sizeBytes: 0, indexes: NO_STORED_INDEXES, aborted: NO_STORED_ABORTED },
    );
    this.segment.create();
  }

  /** Copies the batch: it may lie in memory that is used again. */
  add(batch: Buffer): void {
    if (this.chunkBytes + batch.length > this.chunk.length) this.flush();
    if (batch.length > this.chunk.length) this.chunk = Buffer.allocUnsafe(batch.length);
    batch.copy(this.chunk, this.chunkBytes);
    this.chunkBytes += batch.length;
    this.ends.push(this.chunkBytes);
  }

  async finish(): Promise<void> {
    this.flush();
    this.segment.seal();
    await this.segment.sync();
  }

  async discard(): Promise<void> {
    this.segment.retire();
    await this.log.context.env.fs.remove(this.path);
  }

  private flush(): void {
    const { chunk, segment } = this;
    const position = segment.sizeBytes;
    segment.append(chunk, 0, this.chunkBytes);
    let start = 0;
    for (const end of this.ends) {
      segment.indexBatch(
        position + start,
        end - start,
        { lastOffset: lastOffset(chunk, start), maxTimestampMs: maxTimestamp(chunk, start) },
        this.log.config.indexIntervalBytes,
      );
      start = end;
    }
    this.chunkBytes = 0;
    this.ends = [];
  }
}

/** The last thing that the log holds of each producer. */
export function lastOfProducers(log: DiskLog): Map<number, LastOfProducer> {
  const producers = new Map<number, LastOfProducer>();
  for (const { producerId: id, epoch, batches } of log.producerState.all())
    producers.set(id, {
      lastDataOffset: batches[batches.length - 1]?.lastOffset ?? -1,
      producerEpoch: epoch,
    });
  return producers;
}

/** Whether `kept` is buffer[at, end) itself, and not only memory beside it. */
function isView(kept: Buffer, buffer: Buffer, at: number, end: number): boolean {
  return (
    kept.buffer === buffer.buffer &&
    kept.byteOffset === buffer.byteOffset + at &&
    kept.length === end - at
  );
}

function damaged(segment: Segment, position: number): MillraceError {
  return new MillraceError('ML_LOG_DAMAGED', `${segment.path} is damaged at ${position}`, {
    fields: { path: segment.path, position },
  });
}

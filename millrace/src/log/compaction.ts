/**
 * Compaction: rewrites the closed part of a log so that of each key only the latest record is left.
 *
 * One log after the other, beside everything else: the segments are read in pieces, what stays is written to a new file,
 * and readers keep what they have open. What stays is decided in `compaction-filter.ts`, what is looked at in
 * `compaction-plan.ts`, and how the new file takes the place of the old ones in `compaction-swap.ts`.
 *
 * Invariants
 * - Only segments below the recovery point are touched, so a start never finds its checkpoint pointing into one.
 * - A batch that is damaged stops the compaction of its log: what cannot be read is never thrown away.
 * - Of one log, compaction, retention and deletion run one at a time (the caller sees to it).
 */
import { MillraceError } from '../core/errors.ts';
import { readFullyAsync } from '../core/files.ts';
import { COMPACTION_CHUNK_BYTES } from '../core/limits.ts';
import {
  attributes,
  BATCH_OK,
  batchBytes,
  checkBatch,
  isControl,
  isTransactional,
  lastOffset,
  LENGTH_OVERHEAD_BYTES,
  maxTimestamp,
  producerId,
  recordCount,
} from '../wire/kafka/records/record-batch.ts';
import { readEndTransactionMarker } from '../wire/kafka/records/control-records.ts';
import { RecordReader } from '../wire/kafka/records/record-reader.ts';
import {
  BatchFilter,
  CleanedTransactions,
  isUnreadable,
  type LastOfProducer,
} from './compaction-filter.ts';
import {
  type CompactionPlan,
  groupSegments,
  type PlannedSegment,
  planCompaction,
} from './compaction-plan.ts';
import { cleanedPath, removeReplaced, type SwapRange, swapPath } from './compaction-swap.ts';
import { OffsetMap } from './offset-map.ts';
import type { DiskLog } from './partition-log.ts';
import { indexRange } from './readable-log.ts';
import { LOG_SUFFIX } from './segment-files.ts';
import { Segment } from './segment.ts';
import { NO_STORED_INDEXES } from './segment-indexes.ts';
import { type AbortedEntry, NO_STORED_ABORTED } from './transaction-index.ts';

export interface CompactionOptions {
  /** Memory of the offset map, which bounds how much one run can clean. */
  readonly mapBytesMax: number;
}

/** What runs since the start have done. */
export interface CompactionStats {
  runs: number;
  bytesRead: number;
  bytesWritten: number;
  recordsRead: number;
  recordsKept: number;
}

/** The log was closed or changed under a compaction, which is given up. */
class Abandoned extends Error {}

export class Compactor {
  readonly stats: CompactionStats = {
    runs: 0,
    bytesRead: 0,
    bytesWritten: 0,
    recordsRead: 0,
    recordsKept: 0,
  };
  private readonly options: CompactionOptions;
  /** Logs with a damaged segment: not tried again by this process. */
  private readonly damagedLogs = new WeakSet<DiskLog>();
  private isStopped = false;

  constructor(options: CompactionOptions) {
    this.options = options;
  }

  /** Compacts the log if it is due. Resolves when it is done; a failure is told to the logger. */
  async run(log: DiskLog): Promise<void> {
    const plan = this.duePlan(log);
    if (plan === undefined) return;
    try {
      // What is sealed must lie below the recovery point before it may change its shape.
      if (plan.end > log.recoverySegmentBase) await log.context.nextCheckpoint();
      await this.compact(log);
    } catch (error) {
      this.failed(log, error);
    }
  }

  /** Gives up what runs, at its next piece, and starts nothing more. `run` then resolves soon. */
  stop(): void {
    this.isStopped = true;
  }

  private duePlan(log: DiskLog): CompactionPlan | undefined {
    if (this.isStopped || log.isClosed) return undefined;
    if (!log.config.cleanupCompact || this.damagedLogs.has(log)) return undefined;
    this.rollOverdue(log);
    const plan = this.plan(log);
    return plan?.isDue === true ? plan : undefined;
  }

  /** A record may not wait longer than the maximum lag only because its segment is still being written. */
  private rollOverdue(log: DiskLog): void {
    const { active } = log;
    if (active === undefined || active.sizeBytes === 0) return;
    const waitedMs = log.context.env.clock.nowMs() - active.firstTimestampMs();
    if (waitedMs > log.config.maxCompactionLagMs) log.roll();
  }

  private plan(log: DiskLog): CompactionPlan | undefined {
    const { env } = log.context;
    const segments = log.segments.map((segment): PlannedSegment => {
      const newestMs = (): number => {
        segment.ensureIndexes(indexRange(log, log.endOffsetOf(segment)));
        return segment.maxTimestampMs;
      };
      const { baseOffset, sizeBytes } = segment;
      return { baseOffset, sizeBytes, newestMs, firstMs: () => segment.firstTimestampMs() };
    });
    return planCompaction(
      segments,
      {
        compactedTo: log.compactedTo,
        lastStableOffset: log.lastStableOffset,
        nowMs: env.clock.nowMs(),
      },
      log.config,
    );
  }

  private async compact(log: DiskLog): Promise<void> {
    const plan = this.plan(log);
    if (plan === undefined || log.isClosed) return;
    const end = Math.min(plan.end, log.recoverySegmentBase);
    const all = log.segments.filter((segment) => segment.baseOffset < end);
    const aborted = abortedBelow(log, end);
    const map = await this.buildMap(log, all, { from: plan.dirtyFrom, end }, aborted);
    if (map.latestOffset < plan.dirtyFrom) return;
    const cleaned = all.filter((segment) => segment.baseOffset <= map.latestOffset);
    const nowMs = log.context.env.clock.nowMs();
    const { deleteRetentionMs, segmentBytes } = log.config;
    const filter = new BatchFilter(
      { map, nowMs, deleteRetentionMs, producers: lastOfProducers(log) },
      new CleanedTransactions(aborted),
    );
    const last = cleaned[cleaned.length - 1] as Segment;
    await log.allowGapsBelow(end);
    for (const group of groupSegments(cleaned, log.endOffsetOf(last), segmentBytes))
      await this.rewrite(log, group, filter);
    log.compactedTo = map.latestOffset + 1;
    log.isDirty = true;
    this.stats.runs++;
    this.stats.recordsRead += filter.counts.recordsRead;
    this.stats.recordsKept += filter.counts.recordsKept;
    if (filter.counts.recordsWithoutKey > 0 || filter.counts.batchesUnreadable > 0)
      log.context.logger.warn('Compaction met records that have no place in a compacted topic', {
        ...log.id,
        ...filter.counts,
      });
  }

  // ---- The offset map ---------------------------------------------------------------------------------------------

  /** The latest offset of each key in [from, end), as far as the memory goes. */
  private async buildMap(
    log: DiskLog,
    segments: readonly Segment[],
    range: { readonly from: number; readonly end: number },
    aborted: readonly AbortedEntry[],
  ): Promise<OffsetMap> {
    const bytes = Math.min(this.options.mapBytesMax, OffsetMap.bytesFor(range.end - range.from));
    const map = new OffsetMap(bytes, log.context.env.random);
    const dirty = segments.filter((segment) => log.endOffsetOf(segment) > range.from);
    const first = dirty[0]?.baseOffset ?? range.from;
    // Transactions that ended before are not met, nor are the markers that would take them out again.
    const transactions = new CleanedTransactions(
      aborted.filter(({ lastOffset: marker }) => marker >= first),
    );
    const reader = new RecordReader();
    let isFull = false;
    for (const segment of dirty) {
      if (isFull) break;
      await this.eachBatch(log, segment, (buffer, at, end) => {
        if (isDropped(transactions, buffer, at, end) || lastOffset(buffer, at) < range.from)
          return true;
        isFull = !putKeys(map, reader, buffer, at, end, range.from);
        return !isFull;
      });
    }
    if (!isFull) map.passed(range.end - 1);
    return map;
  }

  // ---- Rewriting --------------------------------------------------------------------------------------------------

  /** Writes what stays of `group` into one new segment, and puts it in their place. */
  private async rewrite(
    log: DiskLog,
    group: readonly Segment[],
    filter: BatchFilter,
  ): Promise<void> {
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
        return;
      }
      await output.finish();
      this.stats.bytesWritten += output.segment.sizeBytes;
      output.segment.moveLog(swapPath(log.directory, range));
    } catch (error) {
      await output.discard();
      throw error;
    }
    await this.putInPlace(log, group, output.segment, range);
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
   * @throws {MillraceError} ML_LOG_DAMAGED
   */
  private async eachBatch(
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

  private failed(log: DiskLog, error: unknown): void {
    if (error instanceof Abandoned || log.isClosed) return;
    const isDamage = error instanceof MillraceError && error.code === 'ML_LOG_DAMAGED';
    if (isDamage) this.damagedLogs.add(log);
    if (error instanceof MillraceError && error.code === 'ML_FSYNC_FAILED') log.context.fail(error);
    log.context.logger.error('A log could not be compacted', { ...log.id, error });
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

/** Aborted transactions that have written below `end`, wherever their markers are. */
function abortedBelow(log: DiskLog, end: number): AbortedEntry[] {
  return log.segments.flatMap((segment) =>
    segment.aborted.all().filter(({ firstOffset }) => firstOffset < end),
  );
}

function lastOfProducers(log: DiskLog): Map<number, LastOfProducer> {
  const producers = new Map<number, LastOfProducer>();
  for (const { producerId: id, epoch, batches } of log.producerState.all())
    producers.set(id, {
      lastDataOffset: batches[batches.length - 1]?.lastOffset ?? -1,
      producerEpoch: epoch,
    });
  return producers;
}

/** Tells the transactions of a batch. @returns whether its keys do not count: a marker, or aborted data */
function isDropped(
  transactions: CleanedTransactions,
  buffer: Buffer,
  at: number,
  end: number,
): boolean {
  const flags = attributes(buffer, at);
  const producer = producerId(buffer, at);
  const last = lastOffset(buffer, at);
  if (!isControl(flags)) return transactions.data(producer, last, isTransactional(flags));
  const marker = readEndTransactionMarker(buffer, at, end);
  if (marker !== undefined) transactions.marker(producer, last, marker.commit);
  return true;
}

/** Puts the keys of a batch, from offset `from` on. @returns false when the map is full */
function putKeys(
  map: OffsetMap,
  reader: RecordReader,
  buffer: Buffer,
  at: number,
  end: number,
  from: number,
): boolean {
  if (recordCount(buffer, at) === 0) return true;
  try {
    reader.open(buffer, at, end);
    while (reader.next()) {
      if (reader.offset < from || reader.keyStart < 0) continue;
      if (!map.put(reader.data, reader.keyStart, reader.keyEnd, reader.offset)) return false;
    }
  } catch (error) {
    if (!isUnreadable(error)) throw error;
  }
  return true;
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

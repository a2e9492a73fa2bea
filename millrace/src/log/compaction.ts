/**
 * Compaction: rewrites the closed part of a log so that of each key only the latest record is left.
 *
 * One log after the other. What stays is decided in `compaction-filter.ts`, what is looked at in `compaction-plan.ts`; segments are rewritten
 * by `cleaner.ts`.
 *
 * Invariant: a batch that is damaged stops the compaction of its log.
 */
import { MillraceError } from '../core/errors.ts';
import {
  attributes,
  isControl,
  isTransactional,
  lastOffset,
  producerId,
  recordCount,
} from '../wire/kafka/records/record-batch.ts';
import { readEndTransactionMarker } from '../wire/kafka/records/control-records.ts';
import { RecordReader } from '../wire/kafka/records/record-reader.ts';
import { Abandoned, type Cleaner, lastOfProducers } from './cleaner.ts';
import { CleanedTransactions, isUnreadable } from './cleaning-filter.ts';
import { BatchFilter } from './compaction-filter.ts';
import {
  type CompactionPlan,
  groupSegments,
  type PlannedSegment,
  planCompaction,
} from './compaction-plan.ts';
import { OffsetMap } from './offset-map.ts';
import type { DiskLog } from './partition-log.ts';
import { indexRange } from './readable-log.ts';
import type { Segment } from './segment.ts';
import type { AbortedEntry } from './transaction-index.ts';

export interface CompactionOptions {
  /** Memory of the offset map, which bounds how much one run can clean. */
  readonly mapBytesMax: number;
}

/** What runs since the start have done. */
export interface CompactionStats {
  runs: number;
  recordsRead: number;
  recordsKept: number;
}

export class Compactor {
  readonly stats: CompactionStats = { runs: 0, recordsRead: 0, recordsKept: 0 };
  private readonly options: CompactionOptions;
  private readonly cleaner: Cleaner;
  /** Logs with a damaged segment: not tried again by this process. */
  private readonly damagedLogs = new WeakSet<DiskLog>();

  constructor(options: CompactionOptions, cleaner: Cleaner) {
    this.options = options;
    this.cleaner = cleaner;
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

  private duePlan(log: DiskLog): CompactionPlan | undefined {
    if (this.cleaner.isStopped || log.isClosed) return undefined;
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
      await this.cleaner.rewrite(log, group, filter);
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
      await this.cleaner.eachBatch(log, segment, (buffer, at, end) => {
        if (isDropped(transactions, buffer, at, end) || lastOffset(buffer, at) < range.from)
          return true;
        isFull = !putKeys(map, reader, buffer, at, end, range.from);
        return !isFull;
      });
    }
    if (!isFull) map.passed(range.end - 1);
    return map;
  }

  private failed(log: DiskLog, error: unknown): void {
    if (error instanceof Abandoned || log.isClosed) return;
    const isDamage = error instanceof MillraceError && error.code === 'ML_LOG_DAMAGED';
    if (isDamage) this.damagedLogs.add(log);
    if (error instanceof MillraceError && error.code === 'ML_FSYNC_FAILED') log.context.fail(error);
    log.context.logger.error('A log could not be compacted', { ...log.id, error });
  }
}

/** Aborted transactions that have written below `end`, wherever their markers are. */
function abortedBelow(log: DiskLog, end: number): AbortedEntry[] {
  return log.segments.flatMap((segment) =>
    segment.aborted.all().filter(({ firstOffset }) => firstOffset < end),
  );
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

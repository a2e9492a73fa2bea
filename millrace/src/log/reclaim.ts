/**
 * Reclaiming: gives back the space of records that the owner of a log does not want any more, wherever they lie in it. What to rewrite
 * is decided in `reclaim-plan.ts`, what stays of it in `live-filter.ts`; segments are rewritten by `cleaner.ts`.
 *
 * Invariants
 * - Only closed segments below the recovery point and the last stable offset are touched.
 * - A segment that is damaged, or could not be rewritten, is left as it is; the others are not.
 */
import { MillraceError } from '../core/errors.ts';
import { isControl, attributes, recordCount } from '../wire/kafka/records/record-batch.ts';
import { Abandoned, type Cleaner, lastOfProducers } from './cleaner.ts';
import { CleanedTransactions } from './cleaning-filter.ts';
import { LiveFilter } from './live-filter.ts';
import type { DiskLog } from './partition-log.ts';
import { isSparse, planReclaim, type ReclaimableSegment } from './reclaim-plan.ts';
import type { Segment } from './segment.ts';
import type { LiveRecords, ReclaimOptions, ReclaimResult } from './types.ts';

interface Candidate extends ReclaimableSegment {
  readonly segment: Segment;
}

export class Reclaimer {
  private readonly cleaner: Cleaner;
  /** Records in a segment, without markers, where that is not the difference of its offsets. */
  private readonly records = new WeakMap<Segment, number>();
  /** Not tried again by this process. */
  private readonly damaged = new WeakSet<Segment>();

  constructor(cleaner: Cleaner) {
    this.cleaner = cleaner;
  }

  /** Rewrites what is worth it. A failure is told to the logger. */
  async run(log: DiskLog, live: LiveRecords, options: ReclaimOptions): Promise<ReclaimResult> {
    let bytesFreed = 0;
    let segmentsReplaced = 0;
    try {
      for (const group of await this.plan(log, live, options)) {
        const freed = await this.rewrite(log, group, live);
        if (freed === undefined) continue;
        bytesFreed += freed;
        segmentsReplaced += group.length;
      }
    } catch (error) {
      this.failed(log, error);
    }
    return { bytesFreed, segmentsReplaced };
  }

  private async plan(
    log: DiskLog,
    live: LiveRecords,
    options: ReclaimOptions,
  ): Promise<Candidate[][]> {
    const planned = {
      segmentBytes: log.config.segmentBytes,
      firstOffset: log.segments[0]?.baseOffset ?? 0,
    };
    const below = Math.min(options.below, log.lastStableOffset);
    let groups = planReclaim(await this.candidates(log, live, below), planned);
    // There is no room for what stays: only what leaves next to nothing, for which the reserve is good.
    if (log.context.isDiskFull()) {
      groups = groups.filter((group) => group.every((segment) => segment.live === 0));
      if (groups.length > 0) log.context.onDiskFull(true);
    }
    const end = groups.at(-1)?.at(-1)?.endOffset;
    if (end === undefined || log.isClosed) return [];
    // What is sealed must lie below the recovery point before it may change its shape.
    if (end > log.recoverySegmentBase) await log.context.nextCheckpoint();
    const durable = groups.filter((group) =>
      group.every(({ endOffset }) => endOffset <= log.recoverySegmentBase),
    );
    const durableEnd = durable.at(-1)?.at(-1)?.endOffset;
    if (durableEnd !== undefined) await log.allowGapsBelow(durableEnd);
    return durable;
  }

  private async candidates(log: DiskLog, live: LiveRecords, below: number): Promise<Candidate[]> {
    const candidates: Candidate[] = [];
    for (const segment of log.segments) {
      const { baseOffset, sizeBytes } = segment;
      const endOffset = log.endOffsetOf(segment);
      if (this.cleaner.isStopped || segment === log.active || endOffset > below) break;
      if (this.damaged.has(segment)) continue;
      const count = live.in(baseOffset, endOffset);
      const abortedFrom = Math.min(...segment.aborted.all().map((entry) => entry.firstOffset));
      const records = await this.recordsIn(log, segment, { endOffset, live: count });
      candidates.push({
        segment,
        baseOffset,
        endOffset,
        sizeBytes,
        records,
        live: count,
        abortedFrom,
      });
    }
    return candidates;
  }

  /** Where offsets may be missing, and it matters, the records are counted. */
  private async recordsIn(
    log: DiskLog,
    segment: Segment,
    { endOffset, live }: { readonly endOffset: number; readonly live: number },
  ): Promise<number> {
    const known = this.records.get(segment);
    if (known !== undefined) return Math.max(known, live);
    const offsets = endOffset - segment.baseOffset;
    if (segment.baseOffset >= log.gapsBelow || !isSparse({ records: offsets, live }))
      return offsets;
    let records = 0;
    try {
      await this.cleaner.eachBatch(log, segment, (buffer, at) => {
        if (!isControl(attributes(buffer, at))) records += recordCount(buffer, at);
        return true;
      });
    } catch (error) {
      if (error instanceof Abandoned) throw error;
      this.failed(log, error, segment);
      return live;
    }
    this.records.set(segment, records);
    return Math.max(records, live);
  }

  /** @returns bytes that are free now; undefined when nothing has changed */
  private async rewrite(
    log: DiskLog,
    group: readonly Candidate[],
    live: LiveRecords,
  ): Promise<number | undefined> {
    const first = group[0] as Candidate;
    const end = (group[group.length - 1] as Candidate).endOffset;
    const aborted = log.segments.flatMap((segment) =>
      segment.aborted
        .all()
        .filter((entry) => entry.firstOffset < end && entry.lastOffset >= first.baseOffset),
    );
    const isFirst = log.segments[0] === first.segment;
    const filter = new LiveFilter(
      live,
      lastOfProducers(log),
      new CleanedTransactions(aborted, isFirst),
    );
    const old = group.map(({ segment }) => segment);
    let output: Segment | undefined;
    try {
      output = await this.cleaner.rewrite(log, old, filter, () => live.known?.());
    } catch (error) {
      if (error instanceof Abandoned) throw error;
      this.failed(log, error, ...old);
      return undefined;
    }
    this.records.set(output ?? first.segment, filter.recordsKept);
    if (output === undefined) return undefined;
    return group.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0) - output.sizeBytes;
  }

  private failed(log: DiskLog, error: unknown, ...segments: readonly Segment[]): void {
    if (error instanceof Abandoned || log.isClosed) return;
    if (error instanceof MillraceError) {
      const { path } = error.fields;
      for (const segment of segments) if (segment.path === path) this.damaged.add(segment);
      if (error.code === 'ML_FSYNC_FAILED') log.context.fail(error);
    }
    log.context.logger.error('Space of a log could not be reclaimed', { ...log.id, error });
  }
}

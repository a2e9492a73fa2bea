/**
 * Retention: moves the log start offset past what is too old or too much, and removes the segments below it. What is
 * too old or too much is decided in `retention-plan.ts`.
 *
 * Invariants
 * - The log start offset is durable before a segment below it goes.
 * - No file goes that the last checkpoint says must be there.
 * - Of one log, retention, compaction and deletion run one at a time (the caller sees to it).
 */
import { MillraceError } from '../core/errors.ts';
import type { DiskLog } from './partition-log.ts';
import { indexRange } from './readable-log.ts';
import { keptFrom, type RetentionClock, type RetentionSegment } from './retention-plan.ts';
import {
  INDEX_SUFFIX,
  LOG_SUFFIX,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './segment-files.ts';
import type { Segment } from './segment.ts';

/** What runs since the start have done. */
export interface RetentionStats {
  runs: number;
  segmentsRemoved: number;
  bytesRemoved: number;
}

export class Retention {
  readonly stats: RetentionStats = { runs: 0, segmentsRemoved: 0, bytesRemoved: 0 };
  private readonly clock: RetentionClock;

  /** @param clock one for all logs of a store */
  constructor(clock: RetentionClock) {
    this.clock = clock;
  }

  /**
   * Applies the limits of one log. Resolves when the files are removed.
   * @throws what a failed fsync throws; a log that cannot be read is passed over, and said so in the log
   */
  async run(log: DiskLog): Promise<void> {
    this.stats.runs++;
    const { env, logger } = log.context;
    const wallMs = env.clock.nowMs();
    const nowMs = this.clock.observe(wallMs, env.clock.monotonicMs());
    if (nowMs === undefined)
      logger.warn('The clock has jumped: nothing is deleted by age before it is confirmed', {
        ...log.id,
        wallMs,
      });
    const start = this.keptFrom(log, nowMs);
    if (start > log.logStartOffset) await log.moveLogStart(start);
    await this.removeBelowStart(log);
  }

  private keptFrom(log: DiskLog, nowMs: number | undefined): number {
    const { config } = log;
    const { highWatermark } = log;
    try {
      log.rollIfOld();
      const segments = log.segments.map((segment) => this.retentionSegment(log, segment));
      const start = keptFrom(segments, log.logEndOffset, config, { highWatermark, nowMs });
      // Even the segment that is written may go: the log goes on in an empty one.
      if (config.cleanupDelete && segments.length > 0 && start === log.logEndOffset) log.roll();
      return start;
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      log.context.logger.error('Retention could not look at a log', { ...log.id, error });
      return log.logStartOffset;
    }
  }

  private retentionSegment(log: DiskLog, segment: Segment): RetentionSegment {
    const { baseOffset, sizeBytes } = segment;
    const newestMs = (): number => {
      segment.ensureIndexes(indexRange(log, log.endOffsetOf(segment)));
      if (segment.maxTimestampMs >= 0) return segment.maxTimestampMs;
      // Records without a time are as old as their file.
      const stat = log.context.env.fs.stat(segment.path + LOG_SUFFIX);
      return stat?.modifiedMs ?? Number.POSITIVE_INFINITY;
    };
    return { baseOffset, sizeBytes, newestMs };
  }

  /** Removes the segments that lie wholly below the log start offset. @returns which these are */
  async removeBelowStart(log: DiskLog): Promise<readonly Segment[]> {
    if (log.isClosed) return [];
    const segments = log.segments.filter(
      (segment) => segment !== log.active && log.endOffsetOf(segment) <= log.logStartOffset,
    );
    const newest = segments[segments.length - 1];
    if (newest === undefined) return [];
    log.replaceSegments(segments, []);
    if (newest.baseOffset >= log.recoverySegmentBase) await log.context.nextCheckpoint();
    for (const segment of segments) await this.remove(log, segment);
    return segments;
  }

  private async remove(log: DiskLog, segment: Segment): Promise<void> {
    const { env } = log.context;
    // The batches last: a start finds the rest of a segment by their name.
    for (const suffix of [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX, LOG_SUFFIX])
      await env.fs.remove(segment.path + suffix);
    log.context.onNamesChanged(log.directory);
    this.stats.segmentsRemoved++;
    this.stats.bytesRemoved += segment.sizeBytes;
  }
}

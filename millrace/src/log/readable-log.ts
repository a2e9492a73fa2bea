/** What reading needs of a partition log: its segments and its watermarks. */
import type { EpochCache } from './epoch-cache.ts';
import type { LogContext } from './log-context.ts';
import type { Segment } from './segment.ts';
import type { IndexRange } from './segment-indexes.ts';
import type { Isolation, LogConfig, LogId } from './types.ts';

export interface ReadableLog {
  readonly id: LogId;
  readonly context: LogContext;
  readonly config: LogConfig;
  /** In the order of their offsets. Replaced as a whole when it changes. */
  readonly segments: readonly Segment[];
  readonly epochs: EpochCache;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  /** Below it offsets may be missing between batches; at and above it every offset is there. */
  readonly gapsBelow: number;
  readonly isClosed: boolean;
  readLimit(isolation: Isolation): number;
}

/** The number of the segment that holds `offset`: the last that begins at or before it; -1 when all begin behind it. */
export function segmentNumberOf(segments: readonly Segment[], offset: number): number {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((segments[middle] as Segment).baseOffset <= offset) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * Whether compaction or retention has taken `segment` out of the log since `segments` was looked at. What a reader has of
 * it is still good bytes, but what the log says of aborted transactions, and of its start, is no longer about them.
 */
export function isReplaced(
  log: ReadableLog,
  segments: readonly Segment[],
  segment: Segment,
): boolean {
  return log.segments !== segments && !log.segments.includes(segment);
}

/** What a segment has to know of its log to build its indexes. `endOffset`: one past the last offset it can hold. */
export function indexRange(log: ReadableLog, endOffset: number): IndexRange {
  return {
    endOffset,
    gapsBelow: log.gapsBelow,
    intervalBytes: log.config.indexIntervalBytes,
  };
}

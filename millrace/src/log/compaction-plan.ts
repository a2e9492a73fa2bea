/**
 * What of a log to compact, and whether it is worth it. Pure: nothing here touches a file.
 *
 *   log start      cleaned to                 end                      log end
 *       |  clean       |        dirty          |   not to be touched      |
 *       +--------------+-----------------------+--------------------------+
 *
 * The offset map is built over the dirty part; clean and dirty part are rewritten with it. Not to be touched is what is
 * at or above the last stable offset, the segment that is written, and segments with records younger than the lag.
 *
 * Source: KIP-58 (minimum lag), KIP-354 (maximum lag).
 */
import type { LogConfig } from './types.ts';

/** A segment as the plan sees it; the last of a log is the one that is written. */
export interface PlannedSegment {
  readonly baseOffset: number;
  readonly sizeBytes: number;
  /** Newest and first record in it, milliseconds since 1970. Asked only when it matters. */
  newestMs(): number;
  firstMs(): number;
}

export interface CompactionState {
  /** Everything below was compacted before. */
  readonly compactedTo: number;
  readonly lastStableOffset: number;
  readonly nowMs: number;
}

export interface CompactionPlan {
  /** First offset of the dirty part. */
  readonly dirtyFrom: number;
  /** Exclusive; the base offset of the first segment that is not touched. */
  readonly end: number;
  readonly isDue: boolean;
}

/** undefined when nothing can be compacted. */
export function planCompaction(
  segments: readonly PlannedSegment[],
  state: CompactionState,
  config: LogConfig,
): CompactionPlan | undefined {
  const active = segments[segments.length - 1];
  const [first] = segments;
  if (active === undefined || first === undefined || first === active) return undefined;
  // Beyond the end: the log is not the one that was compacted.
  const known = state.compactedTo > active.baseOffset ? 0 : state.compactedTo;
  const dirtyFrom = Math.max(known, first.baseOffset);
  let end = first.baseOffset;
  let cleanBytes = 0;
  let dirtyBytes = 0;
  let firstDirty: PlannedSegment | undefined;
  for (let index = 0; index + 1 < segments.length; index++) {
    const segment = segments[index] as PlannedSegment;
    const next = segments[index + 1] as PlannedSegment;
    if (next.baseOffset > state.lastStableOffset) break;
    const isDirty = next.baseOffset > dirtyFrom;
    if (isDirty && isYoung(segment, state.nowMs, config.minCompactionLagMs)) break;
    end = next.baseOffset;
    if (isDirty) {
      firstDirty ??= segment;
      dirtyBytes += segment.sizeBytes;
    } else {
      cleanBytes += segment.sizeBytes;
    }
  }
  if (firstDirty === undefined || dirtyBytes === 0) return undefined;
  const isOverdue = state.nowMs - firstDirty.firstMs() > config.maxCompactionLagMs;
  const ratio = dirtyBytes / (cleanBytes + dirtyBytes);
  return { dirtyFrom, end, isDue: isOverdue || ratio > config.minCleanableDirtyRatio };
}

function isYoung(segment: PlannedSegment, nowMs: number, lagMs: number): boolean {
  return lagMs > 0 && segment.newestMs() > nowMs - lagMs;
}

/** Largest distance of an offset from the base of its segment. */
const RELATIVE_OFFSET_MAX = 2 ** 31 - 1;

/**
 * Neighbours that together fit into one segment, so that compaction does not leave ever more ever smaller files.
 * @param end exclusive: the base offset behind the last segment
 */
export function groupSegments<
  T extends { readonly baseOffset: number; readonly sizeBytes: number },
>(segments: readonly T[], end: number, segmentBytes: number): T[][] {
  const groups: T[][] = [];
  let group: T[] = [];
  let bytes = 0;
  segments.forEach((segment, index) => {
    const segmentEnd = segments[index + 1]?.baseOffset ?? end;
    const [head] = group;
    const fits =
      head !== undefined &&
      bytes + segment.sizeBytes <= segmentBytes &&
      segmentEnd - 1 - head.baseOffset <= RELATIVE_OFFSET_MAX;
    if (!fits && head !== undefined) {
      groups.push(group);
      group = [];
      bytes = 0;
    }
    group.push(segment);
    bytes += segment.sizeBytes;
  });
  if (group.length > 0) groups.push(group);
  return groups;
}

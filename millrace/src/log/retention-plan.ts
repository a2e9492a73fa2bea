/**
 * How much of a log may go: by age, by size, and when to believe the clock. Pure: nothing here touches a file.
 *
 * Rules, as Kafka's: whole segments only, from the oldest on, never above the high watermark.
 * - by age: while the newest record of a segment is older than `retentionMs`;
 * - by size: while the log without the segment still holds `retentionBytes`;
 * - a segment that lies wholly below the log start offset is of no use to anybody.
 */
import type { LogConfig } from './types.ts';

/** A segment as retention sees it; the last of a log is the one that is written. */
export interface RetentionSegment {
  readonly baseOffset: number;
  readonly sizeBytes: number;
  /** Newest record in it, milliseconds since 1970. Asked only when it matters: it may have to be read. */
  newestMs(): number;
}

export interface RetentionLimits {
  readonly highWatermark: number;
  /** The wall clock; undefined = not to be believed now, so nothing is deleted by age. */
  readonly nowMs: number | undefined;
}

/**
 * The offset from which on the log has to be kept: the base offset of a segment, or `endOffset` when even the segment
 * that is written goes.
 */
export function keptFrom(
  segments: readonly RetentionSegment[],
  endOffset: number,
  config: LogConfig,
  limits: RetentionLimits,
): number {
  const [first] = segments;
  if (first === undefined || !config.cleanupDelete) return first?.baseOffset ?? endOffset;
  let restBytes = 0;
  for (const segment of segments) restBytes += segment.sizeBytes;
  let isOld = limits.nowMs !== undefined && config.retentionMs >= 0;
  for (let index = 0; index < segments.length; index++) {
    const segment = segments[index] as RetentionSegment;
    const end = segments[index + 1]?.baseOffset ?? endOffset;
    if (segment.sizeBytes === 0 || end > limits.highWatermark) return segment.baseOffset;
    isOld &&= (limits.nowMs ?? 0) - segment.newestMs() > config.retentionMs;
    restBytes -= segment.sizeBytes;
    const isTooMuch = config.retentionBytes >= 0 && restBytes >= config.retentionBytes;
    if (!isOld && !isTooMuch) return segment.baseOffset;
  }
  return endOffset;
}

/** A wall clock that moves this much against the monotonic one is not believed at once. */
export const CLOCK_JUMP_MS = 3_600_000;
/** ...but only when it has kept its time for so long after the jump. */
export const CLOCK_CONFIRM_MS = 60_000;

/**
 * Whether the wall clock may be used to delete by age. A clock that was set forward by mistake would make everything
 * old: after a jump nothing is deleted by age until a later run still sees the same time. Where the monotonic clock
 * cannot tell (over a restart), time that has passed counts as a jump too: it costs a minute.
 */
export class RetentionClock {
  private lastWallMs: number;
  private lastMonotonicMs: number | undefined;
  private jumpedAtMs: number | undefined;

  /** @param lastRanMs the wall clock at the last run, before a restart too; -1 = there was none */
  constructor(lastRanMs: number) {
    this.lastWallMs = lastRanMs;
  }

  /** The wall clock at the last run; -1 = there was none. To be kept over a restart. */
  get lastRanMs(): number {
    return this.lastWallMs;
  }

  /** Tells of a run now. Returns `wallMs` if it is to be believed. */
  observe(wallMs: number, monotonicMs: number): number | undefined {
    const { lastWallMs, lastMonotonicMs } = this;
    const passedMs = lastMonotonicMs === undefined ? 0 : monotonicMs - lastMonotonicMs;
    this.lastWallMs = wallMs;
    this.lastMonotonicMs = monotonicMs;
    if (lastWallMs !== -1 && wallMs - (lastWallMs + passedMs) > CLOCK_JUMP_MS) {
      this.jumpedAtMs = monotonicMs;
      return undefined;
    }
    if (this.jumpedAtMs === undefined) return wallMs;
    if (monotonicMs - this.jumpedAtMs < CLOCK_CONFIRM_MS) return undefined;
    this.jumpedAtMs = undefined;
    return wallMs;
  }
}

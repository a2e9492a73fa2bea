/**
 * The segments of one log, in the order of their offsets: which one takes the next batch, when a new one begins, and how
 * compaction and retention change them.
 *
 * Invariant: only the last segment is written to; `all` is replaced and never changed in place, so that a reader may keep it.
 */
import type { LogContext } from './log-context.ts';
import { Segment } from './segment.ts';
import { NO_STORED_INDEXES } from './segment-indexes.ts';
import { NO_STORED_ABORTED } from './transaction-index.ts';
import type { LogConfig } from './types.ts';

/** Offsets in index files are relative to the base offset, in 31 bits as far as Kafka's tools are concerned. */
const RELATIVE_OFFSET_MAX = 2 ** 31 - 1;

export class SegmentList {
  all: readonly Segment[];
  /** Below it offsets may be missing between batches. */
  gapsBelow: number;
  private readonly context: LogContext;
  private readonly directory: string;

  constructor(
    context: LogContext,
    directory: string,
    state: { readonly segments: readonly Segment[]; readonly gapsBelow: number },
  ) {
    this.context = context;
    this.directory = directory;
    this.all = state.segments;
    this.gapsBelow = state.gapsBelow;
  }

  /** The segment that is written; undefined while the log has never been written to. */
  get active(): Segment | undefined {
    return this.all[this.all.length - 1];
  }

  get sizeBytes(): number {
    let bytes = 0;
    for (const segment of this.all) bytes += segment.sizeBytes;
    return bytes;
  }

  /**
   * The segment for a batch that begins at `baseOffset`, the end of the log: the active one, or a new one when that is
   * full or old.
   */
  take(
    batch: {
      readonly baseOffset: number;
      readonly lastOffset: number;
      readonly bytes: number;
      readonly timestampMs: number;
    },
    config: LogConfig,
  ): Segment {
    const { active } = this;
    if (active === undefined) return this.roll(batch.baseOffset, config);
    this.ensureIndexes(active, batch.baseOffset, config);
    if (active.sizeBytes === 0) return active;
    const isFull =
      active.sizeBytes + batch.bytes > config.segmentBytes ||
      batch.lastOffset - active.baseOffset > RELATIVE_OFFSET_MAX;
    const isOver = isFull || this.isOld(active, batch.timestampMs, config.segmentMs);
    return isOver ? this.roll(batch.baseOffset, config) : active;
  }

  /** Whether the first record of the active segment is older than `segmentMs`. */
  isActiveOld(nowMs: number, segmentMs: number): boolean {
    const { active } = this;
    return active !== undefined && active.sizeBytes > 0 && this.isOld(active, nowMs, segmentMs);
  }

  /** Closes the active segment, if it has anything in it, and begins a new one at the end of the log. */
  roll(endOffset: number, config: LogConfig): Segment {
    const { active, context, directory } = this;
    if (active !== undefined && active.sizeBytes === 0) return active;
    const segment = new Segment(
      context.segments,
      { directory, baseOffset: endOffset },
      { sizeBytes: 0, indexes: NO_STORED_INDEXES, aborted: NO_STORED_ABORTED },
    );
    segment.create();
    context.onNamesChanged(directory);
    this.sealActive(endOffset, config);
    if (active !== undefined) context.wantsSync(active);
    this.all = [...this.all, segment];
    return segment;
  }

  /** Ends the writing of the active segment. */
  sealActive(endOffset: number, config: LogConfig): void {
    const { active } = this;
    if (active === undefined) return;
    this.ensureIndexes(active, endOffset, config);
    active.seal();
  }

  /** Adds a segment whose file exists behind the others (recovery only). */
  adopt(segment: Segment): void {
    this.all = [...this.all, segment];
  }

  /** Puts `replacements` in the place of `old`, which are neighbours and sealed. */
  replace(old: readonly Segment[], replacements: readonly Segment[]): void {
    const first = this.all.indexOf(old[0] as Segment);
    this.all = [
      ...this.all.slice(0, first),
      ...replacements,
      ...this.all.slice(first + old.length),
    ];
    for (const segment of old) {
      this.context.indexMemory.forget(segment);
      segment.retire();
    }
    this.context.onNamesChanged(this.directory);
  }

  /** One past the last offset that `segment` can hold. */
  endOffsetOf(segment: Segment, endOffset: number): number {
    const next = this.all[this.all.indexOf(segment) + 1];
    return next?.baseOffset ?? endOffset;
  }

  /** Closes the files as soon as nobody reads them. */
  close(): void {
    for (const segment of this.all) {
      this.context.indexMemory.forget(segment);
      segment.retire();
    }
  }

  private ensureIndexes(segment: Segment, endOffset: number, config: LogConfig): void {
    const { gapsBelow } = this;
    segment.ensureIndexes({ endOffset, gapsBelow, intervalBytes: config.indexIntervalBytes });
  }

  private isOld(active: Segment, timestampMs: number, segmentMs: number): boolean {
    const firstMs = active.firstTimestampMs();
    return firstMs >= 0 && timestampMs - firstMs > segmentMs;
  }
}

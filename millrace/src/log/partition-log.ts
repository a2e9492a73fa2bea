/**
 * One partition log: appends, watermarks, transactions, and its place in the journal and the checkpoint. Reading is in
 * `log-reader.ts`, lookups by time in `timestamp-search.ts`, recovery in `recovery.ts`.
 *
 * Invariants
 * - An append checks everything first, then writes, then changes state: what is refused has changed nothing.
 * - `highWatermark` moves only when the journal has confirmed (or, without it, the segment has been written); the last
 *   stable offset only with it.
 * - Segments are in the order of their offsets, not empty except perhaps the last, which is the only one appended to.
 *
 * @hot `append`
 */
import type { Timer } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { JOURNAL_QUEUED_BYTES_MAX } from '../core/limits.ts';
import type { ErrorName } from '../wire/kafka/error-codes.ts';
import {
  batchBytes,
  lastOffsetDelta,
  maxTimestamp,
  setAppendTime,
  setBaseOffset,
  setLeaderEpoch,
} from '../wire/kafka/records/record-batch.ts';
import { BatchIntake } from './batch-intake.ts';
import { isDiskFull } from './disk-space.ts';
import type { EpochCache } from './epoch-cache.ts';
import { Durability, type DurabilityOwner } from './durability.ts';
import { ENTRY_LOG_START } from './journal-format.ts';
import type { LogContext } from './log-context.ts';
import { LogReader } from './log-reader.ts';
import type { BatchFacts, ProducerState } from './producer-state.ts';
import { SegmentList } from './segment-list.ts';
import type { Segment } from './segment.ts';
import { StableOffset } from './stable-offset.ts';
import { searchMaxTimestamp, searchTimestamp } from './timestamp-search.ts';
import type {
  ActiveProducer,
  AppendOptions,
  AppendResult,
  Isolation,
  LiveRecords,
  LogConfig,
  LogId,
  PartitionLog,
  ReadOptions,
  ReadResult,
  ReclaimOptions,
  ReclaimResult,
  Refused,
  TimestampOffset,
} from './types.ts';

/** What a log starts from: its checkpoint, and its segments in order. */
export interface LogState {
  readonly logStartOffset: number;
  readonly endOffset: number;
  readonly appendTimeMs: number;
  readonly compactedTo: number;
  readonly gapsBelow: number;
  /** What was appended last did not go through the journal. */
  readonly isUnjournaled: boolean;
  readonly epochs: EpochCache;
  readonly producers: ProducerState;
  readonly segments: Segment[];
}

const DURABLE = Promise.resolve();

export class DiskLog implements PartitionLog, DurabilityOwner {
  readonly id: LogId;
  readonly directory: string;
  /** May append while the disk is full, from the reserve: internal topics. */
  readonly isReserved: boolean;
  /** Nobody opens it after a restart. */
  readonly isTransient: boolean;
  readonly context: LogContext;
  readonly list: SegmentList;
  readonly epochs: EpochCache;
  producerState: ProducerState;
  config: LogConfig;
  logStartOffset: number;
  /** Where the log start offset is on its way to: readers see it when it is durable, a checkpoint takes it at once. */
  nextLogStartOffset: number;
  logEndOffset: number;
  lastStableOffset: number;
  /** Everything below was compacted. */
  compactedTo: number;
  /** Something changed since the last checkpoint. */
  isDirty = true;
  /**
   * Base offset of the segment that the last checkpoint's recovery point lies in; -1 = none. Only segments before it may
   * be rewritten or removed: recovery takes the others as the checkpoint describes them.
   */
  recoverySegmentBase = -1;
  /** Retention or compaction of this log that is under way. */
  maintenance: Promise<void> = DURABLE;
  private readonly intake: BatchIntake;
  private readonly reader: LogReader;
  /** Stamped last on a batch; -1 = none. Append times never go back. */
  appendTimeMs: number;
  private readonly stable = new StableOffset();
  readonly durability: Durability;
  isClosed = false;
  private flushTimer: Timer | undefined;

  constructor(
    context: LogContext,
    place: Pick<DiskLog, 'id' | 'directory' | 'isReserved' | 'isTransient'>,
    config: LogConfig,
    state: LogState,
  ) {
    this.context = context;
    this.id = place.id;
    this.directory = place.directory;
    this.isReserved = place.isReserved;
    this.isTransient = place.isTransient;
    this.config = config;
    this.list = new SegmentList(context, place.directory, state);
    this.epochs = state.epochs;
    this.producerState = state.producers;
    this.logStartOffset = state.logStartOffset;
    this.nextLogStartOffset = state.logStartOffset;
    this.logEndOffset = state.endOffset;
    this.lastStableOffset = state.endOffset;
    this.appendTimeMs = state.appendTimeMs;
    this.compactedTo = state.compactedTo;
    this.intake = new BatchIntake();
    this.reader = new LogReader(this);
    this.durability = new Durability(context, this, !state.isUnjournaled, config.flush);
    this.refreshStableOffset();
  }

  get leaderEpoch(): number {
    return this.context.leaderEpoch;
  }

  get sizeBytes(): number {
    return this.list.sizeBytes;
  }

  /** Sealed segments and, last, the active one. A new array whenever it changes. */
  get segments(): readonly Segment[] {
    return this.list.all;
  }

  /** Below it offsets may be missing between batches; at and above it every offset is there. */
  get gapsBelow(): number {
    return this.list.gapsBelow;
  }

  /** The segment that is written; undefined while the log has never been written to. */
  get active(): Segment | undefined {
    return this.list.active;
  }

  // ---- Append -------------------------------------------------------------------------------------------------------

  append(batches: Buffer, options: AppendOptions): AppendResult {
    const refusal = this.refusal();
    if (refusal !== undefined) return refusal;
    const { intake } = this;
    const { context, config } = this;
    const bad = intake.check(batches, options.origin, {
      batchBytesMax: context.batchBytesMax,
      totalBytesMax: config.segmentBytes,
    });
    if (bad !== undefined) return bad;
    const verdict = intake.checkProducers(this.producerState, options.origin);
    if (verdict !== undefined) {
      if (verdict.kind === 'refused') return refused(verdict.error, verdict.message);
      const { batch } = verdict;
      return {
        ok: true,
        baseOffset: batch.lastOffset - batch.offsetDelta,
        lastOffset: batch.lastOffset,
        appendTimeMs: config.appendTime ? batch.timestampMs : -1,
        logStartOffset: this.logStartOffset,
        duplicate: true,
      };
    }
    const appendTimeMs = config.appendTime
      ? Math.max(this.appendTimeMs, context.env.clock.nowMs())
      : -1;
    const baseOffset = this.logEndOffset;
    const endOffset = this.stamp(batches, baseOffset, appendTimeMs);
    try {
      this.write(batches, endOffset);
    } catch (error) {
      return this.writeFailed(error);
    }
    this.take(batches);
    return {
      ok: true,
      baseOffset,
      lastOffset: endOffset - 1,
      appendTimeMs,
      logStartOffset: this.logStartOffset,
      duplicate: false,
    };
  }

  /** Why nothing can be appended now. */
  private refusal(): Refused | undefined {
    const { context } = this;
    if (context.journal.failed !== undefined || this.isClosed)
      return refused('KAFKA_STORAGE_ERROR', 'the log is closed');
    if (context.isDiskFull() && !this.isReserved)
      return refused('KAFKA_STORAGE_ERROR', 'the disk is full: free space, or shorten retention');
    if (context.journal.queuedBytes > JOURNAL_QUEUED_BYTES_MAX)
      return refused('KAFKA_STORAGE_ERROR', 'too much waits to be written to the disk');
    return undefined;
  }

  /** Writes offsets, epoch and append time into the batches. Returns the offset after the last. */
  private stamp(batches: Buffer, baseOffset: number, appendTimeMs: number): number {
    const { leaderEpoch } = this.context;
    let offset = baseOffset;
    for (let at = 0; at < batches.length; at += batchBytes(batches, at)) {
      setBaseOffset(batches, at, offset);
      setLeaderEpoch(batches, at, leaderEpoch);
      if (appendTimeMs >= 0) setAppendTime(batches, at, appendTimeMs);
      offset += lastOffsetDelta(batches, at) + 1;
    }
    return offset;
  }

  private write(batches: Buffer, endOffset: number): void {
    try {
      this.writeOnce(batches, endOffset);
    } catch (error) {
      if (!isDiskFull(error) || !this.context.onDiskFull(this.isReserved)) throw error;
      this.writeOnce(batches, endOffset);
    }
  }

  private writeOnce(batches: Buffer, endOffset: number): void {
    const segment = this.list.take(
      {
        baseOffset: this.logEndOffset,
        lastOffset: endOffset - 1,
        bytes: batches.length,
        timestampMs: maxTimestamp(batches, 0),
      },
      this.config,
    );
    segment.append(batches, 0, batches.length);
  }

  private writeFailed(error: unknown): Refused {
    const { context } = this;
    // A full disk was reported when it was met.
    if (error instanceof MillraceError && error.code === 'ML_TOO_MANY_FILES')
      context.onShortOfFiles(error);
    else if (!isDiskFull(error)) {
      context.logger.error('An append could not be written', { ...this.id, error });
      if (!(error instanceof MillraceError)) context.fail(error);
    }
    return refused('KAFKA_STORAGE_ERROR', error instanceof Error ? error.message : 'write failed');
  }

  /** Takes batches that were written into the state of the log, and queues them for the journal. */
  private take(batches: Buffer): void {
    const { config, context, intake } = this;
    const segment = this.active as Segment;
    let position = segment.sizeBytes - batches.length;
    for (let at = 0; at < batches.length; ) {
      const bytes = batchBytes(batches, at);
      const facts = intake.read(batches, at);
      this.applyBatch(segment, position, bytes, facts);
      this.durability.add(facts.firstOffset, batches, at, at + bytes);
      at += bytes;
      position += bytes;
    }
    this.isDirty = true;
    if (segment.sizeBytes - segment.syncedBytes > context.segmentUnsyncedBytesMax)
      context.wantsSync(segment);
    if (this.durability.isJournaled) return;
    this.durability.advanceUnjournaled();
    if (config.flush === 'interval') this.flushTimer ??= this.flushLater();
  }

  /** For `flush: interval`: what is written now is synced when `flushMs` have passed. */
  private flushLater(): Timer {
    const { context } = this;
    return context.env.timers.after(this.config.flushMs, () => {
      this.flushTimer = undefined;
      if (!this.isClosed) context.flush(this.segments);
    });
  }

  /** State of the log after the batch that `facts` is about, at `position` of `segment`. Recovery comes here too. */
  applyBatch(segment: Segment, position: number, bytes: number, facts: BatchFacts): void {
    segment.indexBatch(position, bytes, facts, this.config.indexIntervalBytes);
    this.logEndOffset = facts.lastOffset + 1;
    if (facts.isAppendTime && facts.maxTimestampMs > this.appendTimeMs)
      this.appendTimeMs = facts.maxTimestampMs;
    if (facts.leaderEpoch > this.epochs.latest)
      this.epochs.assign(facts.leaderEpoch, facts.firstOffset);
    if (facts.producerId === -1) return;
    const ended = this.producerState.apply(facts);
    if (ended === undefined) return;
    this.stable.add(ended);
    if (ended.isAborted)
      segment.aborted.add({
        producerId: ended.producerId,
        firstOffset: ended.firstOffset,
        lastOffset: ended.lastOffset,
        lastStableOffset: Math.min(this.producerState.firstOpenOffset, ended.lastOffset + 1),
      });
  }

  // ---- Segments -----------------------------------------------------------------------------------------------------

  /** Closes the active segment, if it has anything in it, and begins a new one at the end of the log. */
  roll(): Segment {
    this.isDirty = true;
    return this.list.roll(this.logEndOffset, this.config);
  }

  /** Closes the active segment if its first record is older than `segmentMs`, by the wall clock. */
  rollIfOld(): void {
    if (this.list.isActiveOld(this.context.env.clock.nowMs(), this.config.segmentMs)) this.roll();
  }

  /**
   * Puts `replacements` in the place of `old`, which are neighbours and sealed. Files of `old` are the caller's to remove;
   * readers that are under way keep what they have open.
   */
  replaceSegments(old: readonly Segment[], replacements: readonly Segment[]): void {
    this.list.replace(old, replacements);
    this.isDirty = true;
  }

  /**
   * Lets offsets below `offset` be missing between batches. Durable when it resolves: only then may a segment with gaps be
   * put in place, or a start would take them for damage.
   */
  async allowGapsBelow(offset: number): Promise<void> {
    if (offset <= this.list.gapsBelow) return;
    this.list.gapsBelow = offset;
    this.isDirty = true;
    await this.context.nextCheckpoint();
  }

  /** One past the last offset that `segment` can hold. */
  endOffsetOf(segment: Segment): number {
    return this.list.endOffsetOf(segment, this.logEndOffset);
  }

  // ---- Durability ---------------------------------------------------------------------------------------------------

  get highWatermark(): number {
    return this.durability.highWatermark;
  }

  whenDurable(endOffset: number): Promise<void> {
    return this.durability.whenDurable(endOffset);
  }

  onAdvance(listener: () => void): () => void {
    return this.durability.onAdvance(listener);
  }

  onHighWatermark(): void {
    this.refreshStableOffset();
  }

  syncAll(): Promise<void> {
    return this.context.sync(this.segments);
  }

  private refreshStableOffset(): void {
    const stable = this.stable.at(this.highWatermark, this.producerState.firstOpenOffset);
    this.lastStableOffset = Math.max(stable, Math.min(this.logStartOffset, this.highWatermark));
  }

  // ---- Reading ------------------------------------------------------------------------------------------------------

  read(offset: number, options: ReadOptions): Promise<ReadResult> {
    return this.reader.read(offset, options);
  }

  /** Reads of `isolation` see only what lies below. */
  readLimit(isolation: Isolation): number {
    return isolation === 'read_committed' ? this.lastStableOffset : this.highWatermark;
  }

  offsetForTimestamp(
    timestampMs: number,
    isolation: Isolation,
  ): Promise<TimestampOffset | undefined> {
    return searchTimestamp(this, timestampMs, this.readLimit(isolation));
  }

  maxTimestamp(): Promise<TimestampOffset | undefined> {
    return searchMaxTimestamp(this, this.highWatermark);
  }

  endOffsetForEpoch(leaderEpoch: number): { leaderEpoch: number; endOffset: number } {
    if (leaderEpoch === this.context.leaderEpoch)
      return { leaderEpoch, endOffset: this.highWatermark };
    return this.epochs.endOffsetFor(leaderEpoch, this.highWatermark);
  }

  producers(): ActiveProducer[] {
    return this.producerState.active();
  }

  // ---- Log start ----------------------------------------------------------------------------------------------------

  async deleteRecordsBefore(offset: number): Promise<number> {
    const target = offset === -1 ? this.highWatermark : offset;
    if (target > this.highWatermark || target < 0)
      throw new MillraceError(
        'ML_OFFSET_OUT_OF_RANGE',
        `records before ${offset} cannot be deleted: the high watermark is ${this.highWatermark}`,
        { fields: { ...this.id, offset, highWatermark: this.highWatermark } },
      );
    if (target > this.logStartOffset) await this.moveLogStart(target);
    return this.logStartOffset;
  }

  /** Makes `offset` the log start offset. Durable when it resolves; only then readers see it. */
  async moveLogStart(offset: number): Promise<void> {
    // A checkpoint that begins now replays nothing from before it: it must not miss the mark.
    this.nextLogStartOffset = Math.max(this.nextLogStartOffset, offset);
    this.isDirty = true;
    await this.durability.mark(ENTRY_LOG_START, offset);
    this.applyLogStart(offset);
    this.durability.announce();
  }

  applyLogStart(offset: number): void {
    if (offset <= this.logStartOffset) return;
    this.logStartOffset = offset;
    this.epochs.truncateStart(offset);
    this.isDirty = true;
    this.refreshStableOffset();
  }

  get isDiskFull(): boolean {
    return this.context.isDiskFull();
  }

  reclaim(live: LiveRecords, options: ReclaimOptions): Promise<ReclaimResult> {
    return this.context.reclaim(this.id, live, options);
  }

  updateConfig(config: LogConfig): void {
    this.config = config;
    this.durability.changePolicy(config.flush);
    this.isDirty = true;
  }

  // ---- End ----------------------------------------------------------------------------------------------------------

  /** No more appends. */
  stop(): void {
    this.isClosed = true;
    this.flushTimer?.cancel();
  }

  /** No more appends; files are closed once nobody reads them. */
  close(): void {
    this.stop();
    this.list.close();
  }
}

function refused(error: ErrorName, message: string): Refused {
  return { ok: false, error, message };
}

/**
 * The state of one partition of a queue in memory, and what of it has changed since it was written. What an offset is lies in
 * `settled-offsets.ts`, how it is written in `queue-states.ts`.
 *
 * Invariant: floor <= next <= end of the log.
 */
import { DedupeKeys } from './dedupe-keys.ts';
import { NumberRanges } from './number-ranges.ts';
import type { QueuedLog, QueueNotes, QueueState, QueueStateId } from './queue-state.ts';
import { chunkOf } from './offset-chunk.ts';
import { SettledOffsets } from './settled-offsets.ts';
import type { StateHead } from './state-records.ts';

/** What a flush has taken over to write. */
export interface StateChanges {
  readonly head: StateHead;
  /** Numbers of chunks. */
  readonly chunks: NumberRanges;
  readonly dedupeKeys: ReadonlySet<string>;
}

export class PartitionState implements QueueState {
  readonly id: QueueStateId;
  readonly offsets: SettledOffsets;
  readonly dedupe = new DedupeKeys();
  notes: QueueNotes = { bytes: 0, countedTo: 0 };
  /** Chunks that have a record in the log. */
  readonly written = new NumberRanges();
  /** As it was replayed, or brought in line with the log; undefined when there is none. */
  storedHead: StateHead | undefined;
  private onChange: ((state: PartitionState) => void) | undefined;
  private handedOutTo = 0;
  private log: QueuedLog | undefined;
  private isDirty = false;

  /** @param onChange called after the first change since `takeChanges`; undefined = nothing is ever written */
  constructor(id: QueueStateId, onChange: ((state: PartitionState) => void) | undefined) {
    this.id = id;
    this.onChange = onChange;
    this.offsets = new SettledOffsets(0, () => this.changed());
  }

  get floor(): number {
    return this.offsets.floor;
  }

  get next(): number {
    return Math.max(this.handedOutTo, this.offsets.floor);
  }

  get settledAbove(): number {
    return this.offsets.settledAbove;
  }

  get markedFrom(): number {
    return this.offsets.markedFrom;
  }

  isSettled(offset: number): boolean {
    return this.offsets.isSettled(offset);
  }

  settle(offset: number): void {
    this.offsets.settle(offset);
  }

  settleRange(from: number, to: number): void {
    this.offsets.settleRange(from, to);
  }

  unsettledFrom(from: number): number {
    return this.offsets.unsettledFrom(from);
  }

  unsettledIn(from: number, to: number): number {
    return this.offsets.unsettledIn(from, to);
  }

  handOutTo(next: number): void {
    if (next <= this.next) return;
    this.handedOutTo = next;
    this.changed();
  }

  countOf(offset: number): number {
    return this.offsets.countOf(offset);
  }

  raiseCount(offset: number): number {
    return this.offsets.raiseCount(offset);
  }

  dueOf(offset: number): number {
    return this.offsets.dueOf(offset);
  }

  setDue(offset: number, dueMs: number): void {
    this.offsets.setDue(offset, dueMs);
  }

  dueOffsets(): Float64Array {
    return this.offsets.dueOffsets();
  }

  mark(offset: number): void {
    this.offsets.mark(offset);
  }

  note(notes: QueueNotes): void {
    if (notes.bytes === this.notes.bytes && notes.countedTo === this.notes.countedTo) return;
    this.notes = notes;
    this.changed();
  }

  remember(key: string, untilMs: number): void {
    if (this.dedupe.remember(key, untilMs)) this.changed();
  }

  remembers(key: string, nowMs: number): boolean {
    return this.dedupe.remembers(key, nowMs);
  }

  /** It was brought in line with its log. */
  get isAttached(): boolean {
    return this.log !== undefined;
  }

  /** Nothing was written of it that still counts. */
  get isBlank(): boolean {
    return this.storedHead === undefined && this.written.isEmpty && this.dedupe.size === 0;
  }

  /** From here on nothing of it is written. */
  detach(): void {
    this.onChange = undefined;
  }

  // ---- Opening ------------------------------------------------------------------------------------------------------

  /** Everything that was written of it has been replayed. */
  restored(): void {
    const head = this.storedHead;
    this.offsets.restored(head?.floor ?? 0);
    this.handedOutTo = head?.next ?? 0;
    this.notes = { bytes: head?.bytes ?? 0, countedTo: head?.countedTo ?? 0 };
  }

  /**
   * Brings it in line with the log as it is now. What it says of offsets that the log has lost is taken back: they are given to other
   * messages, which would be settled before anybody has seen them. What it does not say of offsets that are gone from the start is settled.
   * @returns whether anything was changed, which must be durable before the log is appended to
   */
  attach(log: QueuedLog, startOffset: number | undefined): boolean {
    this.log = log;
    const { offsets } = this;
    const end = endOfKnown(this.storedHead, log);
    let isChanged = offsets.takeBackFrom(end);
    if (this.handedOutTo > end) {
      this.handedOutTo = end;
      isChanged = true;
    }
    // Which keys came with what the log has lost is not known; a key without its message would keep out the one that is published again.
    if (end < (this.storedHead?.logEndOffset ?? 0) && this.dedupe.forget()) isChanged = true;
    const isNew = this.storedHead === undefined;
    const start = Math.max(log.logStartOffset, isNew ? (startOffset ?? 0) : 0);
    if (start > offsets.floor) {
      offsets.raiseFloor(Math.min(start, log.logEndOffset));
      isChanged ||= !isNew || startOffset !== undefined;
    }
    const { countedTo } = this.notes;
    // Nobody knows the bytes of what is gone: they are counted anew.
    if (isChanged || countedTo > end) this.notes = { bytes: 0, countedTo: offsets.floor };
    this.storedHead = this.head();
    if (isChanged) this.changed();
    return isChanged;
  }

  // ---- Writing ------------------------------------------------------------------------------------------------------

  takeChanges(): StateChanges {
    this.isDirty = false;
    const chunks = this.offsets.dirty;
    const dedupeKeys = this.dedupe.changed;
    this.offsets.dirty = new NumberRanges();
    this.dedupe.changed = new Set();
    return { head: this.head(), chunks, dedupeKeys };
  }

  /** Not all of the changes was written. */
  putBack({ chunks, dedupeKeys }: StateChanges): void {
    const floorChunk = chunkOf(this.offsets.floor);
    chunks.forEachRange((from, to) => {
      this.offsets.dirty.add(Math.max(from, floorChunk), to);
    });
    for (const key of dedupeKeys) this.dedupe.changed.add(key);
    this.changed();
  }

  changed(): void {
    if (this.isDirty || this.onChange === undefined) return;
    this.isDirty = true;
    this.onChange(this);
  }

  private head(): StateHead {
    const { log } = this;
    return {
      floor: this.offsets.floor,
      next: this.next,
      bytes: Math.max(0, Math.round(this.notes.bytes)),
      countedTo: this.notes.countedTo,
      logEndOffset: log?.logEndOffset ?? 0,
      leaderEpoch: log?.leaderEpoch ?? -1,
    };
  }
}

/**
 * Up to where what was written may be believed. The end of the log as it is now is not enough: after a power cut others may have appended
 * to it before the queue was opened again. The log knows where the records of an epoch end (KIP-101): if that is below what it was when
 * the state was written, the offsets from there on are not what they were.
 */
function endOfKnown(head: StateHead | undefined, log: QueuedLog): number {
  const { logEndOffset, leaderEpoch } = log;
  if (head === undefined || head.leaderEpoch < 0 || head.leaderEpoch === leaderEpoch)
    return logEndOffset;
  // -1 = no record is of that epoch or a later one: then nobody has appended since.
  const end = log.endOffsetForEpoch?.(head.leaderEpoch).endOffset ?? -1;
  return end >= 0 && end < head.logEndOffset ? Math.min(end, logEndOffset) : logEndOffset;
}

/**
 * How far one log is durable: its place in the journal, the high watermark, who waits for it and who is told.
 *
 * Invariant: `highWatermark` never goes back, and moves past a journaled batch only when the journal has confirmed it.
 * @hot `add`, `whenDurable`
 */
import type { FlushPolicy, LogId } from './types.ts';
import { FlushMode, type FlushModeOwner } from './flush-mode.ts';
import { type EntryKey, type EntryKind, entryKey } from './journal-format.ts';
import type { JournalLog } from './journal.ts';
import type { LogContext } from './log-context.ts';

/** The log as seen from here. */
export interface DurabilityOwner {
  readonly id: LogId;
  /** Nobody opens the log after a restart. */
  readonly isTransient: boolean;
  readonly logEndOffset: number;
  /** The high watermark has moved. Listeners are told afterwards. */
  onHighWatermark(): void;
  /** Makes everything that is written so far durable, in the segments. */
  syncAll(): Promise<void>;
}

const DURABLE = Promise.resolve();

export class Durability implements JournalLog, FlushModeOwner {
  readonly entryKey: EntryKey;
  journalCycle = 0;
  /** One past the last durable record. */
  highWatermark: number;
  private readonly context: LogContext;
  private readonly owner: DurabilityOwner;
  private readonly mode: FlushMode;
  /** Everything below is in the journal group that is being written, or durable. */
  private flightEndOffset: number;
  /** Everything below is durable as far as the journal is concerned. */
  private confirmedOffset: number;
  private readonly listeners = new Set<() => void>();
  private isAnnouncing = false;

  constructor(
    context: LogContext,
    owner: DurabilityOwner,
    isJournaled: boolean,
    policy: FlushPolicy,
  ) {
    this.context = context;
    this.owner = owner;
    this.entryKey = entryKey(owner.id.topicId, owner.id.partition);
    this.highWatermark = owner.logEndOffset;
    this.flightEndOffset = owner.logEndOffset;
    this.confirmedOffset = owner.logEndOffset;
    this.mode = new FlushMode(this, isJournaled, policy);
  }

  /** Batches go through the journal. */
  get isJournaled(): boolean {
    return this.mode.isJournaled;
  }

  /** What is written now may be missing from the journal: for the next checkpoint. */
  get needsScan(): boolean {
    return this.mode.needsScan;
  }

  changePolicy(policy: FlushPolicy): void {
    this.mode.change(policy);
  }

  /** Gives a batch, buffer[start, end), to the journal if the log uses it. */
  add(firstOffset: number, buffer: Buffer, start: number, end: number): void {
    if (this.mode.isJournaled) this.context.journal.addBatch(this, firstOffset, buffer, start, end);
  }

  /** Writes an entry without a batch to the journal. Durable when it resolves. */
  mark(kind: EntryKind, offset: number): Promise<void> {
    const { journal } = this.context;
    if (journal.failed !== undefined) return Promise.reject(journal.failed);
    journal.addMark(this, kind, offset);
    return journal.collectingDurable();
  }

  /** Without the journal, what is written counts. Listeners run after the append that called this has returned. */
  advanceUnjournaled(): void {
    this.move(this.owner.logEndOffset);
    if (this.isAnnouncing || this.listeners.size === 0) return;
    this.isAnnouncing = true;
    queueMicrotask(() => {
      this.isAnnouncing = false;
      this.announce();
    });
  }

  /**
   * Recovery is complete. `hasScanned`: what is in the log may be neither in the journal nor on the disk, so nothing behind
   * it is confirmed before it has been synced.
   */
  recovered(hasScanned: boolean): void {
    this.flightEndOffset = this.owner.logEndOffset;
    this.confirmedOffset = this.owner.logEndOffset;
    this.move(this.owner.logEndOffset);
    if (hasScanned && this.mode.isJournaled) this.mode.hold();
  }

  whenDurable(endOffset: number): Promise<void> {
    const { journal } = this.context;
    const wanted = Math.min(endOffset, this.owner.logEndOffset);
    if (wanted <= this.highWatermark) return DURABLE;
    if (journal.failed !== undefined) return Promise.reject(journal.failed);
    const { gate } = this.mode;
    if (gate !== undefined) return gate.then(() => this.whenDurable(wanted));
    if (wanted <= this.flightEndOffset) return journal.flightDurable() ?? DURABLE;
    return journal.collectingDurable();
  }

  onAdvance(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  // ---- The journal's side -------------------------------------------------------------------------------------------

  commitStarted(): void {
    this.flightEndOffset = this.owner.logEndOffset;
  }

  committed(): void {
    this.confirmedOffset = this.flightEndOffset;
    if (this.mode.gate === undefined) this.move(this.confirmedOffset);
  }

  announce(): void {
    for (const listener of this.listeners) {
      try {
        listener();
      } catch (error) {
        this.context.logger.error('A listener of a log failed', { ...this.owner.id, error });
      }
    }
  }

  // ---- The flush mode's side ----------------------------------------------------------------------------------------

  get isTransient(): boolean {
    return this.owner.isTransient;
  }

  syncAll(): Promise<void> {
    return this.owner.syncAll();
  }

  nextCheckpoint(): Promise<void> {
    return this.context.nextCheckpoint();
  }

  onGateOpen(): void {
    this.move(this.confirmedOffset);
    this.announce();
  }

  private move(offset: number): void {
    if (offset <= this.highWatermark) return;
    this.highWatermark = offset;
    this.owner.onHighWatermark();
  }
}

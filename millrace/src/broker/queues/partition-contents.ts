/**
 * What one log of a queue holds: its messages as they are known, how many there are, and how they come.
 */
import type { PartitionLog } from '../../log/types.ts';
import type { AppendedBatch } from './append-messages.ts';
import { arrivalOf, Arrivals, type Tally } from './arrivals.ts';
import { KeyLines } from './key-lines.ts';
import { LogRuns } from './log-runs.ts';
import { factsOf, type MessageFacts } from './message-facts.ts';
import { MessageIndex } from './message-index.ts';
import { MessageDecoder, type RecordView } from './message-record.ts';
import type { QueueMessage } from './message.ts';
import type { DeadLetterReason, Queue } from './queue.ts';
import type { QueueContext } from './queue-context.ts';
import type { QueueState } from './state/queue-state.ts';

/** What a partition asks of its queue. */
export interface PartitionOwner {
  readonly queue: Queue;
  readonly context: QueueContext;
  /** Messages that may still be looked at in this turn. */
  budget: number;
  /** There are dead letters: what leaves must be read before. */
  readonly keepsDeadLetters: boolean;
  /** A message leaves. @returns false: it cannot, for now */
  deadLetter(message: QueueMessage | undefined, reason: DeadLetterReason): boolean;
  /** So many messages were settled, and so many bytes of bodies. */
  settled(messages: number, bodyBytes: number): void;
  wantTurn(): void;
}

export interface PartitionPlace {
  readonly number: number;
  readonly log: PartitionLog;
  readonly state: QueueState;
  /** Over somebody else's topic: nothing is looked at ahead of the cursor. */
  readonly isView: boolean;
  readonly isDurable: boolean;
  /** Those below may have been with somebody before the start… */
  readonly handedOutBelow: number;
  /** …and those below this, if they were not next in the log: of a priority, or due. 0 after a clean stop. */
  readonly uncertainBelow: number;
  /** Milliseconds since 1970. */
  readonly openedAtMs: number;
}

export class PartitionContents {
  readonly number: number;
  readonly log: PartitionLog;
  readonly state: QueueState;
  readonly runs: LogRuns;
  readonly index: MessageIndex;
  readonly arrivals: Arrivals;
  readonly tally: Tally;
  /** With somebody. */
  held = 0;
  heldBytes = 0;
  /** Where the log began when somebody has looked last. */
  startOffset: number;
  protected readonly owner: PartitionOwner;
  protected readonly place: PartitionPlace;
  protected readonly decoder: MessageDecoder;
  /** undefined: the queue is not ordered by key. */
  protected readonly keys: KeyLines | undefined;

  constructor(owner: PartitionOwner, place: PartitionPlace) {
    const { queue, context } = owner;
    const { log, state } = place;
    this.owner = owner;
    this.place = place;
    this.number = place.number;
    this.log = log;
    this.state = state;
    this.startOffset = log.logStartOffset;
    this.decoder = new MessageDecoder(queue.name);
    this.index = new MessageIndex(queue.settings);
    this.keys = queue.settings.keyOrdered ? new KeyLines() : undefined;
    this.runs = new LogRuns({ ...context, log, onLoaded: () => owner.wantTurn() });
    const seenTo = place.isView ? state.floor : Math.max(state.notes.countedTo, state.floor);
    this.tally = {
      messages: place.isView ? 0 : state.unsettledIn(state.floor, seenTo),
      bytes: place.isView ? 0 : state.notes.bytes,
    };
    this.arrivals = new Arrivals(
      {
        log,
        state,
        runs: this.runs,
        index: this.index,
        tally: this.tally,
        decoder: this.decoder,
        background: context.background,
        logger: context.logger,
        remember: (facts) => this.remember(facts),
        takeUpDue: (record) => this.takeUpDue(record),
        onSeen: () => owner.wantTurn(),
      },
      seenTo,
    );
  }

  /** Reads what has to be known before anything is delivered. */
  async open(): Promise<void> {
    const { state, arrivals, place } = this;
    if (place.isView) return;
    const { markedFrom } = state;
    // Those behind the first mark, or not noted yet, are met there.
    const dueBelow = markedFrom < 0 ? arrivals.seenTo : Math.min(markedFrom, arrivals.seenTo);
    await arrivals.rebuildDue(
      state.dueOffsets().filter((offset) => offset < dueBelow && this.isDueLater(offset)),
    );
    if (markedFrom >= 0 && markedFrom < arrivals.seenTo)
      await arrivals.rebuild(markedFrom, arrivals.seenTo);
    await arrivals.catchUp();
  }

  // ---- Counting -----------------------------------------------------------------------------------------------------

  /** Messages that could be delivered now. */
  get ready(): number {
    return Math.max(0, this.waiting - this.unstable);
  }

  /** The same, and those that will be as soon as they are durable: whoever has published a message finds it counted. */
  get waiting(): number {
    const { tally, log, state, index, place } = this;
    const messages = place.isView
      ? state.unsettledIn(state.floor, log.lastStableOffset)
      : tally.messages;
    return Math.max(0, messages - this.held - index.delayed.size);
  }

  get readyBytes(): number {
    const { place, log } = this;
    if (!place.isView)
      return Math.max(0, this.tally.bytes - this.heldBytes - this.index.delayedBytes);
    // Nobody has read them: as large as the average.
    const offsets = log.logEndOffset - log.logStartOffset;
    return offsets <= 0 ? 0 : Math.round((log.sizeBytes * this.ready) / offsets);
  }

  /** The state knows how many bytes there are. */
  noteBytes(): void {
    if (this.place.isView) return;
    const { state, tally, arrivals } = this;
    // What was deleted was guessed.
    if (tally.messages === 0) tally.bytes = 0;
    const { bytes, countedTo } = state.notes;
    if (bytes !== tally.bytes || countedTo !== arrivals.seenTo)
      state.note({ bytes: tally.bytes, countedTo: arrivals.seenTo });
  }

  /** Messages below may be delivered: they are durable and committed, and what has to be known of them is. */
  get limit(): number {
    const { lastStableOffset } = this.log;
    return this.place.isView ? lastStableOffset : Math.min(lastStableOffset, this.arrivals.seenTo);
  }

  /** Appended by us, and not to be delivered yet. */
  get unstable(): number {
    return this.place.isView ? 0 : Math.max(0, this.arrivals.seenTo - this.log.lastStableOffset);
  }

  /** A message that was not next in the log: who crashed may have delivered it, and not have written that. */
  protected isUncertain(offset: number, { properties, timestampMs }: QueueMessage): boolean {
    const { uncertainBelow, openedAtMs } = this.place;
    if (offset >= uncertainBelow) return false;
    const { delayMs } = factsOf(properties);
    return delayMs === 0 || timestampMs + delayMs <= openedAtMs;
  }

  // ---- Arrival ------------------------------------------------------------------------------------------------------

  /** The log has more stable messages. */
  advanced(): void {
    if (!this.place.isView) this.arrivals.follow();
  }

  /** The queue has appended a batch. `isWanted`: somebody is there who may take it. */
  appended({ baseOffset, data, messages }: AppendedBatch, isWanted: boolean): void {
    const { arrivals, runs } = this;
    const isNext = baseOffset === arrivals.seenTo;
    if (isWanted || !isNext) runs.add(baseOffset, baseOffset + messages.length, data);
    let offset = baseOffset;
    for (const { body, properties, timestampMs } of messages) {
      const facts = factsOf(properties);
      this.remember(facts);
      // Others have appended before: it is looked at after what they have, when that is stable.
      if (isNext) arrivals.note({ offset, timestampMs, bodyBytes: body.length }, facts);
      offset++;
    }
    if (isNext) arrivals.seenTo = offset;
  }

  /** It came back before the start, and was not due then. */
  protected isDueLater(offset: number): boolean {
    return this.state.dueOf(offset) > this.place.openedAtMs;
  }

  /** A message that came back before the start waits on until it is due. @returns false: it is none of those */
  private takeUpDue(record: RecordView): boolean {
    const { offset } = record;
    if (!this.isDueLater(offset)) return false;
    const facts = factsOf(this.decoder.decodeProperties(record));
    const { data, keyStart, keyEnd } = record;
    const key = keyStart < 0 ? undefined : data.latin1Slice(keyStart, keyEnd);
    // If others of its key are before it, it comes when they have left.
    if (key === undefined || this.keys === undefined || this.keys.enter(key, offset))
      this.index.addDue(arrivalOf(record), facts, this.state.dueOf(offset));
    return true;
  }

  /** Of a topic that others write, the cursor is the first that looks at a message. */
  protected seeInView(record: RecordView, facts: MessageFacts): void {
    const { offset } = record;
    if (!this.takeUpDue(record)) this.index.add(arrivalOf(record), facts);
    this.arrivals.seenTo = offset + 1;
  }

  /** A message with this key was seen within the window. */
  isRemembered(dedupeKey: string): boolean {
    return this.state.remembers(dedupeKey, this.owner.context.env.clock.nowMs());
  }

  /** Only of what is in the log: whoever is told that a message was not taken publishes it again. */
  private remember({ dedupeKey }: MessageFacts): void {
    const { dedupeWindowMs } = this.owner.queue.settings;
    if (dedupeWindowMs === undefined || dedupeKey === undefined) return;
    this.state.remember(dedupeKey, this.owner.context.env.clock.nowMs() + dedupeWindowMs);
  }
}

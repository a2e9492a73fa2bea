/**
 * One log of a queue, with its state: which message is the next, who is ready, late or gone. A queue over a topic has one for each
 * partition, all others have exactly one.
 *
 * The next message is the first of: the highest priority; what came back, by offset; the cursor in the log.
 *
 * @hot `peek`, `take`, `accept`
 */
import { assert } from '../../core/errors.ts';
import {
  QUEUE_LOAD_BYTES,
  QUEUE_PARKED_OFFSETS_MAX,
  QUEUE_READ_BYTES,
} from '../../core/queue-limits.ts';
import { HandOut } from './hand-out.ts';
import { HeldDelivery } from './held-delivery.ts';
import { LogCursor } from './log-cursor.ts';
import type { QueueMessage } from './message.ts';
import { factsOf, type MessageFacts, NO_FACTS } from './message-facts.ts';
import { copyMessage } from './message-record.ts';
import {
  PartitionContents,
  type PartitionOwner,
  type PartitionPlace,
} from './partition-contents.ts';
import type { DeadLetterReason } from './queue.ts';
import { ReturnedMessages } from './returned-messages.ts';
import { recordAt } from './run.ts';
import { inOrder, settleBetween } from './settle-between.ts';

/** `later`: something has to be read first, or to happen; the turn comes again by itself. `cut`: the turn is over. */
export type Peek = 'ready' | 'empty' | 'later' | 'cut';

export class QueuePartition extends PartitionContents {
  /** The message that `peek` has found: of this level of the index, -1 = of the cursor. */
  private offset = -1;
  private expiresAtMs = Infinity;
  /** The index knows when it expires. */
  private isTimed = false;
  private message: QueueMessage | undefined;
  private level = -1;
  private key: string | undefined;
  private readonly cursor: LogCursor;
  private readonly returned = new ReturnedMessages();
  /** Due to expire some day, but not now: with somebody, or given back for later. */
  private readonly sparedOffsets = new Set<number>();
  private readonly handOut: HandOut;
  private readonly isSettled = (offset: number): boolean => this.state.isSettled(offset);
  /** Settled, and not yet written down: [from, to). */
  private settleFrom = 0;
  private settleTo = 0;

  constructor(owner: PartitionOwner, place: PartitionPlace) {
    super(owner, place);
    this.handOut = new HandOut(owner.context, place, () => owner.wantTurn());
    this.cursor = new LogCursor(this.runs, place.state.floor, (from, to) =>
      this.passHole(from, to),
    );
  }

  // ---- The next message ---------------------------------------------------------------------------------------------

  /** Looks for the next message that may be delivered: `offset`, to be taken with `take` or `leave`. */
  peek(nowMs: number): Peek {
    const { index, cursor, owner, limit } = this;
    for (;;) {
      if (owner.budget-- <= 0) return 'cut';
      const level = index.highest(limit);
      const isIndexed = level > 0 || (level === 0 && index.levelAt(0).first < cursor.position);
      const peek = isIndexed ? this.peekIndexed(level) : this.peekCursor(limit);
      if (peek === 'again') continue;
      if (peek !== 'ready') return peek;
      if (!this.isTooOld(nowMs)) return 'ready';
      if (!this.leave('expired')) return 'later';
    }
  }

  private peekIndexed(level: number): Peek | 'again' {
    const heap = this.index.levelAt(level);
    const offset = heap.first;
    if (offset === this.offset && level === this.level && this.message !== undefined)
      return 'ready';
    if (this.state.isSettled(offset)) {
      heap.pop();
      return 'again';
    }
    const message = this.messageAt(offset, level > 0);
    if (message === 'later') {
      // What follows it is read at the same time.
      this.cursor.prepare(this.limit);
      return 'later';
    }
    if (message === undefined) {
      // It was there once: the disk has lost it.
      heap.pop();
      this.settled(offset, 0);
      this.keysLeft();
      return 'again';
    }
    const key = this.keyOf(message);
    if (!this.mayGoOut(key, offset)) {
      heap.pop();
      return 'again';
    }
    const facts = this.needsExpiry ? factsOf(message.properties) : NO_FACTS;
    this.choose(level, offset, message, facts);
    this.key = key;
    return 'ready';
  }

  private peekCursor(limit: number, passesReturned = false): Peek | 'again' {
    const { cursor, index, place } = this;
    if (!this.handOut.mayReach(cursor.position)) return 'later';
    const step = cursor.step(limit);
    if (step !== 'record') return step === 'end' ? 'empty' : 'later';
    const offset = cursor.position;
    if (offset === this.offset && this.level === -1 && this.message !== undefined) return 'ready';
    if (!passesReturned && index.levelAt(0).first < offset) return 'again';
    if (this.state.isSettled(offset)) {
      cursor.seek(this.state.unsettledFrom(offset));
      return 'again';
    }
    const message = this.decoder.decode(cursor.record);
    let facts: MessageFacts = NO_FACTS;
    if (this.needsExpiry || place.isView || offset <= index.indexedMax) {
      facts = factsOf(message.properties);
      if (place.isView && offset >= this.arrivals.seenTo) this.seeInView(cursor.record, facts);
      if (index.isIndexed(facts) || this.isDueLater(offset)) {
        cursor.take();
        return 'again';
      }
    }
    if (this.keys !== undefined && this.keys.parkedCount >= QUEUE_PARKED_OFFSETS_MAX)
      return 'later';
    const key = this.keyOf(message);
    if (!this.mayGoOut(key, offset)) {
      cursor.take();
      // The cursor will not meet it again.
      if (this.owner.queue.settings.messageTtlMs !== undefined)
        index.expire(index.expiresAtMs(message.timestampMs, facts), offset, message.body.length);
      return 'again';
    }
    this.choose(-1, offset, message, facts);
    this.key = key;
    return 'ready';
  }

  /** No message is there: nobody has to settle it. Where there was one, it was settled before it was given back to the disk. */
  private passHole(from: number, to: number): void {
    if (!this.place.isView && from < this.arrivals.seenTo)
      this.tally.messages -= this.state.unsettledIn(from, Math.min(to, this.arrivals.seenTo));
    this.state.settleRange(from, to);
  }

  private choose(level: number, offset: number, message: QueueMessage, facts: MessageFacts): void {
    this.level = level;
    this.offset = offset;
    this.message = message;
    this.isTimed = level >= 0 || facts.expirationMs >= 0;
    this.expiresAtMs = this.needsExpiry
      ? this.index.expiresAtMs(message.timestampMs, facts)
      : Infinity;
  }

  private get needsExpiry(): boolean {
    return (
      this.owner.queue.settings.messageTtlMs !== undefined ||
      this.index.expiring.size > 0 ||
      this.place.isView
    );
  }

  /** Whoever expires at once may still go to somebody who waits for it already. */
  private isTooOld(nowMs: number): boolean {
    const { expiresAtMs, message } = this;
    if (nowMs < expiresAtMs) return false;
    const isImmediate = message !== undefined && expiresAtMs <= message.timestampMs;
    return !isImmediate || this.state.countOf(this.offset) > 0;
  }

  private keyOf(message: QueueMessage): string | undefined {
    return this.keys === undefined ? undefined : message.key?.latin1Slice();
  }

  /** false: another message of its key is out, and it waits for that. */
  private mayGoOut(key: string | undefined, offset: number): boolean {
    return key === undefined || this.keys === undefined || this.keys.enter(key, offset);
  }

  /** A message that is not at the cursor; `later`: it is being read. `isRow`: others behind it follow, as a rule. */
  messageAt(offset: number, isRow = false): QueueMessage | undefined | 'later' {
    const returned = this.returned.get(offset);
    if (returned !== undefined) return returned;
    const { runs } = this;
    const bytes = isRow ? QUEUE_READ_BYTES : QUEUE_LOAD_BYTES;
    const run = runs.find(offset);
    if (run === undefined) {
      runs.load(offset, bytes);
      return 'later';
    }
    if (isRow && run.end < this.limit && runs.find(run.end) === undefined)
      runs.load(run.end, bytes);
    const record = recordAt(run, offset);
    return record === undefined ? undefined : copyMessage(this.decoder.decode(record));
  }

  // ---- Taking -------------------------------------------------------------------------------------------------------

  /** Takes the message that `peek` has found. */
  take(): HeldDelivery {
    const { offset, message, owner } = this;
    assert(message !== undefined, 'a message is looked for before it is taken');
    const isFresh = this.level < 0 && offset >= this.place.handedOutBelow;
    const deliveryCount = isFresh ? 0 : this.state.countOf(offset);
    const delivery = new HeldDelivery(
      owner.queue,
      {
        partition: this.number,
        priority: Math.max(0, this.level),
        nowMs: owner.context.env.clock.monotonicMs(),
      },
      {
        offset,
        message,
        redelivered:
          deliveryCount > 0 ||
          offset < this.place.handedOutBelow ||
          (this.level >= 0 && this.isUncertain(offset, message)),
        deliveryCount,
        expiresAtMs: this.expiresAtMs,
        isTimed: this.isTimed,
        key: this.key,
      },
    );
    this.passCurrent();
    this.held++;
    this.heldBytes += delivery.bodyBytes;
    if (delivery.expiresAtMs < Infinity) this.sparedOffsets.add(offset);
    return delivery;
  }

  private passCurrent(): void {
    if (this.level < 0) this.cursor.take();
    else {
      this.index.levelAt(this.level).pop();
      this.returned.delete(this.offset);
    }
    this.forgetCurrent();
  }

  private forgetCurrent(): void {
    this.offset = -1;
    this.message = undefined;
    this.key = undefined;
  }

  /** The message that `peek` has found leaves the queue. @returns false: it cannot, for now */
  leave(reason: DeadLetterReason): boolean {
    const { offset, message, key } = this;
    if (!this.owner.deadLetter(message, reason)) return false;
    const bytes = message?.body.length ?? 0;
    this.passCurrent();
    this.settled(offset, bytes);
    this.keyLeft(key, offset);
    return true;
  }

  // ---- Settling -----------------------------------------------------------------------------------------------------

  /** It is with nobody any more. */
  private putDown(delivery: HeldDelivery): void {
    this.held--;
    this.heldBytes -= delivery.bodyBytes;
    if (delivery.expiresAtMs < Infinity) this.sparedOffsets.delete(delivery.offset);
  }

  /** Done with. */
  accept(delivery: HeldDelivery): void {
    const { offset, bodyBytes } = delivery;
    this.putDown(delivery);
    this.tally.messages--;
    this.tally.bytes -= bodyBytes;
    this.owner.settled(1, bodyBytes);
    // Neighbours are settled together.
    if (offset === this.settleTo) this.settleTo++;
    else {
      this.flushSettled();
      this.settleFrom = offset;
      this.settleTo = offset + 1;
    }
    if (delivery.key !== undefined) {
      this.flushSettled();
      this.keyLeft(delivery.key, offset);
    }
  }

  /** Back to where it was; ready at once unless `dueMs` is later. */
  giveBack(delivery: HeldDelivery, dueMs: number): void {
    const { offset, kept, bodyBytes, expiresAtMs } = delivery;
    this.putDown(delivery);
    if (kept !== undefined) this.returned.add(offset, kept);
    if (dueMs > 0) {
      this.index.delay(dueMs, { offset, bodyBytes, level: delivery.priority });
      if (this.place.isDurable) this.state.setDue(offset, dueMs);
    } else this.index.push(delivery.priority, offset);
    if (expiresAtMs === Infinity) return;
    if (dueMs > 0) this.sparedOffsets.add(offset);
    // Its entry of the first time is there until that has come.
    const nowMs = this.owner.context.env.clock.nowMs();
    if (delivery.isTimed && nowMs < expiresAtMs && dueMs <= expiresAtMs) return;
    this.index.expire(Math.max(expiresAtMs, dueMs), offset, bodyBytes);
  }

  /** It was with somebody, and has become a dead letter. */
  gone(delivery: HeldDelivery): void {
    this.putDown(delivery);
    this.settled(delivery.offset, delivery.bodyBytes);
    this.keyLeft(delivery.key, delivery.offset);
  }

  private settled(offset: number, bodyBytes: number): void {
    this.flushSettled();
    this.state.settle(offset);
    this.returned.delete(offset);
    this.tally.messages--;
    this.tally.bytes -= bodyBytes;
    this.owner.settled(1, bodyBytes);
  }

  private keyLeft(key: string | undefined, offset: number): void {
    if (key === undefined || this.keys === undefined) return;
    const next = this.keys.left(key, offset, this.isSettled);
    if (next >= 0) this.index.push(0, next);
  }

  /** Messages have gone that nobody can read any more: which keys they had is not known. */
  private keysLeft(): void {
    for (const next of this.keys?.settledElsewhere(this.isSettled) ?? []) this.index.push(0, next);
  }

  /** Writes down what was settled and handed out in this turn. */
  flushSettled(): void {
    const { state, cursor } = this;
    if (cursor.position > state.next) state.handOutTo(cursor.position);
    if (this.settleTo > this.settleFrom) state.settleRange(this.settleFrom, this.settleTo);
    this.settleFrom = this.settleTo = 0;
  }

  // ---- Time ---------------------------------------------------------------------------------------------------------

  /** What was delayed and is due becomes ready. */
  wakeDue(nowMs: number): void {
    const { index, limit } = this;
    const { delayed } = index;
    while (delayed.firstMs <= nowMs && delayed.firstOffset < limit) {
      if (this.owner.budget-- <= 0) return;
      const { offset, level } = index.wake();
      this.sparedOffsets.delete(offset);
      if (!this.state.isSettled(offset)) index.push(level, offset);
    }
  }

  /** What is too old goes, wherever it is. @returns when the next will be: milliseconds since 1970, or Infinity */
  expire(nowMs: number): number {
    const { expiring } = this.index;
    // First, since what it passes over is put with the others.
    const atCursorMs = this.expireAtCursor(nowMs);
    let nextMs = Infinity;
    while (expiring.size > 0 && expiring.firstOffset < this.limit) {
      nextMs = expiring.firstMs;
      if (nextMs > nowMs || this.owner.budget-- <= 0) break;
      const offset = expiring.firstOffset;
      const isWaiting = !this.state.isSettled(offset) && !this.sparedOffsets.has(offset);
      if (isWaiting && !this.expireAt(offset, expiring.firstNote)) return Infinity;
      expiring.pop();
      nextMs = Infinity;
    }
    return Math.min(nextMs, atCursorMs);
  }

  /** What only the queue makes expire does so in the order of the log. */
  private expireAtCursor(nowMs: number): number {
    if (this.owner.queue.settings.messageTtlMs === undefined) return Infinity;
    const { limit } = this;
    for (;;) {
      if (this.owner.budget-- <= 0) return Infinity;
      const peek = this.peekCursor(limit, true);
      if (peek === 'again') continue;
      if (peek !== 'ready') return Infinity;
      if (nowMs < this.expiresAtMs) return this.expiresAtMs;
      if (!this.leave('expired')) return Infinity;
    }
  }

  private expireAt(offset: number, bodyBytes: number): boolean {
    const { owner } = this;
    let key: string | undefined;
    let message: QueueMessage | undefined;
    if (owner.keepsDeadLetters || this.keys !== undefined) {
      const found = this.messageAt(offset);
      if (found === 'later') return false;
      message = found;
      key = found?.key?.latin1Slice();
    }
    if (!owner.deadLetter(message, 'expired')) return false;
    if (offset === this.offset) this.forgetCurrent();
    this.settled(offset, bodyBytes);
    if (message === undefined) this.keysLeft();
    else this.keyLeft(key, offset);
    return true;
  }

  /** Settles all that is ready. `heldOffsets`: with somebody, in order. @returns how many */
  purge(heldOffsets: Float64Array): number {
    const { state, index } = this;
    this.flushSettled();
    const { limit, waiting, readyBytes } = this;
    const kept = inOrder(heldOffsets, index.delayed.offsets());
    const count = settleBetween(state, kept, limit);
    // What is not durable yet stays; nobody has read it: as large as the average.
    const bytes = Math.round((readyBytes * count) / Math.max(count, waiting, 1));
    this.tally.messages -= count;
    this.tally.bytes -= bytes;
    this.owner.settled(count, bytes);
    index.forgetReadyBelow(limit);
    if (this.keys !== undefined) {
      const keptOffsets = new Set(kept);
      this.keys.purge((offset) => keptOffsets.has(offset));
    }
    this.returned.clear();
    this.forgetCurrent();
    this.cursor.seek(limit);
    return count;
  }

  /**
   * Records below `start` were deleted from the log, by a Kafka client or by a flow that has taken them: what was in them is gone from here, too,
   * but for what is with somebody. `heldOffsets`: that, in order.
   */
  deletedBelow(start: number, heldOffsets: Float64Array): void {
    const { state, index, tally } = this;
    this.startOffset = start;
    if (start <= state.floor) return;
    this.flushSettled();
    const heldBelow = heldOffsets.filter((offset) => offset < start);
    if (!this.place.isView) {
      const to = Math.min(start, this.arrivals.seenTo);
      const gone = state.unsettledIn(state.floor, to) - heldBelow.length;
      // Nobody has read them: as large as the average.
      tally.bytes -= Math.round(
        (tally.bytes - this.heldBytes) * (gone / (tally.messages - this.held || 1)),
      );
      tally.messages -= gone;
    }
    index.forgetDelayedBelow(start);
    settleBetween(state, heldBelow, start);
    this.keysLeft();
    this.returned.deleteBelow(start);
    for (const offset of this.sparedOffsets)
      if (state.isSettled(offset)) this.sparedOffsets.delete(offset);
    if (this.offset < start) this.forgetCurrent();
    this.cursor.seek(start);
  }

  /** What this keeps in memory, that could be read again. */
  get memoryBytes(): number {
    return this.runs.bytes + this.returned.bytes;
  }

  /** Lets go of it. */
  giveUpMemory(): void {
    this.forgetCurrent();
    this.cursor.rest();
    this.runs.clear();
    this.returned.clear();
  }

  /** At the end of a turn: what is kept in memory for it is wanted no more, and the state knows all. */
  rest(keepsAhead: boolean): void {
    this.flushSettled();
    const { cursor, arrivals } = this;
    this.index.compact(this.isSettled);
    this.keys?.compact(this.isSettled);
    this.runs.passed(keepsAhead ? Math.min(cursor.position, arrivals.seenTo) : arrivals.seenTo);
    this.noteBytes();
  }

  /** @param heldOffsets with somebody, in order: after the next start they come again */
  close(heldOffsets: Float64Array): void {
    this.flushSettled();
    const last = heldOffsets.at(-1) ?? -1;
    if (last >= this.state.next) this.state.handOutTo(last + 1);
    this.noteBytes();
    this.arrivals.close();
    this.runs.close();
  }
}

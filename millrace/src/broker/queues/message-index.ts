/**
 * What a queue remembers of single messages that are not simply next in the log: those that came back, are due later, expire by
 * themselves, or have a priority. Offsets in typed arrays, 8 or 24 bytes each, and nothing of the messages.
 *
 * Invariant: entries may be stale. Whoever takes one out looks whether its message is settled.
 */
import type { MessageFacts } from './message-facts.ts';
import { OffsetHeap, TimedHeap } from './offset-heap.ts';
import type { QueueSettings } from './queue.ts';

/** Priorities: one byte. */
const LEVELS = 256;

/** So many entries are not looked through for stale ones. */
const COMPACT_ENTRIES_MIN = 4_096;

export interface Arrival {
  readonly offset: number;
  /** -1 = unknown. */
  readonly timestampMs: number;
  readonly bodyBytes: number;
}

export class MessageIndex {
  /** Ready messages by priority. Those of priority 0 came back or were delayed; the others lie in the log, from the cursor on. */
  private readonly levels: OffsetHeap[];
  readonly delayed = new TimedHeap();
  readonly expiring = new TimedHeap();
  delayedBytes = 0;
  private compactAbove = COMPACT_ENTRIES_MIN;
  /** No message behind this offset is indexed by priority or delay. */
  indexedMax = -1;
  private readonly settings: QueueSettings;

  constructor(settings: QueueSettings) {
    this.settings = settings;
    this.levels = Array.from({ length: (settings.maxPriority ?? 0) + 1 }, () => new OffsetHeap());
  }

  /** The priority that counts in this queue. */
  levelOf(priority: number): number {
    return Math.min(priority, this.levels.length - 1);
  }

  /** Whether the cursor passes such a message, which comes from the index. */
  isIndexed(facts: MessageFacts): boolean {
    return facts.delayMs > 0 || this.levelOf(facts.priority) > 0;
  }

  /** When it is too old: milliseconds since 1970, or Infinity. */
  expiresAtMs(timestampMs: number, facts: MessageFacts): number {
    const { messageTtlMs } = this.settings;
    const { expirationMs } = facts;
    if (timestampMs < 0 || (messageTtlMs === undefined && expirationMs < 0)) return Infinity;
    const ttlMs = Math.min(messageTtlMs ?? Infinity, expirationMs < 0 ? Infinity : expirationMs);
    return timestampMs + facts.delayMs + ttlMs;
  }

  /** Takes up a message that has come. @returns whether anything is remembered of it */
  add(arrival: Arrival, facts: MessageFacts): boolean {
    const { offset, timestampMs, bodyBytes } = arrival;
    const level = this.levelOf(facts.priority);
    const isIndexed = facts.delayMs > 0 || level > 0;
    if (facts.delayMs > 0)
      this.delay(Math.max(timestampMs, 0) + facts.delayMs, { offset, bodyBytes, level });
    else if (level > 0) this.levelAt(level).push(offset);
    if (isIndexed && offset > this.indexedMax) this.indexedMax = offset;
    // What only the queue makes expire does so in the order of the log, where the cursor meets it.
    const expires =
      facts.expirationMs >= 0 || (isIndexed && this.settings.messageTtlMs !== undefined);
    if (expires) this.expire(this.expiresAtMs(timestampMs, facts), offset, bodyBytes);
    return isIndexed || expires;
  }

  /** Takes up a message that came back before the start, and is due later. */
  addDue(arrival: Arrival, facts: MessageFacts, dueMs: number): void {
    const { offset, timestampMs, bodyBytes } = arrival;
    this.delay(dueMs, { offset, bodyBytes, level: this.levelOf(facts.priority) });
    if (offset > this.indexedMax) this.indexedMax = offset;
    this.expire(Math.max(dueMs, this.expiresAtMs(timestampMs, facts)), offset, bodyBytes);
  }

  delay(
    dueMs: number,
    message: { readonly offset: number; readonly bodyBytes: number; readonly level: number },
  ): void {
    const { offset, bodyBytes, level } = message;
    this.delayed.push(dueMs, offset, bodyBytes * LEVELS + level);
    this.delayedBytes += bodyBytes;
  }

  /** The first of the delayed ones, which must be there, is delayed no more. @returns its offset, to be pushed to `level` */
  wake(): { readonly offset: number; readonly level: number } {
    const { delayed } = this;
    const offset = delayed.firstOffset;
    const level = delayed.firstNote % LEVELS;
    this.delayedBytes -= Math.floor(delayed.firstNote / LEVELS);
    delayed.pop();
    return { offset, level };
  }

  expire(atMs: number, offset: number, bodyBytes: number): void {
    if (atMs < Infinity) this.expiring.push(atMs, offset, bodyBytes);
  }

  /** Ready again, or at last. */
  push(level: number, offset: number): void {
    this.levelAt(level).push(offset);
  }

  levelAt(level: number): OffsetHeap {
    return this.levels[level] as OffsetHeap;
  }

  /** The highest level with an entry below `limit`; -1 when there is none. */
  highest(limit: number): number {
    for (let level = this.levels.length - 1; level >= 0; level--)
      if (this.levelAt(level).first < limit) return level;
    return -1;
  }

  /** Forgets what is delayed, of those messages. */
  forgetDelayedBelow(offset: number): void {
    const removed = this.delayed.removeBelow(offset);
    for (const note of removed) this.delayedBytes -= Math.floor(note / LEVELS);
  }

  /** Entries whose messages are settled go, before they are too many. They would be met some day, but that may be far. */
  compact(isSettled: (offset: number) => boolean): void {
    const size = this.entries;
    if (size <= this.compactAbove) return;
    const isWanted = (offset: number): boolean => !isSettled(offset);
    for (const level of this.levels) level.filter(isWanted);
    this.expiring.filter(isWanted);
    this.compactAbove = Math.max(COMPACT_ENTRIES_MIN, this.entries * 2);
  }

  private get entries(): number {
    let entries = this.expiring.size;
    for (const level of this.levels) entries += level.size;
    return entries;
  }

  /** Forgets what is ready, of those messages. */
  forgetReadyBelow(offset: number): void {
    const isAll = this.indexedMax < offset;
    for (const level of this.levels) {
      if (isAll) level.clear();
      else level.filter((each) => each >= offset);
    }
  }
}

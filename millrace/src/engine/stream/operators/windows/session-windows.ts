/**
 * Session windows: records of a key that are at most `gap` apart are one session, from the first to the last. A record that fits between two
 * makes one of them.
 *
 * A session is closed when its end + gap + grace < T: no record that may come can prolong it. A record is late when the session that it would
 * be part of is closed. Sessions that are closed take in nothing, whether or not they have been told and forgotten already.
 *
 *   (key, start) → [accumulator, end]
 *
 * Source: KStreamSessionWindowAggregate of Kafka Streams. There a session that was told as final may still be merged with another.
 *
 * @hot Most records prolong the latest session of their key: a look into the store, and a put.
 */
import type { WindowAggregateNode } from '../../../../flow/stream-nodes.ts';
import { copyData } from '../copy-data.ts';
import type { OperatorContext } from '../operator.ts';
import { recordFailed } from '../record-failure.ts';
import { WindowAggregate } from './window-aggregate.ts';
import type { WindowState } from './window-state.ts';

interface Session {
  readonly sub: number;
  readonly value: WindowState;
}

export class SessionWindows extends WindowAggregate {
  private readonly gapMs: number;
  private readonly graceMs: number;
  private readonly merge: (left: unknown, right: unknown) => unknown;

  constructor(
    context: OperatorContext<WindowAggregateNode>,
    gapMs: number,
    graceMs: number,
    merge: (left: unknown, right: unknown) => unknown,
  ) {
    // Times are whole milliseconds: the first that is greater.
    super(context, (state) => state[1] + gapMs + graceMs + 1);
    this.gapMs = gapMs;
    this.graceMs = graceMs;
    this.merge = merge;
  }

  receive(key: unknown, value: unknown, time: number): void {
    // Sessions that end before it are closed.
    const closedBefore = this.context.time() - this.graceMs - this.gapMs;
    let last: Session | undefined;
    let first: Session | undefined;
    try {
      last = this.touched(key, time + this.gapMs, time, closedBefore);
      // Two at most: any others would be so near to one another that they were one.
      if (last !== undefined) first = this.touched(key, last.sub - 1, time, closedBefore);
    } catch (error) {
      recordFailed(this.context, error, value, key);
      return;
    }
    if (last === undefined && time < closedBefore) this.late(key, value, time);
    else if (first === undefined) this.extend(key, last, value, time);
    else this.join(key, first, last as Session, value, time);
  }

  protected closed(key: unknown, start: number, state: WindowState): void {
    this.store.put(key, start, undefined, state[1]);
    this.tellLast(key, start, state);
  }

  protected endOf(_start: number, state: WindowState): number {
    return state[1];
  }

  /** The last open session that begins at `until` at the latest, when the record belongs to it. */
  private touched(
    key: unknown,
    until: number,
    time: number,
    closedBefore: number,
  ): Session | undefined {
    const session = this.store.floor(key, until);
    if (session === undefined) return undefined;
    const end = session.value[1];
    return end >= time - this.gapMs && end >= closedBefore ? session : undefined;
  }

  /** The record and one session, or none. */
  private extend(key: unknown, session: Session | undefined, value: unknown, time: number): void {
    const held = session?.value;
    let accumulator: unknown;
    let result: unknown;
    let before: unknown;
    try {
      before = this.tellsChanges ? this.toldOf(held, key) : undefined;
      accumulator = this.added(held, value, key);
      result = this.tellsAtOnce ? this.resultOf(accumulator, key) : undefined;
    } catch (error) {
      this.context.failed(error, value, key);
      return;
    }
    const start = session === undefined ? time : Math.min(session.sub, time);
    const end = held === undefined ? time : Math.max(held[1], time);
    if (!this.tellsChanges) {
      if (session !== undefined && session.sub !== start)
        this.store.put(key, session.sub, undefined, end);
      this.store.put(key, start, [accumulator, end], end);
      return;
    }
    const isSame = session !== undefined && session.sub === start && session.value[1] === end;
    if (session !== undefined && !isSame) this.replace(key, session, before);
    const state: WindowState = [accumulator, end];
    if (isSame && held?.[2] !== undefined) state[2] = held[2];
    this.changed(key, start, state, result, isSame ? before : undefined);
  }

  /** The record makes one session of two. */
  private join(key: unknown, first: Session, last: Session, value: unknown, time: number): void {
    let accumulator: unknown;
    let result: unknown;
    let firstTold: unknown;
    let lastTold: unknown;
    const end = Math.max(last.value[1], time);
    try {
      if (this.tellsChanges) {
        firstTold = this.toldOf(first.value, key);
        lastTold = this.toldOf(last.value, key);
      }
      const merged = this.merge(copyData(first.value[0]), copyData(last.value[0]));
      accumulator = this.added([merged, end], value, key);
      result = this.tellsAtOnce ? this.resultOf(accumulator, key) : undefined;
    } catch (error) {
      this.context.failed(error, value, key);
      return;
    }
    if (this.tellsChanges) {
      this.replace(key, first, firstTold);
      this.replace(key, last, lastTold);
      this.changed(key, first.sub, [accumulator, end], result, undefined);
      return;
    }
    this.store.put(key, last.sub, undefined, end);
    this.store.put(key, first.sub, [accumulator, end], end);
  }

  /** What was told of a session is taken back: it has become a part of another. */
  private replace(key: unknown, session: Session, told: unknown): void {
    this.store.put(key, session.sub, undefined, session.value[1]);
    this.takeBack(key, session.sub, session.value, told);
  }
}

/**
 * Sliding windows: one for each distinct set of records of a key that are at most `size` apart. Both ends are in it. They lie where the
 * records do: each record ends one, its left window [time - size, time], and when others follow within reach the one behind it begins right
 * after it, its right window [time + 1, time + 1 + size].
 *
 *   records       ·      ·  ·
 *   left     [────·)  …
 *   right          [─────·──·──)
 *
 * A window is closed when its end + grace < T; a record is late when all that it is in are. What is closed is told, and kept until no record
 * that may come can make a new window out of it: it counts on, so that a record that is late for some windows is in all the others.
 *
 *   (key, start) → [accumulator, time of the last record in it, flags]
 *
 * Source: KIP-450. There windows that are closed do not count on, so that windows made of them may miss a record; and the windows of
 * records in the first `size` milliseconds of 1970 are one.
 */
import type { WindowAggregateNode } from '../../../../flow/stream-nodes.ts';
import { copyData } from '../copy-data.ts';
import type { OperatorContext } from '../operator.ts';
import { recordFailed } from '../record-failure.ts';
import { WindowAggregate } from './window-aggregate.ts';
import { hasFlag, IS_CLOSED, type WindowState } from './window-state.ts';

/** A window as it was, and as it will be. */
interface Step {
  readonly start: number;
  readonly state: WindowState;
  readonly isOpen: boolean;
  readonly result: unknown;
  readonly before: unknown;
}

interface Found {
  readonly start: number;
  readonly state: WindowState;
}

export class SlidingWindows extends WindowAggregate {
  private readonly sizeMs: number;
  private readonly graceMs: number;

  constructor(context: OperatorContext<WindowAggregateNode>, sizeMs: number, graceMs: number) {
    // Times are whole milliseconds: the first that is greater.
    super(context, (state, start) =>
      hasFlag(state, IS_CLOSED) ? start + 3 * sizeMs + graceMs + 2 : start + sizeMs + graceMs + 1,
    );
    this.sizeMs = sizeMs;
    this.graceMs = graceMs;
  }

  receive(key: unknown, value: unknown, time: number): void {
    const now = this.context.time();
    if (time + this.sizeMs + this.graceMs < now) {
      this.late(key, value, time);
      return;
    }
    // What is closed must not tell what comes now.
    if (this.store.nextDue <= now) this.advance();
    let found: readonly Found[];
    try {
      found = this.around(key, time);
    } catch (error) {
      recordFailed(this.context, error, value, key);
      return;
    }
    let steps: Step[];
    try {
      steps = this.stepsOf(found, key, value, time);
    } catch (error) {
      this.context.failed(error, value, key);
      return;
    }
    for (const { start, state, isOpen, result, before } of steps) {
      if (isOpen && this.tellsChanges) this.changed(key, start, state, result, before);
      else this.store.put(key, start, state, state[1]);
    }
  }

  protected closed(key: unknown, start: number, state: WindowState): void {
    const isClosed = hasFlag(state, IS_CLOSED);
    this.store.put(key, start, isClosed ? undefined : [state[0], state[1], IS_CLOSED], state[1]);
    if (!isClosed) this.tellLast(key, start, state);
  }

  protected endOf(start: number): number {
    return start + this.sizeMs;
  }

  /** Windows that the record is in, that its own are made of, and its right one. */
  private around(key: unknown, time: number): readonly Found[] {
    const found: Found[] = [];
    this.store.scan(key, time - 2 * this.sizeMs, time + 1, (start, state) => {
      found.push({ start, state });
    });
    return found;
  }

  private stepsOf(found: readonly Found[], key: unknown, value: unknown, time: number): Step[] {
    const { sizeMs } = this;
    const left = time - sizeMs;
    /** The last window that ends before the record, and the last that it is in. */
    let ending: WindowState | undefined;
    let around: WindowState | undefined;
    let previous: number | undefined;
    const starts = new Set<number>();
    const steps: Step[] = [];
    for (const { start, state } of found) {
      starts.add(start);
      if (start > time) break;
      if (start <= left && state[1] < time) previous = state[1];
      if (start < left) ending = state;
      else {
        if (start > left) around = state;
        const accumulator = this.plus(copyData(state[0]), value, key);
        steps.push(this.step(start, accumulator, Math.max(state[1], time), state, key));
      }
    }
    const right = previous === undefined ? undefined : previous + 1;
    if (right !== undefined && right > left && !starts.has(right)) {
      starts.add(right);
      const accumulator = this.plus(this.node.init(), value, key);
      steps.push(this.step(right, accumulator, time, undefined, key));
    }
    if (!starts.has(left)) {
      const reaches = previous !== undefined && previous >= left;
      const base = reaches && ending !== undefined ? copyData(ending[0]) : this.node.init();
      steps.push(this.step(left, this.plus(base, value, key), time, undefined, key));
    }
    if (around !== undefined && around[1] > time && !starts.has(time + 1))
      steps.push(this.step(time + 1, copyData(around[0]), around[1], undefined, key));
    return steps;
  }

  private step(
    start: number,
    accumulator: unknown,
    latest: number,
    held: WindowState | undefined,
    key: unknown,
  ): Step {
    const isOpen = start + this.sizeMs + this.graceMs >= this.context.time();
    const state: WindowState = [accumulator, latest];
    if (!isOpen) state[2] = IS_CLOSED;
    else if (held?.[2] !== undefined) {
      state[2] = held[2];
      state[3] = held[3];
    }
    return {
      start,
      state,
      isOpen,
      result: isOpen && this.tellsAtOnce ? this.resultOf(accumulator, key) : undefined,
      before: isOpen && this.tellsChanges ? this.toldOf(held, key) : undefined,
    };
  }
}

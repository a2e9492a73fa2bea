/**
 * Sliding windows (`sliding-windows.ts` says where they lie) that are made when they close: of one accumulator for each time at which a key has
 * records. A record costs one put, however many windows it is in. Only for `emit: close`, and aggregations that can be merged.
 *
 *   (key, time) → [accumulator, time, next]
 *
 * A pane is due twice: when its left window closes (`next` is LEFT), which it ends; and when its right window does, right behind it. Then
 * nothing is made of it any more. A window that is the left one of a pane and the right one of another is told by the former.
 */
import type { WindowAggregateNode } from '../../../../flow/stream-nodes.ts';
import type { OperatorContext } from '../operator.ts';
import { recordFailed } from '../record-failure.ts';
import { type Merge, mergePanes } from './merged-panes.ts';
import { WindowAggregate } from './window-aggregate.ts';
import type { WindowState } from './window-state.ts';

const LEFT = 0;
const RIGHT = 1;

export class SlidingPanes extends WindowAggregate {
  private readonly sizeMs: number;
  private readonly graceMs: number;
  private readonly merge: Merge;

  constructor(
    context: OperatorContext<WindowAggregateNode>,
    sizeMs: number,
    graceMs: number,
    merge: Merge,
  ) {
    // Both ends of a window are in it, and times are whole milliseconds: closed from the next one on.
    super(context, (state, time) =>
      state[2] === LEFT ? time + graceMs + 1 : time + 1 + sizeMs + graceMs + 1,
    );
    this.sizeMs = sizeMs;
    this.graceMs = graceMs;
    this.merge = merge;
  }

  receive(key: unknown, value: unknown, time: number): void {
    const { store } = this;
    const now = this.context.time();
    if (time + this.sizeMs + this.graceMs < now) {
      this.late(key, value, time);
      return;
    }
    // What is closed must not tell what comes now.
    if (store.nextDue <= now) this.advance();
    let held: WindowState | undefined;
    try {
      held = store.get(key, time);
    } catch (error) {
      recordFailed(this.context, error, value, key);
      return;
    }
    let accumulator: unknown;
    try {
      accumulator = this.added(held, value, key);
    } catch (error) {
      this.context.failed(error, value, key);
      return;
    }
    if (held === undefined) held = [accumulator, time, time + this.graceMs < now ? RIGHT : LEFT];
    else held[0] = accumulator;
    store.put(key, time, held, time);
  }

  /** Here: the next of the two windows of a pane is closed. */
  protected closed(key: unknown, time: number, state: WindowState): void {
    if (state[2] === LEFT) {
      this.store.put(key, time, [state[0], time, RIGHT], time);
      this.tellWindow(key, time - this.sizeMs);
      return;
    }
    this.store.put(key, time, undefined, time);
    const end = time + 1 + this.sizeMs;
    if (this.store.get(key, end) === undefined) this.tellWindow(key, time + 1);
  }

  protected endOf(start: number): number {
    return start + this.sizeMs;
  }

  private tellWindow(key: unknown, start: number): void {
    let merged: WindowState | undefined;
    try {
      merged = mergePanes(this.store, this.merge, key, start, start + this.sizeMs);
    } catch (error) {
      this.context.failed(error, undefined, key);
      return;
    }
    if (merged !== undefined) this.tellLast(key, start, merged);
  }
}

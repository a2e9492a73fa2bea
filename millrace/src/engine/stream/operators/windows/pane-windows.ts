/**
 * Hopping windows that share panes: a record counts in one accumulator, of the piece of time that all windows cut alike, and a window that
 * closes is what its panes give when they are merged. Only for `emit: close`, and aggregations that can be merged.
 *
 *   windows   [─────────────)
 *                  [─────────────)
 *   panes     [────)────)───)────)      (key, start of the pane) → [accumulator, time, next]
 *
 * `next` is the first window of the pane that has not closed; with it the pane is due again and again, until its last one has. All panes of
 * a window and key are due together, one after the other.
 *
 * Source: Li et al., "No Pane, No Gain" (2005).
 *
 * @hot
 */
import type { WindowAggregateNode } from '../../../../flow/stream-nodes.ts';
import type { OperatorContext } from '../operator.ts';
import { recordFailed } from '../record-failure.ts';
import { isSameKey } from '../same-key.ts';
import type { FixedSize } from './fixed-windows.ts';
import { type Merge, mergePanes } from './merged-panes.ts';
import { WindowAggregate } from './window-aggregate.ts';
import { distance, type WindowState } from './window-state.ts';

/** More panes than this for each window of a record: then each window has its own accumulator. */
const PANES_PER_WINDOW_MAX = 4;

/** The length of a pane, or undefined when sharing them would be no gain. */
export function paneOf({ sizeMs, everyMs }: FixedSize): number | undefined {
  const paneMs = greatestCommonDivisor(sizeMs, everyMs);
  const windows = Math.ceil(sizeMs / everyMs);
  return windows > 1 && sizeMs / paneMs <= windows * PANES_PER_WINDOW_MAX ? paneMs : undefined;
}

export class PaneWindows extends WindowAggregate {
  private readonly sizeMs: number;
  private readonly everyMs: number;
  private readonly lifeMs: number;
  private readonly paneMs: number;
  private readonly merge: Merge;
  /** The window and key that was told last: its other panes are due, too. */
  private toldKey: unknown;
  private toldStart = Number.NaN;

  constructor(
    context: OperatorContext<WindowAggregateNode>,
    size: FixedSize,
    paneMs: number,
    merge: Merge,
  ) {
    const lifeMs = size.sizeMs + size.graceMs;
    super(context, (state) => nextOf(state) + lifeMs);
    this.sizeMs = size.sizeMs;
    this.everyMs = size.everyMs;
    this.lifeMs = lifeMs;
    this.paneMs = paneMs;
    this.merge = merge;
  }

  receive(key: unknown, value: unknown, time: number): void {
    const { store } = this;
    const now = this.context.time();
    // A window that is closed must not get what comes now through a pane that it shares.
    if (store.nextDue <= now) this.advance();
    const pane = time - distance(time, this.paneMs);
    const next = this.firstOpen(pane, now);
    if (next > pane) {
      this.late(key, value, time);
      return;
    }
    let held: WindowState | undefined;
    try {
      held = store.get(key, pane);
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
    if (held === undefined) held = [accumulator, time, next];
    else {
      held[0] = accumulator;
      if (time > held[1]) held[1] = time;
    }
    store.put(key, pane, held, held[1]);
  }

  /** Here: the next window of a pane is closed. */
  protected closed(key: unknown, pane: number, state: WindowState): void {
    const start = nextOf(state);
    if (start !== this.toldStart || !isSameKey(key, this.toldKey)) {
      this.toldStart = start;
      this.toldKey = key;
      this.tellMerged(key, start);
    }
    const next = start + this.everyMs;
    this.store.put(
      key,
      pane,
      next > pane ? undefined : [state[0], state[1], next],
      Math.max(state[1], next),
    );
  }

  protected endOf(start: number): number {
    return start + this.sizeMs;
  }

  private tellMerged(key: unknown, start: number): void {
    let merged: WindowState | undefined;
    try {
      merged = mergePanes(this.store, this.merge, key, start, start + this.sizeMs - 1);
    } catch (error) {
      this.context.failed(error, undefined, key);
      return;
    }
    if (merged !== undefined) this.tellLast(key, start, merged);
  }

  /** The first window with this pane that is open; behind the pane: none is. */
  private firstOpen(pane: number, now: number): number {
    const { everyMs } = this;
    const lowest = pane + this.paneMs - this.sizeMs;
    const first = lowest + distance(-lowest, everyMs);
    if (first + this.lifeMs > now) return first;
    const closed = now - this.lifeMs;
    return closed - distance(closed, everyMs) + everyMs;
  }
}

function nextOf(state: WindowState): number {
  return state[2] ?? Number.POSITIVE_INFINITY;
}

function greatestCommonDivisor(a: number, b: number): number {
  let [high, low] = [a, b];
  while (low > 0) [high, low] = [low, high % low];
  return high;
}

/**
 * Tumbling and hopping windows, each with an accumulator of its own: [n * every, n * every + size). A record is late when all of its windows
 * are closed; otherwise it counts in those that are open.
 *
 * @hot
 */
import type { WindowAggregateNode } from '../../../../flow/stream-nodes.ts';
import type { OperatorContext } from '../operator.ts';
import { recordFailed } from '../record-failure.ts';
import { WindowAggregate } from './window-aggregate.ts';
import { distance, type WindowState } from './window-state.ts';

export interface FixedSize {
  readonly sizeMs: number;
  /** From the start of one to the start of the next. */
  readonly everyMs: number;
  readonly graceMs: number;
}

/** One window of a record, as it will be. */
interface Step {
  readonly start: number;
  readonly state: WindowState;
  readonly result: unknown;
  readonly before: unknown;
}

export class FixedWindows extends WindowAggregate {
  private readonly sizeMs: number;
  private readonly everyMs: number;
  /** From the start of a window to T at which it is closed. */
  private readonly lifeMs: number;
  private readonly isTumbling: boolean;

  constructor(context: OperatorContext<WindowAggregateNode>, size: FixedSize) {
    const lifeMs = size.sizeMs + size.graceMs;
    super(context, (_state, start) => start + lifeMs);
    this.sizeMs = size.sizeMs;
    this.everyMs = size.everyMs;
    this.lifeMs = lifeMs;
    this.isTumbling = size.sizeMs === size.everyMs;
  }

  receive(key: unknown, value: unknown, time: number): void {
    const last = time - distance(time, this.everyMs);
    // Between two windows that do not touch.
    if (time >= last + this.sizeMs) return;
    if (last + this.lifeMs <= this.context.time()) this.late(key, value, time);
    else if (this.isTumbling && !this.tellsChanges) this.addTo(key, last, value, time);
    else this.addToAll(key, last, value, time);
  }

  protected closed(key: unknown, start: number, state: WindowState): void {
    this.store.put(key, start, undefined, state[1]);
    this.tellLast(key, start, state);
  }

  protected endOf(start: number): number {
    return start + this.sizeMs;
  }

  /** The fast way: one window, nothing to tell yet. */
  private addTo(key: unknown, start: number, value: unknown, time: number): void {
    const { store } = this;
    let held: WindowState | undefined;
    try {
      held = store.get(key, start);
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
    if (held === undefined) held = [accumulator, time];
    else {
      held[0] = accumulator;
      if (time > held[1]) held[1] = time;
    }
    store.put(key, start, held, held[1]);
  }

  /** All of them, or none: a function that fails on the second leaves the first as it was. */
  private addToAll(key: unknown, last: number, value: unknown, time: number): void {
    const { store, everyMs, sizeMs, lifeMs, tellsChanges, tellsAtOnce } = this;
    const now = this.context.time();
    const steps: Step[] = [];
    for (let start = last; start + sizeMs > time && start + lifeMs > now; start -= everyMs) {
      let held: WindowState | undefined;
      try {
        held = store.get(key, start);
      } catch (error) {
        recordFailed(this.context, error, value, key);
        return;
      }
      try {
        const before = tellsChanges ? this.toldOf(held, key) : undefined;
        const accumulator = this.added(held, value, key);
        const result = tellsAtOnce ? this.resultOf(accumulator, key) : undefined;
        const latest = held !== undefined && held[1] > time ? held[1] : time;
        const state: WindowState =
          held?.[2] === undefined ? [accumulator, latest] : [accumulator, latest, held[2], held[3]];
        steps.push({ start, state, result, before });
      } catch (error) {
        this.context.failed(error, value, key);
        return;
      }
    }
    for (let index = steps.length - 1; index >= 0; index--) {
      const { start, state, result, before } = steps[index] as Step;
      if (tellsChanges) this.changed(key, start, state, result, before);
      else store.put(key, start, state, state[1]);
    }
  }
}

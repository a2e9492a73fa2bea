/** A clock that stands still until it is told to go on, and the timers that go by it. */
import type { Clock, Timer, Timers } from '../core/env.ts';
import { assert, MillraceError } from '../core/errors.ts';

interface Waiting {
  readonly dueMs: number;
  readonly order: number;
  readonly callback: () => void;
}

export class ManualClock implements Clock, Timers {
  #nowMs: number;
  #order = 0;
  readonly #waiting = new Set<Waiting>();

  /** @param nowMs milliseconds since 1970 */
  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  /** Goes on, and runs what becomes due, in order. What that starts and is due by then runs, too. */
  advance(ms: number): void {
    const until = this.#nowMs + ms;
    for (;;) {
      const next = this.#next();
      if (next === undefined || next.dueMs > until) break;
      this.#waiting.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.callback();
    }
    this.#nowMs = until;
  }

  after(delayMs: number, callback: () => void): Timer {
    const waiting = { dueMs: this.#nowMs + delayMs, order: this.#order++, callback };
    this.#waiting.add(waiting);
    return { cancel: () => void this.#waiting.delete(waiting) };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        timer.cancel();
        reject(new MillraceError('ML_ABORTED', 'the wait was cancelled'));
      };
      const timer = this.after(delayMs, () => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      });
      if (signal?.aborted === true) aborted();
      else signal?.addEventListener('abort', aborted, { once: true });
    });
  }

  immediate(callback: () => void): void {
    queueMicrotask(callback);
  }

  /** Goes back to an earlier time, when nothing waits. */
  goBack(nowMs: number): void {
    assert(
      this.#waiting.size === 0 && nowMs <= this.#nowMs,
      'a clock goes back when nothing waits',
    );
    this.#nowMs = nowMs;
  }

  /** When something is due; undefined: nothing waits. */
  get nextMs(): number | undefined {
    return this.#next()?.dueMs;
  }

  #next(): Waiting | undefined {
    let next: Waiting | undefined;
    for (const waiting of this.#waiting)
      if (
        next === undefined ||
        waiting.dueMs < next.dueMs ||
        (waiting.dueMs === next.dueMs && waiting.order < next.order)
      )
        next = waiting;
    return next;
  }
}

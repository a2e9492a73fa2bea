/** One timer for the earliest of many times, by the wall clock, which may jump: so it never waits very long at once. */
import type { Env, Timer } from '../../core/env.ts';

const WAIT_MS_MAX = 60_000;

export class WakeTimer {
  private readonly env: Env;
  private readonly onDue: () => void;
  private timer: Timer | undefined;
  private dueMs = Infinity;

  constructor(env: Env, onDue: () => void) {
    this.env = env;
    this.onDue = onDue;
  }

  /** Calls `onDue` at about this time (milliseconds since 1970) instead of when it was to before. Infinity: never. */
  set(dueMs: number): void {
    if (dueMs === this.dueMs && this.timer !== undefined) return;
    this.timer?.cancel();
    this.timer = undefined;
    this.dueMs = dueMs;
    if (dueMs === Infinity) return;
    const delayMs = Math.min(WAIT_MS_MAX, Math.max(0, Math.ceil(dueMs - this.env.clock.nowMs())));
    this.timer = this.env.timers.after(delayMs, () => {
      this.timer = undefined;
      this.onDue();
    });
  }

  stop(): void {
    this.set(Infinity);
  }
}

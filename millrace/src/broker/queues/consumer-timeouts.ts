/** Tells consumers that have a message for longer than they may. One timer, which runs only while something is with somebody. */
import type { Env, Timer } from '../../core/env.ts';
import { TIMER_DELAY_MS_MAX } from '../../core/limits.ts';
import { CONSUMER_TIMEOUT_CHECK_MS_MIN } from '../../core/queue-limits.ts';
import type { Holder } from './held-delivery.ts';

export class ConsumerTimeouts {
  private readonly env: Env;
  private readonly holders: () => Iterable<Holder>;
  private readonly timeoutMs: number | undefined;
  private timer: Timer | undefined;
  private isStopped = false;

  /** @param holders all that may have messages */
  constructor(env: Env, timeoutMs: number | undefined, holders: () => Iterable<Holder>) {
    this.env = env;
    this.holders = holders;
    this.timeoutMs = timeoutMs;
  }

  /** Something is with somebody. */
  watch(): void {
    const { timeoutMs } = this;
    if (timeoutMs === undefined || this.timer !== undefined || this.isStopped) return;
    this.after(timeoutMs);
  }

  private after(delayMs: number): void {
    this.timer = this.env.timers.after(Math.min(delayMs, TIMER_DELAY_MS_MAX), () => {
      this.timer = undefined;
      this.look();
    });
  }

  private look(): void {
    const { timeoutMs } = this;
    if (timeoutMs === undefined || this.isStopped) return;
    const nowMs = this.env.clock.monotonicMs();
    let oldestMs = Infinity;
    const late: Holder[] = [];
    for (const holder of this.holders()) {
      const heldSinceMs = holder.oldest?.deliveredAtMs ?? Infinity;
      if (holder.isTimedOut) continue;
      if (heldSinceMs + timeoutMs <= nowMs) late.push(holder);
      else oldestMs = Math.min(oldestMs, heldSinceMs);
    }
    if (oldestMs < Infinity)
      this.after(Math.max(CONSUMER_TIMEOUT_CHECK_MS_MIN, Math.ceil(oldestMs + timeoutMs - nowMs)));
    for (const holder of late) {
      const { oldest, consumer } = holder;
      if (oldest === undefined || consumer === undefined) continue;
      holder.isTimedOut = true;
      consumer.timedOut(oldest);
    }
  }

  stop(): void {
    this.isStopped = true;
    this.timer?.cancel();
    this.timer = undefined;
  }
}

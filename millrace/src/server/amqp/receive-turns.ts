/**
 * How long a turn of the event loop works on what connections have sent. A socket hands over megabytes in one turn when they are there,
 * and what is in them may take long: thousands of acknowledgements, consumers, or queues. When time is up whoever has sent more is read
 * again in the next turn.
 *
 * Invariant: in one turn a connection gets to hand over one chunk in any case.
 *
 * @hot
 */
import type { Env } from '../../core/env.ts';
import { AMQP_RECEIVE_MS } from '../../core/queue-limits.ts';

export class ReceiveTurns {
  private readonly env: Env;
  /** In this turn. */
  private spentMs = 0;
  private waiting: (() => void)[] = [];
  private isScheduled = false;

  constructor(env: Env) {
    this.env = env;
  }

  /** A chunk took so long. @returns whether whoever has sent it has to wait: then `goOn` is called in the next turn */
  spend(ms: number, goOn: () => void): boolean {
    this.spentMs += ms;
    if (!this.isScheduled) {
      this.isScheduled = true;
      this.env.timers.immediate(() => this.turn());
    }
    if (this.spentMs < AMQP_RECEIVE_MS) return false;
    this.waiting.push(goOn);
    return true;
  }

  private turn(): void {
    const { waiting } = this;
    this.isScheduled = false;
    this.spentMs = 0;
    if (waiting.length === 0) return;
    this.waiting = [];
    for (const goOn of waiting) goOn();
  }
}

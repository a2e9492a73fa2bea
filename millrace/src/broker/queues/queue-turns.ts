/**
 * Whose turn it is among the queues: those that have something to do, one after the other, a bounded piece of work each; between two
 * rounds the I/O events that wait are dealt with. A round ends when all that waited have had their turn, or QUEUE_ROUND_MS are over: then
 * the next one goes on with those that had none.
 */
import type { Env } from '../../core/env.ts';
import { QUEUE_ROUND_MS } from '../../core/queue-limits.ts';

export interface TurnTaker {
  /** The mark of `QueueTurns`: its turn is coming. Starts as false. */
  hasTurnComing: boolean;
  /** Does a piece of work. @returns whether there is more that could be done at once */
  turn(): boolean;
}

export class QueueTurns {
  private readonly env: Env;
  /** From `first` on, in the order in which they came. */
  private waiting: TurnTaker[] = [];
  private first = 0;
  private isScheduled = false;

  constructor(env: Env) {
    this.env = env;
  }

  /** Gives it a turn soon; one, however often it asks. */
  want(taker: TurnTaker): void {
    if (taker.hasTurnComing) return;
    taker.hasTurnComing = true;
    this.waiting.push(taker);
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.env.timers.immediate(() => this.round());
  }

  private round(): void {
    const { clock } = this.env;
    this.isScheduled = false;
    // Who comes from now on has a turn in the next round.
    const end = this.waiting.length;
    const endMs = clock.monotonicMs() + QUEUE_ROUND_MS;
    try {
      do {
        const taker = this.waiting[this.first++] as TurnTaker;
        taker.hasTurnComing = false;
        if (taker.turn()) this.want(taker);
      } while (this.first < end && clock.monotonicMs() < endMs);
    } finally {
      // One that has failed takes no turn away from the others.
      this.tidy();
    }
  }

  private tidy(): void {
    const { waiting, first } = this;
    if (first === waiting.length) {
      waiting.length = 0;
      this.first = 0;
      return;
    }
    if (first * 2 >= waiting.length) {
      this.waiting = waiting.slice(first);
      this.first = 0;
    }
    this.schedule();
  }
}

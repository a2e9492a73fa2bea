/**
 * Whose turn it is among the queues: those that have something to do, one after the other, a bounded piece of work each; between two
 * rounds the I/O events that wait are dealt with.
 */
import type { Env } from '../../core/env.ts';

export interface TurnTaker {
  /** The mark of `QueueTurns`: its turn is coming. Starts as false. */
  hasTurnComing: boolean;
  /** Does a piece of work. @returns whether there is more that could be done at once */
  turn(): boolean;
}

export class QueueTurns {
  private readonly env: Env;
  private waiting: TurnTaker[] = [];
  private isScheduled = false;

  constructor(env: Env) {
    this.env = env;
  }

  /** Gives it a turn soon; one, however often it asks. */
  want(taker: TurnTaker): void {
    if (taker.hasTurnComing) return;
    taker.hasTurnComing = true;
    this.waiting.push(taker);
    if (this.isScheduled) return;
    this.isScheduled = true;
    this.env.timers.immediate(() => this.round());
  }

  private round(): void {
    this.isScheduled = false;
    const takers = this.waiting;
    this.waiting = [];
    let done = 0;
    try {
      for (const taker of takers) {
        done++;
        taker.hasTurnComing = false;
        if (taker.turn()) this.want(taker);
      }
    } finally {
      // One that has failed takes no turn away from the others.
      for (const taker of takers.slice(done)) {
        taker.hasTurnComing = false;
        this.want(taker);
      }
    }
  }
}

/** Virtual time for programs that need no disk and no network: clock, timers and random numbers from one seed. */
import type { Clock, Env, Timers } from '../../src/core/env.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { SimEvents } from '../../src/core/sim/sim-events.ts';
import { SimRandom } from '../../src/core/sim/sim-random.ts';

export type VirtualEnv = Pick<Env, 'clock' | 'timers' | 'random'>;

export interface VirtualProcess extends VirtualEnv {
  /** Its timers never run again. */
  kill(): void;
}

const START_MS = Date.UTC(2026, 0, 1);

export class VirtualTime {
  readonly events = new SimEvents();
  /** Added to every wall clock: a jump of it. */
  skewMs = 0;
  private readonly random: SimRandom;

  constructor(seed = 1) {
    this.random = new SimRandom(seed);
  }

  /** A process of the machine, with timers of its own. */
  process(): VirtualProcess {
    const owner = { isAlive: true };
    const { events } = this;
    const clock: Clock = {
      nowMs: () => Math.floor(START_MS + events.nowMs + this.skewMs),
      monotonicMs: () => events.nowMs,
    };
    const timers: Timers = {
      after: (delayMs, callback) => {
        const event = events.after(delayMs, owner, callback);
        return { cancel: () => events.cancel(event) };
      },
      sleep: (delayMs, signal) =>
        new Promise((resolve, reject) => {
          const event = events.after(delayMs, owner, resolve);
          signal?.addEventListener('abort', () => {
            events.cancel(event);
            reject(new MillraceError('ML_ABORTED', 'the sleep was cancelled'));
          });
        }),
      immediate: (callback) => {
        events.after(0, owner, callback);
      },
    };
    return {
      clock,
      timers,
      random: this.random.fork(),
      kill: () => {
        owner.isAlive = false;
      },
    };
  }

  /** Lets all run that is due within `ms`, and what it wakes. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.events.nowMs + ms;
    await this.events.drain();
    for (;;) {
      const nextMs = this.events.nextMs();
      if (nextMs === undefined || nextMs > untilMs) break;
      this.events.step();
      await this.events.drain();
    }
    this.events.nowMs = untilMs;
  }
}

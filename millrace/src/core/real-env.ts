/** The machine that the process runs on. */

import { randomBytes, randomUUID } from 'node:crypto';
import type { Clock, Env, Random, Timer, Timers } from './env.ts';
import { assert, MillraceError } from './errors.ts';
import { TIMER_DELAY_MS_MAX } from './limits.ts';
import { RealFileSystem } from './real-files.ts';
import { RealNet } from './real-net.ts';

/** A new Env over the operating system. It holds nothing that must be closed. */
export function realEnv(): Env {
  return {
    fs: new RealFileSystem(),
    clock: realClock,
    timers: realTimers,
    random: realRandom,
    net: new RealNet(),
  };
}

const realClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

const realRandom: Random = {
  next: () => Math.random(),
  bytes: (count) => randomBytes(count),
  uuid: () => randomUUID(),
};

const realTimers: Timers = {
  after: (delayMs, callback) => new RealTimer(delayMs, callback, false),
  sleep: (delayMs, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(abortedError(signal));
        return;
      }
      const timer = new RealTimer(delayMs, finish, true);
      function finish(): void {
        signal?.removeEventListener('abort', abort);
        resolve();
      }
      function abort(): void {
        timer.cancel();
        reject(abortedError(signal));
      }
      signal?.addEventListener('abort', abort, { once: true });
    }),
  immediate: (callback) => {
    setImmediate(callback);
  },
};

/** Node's timers count whole milliseconds of a clock that is read once per turn, and so fire early by up to one:
 * this one looks at the monotonic clock and waits for the rest. */
class RealTimer implements Timer {
  private readonly dueMs: number;
  private readonly callback: () => void;
  private readonly keepsAlive: boolean;
  private handle: NodeJS.Timeout;

  constructor(delayMs: number, callback: () => void, keepsAlive: boolean) {
    assert(delayMs >= 0 && delayMs <= TIMER_DELAY_MS_MAX, `a delay of ${delayMs} ms`);
    this.dueMs = performance.now() + delayMs;
    this.callback = callback;
    this.keepsAlive = keepsAlive;
    this.handle = this.arm(delayMs);
  }

  cancel(): void {
    clearTimeout(this.handle);
  }

  private arm(delayMs: number): NodeJS.Timeout {
    const handle = setTimeout(this.onTimeout, delayMs);
    return this.keepsAlive ? handle : handle.unref();
  }

  private readonly onTimeout = (): void => {
    if (performance.now() >= this.dueMs) this.callback();
    else this.handle = this.arm(1);
  };
}

function abortedError(signal: AbortSignal | undefined): MillraceError {
  return new MillraceError('ML_ABORTED', 'a wait was cancelled', { cause: signal?.reason });
}

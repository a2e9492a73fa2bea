/** Waits for promises of the program under test, which take the time that they take: not that of the clock of the test. */
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { TEST_CALLS_MS } from '../core/stream-limits.ts';
import type { ClusterWorker } from './memory-cluster.ts';

/** So many turns it waits without a pause: most promises need no more. */
const TURNS = 100;
const PAUSE_MS = 1;

export class Patience {
  /** A call waits. */
  isWaiting = false;
  readonly #env: Pick<Env, 'clock' | 'timers'>;

  constructor(env: Pick<Env, 'clock' | 'timers'>) {
    this.#env = env;
  }

  /** @throws {MillraceError} ML_USER_FUNCTION when they do not come back */
  async drain({ tasks }: ClusterWorker): Promise<void> {
    const { clock, timers } = this.#env;
    const sinceMs = clock.monotonicMs();
    try {
      for (let turn = 0; ; turn++) {
        const pending = tasks.reduce((sum, { task }) => sum + task.pending, 0);
        if (pending === 0) return;
        if (clock.monotonicMs() - sinceMs > TEST_CALLS_MS) throw neverBack(pending);
        this.isWaiting = true;
        if (turn < TURNS) await new Promise<void>((resolve) => timers.immediate(resolve));
        else await timers.sleep(PAUSE_MS);
        for (const { task } of tasks) task.process(0);
      }
    } finally {
      this.isWaiting = false;
    }
  }
}

function neverBack(pending: number): MillraceError {
  return new MillraceError(
    'ML_USER_FUNCTION',
    `${pending} calls of asynchronous functions have not come back for ${TEST_CALLS_MS / 1000} seconds`,
    {
      hint: 'Settle their promises; or, to see a timeout, call `advance` before the call that waits has resolved',
    },
  );
}

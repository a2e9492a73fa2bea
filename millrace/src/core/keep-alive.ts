/** Keeps the process alive for who waits for something that Node does not count: timers and pipes within the process. */
import { TIMER_DELAY_MS_MAX } from './limits.ts';
import type { Timers } from './env.ts';

/** Until it is closed. */
export function keepAlive(timers: Timers): { close(): void } {
  const closing = new AbortController();
  const wait = async (): Promise<void> => {
    for (;;) await timers.sleep(TIMER_DELAY_MS_MAX, closing.signal);
  };
  // It ends by being called off.
  wait().catch(() => {});
  return {
    close: () => {
      closing.abort();
    },
  };
}

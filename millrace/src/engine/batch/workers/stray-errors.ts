/**
 * Errors of the user's code that nobody waits for: a promise without a handler, a throw in a callback. By itself Node would end the
 * process for them; here they fail the task that runs.
 */
import type { Timers } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';

/** Tasks that are watched. */
let watched = 0;

/** Calls `handler` with such errors when no task is there to fail. For the rest of the life of the process. */
export function onUnwatchedStray(handler: (error: unknown) => void): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      if (watched === 0) handler(error);
    });
  }
}

/** Runs `work`; rejects, early, when such an error comes up meanwhile. */
export async function watchStrays<Result>(
  timers: Timers,
  work: () => Promise<Result>,
): Promise<Result> {
  let fail: (error: MillraceError) => void = () => {};
  const stray = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  const onStray = (error: unknown): void => {
    fail(strayError(error));
  };
  watched++;
  process.on('uncaughtException', onStray);
  process.on('unhandledRejection', onStray);
  try {
    const result = await Promise.race([work(), stray]);
    // Node tells of a rejection only at the end of its turn.
    const turn = new Promise<void>((resolve) => {
      timers.immediate(resolve);
    });
    await Promise.race([turn, stray]);
    return result;
  } finally {
    watched--;
    process.off('uncaughtException', onStray);
    process.off('unhandledRejection', onStray);
  }
}

export function strayError(error: unknown): MillraceError {
  const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new MillraceError(
    'ML_USER_FUNCTION',
    `the program failed outside of the functions that were called: ${reason}`,
    {
      cause: error,
      hint: 'Return, or await, every promise that a function starts',
      fields: { isStray: true },
    },
  );
}

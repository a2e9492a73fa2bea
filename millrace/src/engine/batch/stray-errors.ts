/**
 * Errors of the user's code that nobody waits for: a promise without a handler, a throw in a callback. By itself Node would end the
 * process for them; here they fail the task that runs.
 */
import { MillraceError } from '../../core/errors.ts';

/** Runs `work`; rejects early when such an error comes up meanwhile. */
export async function watchStrays<Result>(work: () => Promise<Result>): Promise<Result> {
  let fail: (error: MillraceError) => void = () => {};
  const stray = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  const onStray = (error: unknown): void => {
    fail(strayError(error));
  };
  process.on('uncaughtException', onStray);
  process.on('unhandledRejection', onStray);
  try {
    return await Promise.race([work(), stray]);
  } finally {
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

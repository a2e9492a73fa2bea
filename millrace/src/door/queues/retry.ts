/** When a message is tried again that could not be handled. */
import { MillraceError } from '../../core/errors.ts';
import { checkOptionNames, type OptionNames } from '../../core/option-names.ts';
import {
  DELAY_MS_MAX,
  WORK_ATTEMPTS,
  WORK_ATTEMPTS_MAX,
  WORK_DELAY_MS,
  WORK_DELAY_MS_MAX,
  WORK_JITTER,
} from '../../core/queue-limits.ts';
import { DURATION_FORMS, type Duration, millisecondsOf } from '../../flow/durations.ts';

export interface RetryOptions {
  /** How often a message is tried in all: 1 to 1,000. The queue has a limit of its own (`deliveryLimit`, 20). Default 5. */
  readonly attempts?: number;
  /** How the delays grow: each twice the one before, or all the same; or a function that says the next one. Default `exponential`. */
  readonly backoff?: 'exponential' | 'fixed' | ((failure: Failure) => Duration);
  /** Before the second attempt. Default 1 second. */
  readonly delay?: Duration;
  /** No delay is longer. Default 1 hour. */
  readonly maxDelay?: Duration;
  /** Of each delay at most this part is taken off, at random, so that what has failed together does not come back together: 0 to 1. Default 0.2. */
  readonly jitter?: number;
  /** false: the message becomes a dead letter at once, as for `DoNotRetry`. */
  readonly retryIf?: (failure: Failure) => boolean;
}

export interface Failure {
  /** What the handler has thrown; ML_WORK_TIMEOUT when it took too long. */
  readonly error: unknown;
  /** Which one it was, from 1. */
  readonly attempt: number;
}

/**
 * Thrown by a handler: the message is not tried again, and becomes a dead letter.
 * @example throw new DoNotRetry('the address does not exist');
 */
export class DoNotRetry extends Error {
  override readonly name = 'DoNotRetry';
}

const RETRY_OPTIONS: OptionNames<RetryOptions> = {
  attempts: true,
  backoff: true,
  delay: true,
  maxDelay: true,
  jitter: true,
  retryIf: true,
};

/** Milliseconds until the next attempt; undefined: there is none. */
export type NextDelay = (failure: Failure) => number | undefined;

/**
 * @param random uniform in [0, 1)
 * @throws {MillraceError} ML_CONFIG_INVALID
 */
export function retrying(options: RetryOptions, random: () => number): NextDelay {
  checkOptionNames('retry', options, RETRY_OPTIONS);
  const { attempts = WORK_ATTEMPTS, backoff = 'exponential', jitter = WORK_JITTER } = options;
  const { retryIf } = options;
  const delayMs = delayOf('retry.delay', options.delay, WORK_DELAY_MS);
  const delayMsMax = delayOf('retry.maxDelay', options.maxDelay, WORK_DELAY_MS_MAX);
  if (!(Number.isInteger(attempts) && attempts >= 1 && attempts <= WORK_ATTEMPTS_MAX))
    throw invalid('retry.attempts', attempts, `an integer from 1 to ${WORK_ATTEMPTS_MAX}`);
  if (!(jitter >= 0 && jitter <= 1)) throw invalid('retry.jitter', jitter, 'from 0 to 1');
  if (typeof backoff !== 'function' && backoff !== 'exponential' && backoff !== 'fixed')
    throw invalid('retry.backoff', backoff, `'exponential', 'fixed' or a function`);
  const chosen = (failure: Failure): number => {
    if (typeof backoff === 'function')
      return delayOf('what retry.backoff returns', backoff(failure), 0);
    // Not beyond what a double holds: the longest delay is reached long before.
    return backoff === 'fixed' ? delayMs : delayMs * 2 ** Math.min(failure.attempt - 1, 60);
  };
  return (failure) => {
    if (failure.error instanceof DoNotRetry || failure.attempt >= attempts) return undefined;
    if (retryIf?.(failure) === false) return undefined;
    const wanted = Math.min(chosen(failure), delayMsMax);
    return Math.round(wanted * (1 - jitter * random()));
  };
}

function delayOf(what: string, given: Duration | undefined, otherwise: number): number {
  if (given === undefined) return otherwise;
  const ms = millisecondsOf(given);
  if (ms === undefined) throw invalid(what, given, DURATION_FORMS);
  if (ms > DELAY_MS_MAX) throw invalid(what, given, `at most ${DELAY_MS_MAX} ms (49 days)`);
  return ms;
}

export function invalid(what: string, given: unknown, allowed: string): MillraceError {
  const shown = typeof given === 'string' ? JSON.stringify(given) : String(given);
  return new MillraceError('ML_CONFIG_INVALID', `${what} is ${shown}, and must be ${allowed}`, {
    hint: `Give ${what} ${allowed}`,
  });
}

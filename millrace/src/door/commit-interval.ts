/** How often it is committed, as programs write it. */
import { MillraceError } from '../core/errors.ts';
import { type Duration, DURATION_FORMS, durationText, millisecondsOf } from '../flow/durations.ts';

/** @throws {MillraceError} ML_CONFIG_INVALID for what is no length of time, or not within the bounds */
export function commitIntervalMs(
  given: Duration,
  { minMs, maxMs }: { readonly minMs: number; readonly maxMs: number },
): number {
  const ms = millisecondsOf(given);
  if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms;
  throw new MillraceError(
    'ML_CONFIG_INVALID',
    `commitInterval is ${durationText(minMs)} to ${durationText(maxMs)}, not ${String(given)}`,
    { hint: `Write ${DURATION_FORMS}` },
  );
}

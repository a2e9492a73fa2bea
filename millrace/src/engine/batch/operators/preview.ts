/** Values in messages. */
import { inspect } from 'node:util';
import { FAILED_VALUE_CHARACTERS_MAX } from '../../../core/limits.ts';

/** A value for a message, on one line, cut to a bound. */
export function preview(value: unknown): string {
  const text =
    typeof value === 'string'
      ? JSON.stringify(value.slice(0, FAILED_VALUE_CHARACTERS_MAX))
      : inspect(value, {
          depth: 2,
          breakLength: Number.POSITIVE_INFINITY,
          maxArrayLength: 10,
          maxStringLength: FAILED_VALUE_CHARACTERS_MAX,
        });
  return text.length <= FAILED_VALUE_CHARACTERS_MAX
    ? text
    : `${text.slice(0, FAILED_VALUE_CHARACTERS_MAX - 1)}…`;
}

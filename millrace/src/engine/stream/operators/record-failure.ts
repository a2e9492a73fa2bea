/** Errors that say something about a record, apart from those that say something about the machine. */
import { MillraceError } from '../../../core/errors.ts';
import type { OperatorContext } from './operator.ts';

const OF_RECORDS: ReadonlySet<string> = new Set([
  'ML_COLUMN_UNKNOWN',
  'ML_KEY_INVALID',
  'ML_VALUE_INVALID',
  'ML_USER_FUNCTION',
]);

/**
 * The record cannot go on: it, or its key, cannot be encoded.
 * @throws what stops the task: also every error that says nothing about the record
 */
export function recordFailed(
  context: Pick<OperatorContext, 'failed'>,
  error: unknown,
  value: unknown,
  key: unknown,
): void {
  if (!(error instanceof MillraceError) || !OF_RECORDS.has(error.code)) throw error;
  context.failed(error, value, key);
}

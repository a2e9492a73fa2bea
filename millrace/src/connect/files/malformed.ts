/** The errors of decoders: where a row breaks, and what is wrong with it. */
import { MillraceError } from '../../core/errors.ts';

export interface RowFault {
  /** `path:line`. */
  readonly position: string;
  /** From 1, in UTF-16 units of the line; undefined: the row as a whole. */
  readonly column?: number | undefined;
  readonly what: string;
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** ML_INPUT_MALFORMED: `people.csv:7:12: text behind a closing quote`. */
export function malformedRow(fault: RowFault): MillraceError {
  const { position, column, what, hint, cause } = fault;
  const at = column === undefined ? position : `${position}:${column}`;
  return new MillraceError('ML_INPUT_MALFORMED', `${at}: ${what}`, {
    fields: { position, ...(column === undefined ? {} : { column }) },
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  });
}

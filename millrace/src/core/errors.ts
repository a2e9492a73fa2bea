/**
 * The one error class, and the catalogue of its codes. A code is part of the public interface: it is never renamed
 * and never reused. `docs/reference/errors.md` is checked against the catalogue both ways.
 */

export interface ErrorEntry {
  /** What went wrong, in one sentence without a final period. */
  readonly summary: string;
  /** Whether the same call may succeed later without anything being changed by a person. */
  readonly retriable: boolean;
  /** What to do about it: the default of `MillraceError.hint`. */
  readonly hint: string;
}

/** NOTE: public names, do not rename or reuse. Sorted by code. */
export const ERRORS = {
  ML_ABORTED: {
    summary: 'The operation was cancelled by its caller',
    retriable: false,
    hint: 'Nothing to do: the caller asked for it',
  },
  ML_ASSERT: {
    summary: 'A programming error inside Millrace',
    retriable: false,
    hint: 'Report it with the message and the stack',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorOptions {
  /** Defaults to the catalogue's. */
  readonly retriable?: boolean;
  /** The command or change that fixes it. Defaults to the catalogue's. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** What failed: file, topic, partition, offset, and so on. */
  readonly fields?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * Every error that Millrace throws or rejects with.
 * @example throw new MillraceError('ML_DISK_FULL', 'no space left to append to topic orders', { fields: { partition: 3 } })
 */
export class MillraceError extends Error {
  override readonly name = 'MillraceError';
  readonly code: ErrorCode;
  readonly retriable: boolean;
  readonly hint: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retriable = options.retriable ?? ERRORS[code].retriable;
    this.hint = options.hint ?? ERRORS[code].hint;
    this.fields = options.fields ?? {};
  }
}

/** Throws ML_ASSERT when `condition` does not hold: for programmer errors only, never for input. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new MillraceError('ML_ASSERT', message);
}

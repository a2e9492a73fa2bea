/** Errors of the operating system as catalogue codes. Source: errno(3), libuv's error names. */

import type { ErrorCode } from './errors.ts';
import { MillraceError } from './errors.ts';

const CODES: Readonly<Record<string, ErrorCode>> = {
  EACCES: 'ML_PERMISSION',
  EADDRINUSE: 'ML_ADDRESS_IN_USE',
  EADDRNOTAVAIL: 'ML_ADDRESS_UNAVAILABLE',
  EDQUOT: 'ML_DISK_FULL',
  EEXIST: 'ML_FILE_EXISTS',
  EFBIG: 'ML_DISK_FULL',
  EMFILE: 'ML_TOO_MANY_FILES',
  ENFILE: 'ML_TOO_MANY_FILES',
  ENOENT: 'ML_FILE_NOT_FOUND',
  ENOSPC: 'ML_DISK_FULL',
  ENOTFOUND: 'ML_ADDRESS_UNAVAILABLE',
  EPERM: 'ML_PERMISSION',
  EROFS: 'ML_READ_ONLY',
};

/** Where the hint of the code would send people the wrong way. */
const HINTS: Readonly<Record<string, string>> = {
  ELOOP:
    'A link of that path leads back to itself: correct where it leads, or name the file itself',
  ENAMETOOLONG: 'A name of that path is longer than the file system allows: shorten it',
  ENOTDIR: 'A part of that path is a file where a directory has to be: correct the path',
};
const ACCESS_HINT =
  '`ls -ld` on that path, and on the directories above it, shows who may use it: give it to the user that runs Millrace (`chown`, `chmod`)';

/** The error name of the operating system, such as ENOENT; undefined for any other error. */
export function errnoName(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string')
    return undefined;
  return error.code;
}

/**
 * What a failed system call is thrown as.
 * @param doing the action and its object, such as `write /data/0.log`
 * @param code when the code does not follow from the error name alone
 */
export function systemError(
  error: unknown,
  doing: string,
  code?: ErrorCode,
  fields?: Readonly<Record<string, string | number | boolean>>,
): MillraceError {
  if (error instanceof MillraceError) return error;
  const name = errnoName(error);
  // Node's own argument checks (ERR_…) are mistakes of ours, not of the machine.
  const guess = name?.startsWith('ERR_') === true ? 'ML_ASSERT' : (CODES[name ?? ''] ?? 'ML_IO');
  const isOfFile = guess === 'ML_PERMISSION' && fields?.['path'] !== undefined;
  const hint = isOfFile ? ACCESS_HINT : HINTS[name ?? ''];
  const reason = error instanceof Error ? error.message : String(error);
  return new MillraceError(code ?? guess, `cannot ${doing}: ${reason}`, {
    cause: error,
    fields: { ...fields, ...(name === undefined ? {} : { errno: name }) },
    ...(hint === undefined ? {} : { hint }),
  });
}

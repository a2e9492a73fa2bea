/** What is said of values that cannot be keys, and of bytes that are none. */
import { MillraceError } from './errors.ts';
import { KEY_DEPTH_MAX } from './limits.ts';

export function invalid(key: unknown): MillraceError {
  return new MillraceError('ML_KEY_INVALID', `${describe(key)} cannot be a key`);
}

export function tooDeep(): MillraceError {
  return new MillraceError(
    'ML_KEY_INVALID',
    `an array that is nested more than ${KEY_DEPTH_MAX} levels deep cannot be a key`,
  );
}

/** For a sentence: `a function`, `a Map`, `a plain object`. */
function describe(value: unknown): string {
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return 'a plain object';
  const { constructor } = value;
  return typeof constructor === 'function' && constructor.name !== ''
    ? `an instance of ${constructor.name}`
    : 'an object';
}

export function malformed(): MillraceError {
  return new MillraceError('ML_IO', 'the bytes are not a key: they were damaged on their way', {
    hint: 'Look for disk errors with `dmesg`, and run the job again',
  });
}

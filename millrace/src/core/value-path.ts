/** What in a value cannot be encoded, and where: for the message of an error, after the codec has given up. */
import { VALUE_DEPTH_MAX } from './limits.ts';

export interface InvalidPart {
  /** `the value`, or the way to the part: `.orders[3].total`. */
  readonly path: string;
  /** For a sentence: `a function`. */
  readonly reason: string;
}

/** What an object is that can be neither written as fields nor as one of the known kinds. */
const OPAQUE: readonly (readonly [abstract new (...args: never[]) => object, string])[] = [
  [Promise, 'a promise (an await is missing)'],
  [WeakMap, 'a WeakMap'],
  [WeakSet, 'a WeakSet'],
  [WeakRef, 'a WeakRef'],
  [RegExp, 'a RegExp'],
  [Error, 'an Error'],
  [ArrayBuffer, 'an ArrayBuffer'],
  [SharedArrayBuffer, 'a SharedArrayBuffer'],
  [String, 'a String object'],
  [Number, 'a Number object'],
  [Boolean, 'a Boolean object'],
];

/** Whether an object that is of no known kind can be taken as its own enumerable fields. */
export function isData(value: object): boolean {
  return opaque(value) === undefined;
}

function opaque(value: object): string | undefined {
  if (ArrayBuffer.isView(value) && !(value instanceof Uint8Array))
    return `a ${value.constructor.name}`;
  return OPAQUE.find(([kind]) => value instanceof kind)?.[1];
}

/** The first part of `value`, in the order of encoding, that makes it impossible. */
export function whereInvalid(value: unknown): InvalidPart {
  return find(value, '', 0) ?? { path: 'the value', reason: 'of an unknown kind' };
}

function find(value: unknown, path: string, depth: number): InvalidPart | undefined {
  const at = path === '' ? 'the value' : path;
  if (typeof value === 'function') return { path: at, reason: 'a function' };
  if (typeof value === 'symbol') return { path: at, reason: 'a symbol' };
  if (typeof value !== 'object' || value === null) return undefined;
  if (depth >= VALUE_DEPTH_MAX)
    return {
      path: `${at.slice(0, 60)}…`,
      reason: `nested more than ${VALUE_DEPTH_MAX} levels deep (a cycle?)`,
    };
  for (const [step, part] of parts(value)) {
    const found = find(part, path + step, depth + 1);
    if (found !== undefined) return found;
  }
  const reason = opaque(value);
  return reason === undefined ? undefined : { path: at, reason };
}

function parts(value: object): (readonly [string, unknown])[] {
  if (Array.isArray(value)) return value.map((part: unknown, index) => [`[${index}]`, part]);
  if (value instanceof Date || value instanceof Uint8Array) return [];
  if (value instanceof Map)
    return [...value].flatMap(([key, part], index) => [
      [`.keys()[${index}]`, key],
      [`.get(${typeof key === 'string' ? JSON.stringify(key) : index})`, part],
    ]);
  if (value instanceof Set) return [...value].map((part: unknown) => ['.values()', part]);
  if (opaque(value) !== undefined) return [];
  return Object.entries(value).map(([key, part]) => [
    /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`,
    part,
  ]);
}

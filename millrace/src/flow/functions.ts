/** The functions that the language itself puts into a plan. */
import type { Key } from '../core/key-order.ts';
import type { ValueFunction } from './plan.ts';
import type { Entry } from './stream-options.ts';

const PARTS = new WeakMap<object, readonly unknown[]>();

/** Remembers what a function was made of: functions and data that its own text does not show. */
export function madeOf<T extends object>(parts: readonly unknown[], fn: T): T {
  PARTS.set(fn, parts);
  return fn;
}

/** What `madeOf` was told; nothing for functions of the user. */
export function partsOf(fn: object): readonly unknown[] {
  return PARTS.get(fn) ?? [];
}

export function identity(value: unknown): unknown {
  return value;
}

export function toEntry(value: unknown, key: unknown): Entry<unknown, unknown> {
  return { key, value };
}

export function valueOfEntry(entry: Entry<unknown, unknown>): unknown {
  return entry.value;
}

/** What `emit` of a mapper was given. */
export type Pair = readonly [key: Key, value: unknown];

export function keyOfPair(pair: Pair): Key {
  return pair[0];
}

export function valueOfPair(pair: Pair): unknown {
  return pair[1];
}

export function zero(): number {
  return 0;
}

export function increment(count: unknown): number {
  return (count as number) + 1;
}

export function plus(left: unknown, right: unknown): number {
  return (left as number) + (right as number);
}

/** The accumulator of those that keep a value: there is none yet. */
export function nothing(): undefined {
  return undefined;
}

export function isSomething(value: unknown): boolean {
  return value !== undefined;
}

/** Latest values that are null mean that the key was deleted, as in a changelog. */
export function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** Keeps the first value. */
export function keepLeft(left: unknown, right: unknown): unknown {
  return left === undefined ? right : left;
}

/** Keeps the last value. */
export function keepRight(_left: unknown, right: unknown): unknown {
  return right;
}

/** `fn` on two values, either of which may not be there. */
export function reducer(
  fn: (left: unknown, right: unknown) => unknown,
): (left: unknown, right: unknown) => unknown {
  return madeOf([fn], (left: unknown, right: unknown) => {
    if (left === undefined) return right;
    return right === undefined ? left : fn(left, right);
  });
}

/** Takes a value out of what `reducer` has put together; what is empty stays so. */
export function unreducer(
  fn: (left: unknown, right: unknown) => unknown,
): (left: unknown, right: unknown) => unknown {
  return madeOf([fn], (left: unknown, right: unknown) =>
    left === undefined ? undefined : fn(left, right),
  );
}

/** `fn` of a join whose sides have changed places. */
export function flipped(
  fn: (left: unknown, right: unknown, key: unknown) => unknown,
): (left: unknown, right: unknown, key: unknown) => unknown {
  return madeOf([fn], (left: unknown, right: unknown, key: unknown) => fn(right, left, key));
}

export function keyOfRecord(_value: unknown, key: unknown): unknown {
  return key;
}

/** For each predicate, and last for none of them: whether it is the first that holds: as for `filter`, anything
 * truthy does. */
export function branchFilters(predicates: readonly ValueFunction[]): ValueFunction[] {
  const firstTrue = (value: unknown, key: unknown, from: number): number | Promise<number> => {
    for (let index = from; index < predicates.length; index++) {
      const answer = predicates[index]?.(value, key);
      if (answer instanceof Promise) {
        return answer.then((holds: unknown) => (holds ? index : firstTrue(value, key, index + 1)));
      }
      if (answer) return index;
    }
    return predicates.length;
  };
  return Array.from({ length: predicates.length + 1 }, (_, branch): ValueFunction => {
    return madeOf([...predicates, branch], (value: unknown, key: unknown) => {
      const first = firstTrue(value, key, 0);
      return typeof first === 'number' ? first === branch : first.then((index) => index === branch);
    });
  });
}

/** `rows()` of a stream of lines. Engines that compute on bytes know it by its identity. */
export function rowOfLine(line: unknown): { readonly line: unknown } {
  return { line };
}

/** The line of a row of the one column `line`. */
export function lineOfRow(row: unknown): unknown {
  return (row as { readonly line: unknown }).line;
}

/** A node that keeps the latest value of each key, `undefined` and `null`, too. */
export const LATEST_OF_KEY = Object.freeze({
  kind: 'aggregate',
  init: nothing,
  add: keepRight,
  merge: keepRight,
  finish: undefined,
  builtin: undefined,
  isKeyed: true,
} as const);

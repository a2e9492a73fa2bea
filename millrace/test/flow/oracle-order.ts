/** The order of keys, compared as values rather than as bytes: the oracle's own reading of what `core/key-codec.ts` promises. */
import { isDescending } from '../../src/core/key-order.ts';

/**
 * undefined < null < booleans < numbers < bigints < dates < strings (by code point) < bytes < arrays (element by element, shorter
 * first). -0 is 0; NaN, and a date that is none, come last among their kind. `desc` turns the order around and comes last of all.
 */
export function compareOracleKeys(left: unknown, right: unknown): number {
  const rank = rankOf(left) - rankOf(right);
  if (rank !== 0) return rank;
  if (left === undefined || left === null) return 0;
  if (typeof left === 'string') return compareText(left, String(right));
  if (left instanceof Date) return compareNumbers(left.getTime(), (right as Date).getTime());
  if (typeof left === 'number') return compareNumbers(left, Number(right));
  if (left instanceof Uint8Array) return Buffer.compare(left, right as Uint8Array);
  if (Array.isArray(left)) return compareArrays(left, right as unknown[]);
  if (isDescending(left)) return -compareOracleKeys(left.value, (right as typeof left).value);
  return (left as bigint) < (right as bigint) ? -1 : left === right ? 0 : 1;
}

function rankOf(key: unknown): number {
  if (key === undefined) return 0;
  if (key === null) return 1;
  if (typeof key === 'boolean') return 2;
  if (typeof key === 'number') return 3;
  if (typeof key === 'bigint') return 4;
  if (key instanceof Date) return 5;
  if (typeof key === 'string') return 6;
  if (key instanceof Uint8Array) return 7;
  if (Array.isArray(key)) return 8;
  if (isDescending(key)) return 9;
  throw new TypeError(`a ${typeof key} is no key`);
}

function compareNumbers(left: number, right: number): number {
  if (Number.isNaN(left) || Number.isNaN(right))
    return Number(Number.isNaN(left)) - Number(Number.isNaN(right));
  return left < right ? -1 : left > right ? 1 : 0;
}

function compareText(left: string, right: string): number {
  const lefts = Array.from(left, (point) => point.codePointAt(0) ?? 0);
  const rights = Array.from(right, (point) => point.codePointAt(0) ?? 0);
  for (const [at, point] of lefts.entries()) {
    const other = rights[at];
    if (other === undefined) return 1;
    if (point !== other) return point - other;
  }
  return lefts.length - rights.length;
}

function compareArrays(left: readonly unknown[], right: readonly unknown[]): number {
  for (const [at, element] of left.entries()) {
    if (at >= right.length) return 1;
    const order = compareOracleKeys(element, right[at]);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

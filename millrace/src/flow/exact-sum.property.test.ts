import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addToSum, mergeSums, newSum, type NumberSum, sumOf } from './exact-sum.ts';

const view = new DataView(new ArrayBuffer(8));

/** A finite double as an integer number of 2^-1074. */
function exact(value: number): bigint {
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const magnitude =
    exponent === 0 ? fraction : (fraction | 0x10000000000000n) << BigInt(exponent - 1);
  return bits >> 63n === 1n ? -magnitude : magnitude;
}

/** The nearest double, ties to even, to so many 2^-1074: by its own arithmetic on integers. */
function nearest(sum: bigint): number {
  const magnitude = sum < 0n ? -sum : sum;
  const length = magnitude.toString(2).length;
  const drop = BigInt(Math.max(length - 53, 0));
  let kept = magnitude >> drop;
  const rest = magnitude - (kept << drop);
  const half = drop === 0n ? 1n : 1n << (drop - 1n);
  if (drop > 0n && (rest > half || (rest === half && kept % 2n === 1n))) kept++;
  // In two steps, each a power of two times an integer, so that nothing is rounded again.
  const value =
    drop > 1000n
      ? Number(kept) * 2 ** (Number(drop) - 1074)
      : Number(kept << (drop > 50n ? 0n : drop)) *
        2 ** (drop > 50n ? Number(drop) - 1000 : -1000) *
        2 ** -74;
  return (sum < 0n ? -value : value) + 0;
}

function oracle(values: readonly number[]): number {
  return nearest(values.reduce((sum, value) => sum + exact(value), 0n));
}

function total(values: readonly number[]): NumberSum {
  const sum = newSum();
  for (const value of values) addToSum(sum, value);
  return sum;
}

const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
const near = fc
  .tuple(fc.integer({ min: -(2 ** 53), max: 2 ** 53 }), fc.integer({ min: -60, max: 60 }))
  .map(([mantissa, exponent]) => mantissa * 2 ** exponent);
const huge = fc
  .tuple(fc.integer({ min: -(2 ** 53) + 1, max: 2 ** 53 - 1 }), fc.integer({ min: 900, max: 970 }))
  .map(([mantissa, exponent]) => mantissa * 2 ** exponent);
const tiny = fc.integer({ min: -(2 ** 53), max: 2 ** 53 }).map((units) => units * 2 ** -1074);
const cents = fc.integer({ min: -100_000, max: 100_000 }).map((value) => value / 100);
const number = fc.oneof(finite, near, huge, tiny, cents, fc.integer());
/** Some numbers come back negated, so that sums cancel. */
const numbers = fc
  .tuple(fc.array(number, { maxLength: 30 }), fc.array(fc.nat(29), { maxLength: 20 }))
  .map(([values, back]) => [
    ...values,
    ...back.flatMap((index) => (index < values.length ? [-(values[index] ?? 0)] : [])),
  ]);

test('the oracle agrees with doubles where they are exact', () => {
  fc.assert(
    fc.property(number, (value) => {
      expect(nearest(exact(value))).toBe(value + 0);
    }),
  );
});

test('a sum is the exact sum, rounded once', () => {
  fc.assert(
    fc.property(numbers, (values) => {
      expect(sumOf(total(values))).toBe(oracle(values));
    }),
    { numRuns: 3_000 },
  );
});

test('a sum does not depend on order or grouping, nor on going through JSON', () => {
  fc.assert(
    fc.property(
      numbers,
      fc.array(fc.nat(), { maxLength: 5 }),
      fc.infiniteStream(fc.nat()),
      (values, cuts, order) => {
        const shuffled = values
          .map((value) => ({ value, at: order.next().value }))
          .toSorted((a, b) => a.at - b.at)
          .map(({ value }) => value);
        const bounds = [0, ...cuts.map((cut) => cut % (values.length + 1)), values.length];
        bounds.sort((a, b) => a - b);
        const merged = newSum();
        bounds.slice(1).forEach((end, index) => {
          const part = total(shuffled.slice(bounds[index], end));
          mergeSums(merged, JSON.parse(JSON.stringify(part)) as NumberSum);
        });
        expect(sumOf(merged)).toBe(sumOf(total(values)));
        expect(merged.count).toBe(values.length);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('sums that overflow on the way come out right', () => {
  const most = Number.MAX_VALUE;
  expect(sumOf(total([most, most, -most, -most, 1]))).toBe(1);
  expect(sumOf(total([most, most, -most]))).toBe(most);
  expect(sumOf(total([most, most]))).toBe(Number.POSITIVE_INFINITY);
  // Between two doubles, which the smallest number there is decides.
  expect(sumOf(total([2 ** 1000, 2 ** 947, 5e-324]))).toBe(2 ** 1000 + 2 ** 948);
  expect(sumOf(total([2 ** 1000, 2 ** 947, -5e-324]))).toBe(2 ** 1000);
  expect(sumOf(total([2 ** 970, -(2 ** 969), -(2 ** 969), 5e-324]))).toBe(5e-324);
});

test('infinities and NaN are what IEEE 754 makes of them', () => {
  const { POSITIVE_INFINITY: infinity, NaN: none } = Number;
  expect(sumOf(total([1, infinity, 2]))).toBe(infinity);
  expect(sumOf(total([1, -infinity]))).toBe(-infinity);
  expect(sumOf(total([infinity, -infinity]))).toBeNaN();
  expect(sumOf(total([none, infinity]))).toBeNaN();
});

test('sums of integers and of prices stay two numbers', () => {
  const sum = total(Array.from({ length: 1_000 }, (_, index) => index * 1_000_003));
  expect(sum).toMatchObject({
    rest: null,
    large: null,
    sum: (999 * 1_000 * 1_000_003) / 2,
    low: 0,
  });
  const prices = Array.from({ length: 10_000 }, (_, index) => ((index * 7_919) % 100_003) / 100);
  expect(total(prices).rest).toBeNull();
  expect(sumOf(total(prices))).toBe(oracle(prices));
});

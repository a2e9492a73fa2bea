import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../core/byte-writer.ts';
import { decodeValue, encodeValue } from '../core/value-codec.ts';
import { columnAggregation } from './column-aggregation.ts';
import type { ColumnAggregates, ColumnValue } from './columns.ts';
import { compareText } from './compare-text.ts';

const value: fc.Arbitrary<ColumnValue> = fc.oneof(
  fc.integer({ min: -5, max: 5 }),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }),
  fc.constantFrom(0, -0, 0.1, 0.2, 0.3),
  fc.constantFrom('', 'a', 'b', '\uffff', '\u{10000}', 'é'),
  fc.boolean(),
  fc.constant(null),
);

const column = { kind: 'column', name: 'v' } as const;
const aggregates: ColumnAggregates = {
  rows: { kind: 'count' },
  different: { kind: 'countDistinct', value: column },
  sum: { kind: 'sum', value: column },
  mean: { kind: 'avg', value: column },
  least: { kind: 'min', value: column },
  most: { kind: 'max', value: column },
};
const aggregation = columnAggregation(['k'], aggregates);

/** In the order that the definition gives: by type, then by value, text by its bytes. */
function inOrder(values: readonly ColumnValue[]): readonly ColumnValue[] {
  const booleans = values
    .filter((each) => typeof each === 'boolean')
    .toSorted((a, b) => Number(a) - Number(b));
  const numbers = values.filter((each) => typeof each === 'number').toSorted((a, b) => a - b);
  const texts = values
    .filter((each) => typeof each === 'string')
    .toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return [...booleans, ...numbers.map((each) => each + 0), ...texts];
}

/** Sums of decimals of few digits: exact in units of 2^-1074 is not needed to tell a rounding from none. */
function exactSum(values: readonly ColumnValue[]): number | null {
  const numbers = values.filter((each) => typeof each === 'number');
  if (numbers.length === 0) return null;
  // All values are multiples of 2^-1074, and below 2^21: as integers of 2^-1074 they are exact.
  const units = numbers.reduce((sum, each) => sum + unitsOf(each), 0n);
  const negative = units < 0n;
  const magnitude = negative ? -units : units;
  const drop = Math.max(magnitude.toString(2).length - 53, 0);
  const shift = BigInt(drop);
  const kept = magnitude >> shift;
  const rest = magnitude - (kept << shift);
  const half = drop === 0 ? 1n : 1n << (shift - 1n);
  const up = drop > 0 && (rest > half || (rest === half && kept % 2n === 1n));
  const rounded = Number(up ? kept + 1n : kept) * 2 ** -537 * 2 ** (drop - 537);
  return (negative ? -rounded : rounded) + 0;
}

function unitsOf(number: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(number));
  const bits = view.getBigUint64(0);
  const exponent = bits >> 52n;
  const fraction = bits & 0xfffffffffffffn;
  const units = exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n);
  return number < 0 ? -units : units;
}

function throughBytes(accumulator: unknown): unknown {
  const writer = new ByteWriter();
  encodeValue(accumulator, writer);
  return decodeValue(writer.buffer, 0, writer.length);
}

test('aggregates are those of a naive evaluation, however the rows are split', () => {
  fc.assert(
    fc.property(fc.array(value, { maxLength: 25 }), fc.array(fc.nat(25)), (values, cuts) => {
      const bounds = [0, ...cuts.map((cut) => cut % (values.length + 1)), values.length];
      bounds.sort((a, b) => a - b);
      const merged = bounds.slice(1).reduce<unknown>((left, end, index) => {
        const part = values
          .slice(bounds[index], end)
          .reduce<unknown>((state, v) => aggregation.add(state, { k: 1, v }), aggregation.init());
        return aggregation.merge(left, throughBytes(part));
      }, aggregation.init());
      const ordered = inOrder(values);
      const sum = exactSum(values);
      const numbers = values.filter((each) => typeof each === 'number').length;
      expect(aggregation.finish(merged, [1])).toEqual({
        k: 1,
        rows: values.length,
        different: new Set(ordered).size,
        sum,
        mean: sum === null ? null : sum / numbers + 0,
        least: ordered[0] ?? null,
        most: ordered.at(-1) ?? null,
      });
    }),
    { numRuns: 500 },
  );
});

test('text compares as its bytes in UTF-8 do', () => {
  const text = fc.string({ unit: 'binary', maxLength: 6 });
  fc.assert(
    fc.property(text, text, text, (prefix, a, b) => {
      const left = prefix + a;
      const right = prefix + b;
      expect(Math.sign(compareText(left, right))).toBe(
        Buffer.compare(Buffer.from(left), Buffer.from(right)),
      );
    }),
    { numRuns: 500 },
  );
});

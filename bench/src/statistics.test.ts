import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { median, percentile, relativeSpread, summarise } from './statistics.ts';

const samples = fc.array(fc.double({ noNaN: true, min: -1e9, max: 1e9 }), { minLength: 1 });

test('the median of an even number of samples lies between the two in the middle', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([9, 1, 5])).toBe(5);
});

test('as many samples lie below the median as above it', () => {
  fc.assert(
    fc.property(samples, (values) => {
      const middle = median(values);
      const below = values.filter((value) => value < middle).length;
      const above = values.filter((value) => value > middle).length;
      expect(below).toBeLessThanOrEqual(values.length / 2);
      expect(above).toBeLessThanOrEqual(values.length / 2);
    }),
  );
});

test('a percentile is the smallest sample that the fraction of samples does not exceed', () => {
  fc.assert(
    fc.property(samples, fc.double({ min: 0, max: 1, noNaN: true }), (values, fraction) => {
      const found = percentile(values, fraction);
      const needed = Math.max(1, Math.ceil(fraction * values.length));
      expect(values).toContain(found);
      expect(values.filter((value) => value <= found).length).toBeGreaterThanOrEqual(needed);
      expect(values.filter((value) => value < found).length).toBeLessThan(needed);
    }),
  );
});

test('the spread is half the range in relation to the median', () => {
  const summary = summarise([90, 100, 120]);
  expect(summary).toEqual({ median: 100, min: 90, max: 120, sampleCount: 3 });
  expect(relativeSpread(summary)).toBeCloseTo(0.15);
});

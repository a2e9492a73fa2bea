import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry } from '../../../../test/exchange/exchange-harness.ts';
import { memory, writeAll } from '../../../../test/exchange/exchange-harness.ts';
import type { Sample } from './sampling.ts';
import { mergeSamples, pickBoundaries } from './sampling.ts';

function sampleOf(entries: readonly Entry[], sampleRecords: number): Sample {
  // So little that runs are written and the arena is used again.
  const memoryBytes = 17 * 1024;
  const options = { partitions: 1, isSorted: true, memoryBytes, storage: memory(), sampleRecords };
  return writeAll(entries, options).sample;
}

const anyEntries = fc.array(
  fc.tuple(fc.nat(300), fc.nat(3)).map(([key, value]) => ({
    partition: 0,
    key: Buffer.from(`key-${key}`),
    value: Buffer.from('v'.repeat(value * 9)),
  })),
  { maxLength: 600, size: 'max' },
);

test('a sample does not depend on how the records were cut, nor on their order', () => {
  fc.assert(
    fc.property(
      anyEntries,
      fc.array(fc.nat(600), { maxLength: 5 }),
      fc.integer({ min: 1, max: 100 }),
      (entries, cuts, records) => {
        const whole = sampleOf(entries, records);
        expect(whole.length).toBeLessThanOrEqual(records);
        expect(sampleOf(entries.toReversed(), records)).toEqual(whole);
        const bounds = [0, ...cuts.toSorted((a, b) => a - b), entries.length];
        const parts = bounds.slice(1).map((end, index) => entries.slice(bounds[index], end));
        const samples = parts.map((part) => sampleOf(part, records));
        expect(mergeSamples(samples, records)).toEqual(whole);
        // Put together step by step, too.
        const [first = [], ...others] = samples;
        const stepwise = others.reduce((all, one) => mergeSamples([one, all], records), first);
        expect(mergeSamples([stepwise], records)).toEqual(whole);
      },
    ),
    { numRuns: 40 },
  );
});

test('a sample that is large enough holds every different record once', () => {
  fc.assert(
    fc.property(anyEntries, (entries) => {
      const different = new Set(
        entries.map(({ key, value }) => `${key.toString()}=${value?.toString()}`),
      );
      expect(sampleOf(entries, 2_000)).toHaveLength(different.size);
    }),
    { numRuns: 30 },
  );
});

test('a sample is spread evenly over the keys', () => {
  const entries = Array.from({ length: 40_000 }, (_, index) => ({
    partition: 0,
    key: Buffer.from(String(index).padStart(6, '0')),
    value: Buffer.from('x'),
  }));
  const sample = sampleOf(entries, 1_000);
  expect(sample).toHaveLength(1_000);
  const keys = sample.map(({ key }) => Number(Buffer.from(key, 'base64').toString()));
  for (let quarter = 0; quarter < 4; quarter++) {
    const share = keys.filter((key) => Math.floor(key / 10_000) === quarter).length;
    expect(share).toBeGreaterThan(200);
    expect(share).toBeLessThan(300);
  }
  const boundaries = pickBoundaries(sample, 4).map((key) => Buffer.from(key, 'base64').toString());
  expect(boundaries).toHaveLength(3);
  for (const [index, boundary] of boundaries.entries())
    expect(Math.abs(Number(boundary) - (index + 1) * 10_000)).toBeLessThan(2_000);
});

test('boundaries are different keys in order, and leave no range empty', () => {
  fc.assert(
    fc.property(anyEntries, fc.integer({ min: 1, max: 40 }), (entries, parts) => {
      const sample = sampleOf(entries, 100);
      const boundaries = pickBoundaries(sample, parts).map((key) => Buffer.from(key, 'base64'));
      expect(boundaries.length).toBeLessThan(parts);
      const keys = sample.map(({ key }) => Buffer.from(key, 'base64'));
      let from: Buffer | undefined;
      for (const to of [...boundaries, undefined]) {
        const inside = keys.filter(
          (key) =>
            (from === undefined || key.compare(from) >= 0) &&
            (to === undefined || key.compare(to) < 0),
        );
        if (keys.length > 0) expect(inside.length).toBeGreaterThan(0);
        from = to;
      }
    }),
    { numRuns: 100 },
  );
});

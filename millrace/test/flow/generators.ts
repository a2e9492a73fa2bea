/** Data for flows at random: few keys of every kind, many of them equal, one of them in half of the rows. */
import fc from 'fast-check';
import type { Key } from '../../src/core/key-order.ts';
import { runs } from '../runs.ts';

/** MILLRACE_SEED=n repeats a run, MILLRACE_RUNS=n multiplies the number of runs. */
export function parameters(count: number): { readonly numRuns: number; readonly seed?: number } {
  const seed = process.env['MILLRACE_SEED'];
  const numRuns = runs(count);
  return seed === undefined ? { numRuns } : { numRuns, seed: Number(seed) };
}

/** A key of any kind that a key can be, or undefined: few enough that two rows often have the same. */
export const mixedKey: fc.Arbitrary<Key | undefined> = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -3, max: 3 }) },
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      '',
      'a',
      'b',
      'ab',
      'a\0',
      'a\0b',
      'ä',
      '\u{1f600}',
      '\uffff',
      'x'.repeat(40),
    ),
  },
  { weight: 2, arbitrary: fc.constantFrom(null, undefined) },
  { weight: 1, arbitrary: fc.boolean() },
  { weight: 1, arbitrary: fc.constantFrom(0.5, -0, 1e300, Number.NaN, Number.NEGATIVE_INFINITY) },
  { weight: 1, arbitrary: fc.constantFrom(0n, 1n, -1n, 2n ** 70n) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 86_400_000).map((ms) => new Date(ms)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom([], [0], [0, 255], [97]).map((bytes) => Uint8Array.from(bytes)),
  },
  {
    weight: 2,
    arbitrary: fc.array(fc.constantFrom<Key>(null, 0, 1, 'a', 'b'), { maxLength: 2 }),
  },
);

/** Keys that SQL has, too. */
export const textKey: fc.Arbitrary<string | null> = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'ab', '') },
  { weight: 1, arbitrary: fc.constant(null) },
);

/**
 * Records with a key each, in one of four shapes: spread over the keys as they come, every other one (about) with the same key, none
 * at all, just one. The value is made of the rank of the record by one of `values`.
 */
export function records<K, V>(
  key: fc.Arbitrary<K>,
  values: readonly ((rank: number) => V)[],
  recordsMax: number,
): fc.Arbitrary<{ readonly key: K; readonly value: V }[]> {
  const row = fc.record({ key, isHot: fc.boolean(), value: fc.constantFrom(...values) });
  const shape = fc.constantFrom('spread', 'spread', 'skewed', 'skewed', 'empty', 'single');
  return fc
    .record({ shape, hot: key, rows: fc.array(row, { maxLength: recordsMax, size: 'max' }) })
    .map(({ shape, hot, rows }) =>
      rows
        .slice(0, shape === 'empty' ? 0 : shape === 'single' ? 1 : rows.length)
        .map((each, rank) => ({
          key: shape === 'skewed' && each.isHot ? hot : each.key,
          value: each.value(rank),
        })),
    );
}

/** Values of every kind that goes through an exchange, some of them equal. */
export const ANY_VALUE: readonly ((rank: number) => unknown)[] = [
  (rank) => ({ id: rank }),
  (rank) => ({ id: rank }),
  (rank) => rank,
  (rank) => [rank, `${rank}`, { text: 'ä'.repeat(rank % 7) }],
  () => undefined,
  () => null,
  () => 'same',
  (rank) => 'x'.repeat(10 * rank),
];

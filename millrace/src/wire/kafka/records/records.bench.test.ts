import { expect, test } from 'vitest';
import { benchRecords } from './records.bench.ts';

test('the benchmark runs, and computes the same twice', () => {
  const [first, second] = [1, 2].map(() => benchRecords({ rounds: 1, records: 10 }));
  expect(first?.length).toBeGreaterThan(30);
  expect(second?.map(({ name, hash }) => [name, hash])).toEqual(
    first?.map(({ name, hash }) => [name, hash]),
  );
});

import { expect, test } from 'vitest';
import { expectedContent } from './oracle.ts';
import { QUERIES } from './queries.ts';
import { CLOSING_BIDS } from './topics-data.ts';

test('every query has results, and those that drop nothing as many as there are bids', () => {
  const counts = new Map(
    QUERIES.map((query) => [query, expectedContent(query, 3_000).recordCount]),
  );
  for (const query of ['pass-through', 'currency'] as const)
    expect(counts.get(query)).toBe(3_000 + CLOSING_BIDS);
  expect(counts.get('table-join')).toBe(3_000);
  for (const count of counts.values()) expect(count).toBeGreaterThan(0);
  expect(counts.get('stream-join')).toBeLessThan(3_000);
});

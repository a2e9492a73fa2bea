import { expect, test } from 'vitest';
import { differingContents, rotate } from './broker-bench.ts';

test('every round another side begins, and all take part', () => {
  expect([0, 1, 2, 3].map((round) => rotate(['a', 'b', 'c'], round).join(''))).toEqual([
    'abc',
    'bca',
    'cab',
    'abc',
  ]);
  expect(rotate([], 3)).toEqual([]);
});

test('the same records on all sides pass; a differing checksum, count or length does not', () => {
  const content = { recordCount: 10, valueBytes: 1000, checksum: 7 };
  const other = (change: Partial<typeof content>) => [
    { cell: 'x', side: 'a', content },
    { cell: 'x', side: 'b', content: { ...content, ...change } },
  ];
  expect(differingContents(other({}))).toEqual([]);
  expect(differingContents(other({ checksum: 8 }))).toEqual(['x']);
  expect(differingContents(other({ recordCount: 11 }))).toEqual(['x']);
  expect(differingContents(other({ valueBytes: 999 }))).toEqual(['x']);
});

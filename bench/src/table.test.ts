import { expect, test } from 'vitest';
import { formatNumber, formatTable } from './table.ts';

test('lines up columns, the first to the left and the others to the right', () => {
  expect(
    formatTable(
      ['what', 'MB/s'],
      [
        ['a', '7'],
        ['longer', '1,234'],
      ],
    ),
  ).toBe(['what     MB/s', '------  -----', 'a           7', 'longer  1,234'].join('\n'));
});

test('a row may be shorter than the header', () => {
  expect(formatTable(['a', 'b'], [['x']])).toBe('a  b\n-  -\nx');
});

test('numbers have three significant digits or are whole', () => {
  expect([0, 0.27123, 12.345, 1234.5, Number.NaN].map(formatNumber)).toEqual([
    '0',
    '0.271',
    '12.3',
    '1,235',
    '-',
  ]);
});

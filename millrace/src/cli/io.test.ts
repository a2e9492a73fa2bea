import { expect, test } from 'vitest';
import { formatTable, printable } from './io.ts';

test('names that others have chosen do not control the terminal', () => {
  expect(printable('a\u001b[31mb\u202ec\u0085\n\td é😀')).toBe(
    'a\\u{1b}[31mb\\u{202e}c\\u{85}\n\td é😀',
  );
  expect(formatTable(['queue', 'ready'], [['a\nb\u001b', 1]])).toBe(
    'queue       ready\na\\nb\\u{1b}      1\n',
  );
});

test('a table may have very many rows', () => {
  const rows = Array.from({ length: 300_000 }, (_, index) => [`q${index}`]);
  expect(formatTable(['queue'], rows)).toContain('q299999');
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WORKER_LAST_LINES, WORKER_LINE_BYTES_MAX } from '../../../core/limits.ts';
import { OutputLines } from './output-lines.ts';

test('lines are the same however the stream is cut, and streams do not mix', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 40 }).map((each) => `${each}|é✓`);
  fc.assert(
    fc.property(
      fc.array(text, { maxLength: 10 }),
      fc.integer({ min: 1, max: 7 }),
      (texts, size) => {
        const bytes = Buffer.from(texts.join('\n'));
        const got: string[] = [];
        const lines = new OutputLines((line) => got.push(line));
        for (let at = 0; at < bytes.length; at += size) {
          lines.push('stdout', bytes.subarray(at, at + size));
          lines.push('stderr', Buffer.from('.'));
        }
        lines.end();
        const expected = texts
          .join('\n')
          .split('\n')
          .map((line) => line.replace(/\r$/, ''));
        const dots = '.'.repeat(Math.ceil(bytes.length / size));
        expect(got).toEqual([
          ...expected.filter((line, index) => index < expected.length - 1 || line !== ''),
          ...(dots === '' ? [] : [dots]),
        ]);
      },
    ),
  );
});

test('a long line is cut, and does not pile up while its end does not come', () => {
  const got: string[] = [];
  const lines = new OutputLines((line) => got.push(line));
  for (let count = 0; count < 100; count++) lines.push('stderr', Buffer.alloc(1_000, 'x'));
  lines.push('stderr', Buffer.from('\nnext\n'));
  expect(got).toEqual([`${'x'.repeat(WORKER_LINE_BYTES_MAX)}…`, 'next']);
});

test('the last lines are kept', () => {
  const lines = new OutputLines(() => {});
  for (let count = 0; count < 100; count++) lines.push('stderr', Buffer.from(`${count}\n`));
  expect(lines.last).toHaveLength(WORKER_LAST_LINES);
  expect(lines.last.at(-1)).toBe('99');
});

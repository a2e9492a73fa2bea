import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseBoolean, parseBooleanText, parseNumber, parseNumberText } from './column-text.ts';

const GRAMMAR = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/** The definition, by a regular expression and the language's own conversion. */
function naiveNumber(text: string): number {
  const value = GRAMMAR.test(text) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : Number.NaN;
}

const numberLike = fc.oneof(
  fc.double().map(String),
  fc.integer().map(String),
  fc.bigInt().map(String),
  fc.string({
    unit: fc.constantFrom('0', '1', '9', '.', '-', '+', 'e', 'E', ' ', 'x', 'N'),
    maxLength: 20,
  }),
  fc.constantFrom(
    '',
    '-',
    '.',
    '1.',
    '.5',
    '-0',
    '0x10',
    'Infinity',
    'NaN',
    '1e400',
    '0.1',
    '123456789012345.6',
    '9007199254740993',
    '1_0',
  ),
);

test('a number is what the grammar says, exactly as the language converts it', () => {
  fc.assert(
    fc.property(
      numberLike,
      fc.string({ maxLength: 3 }),
      fc.string({ maxLength: 3 }),
      (text, before, after) => {
        const buffer = Buffer.from(before + text + after);
        const start = Buffer.byteLength(before);
        expect(parseNumber(buffer, start, start + text.length)).toBe(naiveNumber(text));
        const end = before.length + text.length;
        expect(parseNumberText(before + text + after, before.length, end)).toBe(naiveNumber(text));
      },
    ),
    { numRuns: 5000 },
  );
});

test('a boolean is true or false in any mix of cases', () => {
  const letter = fc.constantFrom(...'trufalseTRUFALSE1 '.split(''));
  const words = fc.oneof(
    fc.string({ unit: letter, maxLength: 6 }),
    fc.mixedCase(fc.constantFrom('true', 'false', 'yes')),
  );
  fc.assert(
    fc.property(words, (text) => {
      const lower = text.toLowerCase();
      const naive = lower === 'true' ? 1 : lower === 'false' ? 0 : -1;
      expect(parseBoolean(Buffer.from(text), 0, text.length)).toBe(naive);
      expect(parseBooleanText(`x${text}y`, 1, text.length + 1)).toBe(naive);
    }),
  );
});

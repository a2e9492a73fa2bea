import fc from 'fast-check';
import { expect, test } from 'vitest';
import { permissionPattern } from './permission-pattern.ts';

function found(pattern: string, name: string): boolean {
  const parsed = permissionPattern(pattern);
  if (!parsed.ok) throw new Error(`${pattern}: ${parsed.fault}`);
  return parsed.pattern.test(name);
}

const { pattern } = fc.letrec<{ pattern: string; part: string }>((tie) => ({
  part: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(
      'a',
      'b',
      '.',
      '^',
      '$',
      '[ab]',
      '[^a]',
      '[a-c-]',
      '\\.',
      '\\w',
      '[\\d\\]]',
      '-',
    ),
    fc
      .tuple(tie('pattern'), fc.constantFrom('', '*', '+', '?', '{2}', '{1,}', '{0,2}', '*?'))
      .map(([inner, repeat]) => `(${inner})${repeat}`),
    tie('pattern').map((inner) => `(?:${inner})`),
  ),
  pattern: fc.oneof(
    { maxDepth: 3 },
    fc.array(tie('part'), { maxLength: 3 }).map((parts) => parts.join('')),
    fc.tuple(tie('pattern'), tie('pattern')).map((parts) => parts.join('|')),
  ),
}));
const name = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '.', '-', ']', '1'), maxLength: 6 });

test('a pattern is found where the expressions of JavaScript find it', () => {
  fc.assert(
    fc.property(pattern, fc.array(name, { minLength: 1, maxLength: 8 }), (text, names) => {
      const expression = new RegExp(text === '' ? '^$' : text);
      for (const given of names) expect(found(text, given), given).toBe(expression.test(given));
    }),
    { numRuns: 1_000 },
  );
});

test.each([
  ['^(a+)+$', `${'a'.repeat(254)}b`],
  ['^((a|a)*)*$', `${'a'.repeat(254)}b`],
  ['.*a.*b.*c.*d$', 'abc'.repeat(85)],
  ['^(a*)*(a*)*(a*)*c', 'a'.repeat(255)],
  ['^(a?){255}a{255}$', 'a'.repeat(254)],
])('%s says no of the longest name, and soon', (text, given) => {
  expect(found(text, given)).toBe(false);
});

test.each([
  ['[', 'ends too early'],
  ['(a', '( without a )'],
  ['a)', ') without a ('],
  ['*a', 'nothing that * could repeat'],
  ['(?=a)', 'only (?: is supported'],
  ['(?<!a)b', 'only (?: is supported'],
  ['(a)\\1', '\\1 is not supported'],
  ['a++', 'possessive'],
  ['[z-a]', 'no range'],
  ['a{3,1}', 'no range'],
  ['[[:alpha:]]', 'named sets'],
  ['a\\', 'ends too early'],
  ['((a{100}){100}){100}', 'repeat so much'],
  ['a'.repeat(1_025), 'at most 1024'],
])('%s is refused', (text, fault) => {
  const parsed = permissionPattern(text);
  expect(parsed.ok ? '' : parsed.fault).toContain(fault);
});

test('whatever is given is a pattern or a fault', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...Array.from('ab[](){}|*+?^$\\.-,1:')), maxLength: 20 }),
      (text) => {
        const parsed = permissionPattern(text);
        if (parsed.ok) expect(typeof parsed.pattern.test('ab')).toBe('boolean');
        else expect(parsed.fault).not.toBe('');
      },
    ),
    { numRuns: 1_000 },
  );
});

test('characters are those of Unicode', () => {
  expect(found('^.$', '😀')).toBe(true);
  expect(found('^[à-ü]+$', 'éü')).toBe(true);
});

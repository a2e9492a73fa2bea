import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findJsonFault } from './json-fault.ts';

const mutated = fc
  .tuple(
    fc.json({ maxDepth: 3 }),
    fc.nat(),
    fc.nat(3),
    fc.string({
      unit: fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '1',
        '-',
        '.',
        'e',
        't',
        '\\',
        ' ',
        '\t',
        '\0',
      ),
      maxLength: 3,
    }),
  )
  .map(([json, place, remove, insert]) => {
    const at = place % (json.length + 1);
    return json.slice(0, at) + insert + json.slice(at + remove);
  });

test('finds a fault exactly where JSON.parse refuses the text', () => {
  fc.assert(
    fc.property(mutated, (text) => {
      let isValid = true;
      let message = '';
      try {
        JSON.parse(text);
      } catch (error) {
        isValid = false;
        message = (error as Error).message;
      }
      const fault = findJsonFault(text);
      expect(fault === undefined).toBe(isValid);
      if (fault === undefined) return;
      // V8 agrees on the place where it names one, but for the beginning of numbers and words.
      const position = /at position (\d+)/.exec(message)?.[1];
      if (position !== undefined) expect(fault.index).toBeLessThanOrEqual(Number(position));
      expect(fault.index).toBeGreaterThanOrEqual(0);
      expect(fault.index).toBeLessThanOrEqual(text.length);
    }),
    { numRuns: 3000 },
  );
});

test('names the letter that cannot be there, or the end', () => {
  expect(findJsonFault('{"a":tru}')).toEqual({ index: 5, what: 'unexpected "t"' });
  expect(findJsonFault('[1,]')).toEqual({ index: 3, what: 'unexpected "]"' });
  expect(findJsonFault('{"a" 1}')).toEqual({ index: 5, what: 'unexpected "1"' });
  expect(findJsonFault('"abc')).toEqual({ index: 4, what: 'it ends in the middle of a value' });
  expect(findJsonFault('')).toEqual({ index: 0, what: 'it ends in the middle of a value' });
});

test('long strings and deep arrays have faults like others', () => {
  const text = `{"a":"${'x'.repeat(17_000_000)}", b}`;
  expect(findJsonFault(text)?.index).toBe(text.length - 2);
  expect(findJsonFault('['.repeat(50_000))?.index).toBe(10_000);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { errorOf, memoryEnv, readRecords, readValues } from '../../../test/files/read-harness.ts';
import type { StandardSchema } from '../standard-schema.ts';
import { delimitedSource } from './read-delimited.ts';
import { ndjsonSource } from './read-ndjson.ts';

const sizes = fc.record({
  splitBytes: fc.integer({ min: 1, max: 300 }),
  chunkBytes: fc.integer({ min: 1, max: 700 }),
  readBytesMax: fc.integer({ min: 1, max: 300 }),
});

test('every JSON value comes back once, in order, with its line', async () => {
  const blank = fc.constantFrom('', ' ', '\t', '\r');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.jsonValue({ maxDepth: 2 }), fc.array(blank, { maxLength: 2 })), {
        maxLength: 30,
      }),
      sizes,
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
      async (values, sizing, end, isEnded) => {
        const lines = values.flatMap(([value, blanks]) => [JSON.stringify(value), ...blanks]);
        const content = lines.join(end) + (isEnded ? end : '');
        const env = memoryEnv({ '/data/a.ndjson': Buffer.from(content) }, sizing);
        const records = await readRecords(ndjsonSource('a.ndjson', {}, sizing), {
          env,
          splitBytes: sizing.splitBytes,
        });
        const json = [...lines.entries()].filter(([, line]) => line.trim() !== '');
        expect(records.map(({ value }) => JSON.stringify(value))).toEqual(
          json.map(([, line]) => JSON.stringify(JSON.parse(line))),
        );
        expect(records.map(({ located }) => located)).toEqual(
          json.map(([index]) => `a.ndjson:${index + 1}`),
        );
      },
    ),
    { numRuns: 300 },
  );
});

test('lines that are not JSON are told with line and column; the others are read', async () => {
  const content = '{"a":1}\n{"a":tru}\n\n[1,2\n"x" 3\n"é\\q"\n{"a":2}';
  const env = memoryEnv({ '/data/a.ndjson': Buffer.from(content) });
  const source = ndjsonSource('a.ndjson');
  const skipped: { error: Error; raw: string }[] = [];
  expect(await readValues(source, { env, skipped })).toEqual([{ a: 1 }, { a: 2 }]);
  expect(skipped.map(({ error, raw }) => [error.message, raw])).toEqual([
    ['a.ndjson:2:6: this line is not JSON: unexpected "t"', '{"a":tru}'],
    ['a.ndjson:4:5: this line is not JSON: it ends in the middle of a value', '[1,2'],
    ['a.ndjson:5:5: this line is not JSON: unexpected "3"', '"x" 3'],
    ['a.ndjson:6:3: this line is not JSON: unexpected "\\\\"', '"é\\q"'],
  ]);
  const error = await errorOf(readValues(source, { env }));
  expect([error.code, error.fields]).toEqual([
    'ML_INPUT_MALFORMED',
    { position: 'a.ndjson:2', column: 6 },
  ]);
});

const price: StandardSchema<{ price: number }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: async (value) => {
      await Promise.resolve();
      const { price } = value as { price: unknown };
      if (typeof price === 'number') return { value: { price } };
      return { issues: [{ message: 'is no number', path: ['price'] }] };
    },
  },
};

test('a schema makes the record, or says what is wrong with it, at once or later', async () => {
  const lines = Array.from({ length: 200 }, (_, index) =>
    JSON.stringify({ price: index % 50 === 7 ? 'free' : index, extra: true }),
  );
  const env = memoryEnv({ '/data/a.ndjson': Buffer.from(lines.join('\n')) });
  const numbers = Array.from({ length: 200 }, (_, index) => index).filter((i) => i % 50 !== 7);
  for (const schema of [price, z.object({ price: z.number() })]) {
    const skipped: { error: Error; raw: string }[] = [];
    const records = await readRecords(ndjsonSource('a.ndjson', { schema }), {
      env,
      skipped,
      splitBytes: 500,
      pausesAfter: (record) => record % 3 === 0,
    });
    expect(records.map(({ value }) => value)).toEqual(numbers.map((i) => ({ price: i })));
    expect(records.map(({ position }) => position)).toEqual(
      numbers.map((i) => `a.ndjson:${i + 1}`),
    );
    expect(skipped.length).toBe(4);
    expect(skipped[1]?.error.message).toMatch(
      /^a\.ndjson:58: the record does not fit its schema: price: /,
    );
    expect(skipped[1]?.raw).toBe(lines[57]);
  }
});

test('delimited rows are what split makes of the lines', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: fc.constantFrom(' ', 'a', 'é', '7', '-', '\t', '\r') }), {
        maxLength: 40,
      }),
      sizes,
      fc.boolean(),
      async (lines, sizing, repeatable) => {
        const content = lines.map((line) => `${line}\n`).join('');
        const env = memoryEnv({ '/data/a.log': Buffer.from(content) }, sizing);
        const fields = { third: 2, first: 0, number: [1, 'number'], again: 1 } as const;
        const rows = await readValues(
          delimitedSource('a.log', { separator: ' ', repeatable, fields }, sizing),
          { env, splitBytes: sizing.splitBytes },
        );
        expect(rows).toEqual(
          lines.map((line) => {
            const text = line.replace(/\r$/, '');
            const parts = repeatable ? text.split(' ').filter(Boolean) : text.split(' ');
            const [first = '', again = '', third = ''] = parts;
            return {
              third,
              first,
              number: /^7+$/.test(again) ? Number(again) : numberOf(again),
              again,
            };
          }),
        );
        for (const row of rows) expect(Object.keys(row)).toEqual(Object.keys(fields));
      },
    ),
    { numRuns: 300 },
  );
});

function numberOf(text: string): number | null {
  return /^-?\d+$/.test(text) ? Number(text) : null;
}

test('rows are ordinary objects that last', async () => {
  const env = memoryEnv({ '/data/a.log': Buffer.from('a b 12 TRUE\nc d x no\n') });
  const rows = await readValues(
    delimitedSource('a.log', {
      fields: { n: [2, 'number'], is: [3, 'boolean'], ['__proto__']: 1 },
    }),
    { env },
  );
  const [first, second] = rows;
  expect(JSON.stringify(first)).toBe('{"n":12,"is":true,"__proto__":"b"}');
  expect({ ...second, more: 1 }).toMatchObject({ n: null, is: null, more: 1 });
  expect(Object.getPrototypeOf(first)).toBe(Object.prototype);
});

test('dialects that make no sense are refused when they are named', () => {
  const fields = { a: 0 };
  expect(() => delimitedSource('a', { separator: '', fields })).toThrow(/not one ASCII character/);
  expect(() => delimitedSource('a', { separator: 'é', fields })).toThrow(/not one ASCII character/);
  expect(() => delimitedSource('a', { separator: '\n', fields })).toThrow(/not one ASCII/);
  expect(() => delimitedSource('a', { fields: {} })).toThrow(/names no fields/);
  expect(() => delimitedSource('a', { fields: { a: -1 } })).toThrow(/positions are 0 to/);
});

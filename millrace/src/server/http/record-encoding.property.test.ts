/** Whatever comes over HTTP: records, or an error that says what is wrong. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MillraceError } from '../../core/errors.ts';
import { parseExactJson } from './exact-json.ts';
import { aroundVector, parseVector, vectorText } from './offset-vector.ts';
import { type Encoding, recordOfJson } from './record-encoding.ts';

const anyEncoding = fc.constantFrom<Encoding[]>('json', 'text', 'base64');
const FIELDS = [
  'key',
  'value',
  'headers',
  'timestamp',
  'partition',
  'keyEncoding',
  'valueEncoding',
];
const anyField = fc.oneof(
  fc.jsonValue(),
  anyEncoding,
  fc.nat(),
  fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.constant(null), fc.array(fc.string()))),
  fc.record({ $bytes: fc.base64String() }),
);
const anyRecord = fc.oneof(
  fc.jsonValue(),
  fc.dictionary(fc.constantFrom(...FIELDS, '__proto__', 'toString'), anyField),
);

function outcome<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    expect(error).toBeInstanceOf(MillraceError);
    expect((error as MillraceError).code).toBe('ML_HTTP_REQUEST');
    expect((error as MillraceError).hint).not.toBe('');
    return undefined;
  }
}

test('any JSON is a record of bytes, or refused', () => {
  fc.assert(
    fc.property(anyRecord, anyEncoding, anyEncoding, (json, key, value) => {
      const record = outcome(() => recordOfJson(json, 3, { key, value }));
      if (record === undefined) return;
      for (const field of [record.key, record.value])
        expect(field === null || typeof field === 'string' || Buffer.isBuffer(field)).toBe(true);
      expect(record.partition ?? 0).toBeGreaterThanOrEqual(0);
      for (const header of record.headers) expect(typeof header.key).toBe('string');
    }),
    { numRuns: 1_000 },
  );
});

test('any text is JSON with all of its digits, or refused', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      const json = outcome(() => parseExactJson(text, 'it'));
      if (json !== undefined) expect(JSON.parse(JSON.stringify(json))).toEqual(JSON.parse(text));
    }),
  );
  const digits = fc.stringMatching(/^-?[1-9]\d{0,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?$/);
  fc.assert(
    fc.property(fc.array(digits, { minLength: 1 }), (numbers) => {
      const text = `[${numbers.join(',')}]`;
      const written = JSON.stringify(parseExactJson(text, 'it'));
      // What JavaScript holds it may write in its own way.
      const exact = written.slice(1, -1).split(',');
      for (const [index, number] of numbers.entries())
        expect(exact[index] === number || String(Number(number)) === exact[index]).toBe(true);
      for (const number of numbers.filter((each) => /^-?\d{17,}$/.test(each)))
        expect(exact).toContain(number);
    }),
  );
});

const anyVector = fc
  .uniqueArray(fc.tuple(fc.nat(9_999), fc.nat(Number.MAX_SAFE_INTEGER)), {
    minLength: 1,
    maxLength: 10,
    selector: ([partition]) => partition,
  })
  .map((places) => new Map(places));

test('a vector of offsets is read as it was written, and around each of its partitions', () => {
  fc.assert(
    fc.property(anyVector, (vector) => {
      const text = vectorText(vector);
      const sorted = [...vector].toSorted(([left], [right]) => left - right);
      expect([...(parseVector(text) ?? [])]).toEqual(sorted);
      for (const [partition, offset] of vector) {
        const { before, after } = aroundVector(vector, partition);
        expect(`${before}${offset}${after}`).toBe(text);
      }
    }),
  );
});

test('any text is a vector that is written so, or none', () => {
  const piece = fc.constantFrom(
    '0',
    '1',
    '12',
    ':',
    ',',
    '-',
    '9007199254740992',
    '10000',
    'a',
    ' ',
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 12 }).map((parts) => parts.join('')),
      (text) => {
        const vector = parseVector(text);
        if (vector === undefined) return;
        for (const [partition, offset] of vector) {
          expect(partition).toBeLessThan(10_000);
          expect(Number.isSafeInteger(offset)).toBe(true);
        }
        expect(parseVector(vectorText(vector))).toEqual(vector);
      },
    ),
    { numRuns: 1_000 },
  );
});

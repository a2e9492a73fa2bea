import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { decodeKey, encodeKey } from '../../../core/key-codec.ts';
import { KeyTable } from './key-table.ts';

const text = fc.oneof(
  fc.string({ maxLength: 5 }),
  fc.constantFrom('a', 'b', 'ab', 'abcd', 'abcde', 'abcdefgh'),
  fc.integer({ min: 60, max: 68 }).map((length) => 'x'.repeat(length)),
  fc.string({ unit: 'binary', maxLength: 6 }),
);
const key = fc.oneof(
  { weight: 6, arbitrary: text },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(0, -0, 1, 1n, true, false, null, undefined, Number.NaN),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<unknown>(['a'], ['a', 1], new Date(0), Buffer.from('a')),
  },
);

test('keys have the numbers in which they came first, and are kept as they were', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(key, { maxLength: 300, size: 'max' }), { maxLength: 3 }),
      (rounds) => {
        const table = new KeyTable();
        for (const keys of rounds) {
          table.clear();
          const numbers = new Map<string, number>();
          for (const each of keys) {
            const bytes = encoded(each);
            const known = numbers.get(bytes);
            const sizeBefore = table.size;
            const index = table.indexOf(each);
            expect(index).toBe(known ?? sizeBefore);
            if (known === undefined) numbers.set(bytes, index);
          }
          expect(table.size).toBe(numbers.size);
          for (const [bytes, index] of numbers) {
            const { buffer } = table.bytes;
            expect(buffer.latin1Slice(table.start(index), table.end(index))).toBe(bytes);
            expect(table.key(index)).toEqual(
              decodeKey(Buffer.from(bytes, 'latin1'), 0, bytes.length),
            );
          }
        }
      },
    ),
  );
});

test('many keys: the table grows and finds them all', () => {
  const table = new KeyTable();
  for (let round = 0; round < 2; round++)
    for (let at = 0; at < 5_000; at++) expect(table.indexOf(`/page/${at}`)).toBe(at);
  expect(table.heldBytes).toBeGreaterThan(5_000 * 16);
});

test('a key that cannot be one takes nothing', () => {
  const table = new KeyTable();
  table.indexOf('a');
  expect(() => table.indexOf(['b', {}])).toThrow(
    expect.objectContaining({ code: 'ML_KEY_INVALID' }),
  );
  expect(() => table.indexOf(() => 1)).toThrow(expect.objectContaining({ code: 'ML_KEY_INVALID' }));
  expect([table.indexOf('c'), table.size, table.key(1)]).toEqual([1, 2, 'c']);
});

function encoded(each: unknown): string {
  const writer = new ByteWriter();
  encodeKey(each, writer);
  return writer.buffer.latin1Slice(0, writer.length);
}

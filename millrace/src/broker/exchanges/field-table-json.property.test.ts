import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  FieldDecimal,
  type FieldTable,
  FieldTimestamp,
  type FieldValue,
} from '../../wire/amqp/field-table.ts';
import { tableFromJson, tableToJson } from './field-table-json.ts';

const { table } = fc.letrec<{ value: FieldValue; table: FieldTable }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<FieldValue>(null, true, false, 0, -0, NaN, Infinity, -Infinity),
    fc.integer(),
    fc.double(),
    fc.string({ unit: 'binary' }),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.nat().map((seconds) => new FieldTimestamp(seconds)),
    fc.tuple(fc.nat(255), fc.integer()).map((parts) => new FieldDecimal(...parts)),
    fc.array(tie('value'), { maxLength: 4 }),
    tie('table'),
  ),
  table: fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'long', 'table')),
    tie('value'),
    { maxKeys: 4 },
  ),
}));

test('a table comes back from its JSON as it was', () => {
  fc.assert(
    fc.property(table, (given) => {
      const text = JSON.stringify(tableToJson(given));
      expect(fieldsOf(tableFromJson(JSON.parse(text)))).toEqual(fieldsOf(given));
    }),
    { numRuns: 300 },
  );
});

test('tables that differ only in the order of names have one text', () => {
  fc.assert(
    fc.property(table, (given) => {
      const reversed = Object.fromEntries(Object.entries(given).toReversed());
      expect(JSON.stringify(tableToJson(reversed))).toBe(JSON.stringify(tableToJson(given)));
    }),
  );
});

test('whatever JSON there is becomes a table, or nothing', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (json) => {
      const read = tableFromJson(json);
      if (read !== undefined) expect(tableFromJson(tableToJson(read))).toEqual(read);
    }),
  );
});

test('JSON that is nested too deep is none', () => {
  const deep = JSON.parse(`${'{"a":{"table":'.repeat(1_000)}{}${'}}'.repeat(1_000)}`) as unknown;
  expect(tableFromJson(deep)).toBeUndefined();
  const list = JSON.parse(`{"a":${'['.repeat(1_000)}${']'.repeat(1_000)}}`) as unknown;
  expect(tableFromJson(list)).toBeUndefined();
});

/** Also what `toEqual` does not look at, as a name `__proto__`. */
function fieldsOf(given: FieldTable = {}): [string, FieldValue][] {
  return Object.entries(given).sort(([one], [other]) => (one < other ? -1 : 1));
}

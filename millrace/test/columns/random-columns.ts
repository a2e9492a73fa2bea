/** Expressions, fields and sizes by chance: what the tests of lanes run on. */
import fc from 'fast-check';
import type { Expression } from '../../src/flow/columns.ts';

const col = (name: string): Expression => ({ kind: 'column', name });

export interface ColumnNames {
  readonly texts: readonly string[];
  readonly numbers: readonly string[];
  readonly booleans: readonly string[];
}

/** Typed expressions over columns with these names. */
export function expressions(columns: ColumnNames): {
  readonly text: fc.Arbitrary<Expression>;
  readonly number: fc.Arbitrary<Expression>;
  readonly condition: fc.Arbitrary<Expression>;
  readonly value: fc.Arbitrary<Expression>;
} {
  const column = (names: readonly string[]): fc.Arbitrary<Expression> =>
    fc.constantFrom(...names).map(col);
  const word = fc.constantFrom('a', 'b', 'ab', 'é', '7', '-', ' ', 'true', 'zz', '\u{1f600}', '"');
  const literal = (value: fc.Arbitrary<string | number | boolean>): fc.Arbitrary<Expression> =>
    value.map((value) => ({ kind: 'literal', value }));
  const number = fc.constantFrom(0, 1, -1, 7, 0.5, 10, 200, 1e300);
  const operator = fc.constantFrom('=', '!=', '<', '<=', '>', '>=');
  const { text, numeric, condition } = fc.letrec<{
    text: Expression;
    numeric: Expression;
    condition: Expression;
  }>((tie) => ({
    text: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      column(columns.texts),
      tie('text').map((inner) => ({ kind: 'lower', text: inner }) as const),
      fc
        .tuple(tie('text'), word)
        .map(([inner, separator]) => ({ kind: 'before', text: inner, separator }) as const),
    ),
    numeric: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      columns.numbers.length > 0
        ? column(columns.numbers)
        : column(columns.texts).map((inner) => ({ kind: 'number', text: inner }) as const),
      tie('text').map((inner) => ({ kind: 'number', text: inner }) as const),
      fc
        .tuple(tie('numeric'), fc.constantFrom('+', '-', '*', '/'), tie('numeric'))
        .map(
          ([left, each, right]) => ({ kind: 'arithmetic', operator: each, left, right }) as const,
        ),
      fc
        .tuple(tie('numeric'), fc.constantFrom('+', '-', '*', '/'), literal(number))
        .map(
          ([left, each, right]) => ({ kind: 'arithmetic', operator: each, left, right }) as const,
        ),
    ),
    condition: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc
        .tuple(tie('text'), operator, fc.oneof(literal(word), tie('text')))
        .map(([left, each, right]) => ({ kind: 'compare', operator: each, left, right }) as const),
      fc
        .tuple(tie('numeric'), operator, fc.oneof(literal(number), tie('numeric')))
        .map(([left, each, right]) => ({ kind: 'compare', operator: each, left, right }) as const),
      fc
        .tuple(literal(fc.oneof(number, word)), operator, fc.oneof(tie('text'), tie('numeric')))
        .map(([left, each, right]) => ({ kind: 'compare', operator: each, left, right }) as const),
      ...(columns.booleans.length > 0
        ? [
            column(columns.booleans),
            fc
              .tuple(column(columns.booleans), operator, literal(fc.boolean()))
              .map(
                ([left, each, right]) =>
                  ({ kind: 'compare', operator: each, left, right }) as const,
              ),
          ]
        : []),
      fc
        .tuple(tie('text'), fc.constantFrom('startsWith', 'endsWith', 'contains'), word)
        .map(
          ([inner, each, part]) => ({ kind: 'text', operator: each, text: inner, part }) as const,
        ),
      fc
        .tuple(
          fc.oneof(tie('text'), tie('numeric')),
          fc.array(fc.oneof(word, number, fc.boolean()), { maxLength: 4 }),
        )
        .map(([value, set]) => ({ kind: 'in', value, set }) as const),
      fc
        .tuple(fc.constantFrom('and', 'or'), fc.array(tie('condition'), { maxLength: 3 }))
        .map(([kind, terms]) => ({ kind, terms }) as const),
      tie('condition').map((term) => ({ kind: 'not', term }) as const),
      fc.oneof(tie('text'), tie('numeric')).map((value) => ({ kind: 'isNull', value }) as const),
    ),
  }));
  return { text, number: numeric, condition, value: fc.oneof(text, numeric, condition) };
}

export const sizing = fc.record({
  splitBytes: fc.integer({ min: 1, max: 2000 }),
  chunkBytes: fc.integer({ min: 1, max: 2000 }),
});
export const text = fc.oneof(
  fc.constantFrom('', 'a', 'b', 'ab', 'A', 'É', 'zz', 'a b', 'a\0', '\u{1f600}', '\uffff', 'İ'),
  fc.string({ unit: 'grapheme', maxLength: 30 }).map((each) => each.replace(/[\n\r" ,]/g, '')),
);
export const numberText = fc.oneof(
  fc.integer({ min: -1000, max: 1000 }).map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.constantFrom('0', '-0', '007', '1.5', '.5', '5.', '1e3', '-', '+1', '9007199254740993'),
  fc.constantFrom(
    '123456789',
    '1234567890',
    '12345678901234567890',
    '0.1',
    '0.2',
    '1e400',
    '1e308',
  ),
);
export const booleanText = fc.constantFrom('true', 'false', 'TRUE', 'tru', '');

/** Lone surrogates U+DC80 to U+DCFF become the bytes that they stand for. */
export function bytesOf(content: string): Buffer {
  return Buffer.concat(
    content
      .split(/([\udc80-\udcff])(?<![\ud800-\udbff][\udc80-\udcff])/)
      .map((part) =>
        /^[\udc80-\udcff]$/.test(part)
          ? Buffer.from([part.charCodeAt(0) - 0xdc00])
          : Buffer.from(part),
      ),
  );
}

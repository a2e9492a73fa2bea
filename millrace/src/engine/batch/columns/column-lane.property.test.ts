import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  aggregate,
  explode,
  type Query,
  runOnBytes,
  runOnRows,
  select,
  where,
} from '../../../../test/columns/lane-harness.ts';
import { memoryEnv, readValues } from '../../../../test/files/read-harness.ts';
import { csvSource } from '../../../connect/files/read-csv.ts';
import { delimitedSource } from '../../../connect/files/read-delimited.ts';
import { linesSource } from '../../../connect/files/read-lines.ts';
import type { ColumnAggregate, Expression } from '../../../flow/columns.ts';

const col = (name: string): Expression => ({ kind: 'column', name });

/** Typed expressions over columns with these names. */
function expressions(columns: {
  readonly texts: readonly string[];
  readonly numbers: readonly string[];
  readonly booleans: readonly string[];
}): {
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

/** Queries over some columns, with one change of columns in the middle. */
function queries(columns: Parameters<typeof expressions>[0]): fc.Arbitrary<Query> {
  const first = expressions(columns);
  const names = [...columns.texts, ...columns.numbers, ...columns.booleans];
  const selected = expressions({ texts: ['t'], numbers: ['n'], booleans: ['c'] });
  const exploded = expressions({ texts: ['w'], numbers: [], booleans: [] });
  const conditions = (from: typeof first): fc.Arbitrary<Query['steps']> =>
    fc.array(from.condition.map(where), { maxLength: 2 });
  const ends = (
    from: typeof first,
    by: readonly string[],
  ): fc.Arbitrary<{ readonly by: string[]; readonly list: ColumnAggregate[] }> =>
    fc.record({
      by: fc.uniqueArray(fc.constantFrom(...by), { maxLength: 3 }),
      list: fc.array(aggregates(from), { maxLength: 4 }),
    });
  const assemble = (
    steps: readonly Query['steps'][],
    { by, list }: { readonly by: string[]; readonly list: ColumnAggregate[] },
  ): Query => ({
    steps: steps.flat(),
    aggregate: aggregate(by, Object.fromEntries(list.map((each, index) => [`x${index}`, each]))),
  });
  const selection = fc
    .tuple(first.text, first.number, first.condition)
    .map(([t, n, c]) => select({ t, n, c }));
  const explosion = fc
    .tuple(first.text, fc.constantFrom('letters', 'blanks'))
    .map(([text, of]) => explode('w', { kind: 'words', text, of }));
  return fc.oneof(
    fc.tuple(conditions(first), ends(first, names)).map(([before, end]) => assemble([before], end)),
    fc
      .tuple(conditions(first), selection, conditions(selected), ends(selected, ['t', 'n', 'c']))
      .map(([before, step, behind, end]) => assemble([before, [step], behind], end)),
    fc
      .tuple(conditions(first), explosion, conditions(exploded), ends(exploded, ['w']))
      .map(([before, step, behind, end]) => assemble([before, [step], behind], end)),
  );
}

function aggregates(from: ReturnType<typeof expressions>): fc.Arbitrary<ColumnAggregate> {
  return fc.oneof(
    fc.constant({ kind: 'count' } as const),
    from.number.map((value) => ({ kind: 'sum', value }) as const),
    from.number.map((value) => ({ kind: 'avg', value }) as const),
    fc
      .tuple(fc.constantFrom('min', 'max', 'countDistinct'), from.value)
      .map(([kind, value]) => ({ kind, value }) as const),
  );
}

const sizing = fc.record({
  splitBytes: fc.integer({ min: 1, max: 2000 }),
  chunkBytes: fc.integer({ min: 1, max: 2000 }),
});
/** Some leave no room for more than a few groups. */
const memoryBytes = fc.constantFrom(1, 1 << 26);

const text = fc.oneof(
  fc.constantFrom('', 'a', 'b', 'ab', 'A', 'É', 'zz', 'a b', 'a\0', '\u{1f600}', '\uffff', 'İ'),
  fc.string({ unit: 'grapheme', maxLength: 30 }).map((each) => each.replace(/[\n\r" ,]/g, '')),
);
const numberText = fc.oneof(
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
const booleanText = fc.constantFrom('true', 'false', 'TRUE', 'tru', '');

test('delimited rows give on bytes what the definition gives on rows', async () => {
  // Bytes that are no UTF-8, and rows with too few fields.
  const field = fc.oneof(
    { weight: 4, arbitrary: text },
    { weight: 2, arbitrary: numberText },
    { weight: 1, arbitrary: booleanText },
    { weight: 1, arbitrary: fc.constantFrom('\udc80', 'a\udcff', '\udcc3x') },
  );
  const row = fc.array(field, { maxLength: 5 }).map((fields) => fields.join(' '));
  const columns = { texts: ['s', 't'], numbers: ['n', 'm'], booleans: ['b'] };
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 60 }),
      queries(columns),
      sizing,
      memoryBytes,
      fc.record({
        end: fc.constantFrom('\n', '\r\n'),
        isEnded: fc.boolean(),
        isRepeatable: fc.boolean(),
      }),
      async (rows, query, tuning, memory, { end, isEnded, isRepeatable }) => {
        const content = bytesOf(rows.join(end) + (isEnded ? end : ''));
        const source = delimitedSource(
          'a.log',
          {
            repeatable: isRepeatable,
            fields: { s: 0, n: [1, 'number'], t: 2, b: [3, 'boolean'], m: [0, 'number'] },
          },
          tuning,
        );
        const env = memoryEnv({ '/data/a.log': content });
        const options = { env, splitBytes: tuning.splitBytes, memoryBytes: memory };
        const result = await runOnBytes(source, query, options);
        expect(result.rows).toEqual(await runOnRows(source, query, options));
        expect(result.records).toBe((await readValues(source, options)).length);
        expect(result.bytes).toBe(content.length);
      },
    ),
    { numRuns: 200 },
  );
});

test('lines give on bytes what the definition gives on rows', async () => {
  const line = fc
    .array(fc.oneof(text, fc.constantFrom(' ', '  ', '\t', '.', '\udce9')), { maxLength: 30 })
    .map((parts) => parts.join(' '));
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 60 }),
      queries({ texts: ['line'], numbers: [], booleans: [] }),
      sizing,
      memoryBytes,
      async (lines, query, tuning, memory) => {
        const content = bytesOf(lines.map((each) => `${each}\n`).join(''));
        const source = linesSource('a.txt', {}, tuning);
        const env = memoryEnv({ '/data/a.txt': content });
        const options = { env, splitBytes: tuning.splitBytes, memoryBytes: memory };
        const result = await runOnBytes(source, query, options);
        expect(result.rows).toEqual(await runOnRows(source, query, options));
        expect(result.records).toBe(lines.length);
      },
    ),
    { numRuns: 200 },
  );
});

test('CSV gives on bytes what the definition gives on rows, or the same error', async () => {
  const quoted = (value: string): string => `"${value.replaceAll('"', '""')}"`;
  const field = fc.oneof(
    { weight: 5, arbitrary: text },
    { weight: 3, arbitrary: text.map(quoted) },
    { weight: 1, arbitrary: fc.constantFrom('"a,b"', '"a\nb"', '"\r\n"', '"x""y"', '""""') },
  );
  const strays = fc.constantFrom('"', 'a"b', '"a"b', 'x,y', '');
  const row = fc
    .tuple(field, fc.oneof(numberText, fc.constant('')), field, booleanText)
    .map((fields) => fields.join(','));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 60, arbitrary: row }, { weight: 1, arbitrary: strays }), {
        maxLength: 40,
      }),
      queries({ texts: ['s', 't'], numbers: ['n'], booleans: ['b'] }),
      sizing,
      memoryBytes,
      fc.record({
        end: fc.constantFrom('\n', '\r\n'),
        isEnded: fc.boolean(),
        header: fc.boolean(),
        multiline: fc.boolean(),
      }),
      async (rows, query, tuning, memory, { end, isEnded, header, multiline }) => {
        const lines = header ? ['s,n,t,b', ...rows] : rows;
        const content = bytesOf(lines.join(end) + (isEnded ? end : ''));
        const columns = { s: 'string', n: 'number', t: 'string', b: 'boolean' } as const;
        const source = csvSource('a.csv', { header, multiline, columns }, tuning);
        const env = memoryEnv({ '/data/a.csv': content });
        const options = { env, splitBytes: tuning.splitBytes, memoryBytes: memory };
        const onRows = await settled(runOnRows(source, query, options));
        const onBytes = await settled(
          runOnBytes(source, query, options).then((result) => result.rows),
        );
        expect(onBytes).toEqual(onRows);
      },
    ),
    { numRuns: 300 },
  );
});

async function settled(result: Promise<unknown>): Promise<unknown> {
  try {
    return await result;
  } catch (error) {
    return String(error);
  }
}

/** Lone surrogates U+DC80 to U+DCFF become the bytes that they stand for. */
function bytesOf(content: string): Buffer {
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

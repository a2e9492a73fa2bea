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
import {
  booleanText,
  bytesOf,
  expressions,
  numberText,
  sizing,
  text,
} from '../../../../test/columns/random-columns.ts';
import { memoryEnv, readValues } from '../../../../test/files/read-harness.ts';
import { csvSource } from '../../../connect/files/read-csv.ts';
import { delimitedSource } from '../../../connect/files/read-delimited.ts';
import { linesSource } from '../../../connect/files/read-lines.ts';
import type { ColumnAggregate } from '../../../flow/columns.ts';

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

/** Some leave no room for more than a few groups. */
const memoryBytes = fc.constantFrom(1, 1 << 26);

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

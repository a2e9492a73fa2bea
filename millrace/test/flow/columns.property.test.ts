/**
 * Declarative columns on rows: conditions, computed columns, aggregates and words at random give what the oracle reads out of the same
 * definitions. MILLRACE_SEED=n repeats a run, MILLRACE_RUNS=n makes n times as many.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ColumnAggregates, Expression } from '../../src/flow/columns.ts';
import {
  AggregateExpression,
  ColumnExpression,
  words,
  type WordsExpression,
} from '../../src/flow/expressions.ts';
import { flow } from '../../src/flow/flow.ts';
import {
  type MemorySink,
  memorySink,
  memorySource,
  type RunOptions,
  runPlan,
} from '../batch/in-memory.ts';
import { parameters } from './generators.ts';
import { evaluate } from './oracle.ts';

/** Rows whose columns the compiler need not know: expressions at random are of any type. */
interface AnyRows {
  where(condition: ColumnExpression): AnyRows;
  select(columns: Readonly<Record<string, ColumnExpression>>): AnyRows;
  groupBy(...columns: string[]): Pick<AnyRows, 'agg'>;
  agg(aggregates: Readonly<Record<string, AggregateExpression>>): AnyRows;
  explode(column: string, elements: WordsExpression): AnyRows;
  write(to: MemorySink): void;
}

interface Row {
  readonly text: string | null;
  readonly other: string | null;
  readonly number: number | null;
  readonly flag: boolean | null;
}

const texts = fc.constantFrom(
  '',
  'a',
  'A b',
  'ab',
  'b,a',
  '12',
  '-1.5',
  'x 12',
  'ä',
  '\u{1f600} a',
  '\uffff',
  null,
);
const row: fc.Arbitrary<Row> = fc.record({
  text: texts,
  other: texts,
  number: fc.oneof(fc.integer({ min: -3, max: 9 }), fc.constantFrom(0.5, 1e300, null)),
  flag: fc.constantFrom(true, false, null),
});

const literal = fc
  .oneof(texts, fc.integer({ min: -3, max: 9 }), fc.constantFrom(true, false))
  .map((value): Expression => ({ kind: 'literal', value }));
const column = fc
  .constantFrom('text', 'other', 'number', 'flag')
  .map((name): Expression => ({ kind: 'column', name }));

/** Expressions of any depth up to three; most are of sensible types. */
const { expression } = fc.letrec<{ expression: Expression; leaf: Expression }>((tie) => ({
  leaf: fc.oneof({ weight: 3, arbitrary: column }, { weight: 1, arbitrary: literal }),
  expression: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    tie('leaf'),
    fc.record({
      kind: fc.constant('compare' as const),
      operator: fc.constantFrom('=', '!=', '<', '<=', '>', '>='),
      left: tie('expression'),
      right: tie('expression'),
    }),
    fc.record({
      kind: fc.constant('text' as const),
      operator: fc.constantFrom('startsWith', 'endsWith', 'contains'),
      text: tie('expression'),
      part: fc.constantFrom('a', 'b', ' ', ''),
    }),
    fc.record({
      kind: fc.constant('in' as const),
      value: tie('expression'),
      set: fc.array(fc.constantFrom('a', 'ab', 1, 2, true), { maxLength: 3 }),
    }),
    fc.record({
      kind: fc.constantFrom('and' as const, 'or' as const),
      terms: fc.array(tie('expression'), { minLength: 1, maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('not' as const), term: tie('expression') }),
    fc.record({ kind: fc.constant('isNull' as const), value: tie('expression') }),
    fc.record({
      kind: fc.constant('arithmetic' as const),
      operator: fc.constantFrom('+', '-', '*', '/'),
      left: tie('expression'),
      right: tie('expression'),
    }),
    fc.record({ kind: fc.constant('number' as const), text: tie('expression') }),
    fc.record({ kind: fc.constant('lower' as const), text: tie('expression') }),
    fc.record({
      kind: fc.constant('before' as const),
      text: tie('expression'),
      separator: fc.constantFrom(',', ' ', 'b'),
    }),
  ),
}));

/** Sums of numbers whose sums are exact in any order. */
const whole: Expression = { kind: 'column', name: 'number' };
const isSmall: Expression = {
  kind: 'compare',
  operator: '<',
  left: whole,
  right: { kind: 'literal', value: 100 },
};

const settings = fc.record({
  splitRecords: fc.constantFrom(1, 4, 1_000),
  partitions: fc.constantFrom(1, 3),
  memoryBytes: fc.constantFrom(200_000, 64 * 1024 * 1024),
});

/** Runs what `build` makes of the rows, and compares it with the oracle. */
async function expectAsOracle(
  rows: readonly Row[],
  options: RunOptions & { readonly partitions: number },
  build: (rows: AnyRows) => AnyRows,
): Promise<void> {
  const source = memorySource(rows);
  const sink = memorySink();
  const plan = flow('columns', (f) => {
    build(f.read(source)).write(sink);
  }).plan();
  const { outputs } = await evaluate(plan, {
    records: () => source.records,
    partitions: () => options.partitions,
    strategy: () => 'sort-merge',
    isSampled: () => true,
  });
  await runPlan(plan, options);
  const [expected = []] = outputs.values();
  expect(sink.values()).toEqual(expected.map(({ value }) => value));
}

test('conditions and computed columns', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 20 }),
      fc.option(expression),
      fc.array(expression, { minLength: 1, maxLength: 3 }),
      settings,
      async (rows, condition, columns, options) => {
        const selected = Object.fromEntries(
          columns.map((each, at) => [`c${at}`, new ColumnExpression(each)]),
        );
        await expectAsOracle(rows, options, (all) => {
          const some = condition === null ? all : all.where(new ColumnExpression(condition));
          return some.select(selected);
        });
      },
    ),
    parameters(200),
  );
});

test('aggregates of groups, and of everything', async () => {
  const aggregates: ColumnAggregates = {
    rows: { kind: 'count' },
    texts: { kind: 'countDistinct', value: { kind: 'column', name: 'other' } },
    sum: { kind: 'sum', value: whole },
    mean: { kind: 'avg', value: whole },
    least: { kind: 'min', value: { kind: 'column', name: 'other' } },
    most: { kind: 'max', value: whole },
    flags: { kind: 'max', value: { kind: 'column', name: 'flag' } },
  };
  const given = Object.fromEntries(
    Object.entries(aggregates).map(([name, each]) => [name, new AggregateExpression(each)]),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 40 }),
      fc.subarray(['text', 'flag']),
      settings,
      (rows, by, options) =>
        expectAsOracle(rows, options, (all) => {
          const small = all.where(new ColumnExpression(isSmall));
          return by.length === 0 ? small.agg(given) : small.groupBy(...by).agg(given);
        }),
    ),
    parameters(100),
  );
});

test('the words of a text', async () => {
  const uses = new AggregateExpression({ kind: 'count' });
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 20 }),
      fc.constantFrom('letters' as const, 'blanks' as const),
      settings,
      (rows, of, options) =>
        expectAsOracle(rows, options, (all) =>
          all.explode('word', words('text', of)).groupBy('word').agg({ uses }),
        ),
    ),
    parameters(50),
  );
});

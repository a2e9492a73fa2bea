/**
 * Questions asked twice: as a flow that the engine runs, and as SQL that DuckDB runs, over the same tables at random, with nulls,
 * duplicates, skew and empty tables. MILLRACE_SEED=n repeats a run, MILLRACE_RUNS=n makes n times as many.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FlowBuilder } from '../../src/flow/builder.ts';
import { flow } from '../../src/flow/flow.ts';
import type { JoinStrategy } from '../../src/flow/plan.ts';
import type { KeyedStream, Stream } from '../../src/flow/streams.ts';
import { memorySink, memorySource, runPlan } from '../batch/in-memory.ts';
import { asMultiset, Duck } from './duckdb.ts';
import { parameters, records, textKey } from './generators.ts';

interface Row {
  readonly id: number;
  readonly k: string | null;
  readonly n: number | null;
}
type Answer = readonly (string | number | null)[];

const table = records(textKey, [(rank) => rank % 11, (rank) => 1 - rank, () => null], 30).map(
  (rows) => rows.map(({ key, value }, id): Row => ({ id, k: key, n: value })),
);

let duck: Duck;
beforeAll(async () => {
  duck = await Duck.open();
});
afterAll(() => {
  duck.close();
});

interface Question {
  readonly sql: string;
  /** The order counts. */
  readonly isOrdered?: boolean;
  ask(left: Stream<Row>, right: Stream<Row>, f: FlowBuilder): Stream<Answer>;
}

const keyed = (rows: Stream<Row>): KeyedStream<string | null, Row> => rows.keyBy(({ k }) => k);

interface Sums {
  readonly rows: number;
  readonly values: number;
  readonly sum: number;
  readonly least: number | null;
  readonly most: number | null;
}
const least = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.min(a, b);
const most = (a: number | null, b: number | null): number | null =>
  a === null ? b : b === null ? a : Math.max(a, b);
const merge = (a: Sums, b: Sums): Sums => ({
  rows: a.rows + b.rows,
  values: a.values + b.values,
  sum: a.sum + b.sum,
  least: least(a.least, b.least),
  most: most(a.most, b.most),
});
const sums = {
  init: (): Sums => ({ rows: 0, values: 0, sum: 0, least: null, most: null }),
  add: (all: Sums, { n }: Row): Sums =>
    merge(all, { rows: 1, values: n === null ? 0 : 1, sum: n ?? 0, least: n, most: n }),
};
const sumsOf = ({ rows, values, sum, least: low, most: high }: Sums): Answer => [
  rows,
  values === 0 ? null : sum,
  low,
  high,
];

const QUESTIONS: Readonly<Record<string, Question>> = {
  'sums per key, combined before the exchange': {
    sql: 'SELECT k, count(*), sum(n)::INTEGER, min(n), max(n) FROM l GROUP BY k',
    ask: (left) =>
      keyed(left)
        .aggregate('sums', { ...sums, merge })
        .map((all, k): Answer => [k, ...sumsOf(all)]),
  },
  'sums per key, after the exchange': {
    sql: 'SELECT k, count(*), sum(n)::INTEGER, min(n), max(n) FROM l GROUP BY k',
    ask: (left) =>
      keyed(left)
        .aggregate('sums', sums)
        .map((all, k): Answer => [k, ...sumsOf(all)]),
  },
  'sums of everything': {
    sql: 'SELECT count(*), sum(n)::INTEGER, min(n), max(n) FROM l',
    ask: (left) => left.aggregate('sums', { ...sums, merge }).map(sumsOf),
  },
  'distinct keys': {
    sql: 'SELECT DISTINCT k FROM l',
    ask: (left) => left.distinct('keys', ({ k }) => k).map(({ k }): Answer => [k]),
  },
  'distinct values per key': {
    sql: 'SELECT k, count(DISTINCT n) FROM l GROUP BY k',
    ask: (left) =>
      left
        .groupBy(({ k }) => k)
        .reduce('distinct', (k, rows, emit: (answer: Answer) => void) => {
          const values = new Set([...rows].map(({ n }) => n).filter((n) => n !== null));
          emit([k, values.size]);
        }),
  },
  'the whole table in order': {
    sql: 'SELECT k, n, id FROM l ORDER BY k COLLATE "C" NULLS FIRST, n NULLS FIRST, id',
    isOrdered: true,
    ask: (left) =>
      left.sort('order', ({ k, n }) => [k, n]).map(({ k, n, id }): Answer => [k, n, id]),
  },
  'the three largest counts': {
    sql: `SELECT count(*) FROM l WHERE k IS NOT NULL GROUP BY k ORDER BY count(*) DESC LIMIT 3`,
    isOrdered: true,
    ask: (left) =>
      keyed(left.filter(({ k }) => k !== null))
        .count('frequency')
        .top(3)
        .map(({ value }): Answer => [value]),
  },
  'the latest row of each key': {
    sql: 'SELECT k, id FROM l QUALIFY row_number() OVER (PARTITION BY k ORDER BY n DESC NULLS LAST, id) = 1',
    ask: (left) =>
      left
        .groupBy(({ k }) => k)
        .sortValuesBy(({ n, id }) => [n === null ? 1 : 0, n === null ? 0 : -n, id])
        .reduce('first', (k, rows, emit: (answer: Answer) => void) => {
          for (const { id } of rows) {
            emit([k, id]);
            break;
          }
        }),
  },
  'rows of both tables': {
    sql: 'SELECT k, n FROM l UNION ALL SELECT k, n FROM r',
    ask: (left, right) => left.union(right).map(({ k, n }): Answer => [k, n]),
  },
  'a join of sums with rows': {
    sql: `SELECT l.id, s.total FROM l LEFT JOIN (SELECT k, count(*) AS total FROM r GROUP BY k) s ON l.k = s.k`,
    ask: (left, right) =>
      keyed(left)
        .leftJoin('totals', keyed(right).count('total'), ({ id }, total) => [id, total ?? null])
        .values(),
  },
  'sums of a join': {
    sql: 'SELECT l.k, count(*), sum(l.n * r.n)::INTEGER FROM l JOIN r ON l.k = r.k GROUP BY l.k',
    ask: (left, right) =>
      keyed(left)
        .join('pairs', keyed(right), (a, b): Row => {
          const n = a.n === null || b.n === null ? null : a.n * b.n;
          return { id: a.id, k: a.k, n };
        })
        .aggregate('sums', { ...sums, merge })
        .map((all, k): Answer => [k, all.rows, all.values === 0 ? null : all.sum]),
  },
};

const SQL_JOINS = {
  join: 'SELECT l.id, r.id FROM l JOIN r ON l.k = r.k',
  leftJoin: 'SELECT l.id, r.id FROM l LEFT JOIN r ON l.k = r.k',
  rightJoin: 'SELECT l.id, r.id FROM l RIGHT JOIN r ON l.k = r.k',
  outerJoin: 'SELECT l.id, r.id FROM l FULL JOIN r ON l.k = r.k',
} as const;
const SQL_FILTERS = {
  semiJoin: 'SELECT l.id FROM l SEMI JOIN r ON l.k = r.k',
  antiJoin: 'SELECT l.id FROM l ANTI JOIN r ON l.k = r.k',
} as const;
const STRATEGIES: readonly JoinStrategy[] = ['sort-merge', 'partitioned-hash', 'broadcast-hash'];
const ids = (left: Row | undefined, right: Row | undefined): Answer => [
  left?.id ?? null,
  right?.id ?? null,
];

/** Every join by every strategy. */
function joinQuestions(): Record<string, Question> {
  const questions: Record<string, Question> = {};
  for (const strategy of STRATEGIES) {
    const options = { strategy };
    for (const [method, sql] of Object.entries(SQL_JOINS) as [keyof typeof SQL_JOINS, string][]) {
      if (strategy === 'broadcast-hash' && (method === 'rightJoin' || method === 'outerJoin'))
        continue;
      questions[`${method} by ${strategy}`] = {
        sql,
        ask: (left, right) => keyed(left)[method]('j', keyed(right), ids, options).values(),
      };
    }
    for (const [method, sql] of Object.entries(SQL_FILTERS) as [keyof typeof SQL_FILTERS, string][])
      questions[`${method} by ${strategy}`] = {
        sql,
        ask: (left, right) => {
          const filtered = keyed(left)[method]('j', keyed(right), options);
          return filtered.map(({ id }): Answer => [id]);
        },
      };
  }
  return questions;
}

const settings = fc.record({
  splitRecords: fc.constantFrom(1, 4, 1_000),
  partitions: fc.constantFrom(1, 3),
  memoryBytes: fc.constantFrom(200_000, 64 * 1024 * 1024),
  hotKeyBytes: fc.constantFrom(100, 16 * 1024 * 1024),
});

for (const [title, question] of Object.entries({ ...QUESTIONS, ...joinQuestions() }))
  test(`${title}: as in SQL`, async () => {
    await fc.assert(
      fc.asyncProperty(table, table, settings, async (left, right, options) => {
        const sink = memorySink();
        const plan = flow('question', (f) => {
          const rows = (values: readonly Row[]): Stream<Row> => f.read(memorySource(values));
          question.ask(rows(left), rows(right), f).write(sink);
        }).plan();
        await runPlan(plan, options);
        const columns = { id: 'INTEGER', k: 'VARCHAR', n: 'INTEGER' };
        const inSql = (values: readonly Row[]) => ({
          columns,
          rows: values.map(({ id, k, n }) => [id, k, n]),
        });
        const expected = await duck.ask({ l: inSql(left), r: inSql(right) }, question.sql);
        const got = sink.values() as Answer[];
        if (question.isOrdered === true) expect(got).toEqual(expected);
        else expect(asMultiset(got)).toEqual(asMultiset(expected));
      }),
      parameters(8),
    );
  });

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  aggregate,
  explode,
  type Query,
  runOnBytes,
  where,
} from '../../../../test/columns/lane-harness.ts';
import { Duck } from '../../../../test/flow/duckdb.ts';
import { csvSource } from '../../../connect/files/read-csv.ts';
import { realEnv } from '../../../core/real-env.ts';
import type { Expression } from '../../../flow/columns.ts';

const col = (name: string): Expression => ({ kind: 'column', name });
const literal = (value: string | number): Expression => ({ kind: 'literal', value });
const compare = (left: Expression, operator: '=' | '<' | '>=', right: Expression): Expression => ({
  kind: 'compare',
  operator,
  left,
  right,
});

let directory = '';
let duck: Duck;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-lane-'));
  duck = await Duck.open();
});

afterAll(() => {
  duck.close();
  rmSync(directory, { recursive: true });
});

/** A question, in our words and in SQL. Text that is missing is empty here and null there: SQL says coalesce. */
interface Question {
  readonly query: Query;
  readonly sql: string;
}

const count = { kind: 'count' } as const;
const QUESTIONS: readonly Question[] = [
  {
    query: {
      steps: [],
      aggregate: aggregate(['name', 'ok'], {
        rows: count,
        sum: { kind: 'sum', value: col('n') },
        low: { kind: 'min', value: col('n') },
        high: { kind: 'max', value: col('note') },
        notes: { kind: 'countDistinct', value: col('note') },
      }),
    },
    sql: 'SELECT name, ok, count(*), sum(n), min(n), max(note), count(DISTINCT note) FROM rows GROUP BY ALL',
  },
  {
    query: {
      steps: [
        where({
          kind: 'and',
          terms: [
            compare(col('n'), '>=', literal(0)),
            {
              kind: 'not',
              term: { kind: 'text', operator: 'contains', text: col('note'), part: 'a' },
            },
          ],
        }),
      ],
      aggregate: aggregate(['name'], { rows: count, mean: { kind: 'avg', value: col('n') } }),
    },
    sql: "SELECT name, count(*), sum(n) / count(n) FROM rows WHERE n >= 0 AND NOT contains(note, 'a') GROUP BY ALL",
  },
  {
    query: {
      steps: [where(compare(col('name'), '<', col('note')))],
      aggregate: aggregate([], {
        rows: count,
        twice: {
          kind: 'sum',
          value: { kind: 'arithmetic', operator: '*', left: col('n'), right: literal(2) },
        },
      }),
    },
    sql: 'SELECT count(*), sum(n * 2) FROM rows WHERE name < note HAVING count(*) > 0',
  },
  {
    query: {
      steps: [
        explode('word', {
          kind: 'words',
          text: { kind: 'lower', text: col('note') },
          of: 'letters',
        }),
      ],
      aggregate: aggregate(['word'], { rows: count }),
    },
    sql: "SELECT word, count(*) FROM (SELECT unnest(regexp_extract_all(lower(note), '[A-Za-z]+')) AS word FROM rows) GROUP BY ALL",
  },
];

test('CSV files give on bytes what DuckDB makes of them', async () => {
  const text = fc.oneof(
    fc.constantFrom('', 'a', 'b', 'Aa bb', 'x,y', 'é', '"q"', '\u{1f600}', '\ufffd'),
    fc.string({ unit: fc.constantFrom('a', 'B', ' ', ',', '"', '\n', 'ß'), maxLength: 12 }),
  );
  const row = fc.tuple(
    text,
    fc.option(fc.integer({ min: -1000, max: 1000 }).map((n) => n / 4)),
    fc.option(fc.boolean()),
    text,
  );
  const path = join(directory, 'rows.csv');
  const source = csvSource(
    path,
    { columns: { name: 'string', n: 'number', ok: 'boolean', note: 'string' } },
    { chunkBytes: 512 },
  );
  const table =
    `CREATE OR REPLACE VIEW rows AS SELECT coalesce(name, '') AS name, n, ok, coalesce(note, '') AS note ` +
    `FROM read_csv('${path}', delim=',', quote='"', escape='"', header=true, auto_detect=false, ` +
    `columns={name: 'VARCHAR', n: 'DOUBLE', ok: 'BOOLEAN', note: 'VARCHAR'})`;
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { minLength: 1, maxLength: 40 }),
      fc.constantFrom(...QUESTIONS),
      fc.constantFrom(1, 1 << 26),
      async (rows, { query, sql }, memoryBytes) => {
        writeFileSync(path, csvOf(rows));
        await duck.ask({}, table);
        const theirs = await duck.ask({}, sql);
        const ours = await runOnBytes(source, query, {
          env: realEnv(),
          splitBytes: 700,
          memoryBytes,
        });
        expect(
          ours.rows
            .map((each) => Object.values(each as object))
            .map(asText)
            .sort(),
        ).toEqual(theirs.map(asText).sort());
      },
    ),
    { numRuns: 120 },
  );
});

type Row = readonly [string, number | null, boolean | null, string];

function csvOf(rows: readonly Row[]): string {
  const quoted = (value: string): string =>
    /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  const lines = rows.map(([name, n, ok, note]) =>
    [quoted(name), n ?? '', ok ?? '', quoted(note)].join(','),
  );
  return ['name,n,ok,note', ...lines, ''].join('\n');
}

function asText(values: readonly unknown[]): string {
  return JSON.stringify(values);
}

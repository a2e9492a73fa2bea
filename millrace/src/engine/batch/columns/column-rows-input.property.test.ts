/** Flows whose conditions run on bytes give what they give on rows: values, their order, errors and where they are. */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memorySink, type MemorySink, runPlan } from '../../../../test/batch/in-memory.ts';
import { explode, select, where } from '../../../../test/columns/lane-harness.ts';
import { runs } from '../../../../test/runs.ts';
import {
  booleanText,
  bytesOf,
  type ColumnNames,
  expressions,
  numberText,
  sizing,
  text,
} from '../../../../test/columns/random-columns.ts';
import { memoryEnv } from '../../../../test/files/read-harness.ts';
import { csvSource } from '../../../connect/files/read-csv.ts';
import { delimitedSource } from '../../../connect/files/read-delimited.ts';
import { linesSource } from '../../../connect/files/read-lines.ts';
import type { Env } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import { realEnv } from '../../../core/real-env.ts';
import type { Expression } from '../../../flow/columns.ts';
import { rowOfLine } from '../../../flow/functions.ts';
import type { DeadLetter, Plan, PlanNode, ValueFunction } from '../../../flow/plan.ts';
import type { Source } from '../../../flow/source.ts';
import type { LaneStep } from './lane-columns.ts';

/** What is behind the conditions. */
const BEHIND = ['sink', 'throws', 'rejects', 'many', 'branches', 'sort'] as const;

interface Case {
  readonly steps: readonly LaneStep[];
  readonly behind: (typeof BEHIND)[number];
  /** After so many records the sink wants a rest. */
  readonly busyAfter: number;
  readonly isSkipping: boolean;
}

interface Outcome {
  readonly values: readonly unknown[];
  readonly letters: readonly unknown[];
  readonly recordsIn: number;
  readonly bytesIn: number;
}

const isBad = (value: unknown): boolean => (JSON.stringify(value).length * 7) % 5 === 0;
/** The order of columns counts, and so does the sign of 0. */
const written = (row: unknown): unknown =>
  Object.entries(row as object).map(([name, value]) => [name, Object.is(value, -0) ? '-0' : value]);

const FUNCTIONS: Readonly<Record<'throws' | 'rejects' | 'many', ValueFunction>> = {
  throws: (value) => {
    if (isBad(value)) throw new RangeError(`no ${JSON.stringify(value)}`);
    return value;
  },
  rejects: (value) =>
    isBad(value)
      ? Promise.reject(new RangeError(`no ${JSON.stringify(value)}`))
      : Promise.resolve(value),
  many: (value) => (isBad(value) ? [] : [value, value, value]),
};

function planOf(
  source: Source,
  { steps, behind, isSkipping }: Case,
  sink: MemorySink,
  letters: MemorySink,
): Plan {
  const nodes: PlanNode[] = [];
  const add = (node: object, input = nodes.length - 1): void => {
    const id = nodes.length;
    const inputs = id === 0 ? [] : [input];
    nodes.push({ name: `n-${id}`, ...node, id, inputs } as unknown as PlanNode);
  };
  add({ kind: 'source', source });
  if (source.columns?.kind === 'line') add({ kind: 'map', fn: rowOfLine, keepsKey: false });
  for (const step of steps) add({ ...step, name: `step-${nodes.length}` });
  if (behind === 'throws' || behind === 'rejects')
    add({ kind: 'map', fn: FUNCTIONS[behind], keepsKey: true });
  if (behind === 'many') add({ kind: 'flatMap', fn: FUNCTIONS.many, keepsKey: true });
  if (behind === 'sort')
    add({ kind: 'sort', order: { by: (row: unknown) => JSON.stringify(row), descending: false } });
  const last = nodes.length - 1;
  if (behind === 'branches') {
    add({ kind: 'where', condition: { kind: 'literal', value: true } });
    add({ kind: 'filter', fn: (row: unknown) => !isBad(row) });
    add({ kind: 'map', fn: (row: unknown) => ({ first: written(row) }), keepsKey: false });
    add({ kind: 'write', sink: sink.sink() });
  }
  add({ kind: 'map', fn: (row: unknown) => ({ columns: written(row) }), keepsKey: true }, last);
  add({ kind: 'write', sink: sink.sink() });
  const onError = isSkipping
    ? { kind: 'skip', sink: letters.sink(), recordsMax: 1_000_000 }
    : { kind: 'fail' };
  return {
    name: 'f',
    nodes,
    counters: [],
    parameters: {},
    onError,
    fingerprint: '',
  } as unknown as Plan;
}

async function outcomeOf(
  source: Source,
  each: Case,
  env: Env,
  splitBytes: number,
): Promise<Outcome | unknown[]> {
  const sink = memorySink({ busyAfter: each.busyAfter });
  const letters = memorySink();
  try {
    const plan = planOf(source, each, sink, letters);
    const options = { env, splitRecords: splitBytes, packRecords: 1_000_000 };
    const { results } = await runPlan(plan, options);
    const metrics = Object.values(results).flatMap((some) => some.map((result) => result.metrics));
    return {
      values: sink.values(),
      letters: letters.values().map((letter) => ({ ...(letter as DeadLetter) })),
      recordsIn: metrics[0]?.recordsIn ?? -1,
      bytesIn: metrics[0]?.bytesIn ?? -1,
    };
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code === 'ML_ASSERT') throw error;
    return [error.code, error.message, error.fields, error.hint];
  }
}

/** Says whether the source was read as bytes only, and to its end. */
async function expectSame(
  source: Source,
  each: Case,
  env: Env,
  splitBytes: number,
): Promise<{ readonly isOnBytes: boolean; readonly isWhole: boolean }> {
  let isOnBytes = true;
  const bytes: Source = {
    ...source,
    open: (split, context) => {
      isOnBytes = false;
      return source.open(split, context);
    },
  };
  const rows = { ...source };
  delete rows.openBytes;
  const expected = await outcomeOf(rows, each, env, splitBytes);
  expect(await outcomeOf(bytes, each, env, splitBytes)).toEqual(expected);
  return { isOnBytes, isWhole: !Array.isArray(expected) };
}

/** Conditions and selections, one condition at least. */
function cases(columns: ColumnNames): fc.Arbitrary<Case> {
  const first = expressions(columns);
  const selected = expressions({ texts: ['t'], numbers: ['n'], booleans: ['c'] });
  const conditions = (from: typeof first, minLength: number): fc.Arbitrary<readonly LaneStep[]> =>
    fc.array(from.condition.map(where), { minLength, maxLength: 2 });
  const selection = (from: typeof first): fc.Arbitrary<LaneStep> =>
    fc
      .tuple(from.condition, from.text, from.number, fc.boolean())
      .map(([c, t, n, isFirst]) => select(isFirst ? { n, t, c } : { c, t, n }));
  // Text by itself does not run on bytes.
  const literal: LaneStep = select({ x: { kind: 'literal', value: 'x' } });
  const explosion = first.text.map((each) =>
    explode('w', { kind: 'words', text: each, of: 'letters' }),
  );
  const steps = fc.oneof(
    conditions(first, 1),
    fc
      .tuple(conditions(first, 0), selection(first), conditions(selected, 1), selection(selected))
      .map(([before, step, behind, again]) => [...before, step, ...behind, again]),
    fc.tuple(conditions(first, 1), selection(first)).map(([before, step]) => [...before, step]),
    conditions(first, 1).map((before) => [...before, literal]),
    fc.tuple(conditions(first, 1), explosion).map(([before, step]) => [...before, step]),
  );
  return fc.record({
    steps,
    behind: fc.constantFrom(...BEHIND),
    busyAfter: fc.constantFrom(1, 2, 3, 7, 1_000_000),
    isSkipping: fc.boolean(),
  });
}

function envOf(contents: Readonly<Record<string, Buffer>>): Env {
  const files = Object.entries(contents).map(([name, content]) => [`/data/${name}`, content]);
  return { ...realEnv(), fs: memoryEnv(Object.fromEntries(files) as typeof contents).fs };
}

const shape = fc.record({
  end: fc.constantFrom('\n', '\r\n'),
  isEnded: fc.boolean(),
  isCompressed: fc.boolean(),
  /** Some lines are longer. */
  lineBytesMax: fc.constantFrom(20, 1_000_000),
});

test('delimited rows that pass on bytes are those that pass as rows', async () => {
  const field = fc.oneof(
    { weight: 4, arbitrary: text },
    { weight: 2, arbitrary: numberText },
    { weight: 1, arbitrary: booleanText },
    { weight: 1, arbitrary: fc.constantFrom('\udc80', 'a\udcff', '\udcc3x', '\ufffd') },
  );
  const row = fc.array(field, { maxLength: 5 }).map((fields) => fields.join(' '));
  const delimitedRuns = runs(150);
  let onBytes = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { maxLength: 60 }),
      cases({ texts: ['s', 't'], numbers: ['n', 'm'], booleans: ['b'] }),
      sizing,
      shape,
      fc.boolean(),
      async (rows, each, tuning, { end, isEnded, isCompressed, lineBytesMax }, repeatable) => {
        const content = bytesOf(rows.join(end) + (isEnded ? end : ''));
        const name = isCompressed ? 'a.log.gz' : 'a.log';
        const source = delimitedSource(
          `/data/${name}`,
          {
            repeatable,
            lineBytesMax,
            fields: { t: 2, s: 0, n: [1, 'number'], b: [3, 'boolean'], m: [0, 'number'] },
          },
          tuning,
        );
        const env = envOf({ [name]: isCompressed ? gzipSync(content) : content });
        const { isOnBytes, isWhole } = await expectSame(source, each, env, tuning.splitBytes);
        if (lineBytesMax > 20) expect(isOnBytes).toBe(true);
        if (isOnBytes && isWhole) onBytes++;
      },
    ),
    { numRuns: delimitedRuns },
  );
  expect(onBytes).toBeGreaterThan((delimitedRuns * 70) / 300);
});

test('lines that pass on bytes are those that pass as rows', async () => {
  const line = fc
    .array(fc.oneof(text, fc.constantFrom(' ', '  ', '\t', '.', '\udce9')), { maxLength: 30 })
    .map((parts) => parts.join(' '));
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 60 }),
      cases({ texts: ['line'], numbers: [], booleans: [] }),
      sizing,
      shape,
      async (lines, each, tuning, { end, isEnded, lineBytesMax }) => {
        const content = bytesOf(lines.join(end) + (isEnded ? end : ''));
        const source = linesSource('/data/a.txt', { lineBytesMax }, tuning);
        const env = envOf({ 'a.txt': content });
        const { isOnBytes } = await expectSame(source, each, env, tuning.splitBytes);
        if (lineBytesMax > 20) expect(isOnBytes).toBe(true);
      },
    ),
    { numRuns: runs(100) },
  );
});

test('rows of CSV that pass on bytes are those that pass as rows, up to the same error', async () => {
  const quoted = (value: string): string => `"${value.replaceAll('"', '""')}"`;
  const field = fc.oneof(
    { weight: 5, arbitrary: text },
    { weight: 3, arbitrary: text.map(quoted) },
    { weight: 1, arbitrary: fc.constantFrom('"a,b"', '"a\nb"', '"\r\n"', '"x""y"', '""""') },
  );
  const strays = fc.constantFrom('"', 'a"b', '"a"b', 'x,y', '', ',x,,');
  // Most are of their type: otherwise there is a fault in all files.
  const number = fc.oneof(
    { weight: 80, arbitrary: fc.oneof(fc.integer().map(String), fc.constantFrom('', '-0', '.5')) },
    { weight: 1, arbitrary: numberText },
  );
  const boolean = fc.oneof(
    { weight: 80, arbitrary: fc.constantFrom('true', 'false', 'FALSE', '') },
    { weight: 1, arbitrary: booleanText },
  );
  const row = fc.tuple(field, number, field, boolean).map((fields) => fields.join(','));
  const csvRuns = runs(200);
  let onBytes = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 100, arbitrary: row }, { weight: 1, arbitrary: strays }), {
        maxLength: 40,
      }),
      // Under skip all files are read as rows.
      cases({ texts: ['s', 't'], numbers: ['n'], booleans: ['b'] }).map((each) => ({
        ...each,
        isSkipping: each.isSkipping && each.busyAfter === 1,
      })),
      sizing,
      shape,
      fc.record({ header: fc.boolean(), multiline: fc.boolean(), isTyped: fc.boolean() }),
      async (
        rows,
        each,
        tuning,
        { end, isEnded, lineBytesMax },
        { header, multiline, isTyped },
      ) => {
        const lines = header ? ['s,n,t,b', ...rows] : rows;
        const content = bytesOf(lines.join(end) + (isEnded ? end : ''));
        const columns = { t: 'string', s: 'string', n: 'number', b: 'boolean' } as const;
        const inOrder = { s: 'string', n: 'number', t: 'string', b: 'boolean' } as const;
        const names = header ? (isTyped ? { columns } : {}) : { columns: inOrder };
        // A file with the same columns in another order.
        const other = bytesOf(['b,n,t,s', ...rows].join(end));
        const paths = header ? ['/data/a.csv', '/data/b.csv'] : '/data/a.csv';
        const source = csvSource(paths, { header, multiline, lineBytesMax, ...names }, tuning);
        const env = envOf({ 'a.csv': content, 'b.csv': other });
        const { isOnBytes, isWhole } = await expectSame(source, each, env, tuning.splitBytes);
        if (isOnBytes && isWhole) onBytes++;
      },
    ),
    { numRuns: csvRuns },
  );
  expect(onBytes).toBeGreaterThan((csvRuns * 70) / 400);
});

test('-0 is what a column holds where it is written so, and nothing else', async () => {
  const source = delimitedSource('/data/a.log', { fields: { a: [0, 'number'], b: 1 } });
  const env = envOf({ 'a.log': Buffer.from('-0 -0\n0 x\n') });
  const a: Expression = { kind: 'column', name: 'a' };
  const b: Expression = { kind: 'number', text: { kind: 'column', name: 'b' } };
  const minus: Expression = { kind: 'literal', value: -1 };
  const c: Expression = { kind: 'arithmetic', operator: '*', left: a, right: minus };
  const every = where({ kind: 'not', term: { kind: 'isNull', value: a } });
  const each = { behind: 'sink', busyAfter: 1, isSkipping: false } as const;
  expect(await outcomeOf(source, { ...each, steps: [every] }, env, 100)).toMatchObject({
    values: [
      { columns: Object.entries({ a: '-0', b: '-0' }) },
      { columns: Object.entries({ a: 0, b: 'x' }) },
    ],
  });
  const selected = { ...each, steps: [every, select({ a, b, c })] };
  expect(await outcomeOf(source, selected, env, 100)).toMatchObject({
    values: [
      { columns: Object.entries({ a: '-0', b: 0, c: 0 }) },
      { columns: Object.entries({ a: 0, b: null, c: 0 }) },
    ],
  });
  for (const steps of [[every], selected.steps])
    expect((await expectSame(source, { ...each, steps }, env, 100)).isOnBytes).toBe(true);
});

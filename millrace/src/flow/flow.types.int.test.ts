/** Programs that are wrong do not compile, and the compiler says why in a sentence; the `.test-d.ts` here, which are right, do. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

const PRELUDE = `
import * as m from 'millrace';
interface Hit { readonly path: string; readonly status: number; readonly parts: { readonly a: 1 } }
declare const hits: m.Readable<Hit> & m.Writable<Hit, unknown>;
declare const table: m.Writable<Hit, string>;
declare const texts: m.Writable<string, unknown>;
const places = m.topic('places', { value: m.json<Hit>() });
export default m.flow('wrong', (f) => {
  const rows = f.read(hits);
  rows.write(hits);
  const keyed = f.readKeyed(places);
  keyed.write(m.topic('anything'));
`;

/** Name, what the program does, and what the compiler says. */
const WRONG: readonly (readonly [name: string, code: string, sentence: string])[] = [
  ['key', 'rows.keyBy((hit) => hit.parts);', 'A key is a string, number, bigint'],
  ['async-key', 'rows.keyBy(async (hit) => hit.parts);', 'A key is a string, number, bigint'],
  [
    'group-key',
    'rows.map((hit) => hit).groupBy((hit) => hit.parts);',
    'A key is a string, number, bigint',
  ],
  ['sort-key', "rows.sort('s', (hit) => hit.parts);", 'Records are ordered by a string, number'],
  ['top-key', "rows.top('t', 3, (hit) => hit.parts);", 'Records are ordered by a string, number'],
  ['distinct', "rows.distinct('d');", 'These values cannot be keys themselves: say by what'],
  [
    'table-top',
    "rows.keyBy((hit) => hit.path).reduce('r', (left) => left).top(3);",
    'These values cannot be keys themselves: say by what',
  ],
  ...['join', 'leftJoin', 'rightJoin', 'outerJoin'].map(
    (method) =>
      [
        method,
        `rows.keyBy((hit) => hit.path).${method}('j', rows.keyBy((hit) => hit.status), () => 1);`,
        'The keys of the two sides of a join must have the same type',
      ] as const,
  ),
  ...['semiJoin', 'antiJoin'].map(
    (method) =>
      [
        method,
        `rows.keyBy((hit) => hit.path).${method}('j', rows.keyBy((hit) => hit.status));`,
        'The keys of the two sides of a join must have the same type',
      ] as const,
  ),
  [
    'union',
    'rows.keyBy((hit) => hit.path).union(rows.keyBy((hit) => hit.status));',
    "'KeyedStream<number, Hit>' is not assignable to parameter of type 'KeyedStream<string, unknown>'",
  ],
  ['sink', 'rows.map((hit) => hit.status).write(hits);', 'The sink does not take records of this'],
  ['rows-sink', 'rows.write(texts);', 'The sink does not take records of this type'],
  ['keyed-sink', 'rows.keyBy((hit) => hit.path).write(texts);', 'The sink does not take records'],
  ['no-keys', 'rows.write(table);', 'This sink needs keys: give the stream some with keyBy'],
  [
    'key-type',
    'rows.keyBy((hit) => hit.status).write(table);',
    'The sink does not take keys of this',
  ],
  [
    'entries',
    "rows.keyBy((hit) => hit.path).count('n').write(texts);",
    'The sink does not take entries { key, value }',
  ],
  ['select', "rows.select('path', 'stauts');", "There is no column 'stauts'"],
  [
    'select-computed',
    "rows.select({ n: m.col('stauts').times(2) });",
    "There is no column 'stauts'",
  ],
  ['group', "rows.groupBy('pahts');", "There is no column 'pahts'"],
  ['where', "rows.where(m.col('stauts').eq(200));", "There is no column 'stauts'"],
  [
    'where-and',
    "rows.where(m.col('status').eq(200).and(m.col('paht').eq('/')));",
    "There is no column 'paht'",
  ],
  ['where-object', 'rows.where({ stauts: 200 });', "There is no column 'stauts'"],
  ['sort-by', "rows.sortBy('stauts');", "There is no column 'stauts'"],
  ['sort-by-desc', "rows.sortBy(m.desc('stauts'));", "There is no column 'stauts'"],
  ['sum', "rows.groupBy('path').agg({ n: m.sum('stauts') });", "There is no column 'stauts'"],
  ['whole-sum', "rows.agg({ n: m.sum('stauts') });", "There is no column 'stauts'"],
  ['explode', "rows.explode('word', m.words('line'));", "There is no column 'line'"],
  [
    'compared',
    "rows.where(m.col('status').eq('200'));",
    "The column 'status' holds numbers and is used as text",
  ],
  [
    'compared-object',
    "rows.where({ status: '200' });",
    "The column 'status' holds numbers and is used as text",
  ],
  [
    'sum-of-text',
    "rows.agg({ n: m.sum('path') });",
    "The column 'path' holds text and is used as numbers",
  ],
  [
    'dead-letters',
    'm.skipTo(texts);',
    'The sink does not take dead letters: { record, error, operator, position }',
  ],
  ['duration', "m.tumbling('1 parsec');", `Argument of type '"1 parsec"' is not assignable`],
  [
    'topic-value',
    "rows.map((hit) => hit.status).write(m.topic('t', { value: m.json<Hit>() }));",
    'The sink does not take records of this type',
  ],
  [
    'topic-key',
    "keyed.keyBy((hit) => hit.status).write(m.topic('t', { key: 'string' }));",
    'The sink does not take keys of this type',
  ],
  [
    'topic-windowed-key',
    "keyed.window(m.tumbling('1s')).count('n').write(m.topic('t', { key: 'string' }));",
    'The sink does not take keys of this type',
  ],
  [
    'late',
    "keyed.window(m.tumbling('1s')).count('n').late(m.topic('t', { value: m.json<number>() }));",
    'The sink does not take records of this type',
  ],
  [
    'sessions',
    "keyed.window(m.session('1s')).aggregate('n', { init: () => 0, add: (n) => n + 1 });",
    'An aggregation over session windows needs merge: a late record may join two sessions',
  ],
  [
    'table-join',
    "keyed.join('j', f.table(places).keyBy((hit) => hit.status), () => 1);",
    'The keys of the two sides of a join must have the same type',
  ],
  [
    'table-table-join',
    "f.table(places).leftJoin('j', f.table(places).groupBy((hit) => hit.status).count('n'), () => 1);",
    'The keys of the two sides of a join must have the same type',
  ],
  [
    'global-table',
    "rows.joinGlobal('j', f.table(places), (hit) => hit.path, () => 1);",
    "is not assignable to parameter of type 'GlobalTable<",
  ],
  [
    'global-key',
    "rows.joinGlobal('j', f.globalTable(places), (hit) => hit.status, () => 1);",
    "Type 'number' is not assignable to type 'string'",
  ],
  [
    'table-key',
    'f.table(places).groupBy((hit) => hit.parts);',
    'A key is a string, number, bigint',
  ],
  ['dedupe', "rows.dedupe('d', (hit) => hit.parts, 1);", 'A key is a string, number, bigint'],
  [
    'step',
    "keyed.match('m', m.pattern('a', (hit: Hit) => hit.status > 0), ({ b }) => b);",
    "Property 'b' does not exist on type",
  ],
  [
    'pattern-of-others',
    "keyed.match('m', m.pattern('a', (n: number) => n > 0), ({ a }) => a);",
    "is not assignable to parameter of type 'PatternEnd<Hit",
  ],
  [
    'skip-to',
    "m.pattern('a', (hit: Hit) => hit.status > 0).skip({ toLast: 'b' });",
    `Type '"b"' is not assignable to type '"a"'`,
  ],
  [
    'emitted',
    "keyed.process('p', { onRecord: (_, c: m.ProcessContext<1, string>) => c.emit(1) });",
    "Argument of type 'number' is not assignable to parameter of type 'string'",
  ],
  [
    'windowed',
    "keyed.window(m.tumbling('1s')).map(() => 1);",
    "Property 'map' does not exist on type 'WindowedStream<string, Hit>'",
  ],
  [
    'option',
    "keyed.join('j', keyed, () => 1, { withn: 1 });",
    "'withn' does not exist in type 'JoinOptions'",
  ],
  [
    'emit',
    "m.mapReduce({ name: 'x', input: hits, map: (hit, emit) => emit(hit.path, 1), reduce: () => {}, output: hits });",
    'Say what emit takes',
  ],
  [
    'emit-key',
    "m.mapReduce({ name: 'x', input: hits, map: (hit, emit: m.EmitPair<Hit, 1>) => emit(hit, 1), reduce: () => {}, output: hits });",
    'A key is a string, number, bigint',
  ],
];

let directory = '';
let output = '';

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-types-'));
  mkdirSync(join(directory, 'wrong'));
  for (const [name, code] of WRONG) {
    writeFileSync(join(directory, `wrong/${name}.ts`), `${PRELUDE}  ${code}\n});\n`);
  }
  const configuration = {
    extends: join(ROOT, 'tsconfig.base.json'),
    compilerOptions: {
      noEmit: true,
      paths: { millrace: [join(ROOT, 'millrace/src/index.ts')] },
      typeRoots: [join(ROOT, 'node_modules/@types')],
    },
    files: [
      join(ROOT, 'millrace/src/flow/flow.test-d.ts'),
      join(ROOT, 'millrace/src/flow/stream-flow.test-d.ts'),
      join(ROOT, 'millrace/src/door/millrace.test-d.ts'),
      ...WRONG.map(([name]) => `wrong/${name}.ts`),
    ],
  };
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify(configuration));
  try {
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
    execFileSync(process.execPath, [compiler, '-p', directory, '--pretty', 'false'], {
      cwd: directory,
    });
  } catch (error) {
    output = String((error as { stdout: Buffer }).stdout);
  }
}, 60_000);

afterAll(() => {
  rmSync(directory, { recursive: true });
});

/** Each error with the lines that explain it. */
function errorsOf(file: string): string[] {
  return output
    .split(/\n(?=\S)/)
    .filter((error) => error.replaceAll('\\', '/').includes(`${file}(`));
}

test.each(WRONG)('%s: %s', (name, _code, sentence) => {
  const errors = errorsOf(`wrong/${name}.ts`);
  expect(errors).toHaveLength(1);
  expect(errors[0]).toContain(sentence);
});

test('right programs compile', () => {
  expect(errorsOf('flow.test-d.ts')).toEqual([]);
  expect(errorsOf('millrace.test-d.ts')).toEqual([]);
  expect(output).toContain('wrong/');
});

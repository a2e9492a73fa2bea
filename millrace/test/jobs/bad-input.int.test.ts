/**
 * Whatever can be wrong with inputs, through the real command: an error that names the place and the fix, nothing left behind, and a run
 * that works once it is mended; records that are skipped; bytes that are no text.
 */
import { readFile, symlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { builtMillrace } from '../start/built-millrace.ts';
import { expectFailure, type FailingRun, IMPORT, through, writeAll } from './failing-runs.ts';

const millrace = builtMillrace();

const NDJSON = "files.ndjson('out/out.ndjson') as never";
const AB = { 'in.txt': 'a\nb\nc\n' };
const MALFORMED = 'ML_INPUT_MALFORMED';
const ROWS = "files.csv('in.csv', { columns: { a: 'string', b: 'number' } })";
/** The same through columns. */
const LANE = ".groupBy('a').agg({ n: sum('b') })";

function failures(runs: readonly FailingRun[]): void {
  test.concurrent.each(runs)('$name', (run) => expectFailure(millrace, run));
}

describe('inputs that are not there', () => {
  const read = (path: string): string => through('', `files.lines(${path})`);
  failures([
    {
      name: 'a file',
      program: read("'in.txt'"),
      code: 'ML_INPUT_MISSING',
      says: ['error: in.txt does not exist', '/in.txt: check the path'],
      mend: AB,
    },
    {
      name: 'one of two',
      files: AB,
      program: read("['in.txt', 'other.txt']"),
      code: 'ML_INPUT_MISSING',
      says: ['other.txt does not exist'],
    },
    {
      name: 'a pattern',
      files: { 'logs/a.txt': '' },
      program: read("'logs/*.log'"),
      code: 'ML_INPUT_MISSING',
      says: ['no file matches logs/*.log'],
      mend: { 'logs/a.log': 'a\n' },
    },
    {
      name: 'a path below a file',
      files: AB,
      program: read("'in.txt/more.txt'"),
      code: 'ML_INPUT_MISSING',
      says: ['in.txt/more.txt does not exist'],
    },
    {
      name: 'a directory without files',
      files: { 'in/.hidden': '', 'in/_meta': '' },
      program: read("'in'"),
      code: 'ML_INPUT_MISSING',
      says: ['the directory in holds no files to read', "'in/**'"],
    },
    {
      name: 'a link that leads nowhere, in a directory',
      files: { 'in/a.txt': 'a\n' },
      prepare: (directory) => symlink('gone', join(directory, 'in/b.txt')),
      program: read("'in'"),
      code: 'ML_INPUT_MISSING',
      says: ['in/b.txt is a link that leads nowhere'],
    },
    {
      name: 'a link to itself',
      prepare: (directory) => symlink('in.txt', join(directory, 'in.txt')),
      program: read("'in.txt'"),
      code: 'ML_IO',
      says: ['/in.txt', 'fix: A link of that path leads back to itself'],
    },
    {
      name: 'no path at all',
      program: read('[]'),
      code: 'ML_FLOW_INVALID',
      says: ['is given no path at all', /^ {4}at .*job\.ts:3:\d+/m],
    },
    {
      name: 'an empty path',
      program: read("f.param('from', '')"),
      code: 'ML_FLOW_INVALID',
      says: ['is given an empty text, which is no path', /^ {4}at .*job\.ts:3:\d+/m],
    },
  ]);
});

describe('records that cannot be decoded', () => {
  const csv = (name: string, text: string, says: string, steps = ''): FailingRun => ({
    name: `CSV: ${name}`,
    files: { 'in.csv': text },
    program: through(steps, ROWS, NDJSON),
    code: MALFORMED,
    says: [says],
  });
  const json = (name: string, text: string, says: string, ...args: string[]): FailingRun => ({
    name: `JSON: ${name}`,
    files: { 'in.ndjson': text },
    program: through('', "files.ndjson('in.ndjson')", NDJSON),
    args,
    code: MALFORMED,
    says: [says],
  });
  const mend = { 'in.csv': 'a,b\n1,2\n', 'in.ndjson': '{}\n' };
  failures([
    {
      ...csv('an open quote', 'a,b\n1,2\n"3,4\n', 'in.csv:3:1: a quote that is never closed'),
      mend,
    },
    csv('a quote inside', 'a,b\n1,2\nx"y,4\n', 'in.csv:3:2: a quote inside a field'),
    csv('text behind a quote', 'a,b\n"x"y,4\n', 'in.csv:2:4: text behind a closing quote'),
    csv('a row that is too long', 'a,b\n1,2\n3,4,5\n', 'in.csv:3:5: the row has 3 fields'),
    csv('a row that is too short', 'a,b\n1,2\n3\n', 'in.csv:3:2: the row ends after 1 of 2'),
    csv('no number', 'a,b\n1,2\n3,x\n', 'in.csv:3:3: column b is to be a number, not "x"'),
    csv('lane: no number', 'a,b\n1,2\n3,x\n', 'in.csv:3:3: column b is to be a number', LANE),
    csv('lane: too short', 'a,b\n1,2\n3\n', 'in.csv:3:2: the row ends after 1 of 2', LANE),
    csv('lane: open quote', 'a,b\n1,2\n"3,4\n', 'in.csv:3:1: a quote that is never', LANE),
    csv('two columns of one name', 'a,a\n1,2\n', 'in.csv:1: two columns have the name "a"'),
    {
      name: 'CSV: a column that is not there',
      files: { 'in.csv': 'a,c\n1,2\n' },
      program: through('', ROWS, NDJSON),
      code: 'ML_COLUMN_UNKNOWN',
      says: ['in.csv has no column "b"', 'Its header names: a, c'],
    },
    json('a comma too many', '{"a":1}\n{"a":1,}\n', 'in.ndjson:2:8: this line is not JSON'),
    {
      ...json('in a worker', '{"a":1}\n{"a":1,}\n', 'in.ndjson:2:8: this', '--workers', '1'),
      mend,
    },
    {
      ...json('in stdin', '', 'error: stdin:2:2: this line is not JSON'),
      program: through('', "files.ndjson('-')", NDJSON),
      input: '{}\n{oops\n',
    },
    json('two values', '{"a":1} {"b":2}\n', 'in.ndjson:1:9: this line is not JSON: unexpected "{"'),
    json('an end in the middle', '{"a":1}\n{"a":', 'in.ndjson:2:6: this line is not JSON: it ends'),
    {
      name: 'JSON: what a schema refuses',
      files: { 'in.ndjson': '{"a":1}\n{"a":"x"}\n' },
      program: `const validate = (v: { a: unknown }) => typeof v.a === 'number' ? { value: v } : { issues: [{ message: 'no number', path: ['a'] }] };
        const schema = { '~standard': { version: 1, vendor: 'test', validate } } as never;
        ${through('', "files.ndjson('in.ndjson', { schema })", NDJSON)}`,
      code: MALFORMED,
      says: ['in.ndjson:2: the record does not fit its schema: a: no number'],
    },
    {
      name: 'a line beyond the limit',
      files: { 'in.txt': `x\n${'y'.repeat(2_000)}\nz\n` },
      program: through('', "files.lines('in.txt', { lineBytesMax: 1000 })"),
      code: 'ML_LINE_TOO_LONG',
      says: ['in.txt:2: the line is longer than 1000 bytes', 'lineBytesMax'],
      mend: AB,
    },
    {
      name: 'a line beyond the default limit, in a worker',
      files: { 'in.txt': 'x\n' },
      prepare: (directory) => truncate(join(directory, 'in.txt'), 17 * 1024 * 1024),
      program: through(''),
      args: ['--workers', '1'],
      code: 'ML_LINE_TOO_LONG',
      says: ['in.txt:2: the line is longer than 16777216 bytes'],
    },
    {
      name: 'gzip that is none',
      files: { 'in.txt.gz': 'plain text\n' },
      program: through('', "files.lines('in.txt.gz')"),
      code: MALFORMED,
      says: ['in.txt.gz is damaged'],
    },
    {
      name: 'gzip that ends early',
      files: { 'in.txt.gz': gzipSync('line\n'.repeat(50_000)).subarray(0, 100) },
      program: through('', "files.lines('in.txt.gz')"),
      code: MALFORMED,
      says: ['in.txt.gz is damaged: its gzip data ends, or breaks, before byte 100'],
    },
    {
      name: 'Parquet that is none',
      files: { 'in.parquet': 'PAR1 and then nothing PAR1' },
      program: through('', "files.parquet('in.parquet')", NDJSON),
      code: MALFORMED,
      says: ['in.parquet is no Parquet file, or damaged'],
    },
  ]);
});

test.concurrent('letters hold record, error, operator and position, whether it is a source or a function', async () => {
  const directory = await millrace.directory();
  await writeAll(directory, {
    'in.csv': 'a,b\nx,1\nshort\ny,no\nz,3\n',
    'job.ts': `${IMPORT}export default flow('job', { onError: skipTo(files.ndjson('bad.ndjson')) }, (f) => {
      f.read(${ROWS}).map((row) => { if (row.a === 'z') throw new Error('no z'); return row; }).write(files.csv('out.csv'));
    });`,
  });
  const { code, stderr } = await millrace.run(['run', 'job.ts'], { cwd: directory });
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/^skipped +3 records: see the dead letters$/m);
  const letters = (await readFile(join(directory, 'bad.ndjson'), 'utf8')).trimEnd().split('\n');
  expect(letters.map((line) => JSON.parse(line) as unknown)).toEqual([
    {
      record: 'short',
      error: expect.stringContaining('in.csv:3:6: the row ends') as string,
      operator: 'read-0',
      position: 'in.csv:3',
    },
    {
      record: 'y,no',
      error: expect.stringContaining('in.csv:4:3: column b') as string,
      operator: 'read-0',
      position: 'in.csv:4',
    },
    { record: { a: 'z', b: 3 }, error: 'Error: no z', operator: 'map-1', position: 'in.csv:5' },
  ]);
  expect(await readFile(join(directory, 'out.csv'), 'utf8')).toBe('a,b\nx,1\n');
});

describe('bytes that are no UTF-8 survive', () => {
  const LINES = [
    'caf\xe9 a',
    'plain',
    '\xff\xfe',
    '\xc3\xa9',
    'caf\xe9 a',
    '\xed\xa0\x80 x',
    '\x00nul',
    '\xf0\x9f\x98\x80',
    'last\xc3',
  ];
  const unique = [...new Set(LINES)];
  test.concurrent.each([
    ['map', '.map((x) => x)', LINES],
    ['sort', ".sort('by', (x) => x)", LINES],
    ['distinct', ".distinct('once')", unique],
    [
      'a shuffle',
      ".groupBy((x) => x).reduce('g', (key, values, emit) => { for (const v of values) { if (v !== key) throw new Error('differs'); emit(v); } })",
      LINES,
    ],
    ['keys', ".keyBy((x) => x).count('n').map((n, key) => key)", unique],
    ['top', ".top('best', 100, (x) => x)", LINES],
    ['columns', ".rows().groupBy('line').agg({ n: count() }).map((row) => row.line)", unique],
    ['a union', '.branch({ long: (x) => x.length > 3 })', LINES],
    ['a join', '', unique],
  ] as const)('%s', async (name, steps, lines) => {
    const directory = await millrace.directory();
    const whole = through(steps, undefined, "files.lines('out.txt')");
    const program: Readonly<Record<string, string>> = {
      'a union':
        "export default flow('job', (f) => { const { long, rest } = f.read(files.lines('in.txt')).branch({ long: (x) => x.length > 3 }); long.union(rest).write(files.lines('out.txt')); });",
      'a join':
        "export default flow('job', (f) => { const a = f.read(files.lines('in.txt')).distinct('once').keyBy((x) => x); a.join('j', a.mapValues((x) => x), (l, r, key) => { if (l !== r || l !== key) throw new Error('differs'); return l; }).values().write(files.lines('out.txt')); });",
    };
    await writeAll(directory, {
      'in.txt': Buffer.from(LINES.join('\n'), 'latin1'),
      'job.ts': IMPORT + (program[name] ?? whole),
    });
    const needsWorker = name === 'sort' || name === 'a join';
    const { code, stderr } = await millrace.run(
      ['run', 'job.ts', '--workers', needsWorker ? '1' : '0'],
      { cwd: directory, isHosted: !needsWorker },
    );
    expect(code, stderr).toBe(0);
    const out = (await readFile(join(directory, 'out.txt'), 'latin1')).trimEnd().split('\n');
    expect(out.toSorted()).toEqual(lines.toSorted());
  });
});

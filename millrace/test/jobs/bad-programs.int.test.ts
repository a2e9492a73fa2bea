/**
 * Whatever can be wrong with outputs and programs, through the real command: an error that names the place and the fix, the old outputs as they
 * were, and nothing left behind.
 */
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'vitest';
import { builtMillrace } from '../start/built-millrace.ts';
import { expectFailure, type FailingRun, through } from './failing-runs.ts';

const millrace = builtMillrace();

const NDJSON = "files.ndjson('out/out.ndjson') as never";
const AB = { 'in.txt': 'a\nb\nc\n' };

function failures(runs: readonly FailingRun[]): void {
  test.concurrent.each(runs)('$name', (run) => expectFailure(millrace, run));
}

/** What it leaves in its process would disturb the next one. */
function own(run: FailingRun): FailingRun {
  return { ...run, isProcess: true };
}

describe('outputs that cannot be', () => {
  const copy = (from: string, to: string): string =>
    through('', `files.lines('${from}')`, `files.lines('${to}')`);
  const overwrite = ['--overwrite'];
  const IS_INPUT = 'ML_OUTPUT_IS_INPUT';
  failures([
    {
      name: 'an input',
      files: AB,
      program: copy('in.txt', './in.txt'),
      args: overwrite,
      code: IS_INPUT,
      says: ['the output ./in.txt is also an input'],
    },
    {
      name: 'a link to an input',
      files: AB,
      prepare: (d) => symlink('in.txt', join(d, 'link.txt')),
      program: copy('in.txt', 'link.txt'),
      args: overwrite,
      code: IS_INPUT,
      says: ['link.txt'],
    },
    {
      name: 'what an input links to',
      files: AB,
      prepare: (d) => symlink('in.txt', join(d, 'link.txt')),
      program: copy('link.txt', 'in.txt'),
      args: overwrite,
      code: IS_INPUT,
      says: ['in.txt'],
    },
    {
      name: 'an input by way of a linked directory',
      files: { 'in/a.txt': 'a\n' },
      prepare: (d) => symlink('in', join(d, 'other')),
      program: copy('in/a.txt', 'other/a.txt'),
      args: overwrite,
      code: IS_INPUT,
      says: ['other/a.txt'],
    },
    {
      name: 'matched by the pattern of the input',
      files: { 'a.txt': '', 'b.txt': '' },
      program: copy('*.txt', 'b.txt'),
      args: overwrite,
      code: IS_INPUT,
      says: ['b.txt is also an input'],
    },
    {
      name: 'a directory above an input',
      files: { 'in/a.txt': 'a\n' },
      program: copy('in/a.txt', 'in'),
      args: overwrite,
      code: IS_INPUT,
      says: ['the output in holds the input'],
    },
    {
      name: 'the program',
      files: AB,
      program: copy('in.txt', 'job.ts'),
      args: overwrite,
      code: IS_INPUT,
      says: ['job.ts is also a file of the program'],
    },
    {
      name: 'there already',
      files: { ...AB, out: 'precious' },
      program: copy('in.txt', 'out'),
      code: 'ML_OUTPUT_EXISTS',
      says: ['the output out exists already: a file of 8 bytes', '--overwrite'],
    },
    {
      name: 'a directory with directories',
      files: { ...AB, 'out/src/precious': '' },
      program: copy('in.txt', 'out'),
      args: overwrite,
      code: 'ML_OUTPUT_EXISTS',
      says: ['holds directories (src)'],
    },
    {
      name: 'a directory of somebody else',
      files: { ...AB, 'out/notes.txt': 'precious' },
      program: copy('in.txt', 'out'),
      args: overwrite,
      code: 'ML_OUTPUT_EXISTS',
      says: ['is no output of a job: it holds notes.txt', 'Remove it yourself'],
    },
    {
      name: 'a device',
      files: AB,
      program: copy('in.txt', '/dev/null'),
      args: overwrite,
      code: 'ML_OUTPUT_EXISTS',
      says: ['/dev/null is a device'],
    },
    {
      name: 'below a file',
      files: { ...AB, place: '' },
      program: copy('in.txt', 'place/out.txt'),
      code: 'ML_IO',
      says: ['/place/', 'fix: A part of that path is a file'],
    },
    {
      name: 'an empty path',
      files: AB,
      program: copy('in.txt', ''),
      code: 'ML_FLOW_INVALID',
      says: ['its path is empty', /^ {4}at .*job\.ts:3:\d+/m],
    },
    {
      name: 'two at one place',
      files: AB,
      program: `export default flow('job', (f) => { const a = f.read(files.lines('in.txt')); a.write(files.lines('out.txt')); a.write(files.lines('x/../out.txt')); });`,
      code: 'ML_FLOW_INVALID',
      says: ['two outputs are the same: out.txt and x/../out.txt'],
    },
    {
      name: 'one inside another',
      files: AB,
      program: `export default flow('job', (f) => { const a = f.read(files.lines('in.txt')); a.write(files.lines('out')); a.write(files.lines('out/b.txt')); });`,
      code: 'ML_FLOW_INVALID',
      says: ['two outputs are inside one another'],
    },
    {
      name: 'the place of the dead letters',
      files: AB,
      program: `export default flow('job', { onError: skipTo(files.ndjson('out.ndjson')) }, (f) => { f.read(files.lines('in.txt')).write(files.ndjson('out.ndjson')); });`,
      code: 'ML_FLOW_INVALID',
      says: ['flow "job": two streams are written to out.ndjson'],
    },
    {
      name: 'records below a file',
      files: { ...AB, data: '' },
      program: copy('in.txt', 'out.txt'),
      args: ['--data', 'data'],
      code: 'ML_IO',
      says: ['/data/', 'A part of that path is a file'],
    },
  ]);
});

describe('programs that cannot run', () => {
  const program = (
    name: string,
    text: string,
    code: string,
    ...says: (string | RegExp)[]
  ): FailingRun => ({ name, files: AB, program: text, code, says });
  failures([
    own(
      program(
        'exit while they are loaded',
        'process.exit(0);\n',
        'ML_PROGRAM_INVALID',
        /job\.ts:2:9: the program threw while it was loaded: Error: process\.exit\(0\) was called/,
      ),
    ),
    own(
      program(
        'leave a promise alone while they are loaded',
        `void Promise.reject(new Error('left alone'));\n${through('')}`,
        'ML_USER_FUNCTION',
        'Error: left alone',
        /^ {4}at .*job\.ts:2:/m,
      ),
    ),
    own(
      program(
        'have decorators',
        `function d(x: unknown) {}\n  @d class X {}\n${through('')}`,
        'ML_PROGRAM_INVALID',
        /job\.ts:3:3: a decorator/,
        'a call instead of a decorator',
      ),
    ),
    program(
      'spell an option wrongly',
      through('', "files.csv('in.txt', { colums: { a: 'number' } })"),
      'ML_FLOW_INVALID',
      'files.csv has no option colums',
      'columns, header',
    ),
    program(
      'name a type of columns that there is not',
      through('', "files.csv('in.txt', { columns: { a: 'int' } })"),
      'ML_FLOW_INVALID',
      'column a has the type "int"',
    ),
    program(
      'throw while they are built',
      "export default flow('job', (f) => {\n  (f as any).reed();\n});",
      'ML_FLOW_INVALID',
      'flow "job": its builder threw: f.reed is not a function',
      /^ {4}at .*job\.ts:3:\d+/m,
    ),
    program(
      'write nothing',
      "export default flow('job', (f) => { f.read(files.lines('in.txt')); });",
      'ML_FLOW_INVALID',
      'flow "job": nothing is written',
      '.write(',
    ),
    program(
      'are built by a promise',
      "export default flow('job', async (f) => { f.read(files.lines('in.txt')).write(files.lines('o')); });",
      'ML_FLOW_INVALID',
      'must not be async',
    ),
    program(
      'use a name twice',
      through(".keyBy((x) => x).count('n').map((n) => n).keyBy((x) => x).count('n')"),
      'ML_FLOW_INVALID',
      'the name "n" is taken',
      /^ {4}at .*job\.ts:3:/m,
    ),
    program(
      'write a table without keys',
      through('', undefined, "files.table('out') as never"),
      'ML_FLOW_INVALID',
      'needs keys',
    ),
    {
      name: 'lack the parameter',
      files: AB,
      program: through(''),
      args: ['--set', 'limt=3'],
      code: 'ML_PARAMETER_INVALID',
      says: ['limt'],
    },
  ]);
});

describe('functions that fail', () => {
  const fails = (
    name: string,
    steps: string,
    code: string,
    ...says: (string | RegExp)[]
  ): FailingRun[] => [{ name, files: AB, program: through(steps, undefined, NDJSON), code, says }];
  const B = "if (x === 'b') throw new TypeError('no b'); return x;";
  const USER = 'ML_USER_FUNCTION';
  const at = (line: number): RegExp => new RegExp(`^ {4}at .*job\\.ts:${line}:\\d+\\)?$`, 'm');
  const both = (run: FailingRun): FailingRun[] => [
    run,
    { ...run, name: `${run.name}, in a worker`, args: ['--workers', '1'] },
  ];
  failures([
    ...fails(
      'map',
      `.map((x) => {\n ${B} })`,
      USER,
      'map-1: TypeError: no b, on the record at in.txt:2: "b"',
      at(4),
    ).flatMap(both),
    ...fails(
      'an async map',
      `.map(async (x) => {\n await null; ${B} })`,
      USER,
      'map-1: TypeError: no b, on the record at in.txt:2: "b"',
      at(4),
    ).flatMap(both),
    ...fails(
      'what is no error',
      ".map((x) => { if (x === 'b') throw 'text'; return x; })",
      USER,
      'map-1: threw "text", on the record at in.txt:2',
    ),
    ...fails(
      'a key',
      `.keyBy((x) => {\n ${B} }).count('n')`,
      USER,
      'keyBy-1: TypeError: no b',
      'in.txt:2',
      at(4),
    ),
    ...fails(
      'a sort',
      `.sort('by', (x) => {\n ${B} })`,
      USER,
      'by: TypeError: no b',
      'in.txt:2',
      at(4),
    ),
    ...fails(
      'a top',
      `.top('best', 2, (x) => {\n ${B} })`,
      USER,
      'best: TypeError: no b',
      'in.txt:2',
      at(4),
    ),
    ...fails(
      'a reduce',
      ".keyBy(() => 1).reduce('all', (a, b) => {\n if (b === 'c') throw new Error('no c'); return a + b; })",
      USER,
      'all: Error: no c',
      '"c"',
      at(4),
    ).flatMap(both),
    ...fails(
      'an aggregate',
      ".keyBy(() => 1).aggregate('all', { init: () => 0, add: (n, x) => {\n if (x === 'c') throw new Error('no c'); return n; } })",
      USER,
      'all: Error: no c',
      'key 1',
      at(4),
    ),
    ...fails(
      'a group',
      ".groupBy((x) => x).reduce('g', (key, values, emit) => {\n if (key === 'b') throw new Error('no b'); emit(key); })",
      USER,
      'g: Error: no b',
      'key "b"',
      at(4),
    ),
    ...fails(
      'behind a shuffle',
      ".keyBy((x) => x).count('n').filter((n, key) => {\n if (key === 'b') throw new Error('no b'); return n > 0; })",
      USER,
      'filter-3: Error: no b',
      'n, key "b"',
      at(4),
    ),
    {
      name: 'a join',
      files: AB,
      program:
        "export default flow('job', (f) => { const a = f.read(files.lines('in.txt')).keyBy((x) => x);\n a.join('j', a.mapValues((x) => x), (l, r) => {\n if (r === 'b') throw new Error('no b'); return l; }).write(files.ndjson('out')); });",
      code: USER,
      says: ['j: Error: no b', "{ left: 'b', right: 'b' }", at(4)],
    },
    {
      name: 'an iteration',
      files: AB,
      program:
        "export default flow('job', (f) => {\n f.iterate('it', f.read(files.lines('in.txt')), { rounds: 3 }, (c) => c.map((x) => {\n if (x.length > 2) throw new Error('long'); return x + x; })).write(files.ndjson('out')); });",
      code: USER,
      says: ['it.map-1: Error: long', '"aaaa"', at(4)],
    },
    {
      name: 'mapReduce',
      files: AB,
      program:
        "export default mapReduce({ name: 'mr', input: files.lines('in.txt'), map: (x, emit) => emit(x, 1), reduce: (key, values, emit) => {\n if (key === 'b') throw new Error('no b'); emit(key); }, output: files.lines('out') });",
      code: USER,
      says: ['reduce: Error: no b', at(3)],
    },
    ...fails(
      'a promise of nobody',
      ".map((x) => {\n if (x === 'b') void Promise.reject(new Error('stray')); return x; })",
      USER,
      'Error: stray',
      at(4),
      'await',
    )
      .map(own)
      .flatMap(both),
    ...fails(
      'a timer of nobody',
      ".map(async (x) => {\n if (x === 'b') setTimeout(() => { throw new Error('late'); }, 1); await new Promise((done) => setTimeout(done, 400)); return x; })",
      USER,
      'Error: late',
      at(4),
    ).map(own),
    ...fails(
      'a key that is none',
      ".keyBy((x) => (x === 'b' ? { x } : x) as string).count('n')",
      'ML_KEY_INVALID',
      'n: a plain object cannot be a key, in the record at in.txt:2: "b"',
    ).flatMap(both),
    ...fails(
      'a sort key that is none',
      ".sort('by', (x) => (x === 'b' ? new Map() : x) as string)",
      'ML_KEY_INVALID',
      'by: an instance of Map cannot be a key, in the record at in.txt:2',
    ),
    ...fails(
      'a value that cannot travel',
      ".map((x) => ({ x, fn: () => x })).sort('by', (v) => v.x)",
      'ML_VALUE_INVALID',
      'by: .fn is a function, which cannot be encoded, in the record at in.txt:1',
    ),
    ...fails(
      'a promise in a value',
      ".map((x) => ({ x, later: Promise.resolve(x) })).sort('by', (v) => v.x)",
      'ML_VALUE_INVALID',
      '.later is a promise (an await is missing)',
    ),
    ...fails(
      'an aggregate of promises',
      ".keyBy(() => 1).aggregate('all', { init: () => '' as never, add: (async (a: string) => a) as never })",
      USER,
      'all: TypeError: its functions must not be async',
    ),
    ...fails(
      'a promise in JSON',
      '.map((x) => ({ x, later: [Promise.resolve(x)] }))',
      'ML_SINK_VALUE_INVALID',
      'a promise is no JSON (an await is missing)',
      'in.txt:1',
    ),
    ...fails(
      'a promise for ever',
      '.map(() => new Promise<string>(() => {}))',
      'ML_PROGRAM_INVALID',
      'the program waits for something that never happens',
    ).map(own),
    ...fails(
      'a value that is no JSON',
      ".map((x) => (x === 'b' ? 5n : 5))",
      'ML_SINK_VALUE_INVALID',
      'write-2: ndjson out/out.ndjson',
      'in the record at in.txt:2: 5n',
    ),
    {
      name: 'a value that is no line',
      files: AB,
      program: through('.map((x) => `${x}\\n${x}`)'),
      code: 'ML_SINK_VALUE_INVALID',
      says: ['a line holds no line feed', 'in.txt:1'],
    },
    {
      name: 'a value that is no row',
      files: AB,
      program: through(
        ".map((x) => (x === 'b' ? { x, y: 1 } : { x }))",
        undefined,
        "files.csv('out.csv')",
      ),
      code: 'ML_SINK_VALUE_INVALID',
      says: ['this record has the columns x, y; those before have x', 'in.txt:2'],
    },
    {
      name: 'a record that the memory does not hold',
      files: { 'in.txt': `a\n${'x'.repeat(9_000_000)}\n` },
      program: through(".sort('by', (x) => x)"),
      args: ['--memory', '17MB', '--workers', '2'],
      code: 'ML_MEMORY_TOO_SMALL',
      says: [
        'by: a task may hold',
        'in the record at in.txt:2: "xxx',
        /Raise --memory \d\.\d times/,
      ],
      mend: AB,
    },
    {
      name: 'more letters than allowed',
      files: { 'in.ndjson': '{}\nx\n{}\ny\n' },
      program:
        "export default flow('job', { onError: skipTo(files.ndjson('bad.ndjson'), { recordsMax: 1 }) }, (f) => { f.read(files.ndjson('in.ndjson')).write(files.ndjson('out.ndjson')); });",
      code: 'ML_TOO_MANY_SKIPPED',
      says: ['in.ndjson:4:1', 'recordsMax'],
      mend: { 'in.ndjson': '{}\nx\n' },
    },
  ]);
});

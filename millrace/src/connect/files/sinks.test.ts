import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../core/byte-writer.ts';
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { readWholeFile } from '../../core/files.ts';
import { SINK_BUFFER_BYTES } from '../../core/limits.ts';
import { SimMachine } from '../../core/sim/sim-machine.ts';
import { encodeText } from '../../core/text-escape.ts';
import type { Part, Sink, SinkWriter } from '../../flow/sink.ts';
import type { CsvSinkOptions } from './sink-csv.ts';
import { csvSink, linesSink, ndjsonSink, parquetSink } from './sinks.ts';

async function onMachine<T>(body: (env: Env) => Promise<T>): Promise<T> {
  const machine = new SimMachine(1);
  machine.faults.shortWriteProbability = 0.3;
  return machine.run(body(machine.boot()));
}

interface Written {
  readonly bytes: Buffer;
  readonly parts: readonly Part[];
}

/** All parts of one task, one after the other. */
function written(
  sink: Sink,
  fill: (writer: SinkWriter<unknown, unknown>) => void,
  task = 0,
): Promise<Written> {
  return onMachine(async (env) => {
    const opened = sink as unknown as Sink<unknown, unknown>;
    const writer = opened.open({ env, directory: '/data', task });
    fill(writer);
    const parts = await writer.finish();
    await writer.abort();
    const bytes = Buffer.concat(parts.map((part) => readWholeFile(env.fs, part.path)));
    expect(parts.reduce((sum, part) => sum + part.bytes, 0)).toBe(bytes.length);
    return { bytes, parts };
  });
}

async function text(sink: Sink, values: readonly unknown[], task = 0): Promise<string> {
  const { bytes } = await written(
    sink,
    (writer) => {
      for (const value of values) writer.write(value, undefined);
    },
    task,
  );
  return bytes.toString();
}

async function refusal(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof MillraceError) return `${error.code}: ${error.message} | ${error.hint}`;
    throw error;
  }
  return 'nothing was refused';
}

test('a path with a known extension is one file, any other a directory', () => {
  const target = (path: string): unknown => ndjsonSink(path).target;
  for (const path of ['a.ndjson', 'b/c.jsonl', 'x.csv.gz', 'y.log.zst', './z.txt'])
    expect(target(path)).toEqual({ kind: 'file', path });
  for (const path of ['out', 'out/', 'v1.5/out', 'a.ndjson/', '.csv', 'data.json'])
    expect(target(path)).toEqual({ kind: 'directory', path, extension: '.ndjson' });
  expect(target('-')).toEqual({ kind: 'stdout' });
  expect(target('out.gz')).toEqual({ kind: 'directory', path: 'out.gz', extension: '.ndjson.gz' });
  expect(ndjsonSink('a.csv', { layout: 'directory', compression: 'zstd' }).target).toEqual({
    kind: 'directory',
    path: 'a.csv',
    extension: '.ndjson.zst',
  });
  expect(linesSink('out', { layout: 'file' }).target).toEqual({ kind: 'file', path: 'out' });
  expect(csvSink('out', { separator: '\t' })).toMatchObject({
    format: 'tsv',
    label: 'tsv out',
    target: { extension: '.tsv' },
  });
  expect(parquetSink('a.parquet').arrangement).toBe('single');
  expect(parquetSink('a').arrangement).toBe('any');
  expect(linesSink('out', { partBytes: 5 }).partBytes).toBe(5);
});

test('options that cannot be are refused when the program is built', async () => {
  const cases: [() => unknown, string][] = [
    [() => linesSink(''), 'its path is empty'],
    [() => linesSink('a.txt', { partBytes: 5 }), 'partBytes is for a directory of parts'],
    [() => linesSink('a', { partBytes: 0.5 }), 'a whole number above 0, not 0.5'],
    [() => linesSink('a', { layout: 'pile' as 'file' }), 'file or directory, not pile'],
    [() => linesSink('a', { compression: 'lz4' as 'gzip' }), 'none, gzip or zstd, not lz4'],
    [() => csvSink('a', { separator: ', ' }), 'separator is one ASCII character'],
    [() => csvSink('a', { quote: '\n' }), 'quote is one ASCII character'],
    [() => csvSink('a', { separator: '"' }), 'are the same'],
    [() => csvSink('a', { columns: [] }), 'columns is empty'],
    [() => csvSink('a', { columns: ['x', 'x'] }), 'named twice'],
    [() => parquetSink('-'), 'cannot go to stdout'],
    [() => parquetSink('a.parquet.gz'), 'is compressed inside'],
    [() => parquetSink('a', { columns: { x: 'text' as 'string' } }), 'the type of x is one of'],
  ];
  for (const [work, message] of cases) {
    const found = await refusal(work);
    expect(found).toContain('ML_FLOW_INVALID');
    expect(found).toContain(message);
  }
});

test('lines: strings and ranges of bytes, one line each, whatever their size', async () => {
  const long = 'é'.repeat(SINK_BUFFER_BYTES);
  expect(await text(linesSink('a.txt'), ['a', '', 'äöü €', long, 'z'])).toBe(
    `a\n\näöü €\n${long}\nz\n`,
  );
  const { bytes, parts } = await written(linesSink('a.txt'), (writer) => {
    const buffer = Buffer.from(`..short..${'x'.repeat(3 * SINK_BUFFER_BYTES)}..`);
    writer.writeBytes?.(buffer, 2, 7);
    writer.writeBytes?.(buffer, 4, 4);
    writer.writeBytes?.(buffer, 9, buffer.length - 2);
    writer.write('end', undefined);
  });
  expect(bytes.toString()).toBe(`short\n\n${'x'.repeat(3 * SINK_BUFFER_BYTES)}\nend\n`);
  expect(parts).toMatchObject([{ records: 4 }]);
});

test('lines: bytes that were no UTF-8 come out as they were', async () => {
  const { bytes } = await written(linesSink('a.txt'), (writer) =>
    writer.write('a\udcff\udc80b', undefined),
  );
  expect(bytes.toString('latin1')).toBe('a\xff\x80b\n');
});

test('lines: what is no line is refused, with what to do', async () => {
  for (const [value, message] of [
    [5, 'this is a number | Map it to a string'],
    [{ a: 1 }, 'this is an object | Map it to a string'],
    [null, 'this is null'],
    [undefined, 'this is undefined'],
    ['a\nb', 'a line holds no line feed'],
  ] as const) {
    const found = await refusal(() => text(linesSink('a.txt'), [value]));
    expect(found).toContain('ML_SINK_VALUE_INVALID: lines a.txt: ');
    expect(found).toContain(message);
  }
});

test('lines: any strings and ranges give their bytes', async () => {
  const line = fc
    .string({ unit: 'binary', maxLength: 200, size: 'max' })
    .map((value) => value.replaceAll('\n', ''));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(line, fc.boolean())), async (lines) => {
      const expected = new ByteWriter();
      const { bytes } = await written(linesSink('out'), (writer) => {
        for (const [value, isBytes] of lines) {
          const from = expected.length;
          encodeText(value, expected);
          if (isBytes) writer.writeBytes?.(expected.buffer, from, expected.length);
          else writer.write(value, undefined);
          expected.byte(10);
        }
      });
      expect(bytes.equals(expected.buffer.subarray(0, expected.length))).toBe(true);
    }),
    { numRuns: 50 },
  );
}, 60_000);

test('ndjson: what JSON.stringify says, line by line', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue()), async (values) => {
      const expected = values.map((value) => `${JSON.stringify(value)}\n`).join('');
      expect(await text(ndjsonSink('a.ndjson'), values)).toBe(expected);
    }),
    { numRuns: 50 },
  );
  const large = Array.from({ length: 9 }, (_, index) => ({ index, text: '€'.repeat(50_000) }));
  const expected = large.map((value) => `${JSON.stringify(value)}\n`).join('');
  expect(await text(ndjsonSink('a.ndjson'), large)).toBe(expected);
});

test('ndjson: what is no JSON is refused, with what to do', async () => {
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  for (const [value, message] of [
    [undefined, 'undefined is no JSON'],
    [() => 1, 'a function is no JSON'],
    [{ a: 1n }, 'BigInt'],
    [cycle, 'circular'],
  ] as const) {
    const found = await refusal(() => text(ndjsonSink('a.ndjson'), [value]));
    expect(found).toContain('ML_SINK_VALUE_INVALID: ndjson a.ndjson: ');
    expect(found).toContain(message);
  }
});

test('nothing written is one empty part of a file, and none of a directory', async () => {
  const partsOf = async (sink: Sink, task: number): Promise<readonly Part[]> =>
    (await written(sink, () => {}, task)).parts;
  for (const make of [linesSink, ndjsonSink, csvSink]) {
    expect(await partsOf(make('a.txt'), 0)).toMatchObject([{ bytes: 0, records: 0 }]);
    expect(await partsOf(make('a.txt'), 1)).toEqual([]);
    expect(await partsOf(make('-'), 0)).toHaveLength(1);
    expect(await partsOf(make('out'), 0)).toEqual([]);
  }
  const named = { columns: ['a', 'b'] };
  expect(await text(csvSink('a.csv', named), [])).toBe('a,b\n');
  expect(await text(csvSink('out', named), [])).toBe('a,b\n');
  expect(await partsOf(csvSink('out', named), 1)).toEqual([]);
  expect(await partsOf(csvSink('out', { ...named, header: false }), 0)).toEqual([]);
});

test('csv: a header, and quotes where they are needed', async () => {
  const at = new Date(0);
  const rows = [
    { name: 'plain', n: 1.5, ok: true, at },
    { name: 'a,b', n: -0, ok: false, at },
    { name: 'say "hi"', n: 2n, ok: null, at: undefined },
    { name: 'two\nlines', n: 0, ok: true, at },
    { name: '', n: 0, ok: true, at },
    { name: null, n: 0, ok: true, at },
  ];
  expect((await text(csvSink('a.csv'), rows)).split('\n')).toEqual([
    'name,n,ok,at',
    'plain,1.5,true,1970-01-01T00:00:00.000Z',
    '"a,b",0,false,1970-01-01T00:00:00.000Z',
    '"say ""hi""",2,,',
    '"two',
    'lines",0,true,1970-01-01T00:00:00.000Z',
    '"",0,true,1970-01-01T00:00:00.000Z',
    ',0,true,1970-01-01T00:00:00.000Z',
    '',
  ]);
  expect(await text(csvSink('a.csv', { columns: ['b', 'a'] }), [{ a: 1, c: 2 }, { b: 3 }])).toBe(
    'b,a\n,1\n3,\n',
  );
  expect(
    await text(csvSink('a', { header: false, separator: '\t' }), [{ a: 'x\ty', b: ',' }]),
  ).toBe('"x\ty"\t,\n');
  expect(await text(csvSink('a', { quote: "'" }), [{ "it's": '"' }])).toBe(`'it''s'\n"\n`);
  expect(await text(csvSink('a'), [{ a: null }, { a: 1 }])).toBe('a\n""\n1\n');
});

test('csv: values that no field can hold, and other columns, are refused', async () => {
  const cases: [CsvSinkOptions, unknown[], string][] = [
    [{}, [{ a: 1, b: { c: 1 } }], 'column b is an object, which a field of text cannot hold'],
    [{ columns: ['a'] }, [{ a: [1] }], 'column a is an array'],
    [{}, [{ a: new Date(Number.NaN) }], 'column a is a date'],
    [{}, ['x'], 'this is a string | Map it to an object'],
    [{}, [[1]], 'this is an array'],
    [{}, [{ a: 1 }, { a: 1, b: 2 }], 'this record has the columns a, b; those before have a'],
    [{}, [{ a: 1, b: 2 }, { a: 1 }], 'this record has the columns a; those before have a, b'],
    [
      {},
      [
        { a: 1, b: 2 },
        { b: 1, a: 2 },
      ],
      'Name the columns',
    ],
  ];
  for (const [options, rows, message] of cases) {
    const found = await refusal(() => text(csvSink('a.csv', options), rows));
    expect(found).toContain('ML_SINK_VALUE_INVALID: csv a.csv: ');
    expect(found).toContain(message);
  }
});

test('csv: an independent reader finds the fields again', async () => {
  const name = fc.string({ minLength: 1, maxLength: 5 });
  const field = fc.option(
    fc.string({
      unit: fc.constantFrom('a', 'ä', ' ', ',', ';', '"', '\r', '\n', '\t', '\\', ']', '^', '-'),
    }),
    {
      nil: null,
    },
  );
  const table = fc
    .uniqueArray(name, { minLength: 1, maxLength: 4 })
    .chain((names) =>
      fc.tuple(
        fc.constant(names),
        fc.array(fc.array(field, { minLength: names.length, maxLength: names.length })),
        fc.constantFrom(',', ';', '\t', '^', '\\', ']', '-'),
      ),
    );
  await fc.assert(
    fc.asyncProperty(table, async ([names, rows, separator]) => {
      const values = rows.map(
        (row) => new Map(row.map((value, index) => [names[index] ?? '', value])),
      );
      // Keys that look like numbers come first in an object, whatever the order: the columns are named.
      const options = { columns: names, separator };
      const found = parseCsv(
        await text(
          csvSink('a.csv', options),
          values.map((row) => Object.fromEntries(row)),
        ),
        separator,
      );
      const shown = names.length === 1 ? rows.map((row) => row.map((value) => value ?? '')) : rows;
      expect(found).toEqual([names, ...shown]);
    }),
    { numRuns: 200 },
  );
}, 60_000);

/** A field without quotes that is empty is null. */
function parseCsv(content: string, separator: string): (string | null)[][] {
  const rows: (string | null)[][] = [];
  let row: (string | null)[] = [];
  let at = 0;
  while (at < content.length) {
    let field: string | null = null;
    if (content[at] === '"') {
      field = '';
      for (at++; ; at++) {
        if (content[at] === '"' && content[at + 1] !== '"') break;
        if (content[at] === '"') at++;
        field += content[at];
      }
      at++;
    } else
      for (; content[at] !== separator && content[at] !== '\n'; at++)
        field = (field ?? '') + content[at];
    row.push(field);
    if (content[at] === '\n') {
      rows.push(row);
      row = [];
    }
    at++;
  }
  return rows;
}

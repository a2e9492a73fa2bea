import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ErrorCode } from '../../core/errors.ts';
import { MillraceError } from '../../core/errors.ts';
import { SINK_BUFFER_BYTES } from '../../core/limits.ts';
import { realEnv } from '../../core/real-env.ts';
import type { Part, Sink } from '../../flow/sink.ts';
import { csvSink, linesSink, ndjsonSink, parquetSink } from './sinks.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-sinks-'));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const env = realEnv();

/** What one task writes: each part as text, decompressed, and as it is told of. */
async function write(
  sink: Sink,
  values: readonly unknown[],
  task = 0,
): Promise<{ readonly texts: string[]; readonly parts: readonly Part[] }> {
  const directory = mkdtempSync(join(root, 'attempt-'));
  const writer = (sink as unknown as Sink<unknown, unknown>).open({ env, directory, task });
  for (const value of values) {
    writer.write(value, undefined);
    if (writer.isBusy) await writer.drain();
  }
  const parts = await writer.finish();
  await writer.abort();
  return { texts: parts.map(partText), parts };
}

/** Node's zstd stops behind the first frame: the head is one of its own. */
function partText({ head, path }: Part): string {
  const bytes = readFileSync(path);
  const headBytes = head?.bytes ?? 0;
  return textOf(bytes.subarray(0, headBytes)) + textOf(bytes.subarray(headBytes));
}

function textOf(bytes: Buffer): string {
  if (bytes.length > 3 && bytes.readUInt16BE(0) === 0x1f8b) return gunzipSync(bytes).toString();
  if (bytes.length > 3 && bytes.readUInt32LE(0) === 0xfd2fb528)
    return zstdDecompressSync(bytes).toString();
  return bytes.toString();
}

async function errorOf(work: () => unknown): Promise<MillraceError | undefined> {
  try {
    await work();
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  return undefined;
}

async function codeOf(work: () => unknown): Promise<ErrorCode | undefined> {
  return (await errorOf(work))?.code;
}

test('parquet files hold what was written, by types found out or named', async () => {
  const rows = [
    {
      text: 'ä',
      number: 1.5,
      flag: true,
      at: new Date(86_400_000),
      big: 2n,
      deep: { a: [1] },
      none: null,
    },
    { text: null, number: -2, flag: false, at: new Date(0), big: 3n, deep: { a: [] }, none: null },
    { text: '' },
  ];
  for (const compression of ['none', 'snappy', 'gzip', 'zstd'] as const) {
    const { parts } = await write(parquetSink('a.parquet', { compression }), rows);
    expect(parts).toHaveLength(1);
    const file = await asyncBufferFromFile(parts[0]?.path ?? '');
    const found = await parquetReadObjects({ file, compressors });
    const all = {
      text: null,
      number: null,
      flag: null,
      at: null,
      big: null,
      deep: null,
      none: null,
    };
    expect(found).toEqual(rows.map((row) => ({ ...all, ...row })));
  }
  const columns = { id: 'int', score: 'number', name: 'string' } as const;
  const named = await write(parquetSink('a.parquet', { columns }), [
    { name: 'x', id: 7, left: 'out' },
  ]);
  const file = await asyncBufferFromFile(named.parts[0]?.path ?? '');
  expect(await parquetReadObjects({ file })).toEqual([{ id: 7n, score: null, name: 'x' }]);
});

test('a parquet file without rows is a parquet file; row groups are bounded', async () => {
  const empty = await write(parquetSink('a.parquet', { columns: { a: 'string' } }), []);
  const none = await asyncBufferFromFile(empty.parts[0]?.path ?? '');
  expect((await parquetMetadataAsync(none)).num_rows).toBe(0n);
  const rows = Array.from({ length: 250_000 }, (_, index) => ({ index }));
  const { parts } = await write(parquetSink('a.parquet'), rows);
  const metadata = await parquetMetadataAsync(await asyncBufferFromFile(parts[0]?.path ?? ''));
  expect(metadata.row_groups.map((group) => group.num_rows)).toEqual([100_000n, 100_000n, 50_000n]);
  const split = await write(parquetSink('a', { partBytes: 1 }), rows);
  expect(split.parts.map((part) => part.records)).toEqual([100_000, 100_000, 50_000]);
});

test('a parquet value of another type is refused with its column', async () => {
  const cases: [unknown[], string][] = [
    [[{ a: 1 }, { a: 'x' }], 'column a holds number and string'],
    [['x'], 'this is a string'],
    [[[1]], 'this is an array'],
  ];
  for (const [rows, message] of cases) {
    const error = await errorOf(() => write(parquetSink('a.parquet'), rows));
    expect(error?.code).toBe('ML_SINK_VALUE_INVALID');
    expect(error?.message).toContain(message);
  }
  const named = parquetSink('a.parquet', { columns: { a: 'int', b: 'json' } });
  expect((await errorOf(() => write(named, [{ a: 1.5 }])))?.message).toContain(
    'column a is of type int; this is a number (1.5)',
  );
  expect(await codeOf(() => write(named, [{ b: { c: 1n } }]))).toBe('ML_SINK_VALUE_INVALID');
  const late = Array.from({ length: 100_001 }, (_, index) =>
    index < 100_000 ? { a: 1 } : { a: 1, late: 2 },
  );
  expect((await errorOf(() => write(parquetSink('a.parquet'), late)))?.message).toContain(
    'this row has a column late',
  );
});

test('compressed parts are what uncompressed ones are', async () => {
  const values = Array.from({ length: 20_000 }, (_, index) => ({
    index,
    text: 'some text '.repeat(index % 9),
  }));
  const plain = (await write(ndjsonSink('a.ndjson'), values)).texts;
  for (const ending of ['gz', 'zst'])
    expect((await write(ndjsonSink(`a.ndjson.${ending}`), values)).texts).toEqual(plain);
  expect(plain[0]?.length).toBeGreaterThan(2 * SINK_BUFFER_BYTES);
});

test('an empty compressed file can be decompressed; heads are members of their own', async () => {
  for (const compression of ['gzip', 'zstd'] as const) {
    const empty = await write(linesSink('a.txt', { compression }), []);
    expect(empty.texts).toEqual(['']);
    expect(empty.parts[0]?.bytes).toBeGreaterThan(0);
    const { parts, texts } = await write(csvSink('a.csv', { compression }), [{ a: 1 }, { a: 2 }]);
    expect(texts).toEqual(['a\n1\n2\n']);
    const { bytes = 0, key } = parts[0]?.head ?? {};
    expect(key).toBe('a');
    const rest = readFileSync(parts[0]?.path ?? '').subarray(bytes);
    expect(textOf(rest)).toBe('1\n2\n');
  }
});

test('parts of a directory end between two records, near their size', async () => {
  const values = Array.from({ length: 100_000 }, (_, index) => `line ${index}`);
  for (const options of [{}, { compression: 'gzip' }, { compression: 'zstd' }] as const) {
    const { parts, texts } = await write(
      linesSink('out', { partBytes: 20_000, ...options }),
      values,
    );
    expect(parts.length).toBeGreaterThan(1);
    expect(texts.join('')).toBe(`${values.join('\n')}\n`);
    expect(texts.every((text) => text.endsWith('\n'))).toBe(true);
    expect(texts.map((text) => text.split('\n').length - 1)).toEqual(
      parts.map((part) => part.records),
    );
  }
  const small = await write(linesSink('out', { partBytes: 100 }), values.slice(0, 1_000));
  for (const part of small.parts.slice(0, -1)) {
    expect(part.bytes).toBeGreaterThanOrEqual(100);
    expect(part.bytes).toBeLessThan(120);
  }
  const { texts } = await write(
    csvSink('out', { partBytes: 500 }),
    values.slice(0, 1_000).map((line, index) => ({ line, index })),
  );
  expect(texts.length).toBeGreaterThan(3);
  expect(texts.every((text) => text.startsWith('line,index\n'))).toBe(true);
});

test('a writer that is aborted gives its files back, whatever it was doing', async () => {
  const sink = ndjsonSink('a', { compression: 'gzip' });
  const writer = sink.open({ env, directory: root, task: 0 });
  for (let index = 0; index < 20_000; index++)
    writer.write({ index, text: 'x'.repeat(100) }, undefined);
  await writer.abort();
  await writer.abort();
  expect(await codeOf(() => writer.finish())).toBe('ML_FILE_CLOSED');
});

test('without its package a Parquet sink says which one it needs', () => {
  const hidden = `data:text/javascript,${encodeURIComponent(`
    import Module from 'node:module';
    const resolve = Module._resolveFilename;
    Module._resolveFilename = (name, ...rest) => {
      if (name === 'hyparquet-writer') throw new Error('not installed');
      return resolve(name, ...rest);
    };
  `)}`;
  const source = `
    import { parquetSink } from './sinks.ts';
    try {
      parquetSink('a.parquet');
    } catch (error) {
      process.stdout.write(error.code + ' ' + error.hint);
    }
  `;
  const output = execFileSync(
    process.execPath,
    ['--import', hidden, '--input-type=module', '--eval', source],
    { encoding: 'utf8', cwd: import.meta.dirname },
  );
  expect(output).toBe('ML_PACKAGE_MISSING npm install hyparquet-writer');
});

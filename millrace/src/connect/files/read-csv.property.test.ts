import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import {
  memoryEnv,
  readChunks,
  readRecords,
  readValues,
} from '../../../test/files/read-harness.ts';
import { csvSource, type CsvReadOptions } from './read-csv.ts';

const sizes = fc.record({
  splitBytes: fc.integer({ min: 1, max: 300 }),
  chunkBytes: fc.integer({ min: 1, max: 700 }),
  readBytesMax: fc.integer({ min: 1, max: 300 }),
});
/** Text that means something to a CSV reader. */
const tricky = fc
  .array(
    fc.oneof(
      { weight: 5, arbitrary: fc.constantFrom(',', '"', '\n', '\r\n', '""', '","') },
      { weight: 4, arbitrary: fc.constantFrom('a', 'bc', '1', ' ', '\r', 'é', '😀', '\ufeff') },
      { weight: 1, arbitrary: fc.constant('y'.repeat(600)) },
    ),
    { maxLength: 80 },
  )
  .map((pieces) => pieces.join(''));

interface NaiveRow {
  readonly fields: readonly string[] | undefined;
  readonly line: number;
}

/** One character after the other, as RFC 4180 reads; a row with a fault ends where the number of quotes is even. */
function naiveRows(text: string): NaiveRow[] {
  const rows: NaiveRow[] = [];
  let state: 'start' | 'plain' | 'quoted' | 'closed' = 'start';
  let fields: string[] = [];
  let field = '';
  let isBroken = false;
  let quotes = 0;
  let raw = '';
  let line = 1;
  let rowLine = 1;
  const endRow = (): void => {
    if (raw !== '' && raw !== '\r')
      rows.push({
        fields: isBroken || state === 'quoted' ? undefined : [...fields, field],
        line: rowLine,
      });
    state = 'start';
    fields = [];
    field = raw = '';
    isBroken = false;
    quotes = 0;
    rowLine = line;
  };
  for (let at = 0; at < text.length; at++) {
    const letter = text[at] ?? '';
    if (letter === '\n') line++;
    if (letter === '\n' && quotes % 2 === 0) {
      endRow();
      continue;
    }
    raw += letter;
    if (letter === '"') quotes++;
    if (isBroken) continue;
    const isLineEnd = letter === '\r' && (text[at + 1] === '\n' || at + 1 === text.length);
    if (isLineEnd && state !== 'quoted') continue;
    if (state === 'quoted') {
      if (letter !== '"') field += letter;
      else if (text[at + 1] === '"') {
        field += '"';
        raw += '"';
        quotes++;
        at++;
      } else state = 'closed';
    } else if (letter === ',') {
      fields.push(field);
      field = '';
      state = 'start';
    } else if (letter === '"' && state === 'start') state = 'quoted';
    else if (letter === '"' || state === 'closed') isBroken = true;
    else {
      field += letter;
      state = 'plain';
    }
  }
  if (raw !== '') endRow();
  return rows;
}

test('rows are those of a reader that goes letter by letter, however the file is cut', async () => {
  await fc.assert(
    fc.asyncProperty(tricky, sizes, fc.nat(4), async (body, sizing, pause) => {
      const columns = { a: 'string', b: 'string', c: 'string' } as const;
      const content = Buffer.from(body);
      const env = memoryEnv({ '/data/a.csv': content }, sizing);
      const skipped: { error: Error; raw: string }[] = [];
      const records = await readRecords(csvSource('a.csv', { header: false, columns }, sizing), {
        env,
        splitBytes: sizing.splitBytes,
        skipped,
        pausesAfter: (record) => pause > 0 && record % pause === 0,
      });
      const naive = naiveRows(body.startsWith('\ufeff') ? body.slice(1) : body);
      const good = naive.filter(({ fields }) => fields?.length === 3);
      expect(records.map(({ value }) => Object.values(value))).toEqual(
        good.map(({ fields }) => fields),
      );
      const positions = good.map(({ line }) => `a.csv:${line}`);
      expect(records.map(({ position }) => position)).toEqual(positions);
      expect(records.map(({ located }) => located)).toEqual(positions);
      expect(skipped.length).toBe(naive.length - good.length);
    }),
    { numRuns: 1000 },
  );
});

test('chunks of bytes hold whole rows, and all of them', async () => {
  await fc.assert(
    fc.asyncProperty(tricky, sizes, async (body, sizing) => {
      const content = Buffer.from(`n\n${body}`);
      const env = memoryEnv({ '/data/a.csv': content }, sizing);
      const source = csvSource('a.csv', {}, sizing);
      const chunks = await readChunks(source, { env, splitBytes: sizing.splitBytes });
      expect(Buffer.concat(chunks.map(({ bytes }) => bytes)).toString()).toBe(body);
      for (const { bytes, header } of chunks) {
        expect(header).toEqual(['n']);
        expect(bytes.length).toBeGreaterThan(0);
      }
      for (const { bytes } of chunks.slice(0, -1)) {
        expect(bytes.at(-1)).toBe(10);
        expect(bytes.filter((byte) => byte === 0x22).length % 2).toBe(0);
      }
    }),
    { numRuns: 300 },
  );
});

test('any bytes give rows or errors of their own kind, the same ones from a compressed file', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 200 }),
      sizes,
      fc.constantFrom<CsvReadOptions>(
        {},
        { header: false, columns: { a: 'number', b: 'boolean' } },
        { separator: ';', quote: "'", lineBytesMax: 50 },
        { quote: '' },
        { multiline: false },
      ),
      async (array, sizing, options) => {
        const content = Buffer.from(array);
        const outcome = async (
          name: string,
          bytes: Buffer,
          splitBytes: number,
        ): Promise<unknown> => {
          const skipped: { error: Error; raw: string }[] = [];
          const env = memoryEnv({ [`/data/${name}`]: bytes }, sizing);
          try {
            const rows = await readValues(csvSource(name, options, sizing), {
              env,
              splitBytes,
              skipped,
            });
            return { rows, skipped: skipped.map(({ error, raw }) => [error.message, raw]) };
          } catch (error) {
            expect(error).toHaveProperty('name', 'MillraceError');
            return (error as Error).message;
          }
        };
        const whole = await outcome('a', content, 1e6);
        expect(await outcome('a', content, sizing.splitBytes)).toEqual(whole);
        expect(await outcome('a', gzipSync(content), sizing.splitBytes)).toEqual(whole);
      },
    ),
    { numRuns: 300 },
  );
});

/** A row that any reader takes: quoted where it has to be, and sometimes where it need not. */
const field = fc.tuple(
  fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom('', 'a,b', 'say "so"', 'two\nlines', 'x\r\ny', ' blank ', 'ünï', '12'),
  ),
  fc.boolean(),
);

test('rows are those that DuckDB reads', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-csv-'));
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  onTestFinished(async () => {
    connection.closeSync();
    instance.closeSync();
    await rm(directory, { recursive: true, force: true });
  });
  const path = join(directory, 'a.csv');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(field, field, field), { minLength: 1, maxLength: 20 }),
      fc.constantFrom('\n', '\r\n'),
      sizes,
      async (rows, lineEnd, sizing) => {
        const write = ([text, isQuoted]: readonly [string, boolean]): string =>
          isQuoted || /[",\n\r]/.test(text) || text === ''
            ? `"${text.replaceAll('"', '""')}"`
            : text;
        const content = `a,b,c${lineEnd}${rows.map((row) => row.map(write).join(',') + lineEnd).join('')}`;
        await writeFile(path, content);
        const result = await connection.runAndReadAll(
          [
            `select * from read_csv('${path}', header = true, auto_detect = false`,
            `delim = ',', quote = '"', escape = '"', allow_quoted_nulls = false`,
            `columns = {'a': 'VARCHAR', 'b': 'VARCHAR', 'c': 'VARCHAR'})`,
          ].join(', '),
        );
        const env = memoryEnv({ '/data/a.csv': Buffer.from(content) }, sizing);
        const read = await readValues(csvSource('a.csv', {}, sizing), {
          env,
          splitBytes: sizing.splitBytes,
        });
        expect(read).toEqual(result.getRowObjects());
        expect(read.map((row) => Object.values(row))).toEqual(
          rows.map((row) => row.map(([text]) => text)),
        );
      },
    ),
    { numRuns: 60 },
  );
});

import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { realEnv } from '../../core/real-env.ts';
import { errorOf, readRecords, readValues } from '../../../test/files/read-harness.ts';
import { parquetSource } from './read-parquet.ts';

const env = realEnv();

async function fixture(): Promise<{ directory: string; connection: DuckDBConnection }> {
  const directory = await mkdtemp(join(tmpdir(), 'millrace-parquet-'));
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  onTestFinished(async () => {
    connection.closeSync();
    instance.closeSync();
    await rm(directory, { recursive: true, force: true });
  });
  return { directory, connection };
}

const QUERY = `select i::bigint as id, i * 0.5 as half, 'name ' || (i % 7) as name, (i % 3 = 0) as fizz,
  case when i % 5 = 0 then null else i::integer end as gap, [i, i + 1] as list, {'a': i, 'b': 'x'} as struct,
  date '2024-01-01' + (i % 30)::integer as day
  from range(5000) t(i)`;

test.for(['uncompressed', 'snappy', 'gzip', 'zstd', 'lz4_raw', 'brotli'])(
  'reads the rows of %s files in their order, however row groups are put together',
  async (codec) => {
    const { directory, connection } = await fixture();
    const path = join(directory, 'a.parquet');
    await connection.run(
      `copy (${QUERY}) to '${path}' (format parquet, codec '${codec}', row_group_size 2048)`,
    );
    for (const splitBytes of [1, 1e9]) {
      const records = await readRecords(parquetSource(path), { env, splitBytes });
      expect(new Set(records.map(({ split }) => split)).size > 1).toBe(splitBytes === 1);
      expect(records.map(({ value }) => value)).toEqual(
        Array.from({ length: 5_000 }, (_, i) => ({
          id: i,
          half: i * 0.5,
          name: `name ${i % 7}`,
          fizz: i % 3 === 0,
          gap: i % 5 === 0 ? null : i,
          list: [i, i + 1],
          struct: { a: i, b: 'x' },
          day: new Date(Date.UTC(2024, 0, 1 + (i % 30))),
        })),
      );
      expect(records[4500]?.position).toBe(`${path} row 4501`);
      expect(records[4500]?.located).toBe(`${path} row 4501`);
    }
  },
);

test('reads only the columns that are named, in the order of the names', async () => {
  const { directory, connection } = await fixture();
  const path = join(directory, 'a.parquet');
  await connection.run(`copy (${QUERY} limit 3) to '${path}' (format parquet)`);
  const rows = await readValues(parquetSource(path, { columns: ['name', 'id'] }), { env });
  expect(rows.map((row) => Object.entries(row))).toEqual(
    [0, 1, 2].map((i) => [
      ['name', `name ${i}`],
      ['id', i],
    ]),
  );
  const error = await errorOf(readValues(parquetSource(path, { columns: ['nome'] }), { env }));
  expect(error.code).toBe('ML_COLUMN_UNKNOWN');
  expect(error.hint).toContain('id, half, name');
});

test('integers that numbers do not hold exactly stay bigints', async () => {
  const { directory, connection } = await fixture();
  const path = join(directory, 'a.parquet');
  await connection.run(
    `copy (select unnest([9007199254740991, 9007199254740993, -9007199254740993]) as n) to '${path}' (format parquet)`,
  );
  const rows = await readValues(parquetSource(path), { env });
  expect(rows.map(({ n }) => n)).toEqual([9007199254740991, 9007199254740993n, -9007199254740993n]);
});

test('a file that is cut, or that is none, is malformed', async () => {
  const { directory, connection } = await fixture();
  const path = join(directory, 'a.parquet');
  await connection.run(`copy (${QUERY} limit 100) to '${path}' (format parquet)`);
  const whole = await readFile(path);
  const broken = Buffer.from(whole);
  broken.fill(0xee, 4, 200);
  const text = join(directory, 'text.parquet');
  const damaged = join(directory, 'damaged.parquet');
  const empty = join(directory, 'empty.parquet');
  await writeFile(text, 'no parquet at all\n');
  await writeFile(damaged, broken);
  await writeFile(empty, '');
  await truncate(path, whole.length - 10);
  for (const each of [path, text, damaged, empty]) {
    const error = await errorOf(readValues(parquetSource(each), { env }));
    expect(error.code).toBe('ML_INPUT_MALFORMED');
    expect(error.message).toContain(each);
  }
});

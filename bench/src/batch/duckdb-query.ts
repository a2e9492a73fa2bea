/** DuckDB's side: runs the SQL of its only argument with DUCKDB_THREADS threads and DUCKDB_MEMORY, and prints rows as JSON lines. */
import { DuckDBInstance } from '@duckdb/node-api';

const [sql = ''] = process.argv.slice(2);
const instance = await DuckDBInstance.create(':memory:', {
  threads: process.env['DUCKDB_THREADS'] ?? '2',
  ...(process.env['DUCKDB_MEMORY'] === undefined
    ? {}
    : { memory_limit: process.env['DUCKDB_MEMORY'] }),
});
const connection = await instance.connect();
const reader = await connection.runAndReadAll(sql);
for (const row of reader.getRowObjectsJson()) process.stdout.write(`${JSON.stringify(row)}\n`);
connection.closeSync();

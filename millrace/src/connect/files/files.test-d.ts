import { expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import type { Key } from '../../core/key-order.ts';
import { flow } from '../../flow/flow.ts';
import { col, count } from '../../flow/expressions.ts';
import type { Rows } from '../../flow/rows.ts';
import type { Readable } from '../../flow/source.ts';
import { json, bytes } from '../topics/serdes.ts';
import { topic } from '../topics/topic.ts';
import { files } from './files.ts';

type ValueOf<R> = R extends Readable<infer V> ? V : never;
type KeyOf<R> = R extends Readable<unknown, infer K> ? K : never;

test('records have the types of their columns', () => {
  const lines = files.lines('a.log');
  expectTypeOf<ValueOf<typeof lines>>().toEqualTypeOf<string>();
  const csv = files.csv('a.csv', { columns: { name: 'string', age: 'number', ok: 'boolean' } });
  expectTypeOf<ValueOf<typeof csv>>().toEqualTypeOf<{
    readonly name: string;
    readonly age: number | null;
    readonly ok: boolean | null;
  }>();
  const loose = files.tsv('a.tsv');
  expectTypeOf<ValueOf<typeof loose>>().toEqualTypeOf<Readonly<Record<string, string>>>();
  const log = files.delimited('a.log', { fields: { path: 6, status: [8, 'number'] } });
  expectTypeOf<ValueOf<typeof log>>().toEqualTypeOf<{
    readonly path: string;
    readonly status: number | null;
  }>();
  const checked = files.ndjson('a.ndjson', { schema: z.object({ n: z.number() }) });
  expectTypeOf<ValueOf<typeof checked>>().toEqualTypeOf<{ n: number }>();
  const parquet = files.parquet<{ a: number }>('a.parquet', { columns: ['a'] });
  expectTypeOf<ValueOf<typeof parquet>>().toEqualTypeOf<{ a: number }>();
});

test('topics and tables have keys', () => {
  const orders = topic('orders', { value: json<{ total: number }>(), key: 'bytes' });
  expectTypeOf<ValueOf<typeof orders>>().toEqualTypeOf<{ total: number }>();
  expectTypeOf<KeyOf<typeof orders>>().toEqualTypeOf<Buffer>();
  const plain = topic('orders', { value: bytes() });
  expectTypeOf<ValueOf<typeof plain>>().toEqualTypeOf<Buffer>();
  expectTypeOf<KeyOf<typeof plain>>().toEqualTypeOf<string>();
  const table = files.table<number, string>('out/table');
  expectTypeOf<KeyOf<typeof table>>().toEqualTypeOf<string>();
  const any = files.table('out/table');
  expectTypeOf<KeyOf<typeof any>>().toEqualTypeOf<Key>();
});

test('flows read rows and write what sinks take', () => {
  flow('types', (f) => {
    const log = f.read(files.delimited('a.log', { fields: { path: 6, status: [8, 'number'] } }));
    const hits = log.where(col('status').eq(200)).groupBy('path').agg({ hits: count() });
    expectTypeOf(hits).toExtend<Rows<{ readonly path: string; readonly hits: number }>>();
    hits.write(files.csv('out.csv'));
    hits.write(files.ndjson('out'));
    hits.write(files.csv('out.csv', { columns: { path: 'string', hits: 'number' } }));
    // @ts-expect-error -- the sink needs a column that the rows do not have
    hits.write(files.csv('out.csv', { columns: { other: 'string' } }));
    // @ts-expect-error -- rows are no lines
    hits.write(files.lines('out.txt'));
    const counts = f
      .read(files.lines('*.log'))
      .keyBy((line) => line)
      .count('n');
    counts.write(files.table('out/table'));
    counts.write(files.ndjson('out/counts'));
    // @ts-expect-error -- a table needs keys
    hits.write(files.table('out/table'));
  });
});

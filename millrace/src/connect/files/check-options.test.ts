import { expect, test } from 'vitest';
import { MillraceError } from '../../core/errors.ts';
import { files } from './files.ts';

function errorOf(work: () => unknown): MillraceError {
  try {
    work();
  } catch (error) {
    if (error instanceof MillraceError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

test.each(Object.keys(files) as (keyof typeof files)[])(
  'files.%s takes no option that it does not have',
  (format) => {
    const open = files[format] as (path: string, options: unknown) => unknown;
    const error = errorOf(() => open('out', { nothing: 1 }));
    expect(error.code).toBe('ML_FLOW_INVALID');
    expect(error.message).toBe(`files.${format} has no option nothing`);
    expect(error.hint).toMatch(/^It takes \w+/);
    expect(errorOf(() => open('out', null)).message).toContain('its options are an object');
  },
);

test('every option that is documented is taken', () => {
  const sink = { layout: 'directory', partBytes: 5, compression: 'gzip' } as const;
  const csv = { header: false, separator: ';', quote: "'", multiline: false, ...sink };
  const open = (): unknown => [
    files.lines('a', { lineBytesMax: 5, ...sink }),
    files.ndjson('a', { lineBytesMax: 5, ...sink }),
    files.csv('a', { ...csv, columns: { a: 'number' } }),
    files.tsv('a', { columns: { a: 'boolean' } }),
    files.delimited('a', { separator: ' ', repeatable: true, fields: { a: 1 }, lineBytesMax: 5 }),
    files.parquet('a', { columns: ['a'], layout: 'file', compression: 'snappy' }),
    files.documents('a', { documentBytesMax: 5 }),
    files.table('a', { partitions: 5 }),
  ];
  expect(open).not.toThrow();
});

test.each([
  () => files.csv('a', { columns: { a: 'int' as never } }).source(),
  () => files.delimited('a', { fields: { a: [1, 'float' as never] } }).source(),
  () => files.lines([]).source(),
  () => files.ndjson('').source(),
  () => files.csv(['a', 5 as never]).source(),
])('%s is refused', (work) => {
  expect(errorOf(work).code).toBe('ML_FLOW_INVALID');
});

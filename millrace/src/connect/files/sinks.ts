/**
 * Sinks that write files: lines, NDJSON, CSV, Parquet. What they promise is `flow/sink.ts`; the job puts the parts into place.
 */
import { MillraceError } from '../../core/errors.ts';
import type { Sink } from '../../flow/sink.ts';
import { PARQUET_TYPES } from './parquet-columns.ts';
import type { CsvSinkOptions } from './sink-csv.ts';
import { CsvWriter } from './sink-csv.ts';
import { LinesWriter } from './sink-lines.ts';
import { NdjsonWriter } from './sink-ndjson.ts';
import type { ParquetSinkOptions } from './sink-parquet.ts';
import { findLibrary, ParquetSinkWriter } from './sink-parquet.ts';
import type { FileSinkOptions } from './sink-target.ts';
import { resolveTarget } from './sink-target.ts';

/** Records are strings without a line feed: one line each. Bytes that were no UTF-8 when they were read are written as they were. */
export function linesSink(path: string, options: FileSinkOptions = {}): Sink<string, unknown> {
  const target = resolveTarget(path, 'lines', '.txt', options);
  const label = `lines ${path}`;
  return {
    ...described('lines', label, target),
    arrangement: 'any',
    open: (context) => new LinesWriter(context, target, label),
  };
}

/** Records are anything that JSON has: one line each. */
export function ndjsonSink(path: string, options: FileSinkOptions = {}): Sink<unknown, unknown> {
  const target = resolveTarget(path, 'ndjson', '.ndjson', options);
  const label = `ndjson ${path}`;
  return {
    ...described('ndjson', label, target),
    arrangement: 'any',
    open: (context) => new NdjsonWriter(context, target, label),
  };
}

/** Records are objects of column to string, number, boolean, bigint, date or null. */
export function csvSink(path: string, options: CsvSinkOptions = {}): Sink<object, unknown> {
  const format = options.separator === '\t' ? 'tsv' : 'csv';
  const target = resolveTarget(path, format, `.${format}`, options);
  const label = `${format} ${path}`;
  checkCsv(label, options);
  return {
    ...described(format, label, target),
    arrangement: 'any',
    open: (context) => new CsvWriter(context, target, label, options),
  };
}

/** Records are objects of column to value. Needs the package `hyparquet-writer`.
 * @throws {MillraceError} ML_PACKAGE_MISSING */
export function parquetSink(path: string, options: ParquetSinkOptions = {}): Sink<object, unknown> {
  const { compression = 'snappy', ...rest } = options;
  const target = resolveTarget(path, 'parquet', '.parquet', rest);
  const label = `parquet ${path}`;
  const refuse = (what: string): MillraceError =>
    new MillraceError('ML_FLOW_INVALID', `the sink ${label}: ${what}`, { fields: { path } });
  if (target.target.kind === 'stdout') throw refuse('cannot go to stdout');
  if (target.compression !== 'none')
    throw refuse('is compressed inside: leave the ending away, and choose with { compression }');
  if (!['none', 'snappy', 'gzip', 'zstd'].includes(compression))
    throw refuse(`compression is none, snappy, gzip or zstd, not ${compression}`);
  for (const [name, type] of Object.entries(options.columns ?? {}))
    if (!PARQUET_TYPES.has(type))
      throw refuse(`the type of ${name} is one of ${[...PARQUET_TYPES].join(', ')}, not ${type}`);
  // Told when the program is built, not when everything has been read.
  findLibrary();
  return {
    ...described('parquet', label, target),
    // The index of a file is at its end: files cannot be put together.
    arrangement: target.target.kind === 'file' ? 'single' : 'any',
    open: (context) => new ParquetSinkWriter(context, target, label, options),
  };
}

function described(
  format: string,
  label: string,
  { target, partBytes }: ReturnType<typeof resolveTarget>,
): Pick<Sink, 'kind' | 'format' | 'label' | 'target' | 'partBytes'> {
  return { kind: 'sink', format, label, target, partBytes };
}

function checkCsv(label: string, { columns, quote = '"', separator = ',' }: CsvSinkOptions): void {
  const refuse = (what: string): MillraceError =>
    new MillraceError('ML_FLOW_INVALID', `the sink ${label}: ${what}`);
  for (const [name, text] of Object.entries({ quote, separator }))
    if (text.length !== 1 || text > '\x7f' || text === '\n' || text === '\r')
      throw refuse(`${name} is one ASCII character, not ${JSON.stringify(text)}`);
  if (quote === separator) throw refuse('quote and separator are the same');
  if (columns === undefined) return;
  if (columns.length === 0) throw refuse('columns is empty');
  if (new Set(columns).size < columns.length) throw refuse('a column is named twice');
}

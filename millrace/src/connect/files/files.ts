/**
 * `files`: what programs read and write. Every member names files in one format; what it returns can be read (`f.read`) and, where the
 * format has a way to write it, written (`.write`).
 */
import { MillraceError } from '../../core/errors.ts';
import type { Key } from '../../core/key-order.ts';
import type { ColumnType } from '../../flow/columns.ts';
import type { Readable, Source } from '../../flow/source.ts';
import type { Sink, Writable } from '../../flow/sink.ts';
import { checkOptions } from './check-options.ts';
import { csvSource, type CsvColumns, type CsvReadOptions } from './read-csv.ts';
import {
  delimitedSource,
  type DelimitedFields,
  type DelimitedReadOptions,
} from './read-delimited.ts';
import { linesSource, type LineReadOptions } from './read-lines.ts';
import { documentsSource, type Document, type DocumentReadOptions } from './read-documents.ts';
import { ndjsonSource, type JsonReadOptions } from './read-ndjson.ts';
import { parquetSource } from './read-parquet.ts';
import type { Row } from './row-maker.ts';
import type { ParquetSinkOptions } from './sink-parquet.ts';
import type { FileSinkOptions } from './sink-target.ts';
import { csvSink, linesSink, ndjsonSink, parquetSink } from './sinks.ts';
import { tableSink, type TableSinkOptions } from './table-sink.ts';
import { tableSource } from './table-source.ts';

/** One path, or several that are read one after the other. */
export type Paths = string | readonly string[];

export type LineOptions = LineReadOptions & FileSinkOptions;
export type JsonOptions<T> = JsonReadOptions<T> & FileSinkOptions;
export type CsvOptions<Columns extends CsvColumns = CsvColumns> = Omit<CsvReadOptions, 'columns'> &
  FileSinkOptions & { readonly columns?: Columns };

export type ParquetOptions = Omit<ParquetSinkOptions, 'columns'> & {
  /** The columns that are wanted, or written; for writing with their types. Default: all that are there. */
  readonly columns?: readonly string[] | NonNullable<ParquetSinkOptions['columns']>;
};

/** What can be read and written. */
export interface FormatFile<Read, Written>
  extends Readable<Read, undefined>,
    Writable<Written, unknown> {
  source(): Source<Read, undefined>;
  sink(): Sink<Written, unknown>;
}

/** What a field of a type is: typed ones are null where they are empty. */
export type FieldValue<Type extends ColumnType> = Type extends 'number'
  ? number | null
  : Type extends 'boolean'
    ? boolean | null
    : string;

/** Rows of CSV files with these columns. */
export type CsvRowOf<Columns extends CsvColumns> = {
  readonly [Name in keyof Columns]: FieldValue<Columns[Name]>;
};
type WrittenField<Type extends ColumnType> =
  | null
  | undefined
  | (Type extends 'number'
      ? number | bigint
      : Type extends 'boolean'
        ? boolean
        : string | number | boolean | bigint | Date);
/** What may be written into CSV files with these columns. */
export type CsvWrittenRow<Columns extends CsvColumns> = {
  readonly [Name in keyof Columns]: WrittenField<Columns[Name]>;
};
/** Rows of delimited files with these fields. */
export type DelimitedRowOf<Fields extends DelimitedFields> = {
  readonly [Name in keyof Fields]: Fields[Name] extends readonly [
    number,
    infer Type extends ColumnType,
  ]
    ? FieldValue<Type>
    : string;
};

/** Files of rows whose columns the program may name. */
export interface CsvFiles {
  (
    path: Paths,
    options?: CsvOptions & { readonly columns?: undefined },
  ): FormatFile<Readonly<Record<string, string>>, object>;
  <const Columns extends CsvColumns>(
    path: Paths,
    options: CsvOptions<Columns> & { readonly columns: Columns },
  ): FormatFile<CsvRowOf<Columns>, CsvWrittenRow<Columns>>;
}

/**
 * **Paths to read.** A path, or an array of them, which are read in their order; the same file twice is read twice. Relative ones
 * start from the directory that the program is run in. Patterns: `*`, `?`, `[a-z]`, `[!a-z]`, `{a,b}`, and `**` for any number of
 * directories; they match files in the order of their paths, and none of a name that begins with `.` unless the pattern has the dot.
 * A directory is read as the files in it, in the order of their names, without those that begin with `.` or `_`. `-` is stdin, which is
 * copied into the directory of the job first. gzip and zstd are known by their first bytes, or by `.gz` and `.zst`, and may consist
 * of several members; such a file is one piece of work, all others are cut into pieces that are read in parallel.
 *
 * **Text.** Lines end at LF or CRLF; the last one needs no end. A byte order mark at the beginning of a file is dropped. Bytes that are
 * no valid UTF-8 survive: each becomes one lone surrogate, U+DC80 for 0x80 to U+DCFF for 0xFF, and the byte again when it is written
 * by a sink of lines (Python calls this `surrogateescape`, PEP 383).
 *
 * **Errors**, when the job runs: ML_INPUT_MISSING, ML_PERMISSION, ML_INPUT_MALFORMED with file, line and column, ML_LINE_TOO_LONG.
 * ML_FLOW_INVALID, when the flow is built, for options that make no sense.
 *
 * **Paths to write.** One that ends in a known extension (.txt .log .ndjson .jsonl .csv .tsv .parquet, and .gz or .zst behind it) is
 * one file, any other a directory of parts; `layout`, `partBytes` and `compression` say it otherwise.
 */
export interface Files {
  /**
   * Text, line by line, without the line ends.
   * @example f.read(files.lines('logs/*.log')).filter((line) => line.includes(' 500 '))
   */
  lines(path: Paths, options?: LineOptions): FormatFile<string, string>;
  /**
   * One JSON value per line; blank lines are skipped. The type is what the program says it is, unless a schema (any Standard Schema:
   * zod, valibot, arktype…) checks it.
   * @example f.read(files.ndjson('events/*.ndjson.gz', { schema: Event }))
   */
  ndjson<T = unknown>(path: Paths, options?: JsonOptions<T>): FormatFile<T, unknown>;
  /**
   * Comma-separated values (RFC 4180): quotes, doubled quotes, line ends inside quotes. Rows are plain objects of the columns of the
   * header, all strings; `columns` names those that are wanted, with their types, and then only they are decoded. A number is decimal,
   * a boolean `true` or `false` in any case; a typed field that is empty is null, a string is ''. Empty lines are skipped. Rows with
   * too few or too many fields, stray quotes, and fields that are not of their type are ML_INPUT_MALFORMED.
   *
   * A large file is read through once beforehand, to know which line ends are inside quotes; `multiline: false` spares that.
   * @example f.read(files.csv('people.csv', { columns: { name: 'string', age: 'number' } }))
   */
  readonly csv: CsvFiles;
  /** CSV with tabs. */
  readonly tsv: CsvFiles;
  /**
   * Fields between separators, without quotes. Rows are plain objects of the fields that are named, by position from 0. Fields that a
   * line does not have are ''; numbers and booleans that are none (`-` in a log) are null. For reading only.
   * @example
   * files.delimited('access.log', { separator: ' ', fields: { path: 6, status: [8, 'number'] } })
   */
  delimited<const Fields extends DelimitedFields>(
    path: Paths,
    options: DelimitedReadOptions<Fields>,
  ): Readable<DelimitedRowOf<Fields>, undefined>;
  /**
   * Parquet, in pieces of whole row groups; one row group at a time is in memory. Integers of 64 bits are numbers where those are exact,
   * else bigints; dates and timestamps are Dates (to the millisecond), decimals numbers, lists arrays, and what is not there is null.
   * The type of a row is what the program says it is. Needs the package `hyparquet`, for writing `hyparquet-writer`, for files that are
   * compressed with LZ4 `hyparquet-compressors` (ML_PACKAGE_MISSING).
   * @example f.read(files.parquet<Flight>('flights.parquet', { columns: ['origin', 'delay'] }))
   */
  parquet<R extends object = Record<string, unknown>>(
    path: Paths,
    options?: ParquetOptions,
  ): FormatFile<R, object>;
  /**
   * Whole files: each is one record, `{ path, text }`, in the order of the paths. Text as for lines, with all its line ends. For
   * documents, not for data: a file that is larger than `documentBytesMax` (default 16 MiB) is ML_FILE_TOO_LARGE. For reading only.
   * @example f.read(files.documents('docs/*.md')).map(({ path, text }) => ({ path, words: text.split(/\s+/).length }))
   */
  documents(path: Paths, options?: DocumentReadOptions): Readable<Document, undefined>;
  /**
   * A table of keys and values in sorted files with an index, which `openTable` looks keys up in. Written from records that have keys,
   * such as what `count` and `aggregate` give; of several with one key the last stays. `f.table` reads keys and values,
   * `f.read` the values alone, partition by partition in the order of the keys. Always a directory.
   * @example f.read(files.lines('docs/*.txt')).flatMap(postings).keyBy((p) => p.word).count('n').write(files.table('out/index'))
   */
  table<Value = unknown, K extends Key = Key>(
    path: string,
    options?: TableSinkOptions,
  ): TableFiles<Value, K>;
}

/** What `files.table` gives: readable and writable by keys. */
export interface TableFiles<Value, K extends Key> extends Readable<Value, K>, Writable<Value, K> {
  source(): Source<Value, K>;
  sink(): Sink<Value, K>;
}

export const files: Files = Object.freeze({
  lines: (path: Paths, options: LineOptions = {}) => {
    checkOptions('lines', options);
    return {
      source: () => linesSource(path, options),
      sink: () => linesSink(outputPath(path), sinkOptions(options)),
    };
  },
  ndjson: <T = unknown>(path: Paths, options: JsonOptions<T> = {}) => {
    checkOptions('ndjson', options);
    return {
      source: () => ndjsonSource<T>(path, options),
      sink: () => ndjsonSink(outputPath(path), sinkOptions(options)),
    };
  },
  csv: csvFiles('csv', ','),
  tsv: csvFiles('tsv', '\t'),
  delimited: <const Fields extends DelimitedFields>(
    path: Paths,
    options: DelimitedReadOptions<Fields>,
  ) => {
    checkOptions('delimited', options);
    return {
      source: () =>
        delimitedSource(path, options) as Source<object, undefined> as Source<
          DelimitedRowOf<Fields>,
          undefined
        >,
    };
  },
  parquet: <R extends object>(path: Paths, options: ParquetOptions = {}) => {
    checkOptions('parquet', options);
    const { columns, ...rest } = options;
    const isTyped = columns !== undefined && !isNames(columns);
    const names = isTyped ? Object.keys(columns) : columns;
    return {
      source: () =>
        parquetSource(path, { columns: names }) as Source<object> as Source<R, undefined>,
      sink: () => parquetSink(outputPath(path), isTyped ? { ...rest, columns } : rest),
    };
  },
  documents: (path: Paths, options: DocumentReadOptions = {}) => {
    checkOptions('documents', options);
    return { source: () => documentsSource(path, options) };
  },
  table: <Value, K extends Key>(path: string, options: TableSinkOptions = {}) => {
    checkOptions('table', options);
    return {
      source: () => tableSource(path) as Source<Value, K>,
      sink: () => tableSink(path, options),
    };
  },
});

function isNames(columns: object): columns is readonly string[] {
  return Array.isArray(columns);
}

function csvFiles(format: 'csv' | 'tsv', defaultSeparator: string): CsvFiles {
  const open = (path: Paths, options: CsvOptions = {}): FormatFile<Row, object> => {
    checkOptions(format, options);
    const { columns, header, quote, separator = defaultSeparator } = options;
    return {
      source: () => csvSource(path, { ...options, separator, format }),
      sink: () =>
        csvSink(outputPath(path), {
          ...sinkOptions(options),
          separator,
          ...(columns === undefined ? {} : { columns: Object.keys(columns) }),
          ...(header === undefined ? {} : { header }),
          // What is never quoted when it is read is written like any other.
          ...(quote === undefined || quote === '' ? {} : { quote }),
        }),
    };
  };
  return open as CsvFiles;
}

function sinkOptions({ layout, partBytes, compression }: FileSinkOptions): FileSinkOptions {
  return {
    ...(layout === undefined ? {} : { layout }),
    ...(partBytes === undefined ? {} : { partBytes }),
    ...(compression === undefined ? {} : { compression }),
  };
}

/** A sink has one path. */
function outputPath(path: Paths): string {
  if (typeof path === 'string') return path;
  throw new MillraceError('ML_FLOW_INVALID', `${path.length} paths cannot be written`, {
    hint: 'Give an output one path: a file, or a directory of parts',
  });
}

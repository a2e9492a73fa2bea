/**
 * Parquet, through `hyparquet-writer`, which is installed by those who need it. Rows are collected by column, and become a row group
 * when there are enough of them; memory is bounded by a row group.
 *
 * Without `columns` the first row group decides what the columns are: the names of its rows, and of each the narrowest of the types
 * that all its values have.
 */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type * as HyparquetWriter from 'hyparquet-writer';
import type { File } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { writeFully } from '../../core/files.ts';
import { PARQUET_GROUP_BYTES, PARQUET_GROUP_ROWS } from '../../core/limits.ts';
import type { Part, SinkWriter, WriteContext } from '../../flow/sink.ts';
import type { ParquetColumn, ParquetType } from './parquet-columns.ts';
import { checkNames, columnsOf, convert, roughBytes, schemaOf } from './parquet-columns.ts';
import { typeName } from './sink-lines.ts';
import type { FileSinkOptions, ResolvedTarget } from './sink-target.ts';

export interface ParquetSinkOptions extends Omit<FileSinkOptions, 'compression'> {
  /** Column to type. Default: decided by the first 100,000 rows, or fewer when they are large. */
  readonly columns?: Readonly<Record<string, ParquetType>>;
  /** Default `snappy`. */
  readonly compression?: 'none' | 'snappy' | 'gzip' | 'zstd';
}

type Row = Readonly<Record<string, unknown>>;
type Library = typeof HyparquetWriter;
type FileWriter = InstanceType<Library['ParquetWriter']>;

const CODECS = { none: 'UNCOMPRESSED', snappy: 'SNAPPY', gzip: 'GZIP', zstd: 'ZSTD' } as const;

export class ParquetSinkWriter implements SinkWriter<Row, unknown> {
  private readonly context: WriteContext;
  private readonly target: ResolvedTarget;
  private readonly label: string;
  private readonly codec: (typeof CODECS)[keyof typeof CODECS];
  private columns: readonly ParquetColumn[] | undefined;
  /** Set when the columns were found out, not named. */
  private names: ReadonlySet<string> | undefined;
  private rows: Row[] = [];
  private rowBytes = 0;
  /** Whole row groups that wait to be written: where they end depends on the rows alone. */
  private groups: Row[][] = [];
  private current: OpenFile | undefined;
  private readonly parts: Part[] = [];
  private partCount = 0;

  constructor(
    context: WriteContext,
    target: ResolvedTarget,
    label: string,
    options: ParquetSinkOptions,
  ) {
    this.context = context;
    this.target = target;
    this.label = label;
    this.codec = CODECS[options.compression ?? 'snappy'];
    if (options.columns !== undefined)
      this.columns = Object.entries(options.columns).map(([name, type]) => ({ name, type }));
  }

  get isBusy(): boolean {
    return this.groups.length > 0;
  }

  write(value: Row): void {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new MillraceError(
        'ML_SINK_VALUE_INVALID',
        `${this.label}: a row is an object of column to value; this is ${typeName(value)}`,
        { hint: 'Map it to an object: .map((record) => ({ value: record }))' },
      );
    // A copy: the program may change its object before the row group is written.
    const row = { ...value };
    this.rows.push(row);
    this.rowBytes += roughBytes(row);
    if (this.rows.length >= PARQUET_GROUP_ROWS || this.rowBytes >= PARQUET_GROUP_BYTES)
      this.endGroup();
  }

  async drain(): Promise<void> {
    for (let group = this.groups.shift(); group !== undefined; group = this.groups.shift()) {
      this.columns ??= this.findColumns(group);
      if (this.names !== undefined)
        for (const row of group) checkNames(row, this.names, this.label);
      const file = this.current ?? (await this.begin(this.columns));
      await file.writeGroup(group, this.label);
      const { partBytes } = this.target;
      if (partBytes !== undefined && file.bytes >= partBytes) await this.end(file);
    }
  }

  async finish(): Promise<readonly Part[]> {
    if (this.rows.length > 0) this.endGroup();
    await this.drain();
    const isWanted = this.context.task === 0 && this.parts.length === 0;
    if (this.current === undefined && isWanted) await this.begin(this.columns ?? []);
    if (this.current !== undefined) await this.end(this.current);
    return this.parts;
  }

  async abort(): Promise<void> {
    this.current?.abort();
    this.rows = [];
    this.groups = [];
  }

  private endGroup(): void {
    this.groups.push(this.rows);
    this.rows = [];
    this.rowBytes = 0;
  }

  private findColumns(rows: readonly Row[]): readonly ParquetColumn[] {
    const columns = columnsOf(rows, this.label);
    this.names = new Set(columns.map((column) => column.name));
    return columns;
  }

  private async begin(columns: readonly ParquetColumn[]): Promise<OpenFile> {
    const library = await load();
    const { directory, env } = this.context;
    const path = `${directory}/${String(this.partCount++).padStart(5, '0')}`;
    const file = env.fs.open(path, 'publish');
    this.current = new OpenFile(library, file, columns, this.codec);
    return this.current;
  }

  private async end(file: OpenFile): Promise<void> {
    this.current = undefined;
    this.parts.push(await file.finish());
  }
}

class OpenFile {
  /** Written so far. */
  bytes = 0;
  private records = 0;
  private readonly file: File;
  private readonly columns: readonly ParquetColumn[];
  private readonly writer: FileWriter;

  constructor(
    library: Library,
    file: File,
    columns: readonly ParquetColumn[],
    codec: (typeof CODECS)[keyof typeof CODECS],
  ) {
    this.file = file;
    this.columns = columns;
    const output = new library.ByteWriter();
    // Called behind each row group: what it has written goes to the file, and the buffer is used again.
    const flush = (): void => {
      writeFully(file, new Uint8Array(output.buffer), 0, output.index, this.bytes);
      this.bytes += output.index;
      output.index = 0;
    };
    this.writer = new library.ParquetWriter({
      writer: Object.assign(output, { flush, finish: flush }),
      schema: schemaOf(columns),
      codec,
      compressors: { GZIP: (bytes) => gzipSync(bytes), ZSTD: (bytes) => zstdCompressSync(bytes) },
      createdBy: 'millrace',
    });
  }

  async writeGroup(rows: readonly Row[], label: string): Promise<void> {
    const columnData = this.columns.map((column) => ({
      name: column.name,
      data: rows.map((row) => convert(row[column.name], column, label)),
    }));
    this.records += rows.length;
    await this.writer.write({ columnData, rowGroupSize: Math.max(1, rows.length) });
  }

  async finish(): Promise<Part> {
    try {
      await this.writer.finish();
      await this.file.sync();
    } finally {
      this.file.close();
    }
    // All files of a directory have to have the same columns.
    const key = this.columns.map(({ name, type }) => `${name}: ${type}`).join(', ');
    return {
      path: this.file.path,
      bytes: this.bytes,
      records: this.records,
      ...(this.records > 0 ? { head: { bytes: 0, key } } : {}),
    };
  }

  abort(): void {
    this.file.close();
  }
}

/**
 * Where the library is: found from here, or from where the program is run.
 * @throws {MillraceError} ML_PACKAGE_MISSING
 */
export function findLibrary(): string {
  let cause: unknown;
  for (const from of [import.meta.url, `${process.cwd()}/`])
    try {
      return pathToFileURL(createRequire(from).resolve('hyparquet-writer')).href;
    } catch (error) {
      cause = error;
    }
  throw new MillraceError(
    'ML_PACKAGE_MISSING',
    'writing Parquet needs the package hyparquet-writer, which is not installed',
    { cause, hint: 'npm install hyparquet-writer', fields: { package: 'hyparquet-writer' } },
  );
}

async function load(): Promise<Library> {
  return (await import(findLibrary())) as Library;
}

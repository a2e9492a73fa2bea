/**
 * Parquet files as rows, through the package `hyparquet`. A split is some row groups of one file. In memory is one row group, decoded,
 * of the columns that are wanted; strings that a dictionary holds are there once.
 */
import type * as Hyparquet from 'hyparquet';
import type { AsyncBuffer, Compressors, DecodedArray, FileMetaData } from 'hyparquet';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import type { Env, File } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { readFullyAsync } from '../../core/files.ts';
import { SPLIT_BYTES } from '../../core/limits.ts';
import type {
  PlanContext,
  ReadContext,
  Source,
  SourcePlan,
  Split,
  SplitReader,
} from '../../flow/source.ts';
import { loadOptional } from '../optional-package.ts';
import { openInput, shrunk } from './content.ts';
import { pathList } from './file-source.ts';
import type { InputFile } from './file-split.ts';
import { listInput } from './input-files.ts';

export interface ParquetReadOptions {
  /** The columns that are wanted. Default: all. */
  readonly columns?: readonly string[] | undefined;
}

type Row = Record<string, unknown>;

interface ParquetSplit {
  readonly path: string;
  readonly name: string;
  readonly sizeBytes: number;
  /** Row groups [from, to) of the file. */
  readonly from: number;
  readonly to: number;
}

export function parquetSource(
  paths: string | readonly string[],
  options: ParquetReadOptions = {},
): Source<Row, undefined> {
  const list = pathList(paths);
  const source: Source<Row, undefined> = {
    kind: 'source',
    format: 'parquet',
    label: `parquet ${list.join(' ')}`,
    paths: list,
    columns: Object.freeze({ kind: 'parquet' }),
    plan: (context) => planFiles(list, options, context),
    open: (split, context) => new ParquetReader(split.data as ParquetSplit, context, options),
  };
  return Object.freeze(source);
}

async function planFiles(
  paths: readonly string[],
  options: ParquetReadOptions,
  context: PlanContext,
): Promise<SourcePlan> {
  const splits: Split[] = [];
  const files = await listInput(paths, context);
  for (const file of files) {
    const opened = await openParquet(context.env, file, options);
    try {
      for (const { from, to, bytes } of packGroups(opened.metadata, context.splitBytes)) {
        const { path, name, sizeBytes } = file;
        splits.push({
          index: splits.length,
          bytes,
          label: `${name} row groups ${from} to ${to - 1}`,
          data: { path, name, sizeBytes, from, to } satisfies ParquetSplit,
        });
      }
    } finally {
      opened.file.close();
    }
  }
  return { splits, files: files.map(({ path }) => path) };
}

/** Row groups that follow each other, up to about `splitBytes` together. */
function packGroups(
  metadata: FileMetaData,
  splitBytes: number,
): { readonly from: number; readonly to: number; readonly bytes: number }[] {
  const target = splitBytes > 0 ? splitBytes : SPLIT_BYTES;
  const packs: { from: number; to: number; bytes: number }[] = [];
  for (let index = 0; index < metadata.row_groups.length; index++) {
    const bytes = groupBytes(metadata, index);
    const last = packs.at(-1);
    if (last !== undefined && last.bytes + bytes <= target) {
      last.to = index + 1;
      last.bytes += bytes;
    } else packs.push({ from: index, to: index + 1, bytes });
  }
  return packs;
}

/** Bytes of a row group in the file. */
function groupBytes(metadata: FileMetaData, index: number): number {
  const columns = metadata.row_groups[index]?.columns ?? [];
  return columns.reduce(
    (sum, { meta_data: column }) => sum + Number(column?.total_compressed_size ?? 0),
    0,
  );
}

interface OpenParquet {
  readonly library: typeof Hyparquet;
  readonly file: File;
  readonly buffer: AsyncBuffer;
  readonly metadata: FileMetaData;
  /** Those that are wanted, in the order of the rows. */
  readonly columns: readonly string[];
}

/** @throws {MillraceError} ML_PACKAGE_MISSING, ML_INPUT_MALFORMED, ML_COLUMN_UNKNOWN */
async function openParquet(
  env: Env,
  { path, name, sizeBytes }: InputFile,
  options: ParquetReadOptions,
): Promise<OpenParquet> {
  const library = await loadOptional('hyparquet', 'reading Parquet', () => import('hyparquet'));
  const file = openInput(env, path, name);
  try {
    if (file.size() < sizeBytes) throw shrunk(name, sizeBytes, file.size());
    const buffer = asyncBuffer(file, name, sizeBytes);
    const metadata = await guard(name, () => library.parquetMetadataAsync(buffer));
    const all = library.parquetSchema(metadata).children.map(({ element }) => element.name);
    for (const column of options.columns ?? [])
      if (!all.includes(column))
        throw new MillraceError(
          'ML_COLUMN_UNKNOWN',
          `${name} has no column ${JSON.stringify(column)}`,
          { fields: { file: name, column }, hint: `It has: ${all.join(', ')}` },
        );
    return { library, file, buffer, metadata, columns: options.columns ?? all };
  } catch (error) {
    file.close();
    throw error;
  }
}

function asyncBuffer(file: File, name: string, byteLength: number): AsyncBuffer {
  return {
    byteLength,
    slice: async (start, end = byteLength) => {
      const length = Math.min(end, byteLength) - start;
      if (!(start >= 0 && length >= 0)) throw new Error(`bytes ${start} to ${end} are not in it`);
      const bytes = new ArrayBuffer(length);
      const count = await readFullyAsync(file, new Uint8Array(bytes), 0, length, start);
      if (count < length) throw shrunk(name, byteLength, file.size());
      return bytes;
    },
  };
}

class ParquetReader implements SplitReader<Row, undefined> {
  consumedBytes = 0;
  private readonly split: ParquetSplit;
  private readonly context: ReadContext;
  private readonly options: ParquetReadOptions;
  private opened: OpenParquet | undefined;
  private group: number;
  /** Of the row group that is being read. */
  private arrays: readonly DecodedArray[] = [];
  private make: (arrays: readonly DecodedArray[], row: number) => Row = () => ({});
  private rows = 0;
  private row = 0;
  /** Rows of the file before the row group. */
  private firstRow = 0;

  constructor(split: ParquetSplit, context: ReadContext, options: ParquetReadOptions) {
    this.split = split;
    this.context = context;
    this.options = options;
    this.group = split.from;
  }

  read(emit: (value: Row, key: undefined) => boolean): boolean | Promise<boolean> {
    if (this.row < this.rows) return this.emitRows(emit);
    return this.readGroup(emit);
  }

  position(): string {
    return this.locate(this.mark());
  }

  mark(): number {
    return this.firstRow + Math.max(this.row - 1, 0);
  }

  locate(mark: number): string {
    return `${this.split.name} row ${mark + 1}`;
  }

  close(): void {
    this.opened?.file.close();
  }

  /** True at the end of the split. */
  private emitRows(emit: (value: Row, key: undefined) => boolean): boolean {
    const { arrays, make, rows } = this;
    while (this.row < rows) {
      const row = this.row++;
      if (!emit(make(arrays, row), undefined)) return false;
    }
    return false;
  }

  private async readGroup(emit: (value: Row, key: undefined) => boolean): Promise<boolean> {
    this.opened ??= await this.open();
    const { metadata } = this.opened;
    if (this.arrays.length > 0) {
      this.firstRow += this.rows;
      this.consumedBytes += groupBytes(metadata, this.group++);
      this.arrays = [];
      this.rows = this.row = 0;
    }
    if (this.group === this.split.to) return true;
    await this.load(this.opened);
    return this.emitRows(emit);
  }

  private async open(): Promise<OpenParquet> {
    const opened = await openParquet(this.context.env, this.split, this.options);
    const { columns, metadata } = opened;
    for (let index = 0; index < this.split.from; index++)
      this.firstRow += Number(metadata.row_groups[index]?.num_rows ?? 0);
    this.make = rowMaker(columns);
    return opened;
  }

  private async load({ library, buffer, metadata, columns }: OpenParquet): Promise<void> {
    const { name } = this.split;
    const { firstRow: rowStart } = this;
    const rows = Number(metadata.row_groups[this.group]?.num_rows ?? 0);
    const compressors = await compressorsFor(metadata, this.group);
    this.arrays = await guard(name, async () => {
      const rowEnd = rowStart + rows;
      const scan = await library.parquetScan({
        file: buffer,
        metadata,
        columns: [...columns],
        compressors,
        rowStart,
        rowEnd,
        geoparquet: false,
      });
      const arrays: DecodedArray[] = [];
      for (const column of columns) {
        const array = rows === 0 ? [] : await scan.readColumn({ column, rowStart, rowEnd });
        if (array.length !== rows)
          throw new Error(`column ${column} has ${array.length} values for ${rows} rows`);
        arrays.push(array);
      }
      return arrays;
    });
    this.rows = rows;
    this.row = 0;
  }
}

/** Builds rows from the columns: one hidden class, whatever the columns are. */
function rowMaker(
  columns: readonly string[],
): (arrays: readonly DecodedArray[], row: number) => Row {
  const members = columns.map(
    (name, index) => `[${JSON.stringify(name)}]: value(a[${index}][row])`,
  );
  // oxlint-disable-next-line typescript/no-implied-eval -- the text holds nothing but quoted names
  const make = new Function('value', `return (a, row) => ({ ${members.join(', ')} });`) as (
    value: (value: unknown) => unknown,
  ) => (arrays: readonly DecodedArray[], row: number) => Row;
  return make(plainValue);
}

/** Integers of 64 bits are numbers where numbers hold them exactly; what is not there is null. */
function plainValue(value: unknown): unknown {
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (value === undefined || value === null) return null;
  if (Array.isArray(value)) return value.map(plainValue);
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, plainValue(member)]),
  );
}

/** Node has most codecs itself, faster than a package does. */
async function compressorsFor(metadata: FileMetaData, group: number): Promise<Compressors> {
  const own: Compressors = {
    GZIP: (input, maxOutputLength) => gunzipSync(input, { maxOutputLength }),
    ZSTD: (input, maxOutputLength) => zstdDecompressSync(input, { maxOutputLength }),
    BROTLI: (input, maxOutputLength) => brotliDecompressSync(input, { maxOutputLength }),
  };
  const columns = metadata.row_groups[group]?.columns ?? [];
  if (!columns.some(({ meta_data: column }) => column?.codec.startsWith('LZ4') === true))
    return own;
  const { compressors } = await loadOptional(
    'hyparquet-compressors',
    'reading Parquet that is compressed with LZ4',
    () => import('hyparquet-compressors'),
  );
  return { ...compressors, ...own };
}

/** What the package throws is about the file. */
async function guard<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof MillraceError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError(
      'ML_INPUT_MALFORMED',
      `${name} is no Parquet file, or damaged: ${reason}`,
      {
        cause,
        fields: { file: name },
        hint: 'Check the file with another reader, or write it anew',
      },
    );
  }
}

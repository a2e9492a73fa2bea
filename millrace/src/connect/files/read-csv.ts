/**
 * CSV and its dialects as rows. @hot
 *
 * Files larger than a split are cut at ends of rows. Whether a line end is inside quotes is known only from all quotes before it, so
 * such a file is read through once while the job is planned (`file-cuts.ts`), unless the program says `multiline: false`.
 */
import { MillraceError } from '../../core/errors.ts';
import { LINE_BYTES_MAX } from '../../core/limits.ts';
import { decodeText } from '../../core/text-escape.ts';
import type { ColumnField, ColumnLayout, ColumnType } from '../../flow/columns.ts';
import type { ByteChunk, ReadContext, Source } from '../../flow/source.ts';
import { BlockReader } from './block-reader.ts';
import { checkColumnType } from './check-options.ts';
import { CsvRow, csvRowEnd, type CsvDialect } from './csv-row.ts';
import { pathList, rowSource } from './file-source.ts';
import type { FileSplit } from './file-split.ts';
import { malformedRow } from './malformed.ts';
import { dialectByte } from './read-delimited.ts';
import type { LineReadOptions, ReadTuning } from './read-lines.ts';
import { RAW_BYTES_MAX, RowChunks, type RowChunkOptions } from './row-chunks.ts';
import { rowMaker, type MakeRow, type Row, type RowColumn } from './row-maker.ts';
import type { EmitRow } from './row-reader.ts';

export type CsvColumns = Readonly<Record<string, ColumnType>>;

export interface CsvReadOptions extends LineReadOptions {
  /**
   * The columns of the rows and their types. With a header: those that are wanted, found by their names, in any order; without one:
   * all columns of the file, in its order. Default: all columns of the header, as strings.
   */
  readonly columns?: CsvColumns | undefined;
  /** Whether the first row of each file names its columns. Default true. */
  readonly header?: boolean | undefined;
  /** One ASCII character. Default `,`, for `files.tsv` a tab. */
  readonly separator?: string | undefined;
  /** One ASCII character; '' when nothing is quoted. Default `"`. */
  readonly quote?: string | undefined;
  /** Whether quoted fields may hold line ends. false: every line is a row, and a file can be cut without being looked through. Default true. */
  readonly multiline?: boolean | undefined;
}

type CsvLayout = Extract<ColumnLayout, { readonly kind: 'csv' }>;

export function csvSource(
  paths: string | readonly string[],
  options: CsvReadOptions & { readonly format?: 'csv' | 'tsv' } = {},
  tuning: ReadTuning = {},
): Source<Row, undefined> {
  const separator = options.separator ?? ',';
  const quote = options.quote ?? '"';
  const dialect: CsvDialect = { separator, quote };
  const columns = layoutOf(options, dialect);
  const { lineBytesMax } = columns;
  const chunks: RowChunkOptions = {
    lineBytesMax,
    quote: (options.multiline ?? true) ? columns.quote : -1,
    ...tuning,
    ...(columns.hasHeader
      ? {
          parseHeader: (buffer: Buffer, start: number, end: number, position: string) =>
            parseHeader(decodeText(buffer, start, end), dialect, position),
        }
      : {}),
  };
  return rowSource<Row>({
    format: options.format ?? 'csv',
    paths: pathList(paths),
    columns,
    chunks,
    readHeader: (file, context) => {
      if (!columns.hasHeader) return undefined;
      const { path, name, sizeBytes: to } = file;
      const split: FileSplit = { path, name, from: 0, to, compression: 'none' };
      const reader = new RowChunks(split, { ...context, malformed: rethrow }, chunks);
      try {
        // Nothing has to be waited for in a file that is not compressed.
        void reader.next();
        return reader.header;
      } finally {
        reader.close();
      }
    },
    reader: (rowChunks, split, context) =>
      new CsvReader(rowChunks, split, context, {
        layout: columns,
        dialect,
        lineBytesMax,
        quote: chunks.quote,
      }),
  });
}

function rethrow(error: Error): never {
  throw error;
}

function layoutOf(options: CsvReadOptions, { separator, quote }: CsvDialect): CsvLayout {
  const hasHeader = options.header ?? true;
  const separatorByte = dialectByte(separator, 'separator');
  const quoteByte = quote === '' ? -1 : dialectByte(quote, 'quote');
  if (separatorByte === quoteByte)
    throw new MillraceError('ML_FLOW_INVALID', `separator and quote are both ${separator}`, {
      hint: 'Give one of them another character',
    });
  const fields: ColumnField[] | undefined =
    options.columns &&
    Object.entries(options.columns).map(([name, type]) => {
      checkColumnType(name, type);
      return Object.freeze({ name, type });
    });
  if (fields === undefined ? !hasHeader : fields.length === 0)
    throw new MillraceError('ML_FLOW_INVALID', 'nothing names the columns of the rows', {
      hint: "Name them, in the order of the file: { header: false, columns: { id: 'number', name: 'string' } }",
    });
  return Object.freeze({
    kind: 'csv',
    separator: separatorByte,
    quote: quoteByte,
    isMultiline: options.multiline ?? true,
    hasHeader,
    fields: fields && Object.freeze(fields),
    lineBytesMax: options.lineBytesMax ?? LINE_BYTES_MAX,
  });
}

/** The names that the first row of a file gives its columns. */
function parseHeader(text: string, dialect: CsvDialect, position: string): readonly string[] {
  const row = new CsvRow(dialect);
  if (dialect.quote !== '' && text.includes(dialect.quote)) row.findQuoted(text, 0);
  else {
    const lf = text.indexOf('\n');
    row.findPlain(text, 0, lf < 0 ? text.length : lf);
  }
  if (row.fault !== undefined)
    throw malformedRow({ position, column: row.faultAt + 1, what: `in the header: ${row.fault}` });
  return Array.from({ length: row.count }, (_, index) => row.field(text, index));
}

interface CsvReaderOptions {
  readonly layout: CsvLayout;
  readonly dialect: CsvDialect;
  readonly lineBytesMax: number;
  readonly quote: number;
}

class CsvReader extends BlockReader<Row> {
  private readonly layout: CsvLayout;
  private readonly dialect: CsvDialect;
  private readonly isMultiline: boolean;
  private readonly row: CsvRow;
  private columns: readonly RowColumn[] = [];
  private make: MakeRow | undefined;
  /** Of the file. */
  private columnCount = 0;
  /** The column of the row that is being made whose field is not of its type. */
  private misfit = -1;

  constructor(
    chunks: RowChunks,
    split: FileSplit,
    context: ReadContext,
    options: CsvReaderOptions,
  ) {
    super(chunks, split, context, options);
    this.layout = options.layout;
    this.dialect = options.dialect;
    this.isMultiline = options.quote >= 0;
    this.row = new CsvRow(options.dialect);
  }

  protected override begin(chunk: ByteChunk): void {
    super.begin(chunk);
    if (this.make !== undefined) return;
    const { fields } = this.layout;
    const header = this.chunks.header ?? fields?.map(({ name }) => name) ?? [];
    this.columnCount = header.length;
    this.columns = columnsOf(header, fields, this.split.name);
    this.make = rowMaker(this.columns, (column) => {
      this.misfit = column;
    });
  }

  protected decodeBlock(emit: EmitRow<Row>): boolean {
    const { block, row, make, columnCount } = this;
    const { quote } = this.dialect;
    const { isMultiline } = this;
    const { length } = block;
    if (make === undefined) return true;
    let quoteAt = quote === '' ? -1 : block.indexOf(quote, this.at);
    const isLong = this.blockLength > this.lineBytesMax;
    for (let at = this.at; at < length; at = this.at) {
      const lf = block.indexOf('\n', at);
      const end = lf < 0 ? length : lf;
      this.lineAt = at;
      if (quoteAt >= 0 && quoteAt < at) quoteAt = block.indexOf(quote, at);
      if (quoteAt >= 0 && quoteAt < end) {
        row.findQuoted(block, at, isMultiline ? length : end);
        if (row.fault !== undefined) row.next = isMultiline ? csvRowEnd(block, at, quote) : end + 1;
      } else {
        row.findPlain(block, at, end);
        if (row.next <= at + 2 && isEmpty(block, at, end)) {
          this.at = row.next;
          continue;
        }
      }
      this.at = row.next;
      if (isLong && this.isTooLong(at)) continue;
      if (row.fault !== undefined || row.count !== columnCount) {
        this.refuse(at);
        continue;
      }
      if (row.doubled.length > 0) {
        if (!this.emitUnescaped(emit)) return false;
        continue;
      }
      this.misfit = -1;
      const value = make(block, row.bounds);
      if (this.misfit >= 0) this.refuse(at);
      else if (!emit(value, undefined)) return false;
    }
    return true;
  }

  /** Rows with doubled quotes: their fields are not as they are written. */
  private emitUnescaped(emit: EmitRow<Row>): boolean {
    const { block, row, make } = this;
    const at = this.lineAt;
    let text = '';
    const bounds = new Int32Array(row.count * 2);
    for (let index = 0; index < row.count; index++) {
      bounds[2 * index] = text.length;
      text += row.field(block, index);
      bounds[2 * index + 1] = text.length;
    }
    this.misfit = -1;
    const value = make?.(text, bounds);
    if (this.misfit >= 0 || value === undefined) {
      this.refuse(at);
      return true;
    }
    return emit(value, undefined);
  }

  private isTooLong(at: number): boolean {
    const text = this.block.slice(at, this.at).replace(/\r?\n$/, '');
    if (text.length * 3 <= this.lineBytesMax) return false;
    // Escaped bytes count as one, not as the three of their surrogate.
    const escapes = text.isWellFormed() ? 0 : (text.match(/[\udc80-\udcff]/gu)?.length ?? 0);
    if (Buffer.byteLength(text) - 2 * escapes <= this.lineBytesMax) return false;
    this.context.malformed(this.chunks.tooLong(this.rowStart()), text.slice(0, RAW_BYTES_MAX));
    return true;
  }

  /** The row is malformed: says where, and what of it. */
  private refuse(at: number): void {
    const { block } = this;
    const raw = block.slice(at, Math.min(this.at, at + RAW_BYTES_MAX)).replace(/\r?\n$/, '');
    const { index, what } = this.faultOf(at);
    const lineAt = index === at ? at : Math.max(at, block.lastIndexOf('\n', index - 1) + 1);
    const error = malformedRow({
      position: this.chunks.locate(this.byteAt(lineAt)),
      column: index - lineAt + 1,
      what,
    });
    this.context.malformed(error, raw);
  }

  private faultOf(at: number): { readonly index: number; readonly what: string } {
    const { block, row, columnCount, columns, misfit } = this;
    if (row.fault !== undefined) return { index: row.faultAt, what: row.fault };
    if (row.count < columnCount)
      return {
        index: Math.max(at, row.bounds[2 * row.count - 1] ?? at),
        what: `the row ends after ${row.count} of ${columnCount} columns`,
      };
    if (row.count > columnCount)
      return {
        index: row.bounds[2 * columnCount] ?? at,
        what: `the row has ${row.count} fields for ${columnCount} columns`,
      };
    const column = columns[misfit];
    const field = column?.field ?? 0;
    const text = row.field(block, field).slice(0, 40);
    return {
      index: row.bounds[2 * field] ?? at,
      what: `column ${column?.name} is to be a ${column?.type}, not ${JSON.stringify(text)}`,
    };
  }
}

/** Nothing but a line end. */
function isEmpty(block: string, at: number, end: number): boolean {
  return at === end || (at + 1 === end && block[at] === '\r');
}

/** Which columns of a file become columns of the rows. */
function columnsOf(
  header: readonly string[],
  fields: readonly ColumnField[] | undefined,
  file: string,
): RowColumn[] {
  const wanted = fields ?? header.map((name) => ({ name, type: 'string' as const }));
  return wanted.map(({ name, type }) => {
    const field = header.indexOf(name);
    if (field < 0)
      throw new MillraceError(
        'ML_COLUMN_UNKNOWN',
        `${file} has no column ${JSON.stringify(name)}`,
        {
          fields: { file, column: name },
          hint: `Its header names: ${header.join(', ')}`,
        },
      );
    if (header.includes(name, field + 1))
      throw new MillraceError(
        'ML_INPUT_MALFORMED',
        `${file}:1: two columns have the name ${JSON.stringify(name)}`,
        {
          fields: { file, column: name },
          hint: 'Give them different names, or read without the other columns: `columns` names those that are wanted',
        },
      );
    return { name, type, field };
  });
}

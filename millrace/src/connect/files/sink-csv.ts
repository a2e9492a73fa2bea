/**
 * CSV and its dialects: a header, then one line per record, quoted where it has to be. Lines end in LF, as most tools write.
 *
 * Which columns there are must not depend on where the input was cut into tasks. So either the program names them, or all records
 * have the keys of the first one, in its order: anything else is refused, within a task here, between tasks by `Part.head`.
 * Source: RFC 4180.
 * @hot
 */
import { MillraceError } from '../../core/errors.ts';
import { encodeText } from '../../core/text-escape.ts';
import type { Part, SinkWriter, WriteContext } from '../../flow/sink.ts';
import { typeName } from './sink-lines.ts';
import { PartWriter } from './sink-part.ts';
import type { FileSinkOptions, ResolvedTarget } from './sink-target.ts';

export interface CsvSinkOptions extends FileSinkOptions {
  /** Which columns, in this order; other keys of a record are left out, and keys that it lacks are empty. Default: the keys of
   * the first record, and then all records must have the same ones. */
  readonly columns?: readonly string[];
  /** Write the names of the columns first. Default true. */
  readonly header?: boolean;
  /** One ASCII character. Default `,`. */
  readonly separator?: string;
  /** One ASCII character. Default `"`. */
  readonly quote?: string;
}

type Row = Readonly<Record<string, unknown>>;

export class CsvWriter implements SinkWriter<Row, unknown> {
  private readonly parts: PartWriter;
  private readonly label: string;
  private readonly isWanted: boolean;
  private readonly hasHeader: boolean;
  private readonly separator: string;
  private readonly quote: string;
  private readonly doubledQuote: string;
  /** What has to be quoted. */
  private readonly special: RegExp;
  private readonly isNamed: boolean;
  private columns: readonly string[] | undefined;
  private text = '';

  constructor(
    context: WriteContext,
    target: ResolvedTarget,
    label: string,
    options: CsvSinkOptions,
  ) {
    this.parts = new PartWriter(context, target);
    this.label = label;
    this.hasHeader = options.header ?? true;
    this.separator = options.separator ?? ',';
    this.quote = options.quote ?? '"';
    this.doubledQuote = this.quote + this.quote;
    const special = `${this.separator}${this.quote}`.replaceAll(/[\\\]^-]/g, String.raw`\$&`);
    this.special = new RegExp(`[${special}\\r\\n]`);
    this.isNamed = options.columns !== undefined;
    // With names there is always a header, also above no records.
    this.isWanted =
      context.task === 0 &&
      (target.target.kind !== 'directory' || (this.isNamed && this.hasHeader));
    if (options.columns !== undefined) this.begin(options.columns);
  }

  get isBusy(): boolean {
    return this.parts.isBusy;
  }

  write(value: Row): void {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.noRow(value);
    const columns = this.columns ?? this.begin(Object.keys(value));
    if (!this.isNamed) this.checkColumns(value, columns);
    let { text } = this;
    const { separator } = this;
    for (let index = 0; index < columns.length; index++) {
      const name = columns[index] as string;
      const field = value[name];
      if (index > 0) text += separator;
      if (typeof field === 'string') text += this.quoted(field);
      else if (typeof field === 'number' || typeof field === 'boolean') text += field;
      else if (field !== null && field !== undefined) text += this.other(field, name);
    }
    // A row of one empty column would be an empty line, which readers skip.
    if (columns.length === 1 && text.length === this.text.length) text += this.doubledQuote;
    text += '\n';
    this.text = text;
    this.parts.recordCount++;
    if (text.length >= this.parts.limitChars) this.encode();
  }

  drain(): Promise<void> {
    return this.parts.drain();
  }

  finish(): Promise<readonly Part[]> {
    this.encode();
    return this.parts.finish(this.isWanted);
  }

  abort(): Promise<void> {
    return this.parts.abort();
  }

  private begin(columns: readonly string[]): readonly string[] {
    this.columns = columns;
    const line = columns.map((name) => this.quoted(name)).join(this.separator);
    const text = this.hasHeader ? Buffer.from(`${line}\n`) : new Uint8Array(0);
    this.parts.head = { text, key: line };
    return columns;
  }

  private encode(): void {
    const { out } = this.parts;
    encodeText(this.text, out);
    this.text = '';
    this.parts.added();
  }

  /** An empty string is quoted: without quotes it is null. */
  private quoted(text: string): string {
    if (text === '') return this.doubledQuote;
    if (!this.special.test(text)) return text;
    return this.quote + text.replaceAll(this.quote, this.doubledQuote) + this.quote;
  }

  private other(value: unknown, column: string): string {
    if (typeof value === 'bigint') return value.toString();
    if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
    throw new MillraceError(
      'ML_SINK_VALUE_INVALID',
      `${this.label}: column ${column} is ${typeName(value)}, which a field of text cannot hold`,
      {
        hint: `Map ${column} to a string, number, boolean, bigint, date or null`,
        fields: { column },
      },
    );
  }

  private checkColumns(row: Row, columns: readonly string[]): void {
    let index = 0;
    for (const name in row) {
      if (name !== columns[index]) throw this.differs(row, columns);
      index++;
    }
    if (index !== columns.length) throw this.differs(row, columns);
  }

  private differs(row: Row, columns: readonly string[]): MillraceError {
    const names = Object.keys(row);
    return new MillraceError(
      'ML_SINK_VALUE_INVALID',
      `${this.label}: this record has the columns ${names.join(', ')}; those before have ${columns.join(', ')}`,
      { hint: 'Name the columns: { columns: […] }' },
    );
  }

  private noRow(value: unknown): MillraceError {
    return new MillraceError(
      'ML_SINK_VALUE_INVALID',
      `${this.label}: a row is an object of column to value; this is ${typeName(value)}`,
      { hint: 'Map it to an object: .map((record) => ({ value: record }))' },
    );
  }
}

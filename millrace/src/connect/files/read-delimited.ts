/** Lines of fields between separators, without quotes, such as access logs. @hot */
import { MillraceError } from '../../core/errors.ts';
import { LINE_BYTES_MAX } from '../../core/limits.ts';
import type { ColumnField, ColumnLayout, ColumnType } from '../../flow/columns.ts';
import type { ReadContext, Source } from '../../flow/source.ts';
import { BlockReader, lineEnd } from './block-reader.ts';
import { checkColumnType } from './check-options.ts';
import { pathList, rowSource } from './file-source.ts';
import type { FileSplit } from './file-split.ts';
import type { LineReadOptions, ReadTuning } from './read-lines.ts';
import type { RowChunks } from './row-chunks.ts';
import { rowMaker, type MakeRow, type Row } from './row-maker.ts';
import type { EmitRow } from './row-reader.ts';

/** A column is a field by its position, from 0: its text, or what the type makes of it. */
export type DelimitedFields = Readonly<Record<string, number | readonly [number, ColumnType]>>;

export interface DelimitedReadOptions<Fields extends DelimitedFields = DelimitedFields>
  extends LineReadOptions {
  /** One ASCII character. Default: a blank. */
  readonly separator?: string | undefined;
  /** Runs of the separator separate as one does, and those at the ends of the line nothing, as with awk. Default false. */
  readonly repeatable?: boolean | undefined;
  readonly fields: Fields;
}

type DelimitedLayout = Extract<ColumnLayout, { readonly kind: 'delimited' }>;

export function delimitedSource(
  paths: string | readonly string[],
  options: DelimitedReadOptions,
  tuning: ReadTuning = {},
): Source<Row, undefined> {
  const columns = layoutOf(options);
  const { lineBytesMax } = columns;
  return rowSource<Row>({
    format: 'delimited',
    paths: pathList(paths),
    columns,
    chunks: { lineBytesMax, quote: -1, ...tuning },
    reader: (chunks, split, context) => new DelimitedReader(chunks, split, context, columns),
  });
}

/**
 * The byte of a separator or quote.
 * @throws {MillraceError} ML_FLOW_INVALID for what is not one ASCII character, or ends lines
 */
export function dialectByte(text: string, what: string): number {
  const code = text.charCodeAt(0);
  if (text.length === 1 && code < 0x80 && text !== '\n' && text !== '\r') return code;
  throw new MillraceError(
    'ML_FLOW_INVALID',
    `the ${what} ${JSON.stringify(text)} is not one ASCII character`,
    { hint: `A ${what} is one byte other than a line end, such as ',' or '\\t'` },
  );
}

function layoutOf(options: DelimitedReadOptions): DelimitedLayout {
  const fields: ColumnField[] = [];
  const positions: number[] = [];
  for (const [name, field] of Object.entries(options.fields)) {
    const [position, type] = typeof field === 'number' ? ([field, 'string'] as const) : field;
    if (!Number.isSafeInteger(position) || position < 0 || position > POSITION_MAX)
      throw new MillraceError(
        'ML_FLOW_INVALID',
        `column ${name} is at position ${position}: positions are 0 to ${POSITION_MAX}`,
        { hint: 'Count the fields of a line from 0' },
      );
    checkColumnType(name, type);
    fields.push(Object.freeze({ name, type }));
    positions.push(position);
  }
  if (fields.length === 0)
    throw new MillraceError('ML_FLOW_INVALID', 'files.delimited names no fields', {
      hint: "Name those that are needed: { fields: { path: 6, status: [8, 'number'] } }",
    });
  return Object.freeze({
    kind: 'delimited',
    separator: dialectByte(options.separator ?? ' ', 'separator'),
    isRepeatable: options.repeatable ?? false,
    fields: Object.freeze(fields),
    positions: Object.freeze(positions),
    lineBytesMax: options.lineBytesMax ?? LINE_BYTES_MAX,
  });
}

const POSITION_MAX = 1_000_000;

class DelimitedReader extends BlockReader<Row> {
  /** Fields that are wanted, ascending, each once. */
  private readonly wanted: Int32Array;
  /** Start and end of each of them in the block. */
  private readonly bounds: Int32Array;
  private readonly separator: string;
  private readonly separatorCode: number;
  private readonly isRepeatable: boolean;
  private readonly make: MakeRow;

  constructor(chunks: RowChunks, split: FileSplit, context: ReadContext, layout: DelimitedLayout) {
    super(chunks, split, context, layout);
    const wanted = [...new Set(layout.positions)].sort((a, b) => a - b);
    this.wanted = Int32Array.from(wanted);
    this.bounds = new Int32Array(wanted.length * 2);
    this.separator = String.fromCharCode(layout.separator);
    this.separatorCode = layout.separator;
    this.isRepeatable = layout.isRepeatable;
    const columns = layout.fields.map(({ name, type }, index) => ({
      name,
      type,
      field: wanted.indexOf(layout.positions[index] ?? 0),
    }));
    this.make = rowMaker(columns, () => {});
  }

  protected decodeBlock(emit: EmitRow<Row>): boolean {
    const { block, bounds, make, isRepeatable } = this;
    const { length } = block;
    for (let at = this.at; at < length; at = this.at) {
      const lf = block.indexOf('\n', at);
      const end = lf < 0 ? length : lf;
      this.lineAt = at;
      this.at = end + 1;
      if (isRepeatable) this.findRepeated(at, lineEnd(block, at, end));
      else this.find(at, lineEnd(block, at, end));
      if (!emit(make(block, bounds), undefined)) return false;
    }
    return true;
  }

  /** Finds the bounds of the wanted fields of the line [at, end). */
  private find(at: number, end: number): void {
    const { block, wanted, bounds, separator } = this;
    let field = 0;
    let found = 0;
    let next = wanted[0] ?? 0;
    for (let start = at; ; field++) {
      const separatorAt = block.indexOf(separator, start);
      const stop = separatorAt < 0 || separatorAt > end ? end : separatorAt;
      if (field === next) {
        bounds[2 * found] = start;
        bounds[2 * found + 1] = stop;
        found++;
        if (found === wanted.length) return;
        next = wanted[found] ?? 0;
      }
      if (stop === end) break;
      start = stop + 1;
    }
    // The line has no more fields: '' for the others.
    bounds.fill(end, 2 * found);
  }

  private findRepeated(at: number, end: number): void {
    const { block, wanted, bounds, separator, separatorCode } = this;
    let found = 0;
    let next = wanted[0] ?? 0;
    let start = at;
    for (let field = 0; ; field++) {
      while (start < end && block.charCodeAt(start) === separatorCode) start++;
      if (start === end) break;
      const separatorAt = block.indexOf(separator, start);
      const stop = separatorAt < 0 || separatorAt > end ? end : separatorAt;
      if (field === next) {
        bounds[2 * found] = start;
        bounds[2 * found + 1] = stop;
        found++;
        if (found === wanted.length) return;
        next = wanted[found] ?? 0;
      }
      start = stop;
    }
    bounds.fill(end, 2 * found);
  }
}

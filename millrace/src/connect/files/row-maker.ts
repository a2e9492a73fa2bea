/**
 * Makes the plain objects that rows are, from the bounds of their fields in a text. A function is generated for each set of columns,
 * so that all rows of a source have one hidden class and no name of a column is looked up.
 *
 * Rows are ordinary objects with own fields, all of them decoded at once: they can be kept, spread, compared and written as JSON
 * without a thought. What is not needed costs nothing when it is not named: sources decode the columns that the program names.
 */
import type { ColumnType } from '../../flow/columns.ts';
import { parseBooleanText, parseNumberText } from '../../flow/column-text.ts';

export interface RowColumn {
  readonly name: string;
  readonly type: ColumnType;
  /** Its bounds are bounds[2 * field] and bounds[2 * field + 1]. */
  readonly field: number;
}

export type Row = Record<string, string | number | boolean | null>;
export type MakeRow = (text: string, bounds: Int32Array) => Row;

/** Told of a typed field that is neither empty nor of its type; the field is null. */
export type OnMisfit = (column: number) => void;

/** Rows with so many columns are still made by one expression: V8 would not optimise much larger functions. */
const EXPRESSION_COLUMNS_MAX = 500;

export function rowMaker(columns: readonly RowColumn[], onMisfit: OnMisfit): MakeRow {
  const number = (text: string, start: number, end: number, column: number): number | null => {
    const value = parseNumberText(text, start, end);
    if (!Number.isNaN(value)) return value;
    if (start < end) onMisfit(column);
    return null;
  };
  const boolean = (text: string, start: number, end: number, column: number): boolean | null => {
    const value = parseBooleanText(text, start, end);
    if (value >= 0) return value === 1;
    if (start < end) onMisfit(column);
    return null;
  };
  if (columns.length > EXPRESSION_COLUMNS_MAX) return loopMaker(columns, { number, boolean });
  const members = columns.map(({ name, type, field }, index) => {
    const bounds = `b[${2 * field}], b[${2 * field + 1}]`;
    const value =
      type === 'string' ? `text.substring(${bounds})` : `${type}(text, ${bounds}, ${index})`;
    // In brackets: `__proto__` is a name like any other there.
    return `[${JSON.stringify(name)}]: ${value}`;
  });
  const source = `return (text, b) => ({ ${members.join(', ')} });`;
  // eslint-disable-next-line typescript/no-implied-eval -- names are quoted, all else is ours
  const make = new Function('number', 'boolean', source) as (
    parseNumber: typeof number,
    parseBoolean: typeof boolean,
  ) => MakeRow;
  return make(number, boolean);
}

type Parse<T> = (text: string, start: number, end: number, column: number) => T | null;

function loopMaker(
  columns: readonly RowColumn[],
  parse: { readonly number: Parse<number>; readonly boolean: Parse<boolean> },
): MakeRow {
  return (text, bounds) =>
    Object.fromEntries(
      columns.map(({ name, type, field }, index) => {
        const start = bounds[2 * field] ?? 0;
        const end = bounds[2 * field + 1] ?? 0;
        const value =
          type === 'string' ? text.substring(start, end) : parse[type](text, start, end, index);
        return [name, value];
      }),
    );
}

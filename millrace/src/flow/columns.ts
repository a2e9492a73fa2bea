/**
 * Declarative columns as data: expressions over the columns of a row, aggregates, and how columns lie in the bytes of a source.
 * What they mean is defined by `evaluate.ts` on rows; engines that run them on bytes give the same results.
 *
 * Values of columns are string, number, boolean or null. Comparison of mixed types is false; null compares as SQL's null does:
 * every comparison with it is false, aggregates skip it, `count()` counts rows.
 */

export type ColumnValue = string | number | boolean | null;

export type Expression =
  /** `isOptional`: a row that lacks the column has null there (NDJSON); otherwise that is ML_COLUMN_UNKNOWN. */
  | { readonly kind: 'column'; readonly name: string; readonly isOptional?: boolean }
  | { readonly kind: 'literal'; readonly value: ColumnValue }
  | {
      readonly kind: 'compare';
      readonly operator: '=' | '!=' | '<' | '<=' | '>' | '>=';
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: 'text';
      readonly operator: 'startsWith' | 'endsWith' | 'contains';
      readonly text: Expression;
      readonly part: string;
    }
  | { readonly kind: 'in'; readonly value: Expression; readonly set: readonly ColumnValue[] }
  | { readonly kind: 'and' | 'or'; readonly terms: readonly Expression[] }
  | { readonly kind: 'not'; readonly term: Expression }
  | { readonly kind: 'isNull'; readonly value: Expression }
  | {
      readonly kind: 'arithmetic';
      readonly operator: '+' | '-' | '*' | '/';
      readonly left: Expression;
      readonly right: Expression;
    }
  /** Text to number; null when it is none. */
  | { readonly kind: 'number'; readonly text: Expression }
  | { readonly kind: 'lower'; readonly text: Expression }
  /** Up to the first occurrence of `separator`; the whole text without one. */
  | { readonly kind: 'before'; readonly text: Expression; readonly separator: string }
  /** An array: the maximal runs of ASCII letters (`letters`), or of anything but blanks (`blanks`). Only inside explode. */
  | { readonly kind: 'words'; readonly text: Expression; readonly of: 'letters' | 'blanks' };

export type ColumnAggregate =
  | { readonly kind: 'count' }
  | { readonly kind: 'countDistinct'; readonly value: Expression }
  | { readonly kind: 'sum' | 'min' | 'max' | 'avg'; readonly value: Expression };

export type ColumnAggregates = Readonly<Record<string, ColumnAggregate>>;

export type ColumnType = 'string' | 'number' | 'boolean';

export interface ColumnField {
  readonly name: string;
  readonly type: ColumnType;
}

/**
 * How the rows of a text source are written. Every row is one line, unless quotes let a field hold line ends. A line ends at LF; a CR
 * before it, or before the end of the file, does not belong to it. All readers of these layouts keep to the same rules:
 *
 * - The bytes of a string become text by `decodeText` of `core/text-escape.ts`: invalid UTF-8 survives.
 * - A `number` is what `parseNumber` of `column-text.ts` takes, a `boolean` what `parseBoolean` takes.
 * - `delimited`: a line that has fewer fields than a column's position has '' there. A number or boolean that is none is null ('-' is
 *   how logs write "nothing"). An empty line is a row. Repeated separators: those at the start and end of the line separate nothing.
 * - `csv`: an empty line is no row. A row with more or fewer fields than the header (without one: than `fields`), a quote inside a field
 *   that does not begin with one, and text behind a closing quote are errors. With a header `fields` are found by name, and only
 *   those are in the row; without one they are all fields in order. A typed field that is empty is null; one that is not of its type is
 *   an error. Blanks belong to the field.
 */
export type ColumnLayout =
  /** The whole line is the one column `line`. */
  | { readonly kind: 'line'; readonly lineBytesMax: number }
  /** Fields between separators, no quoting: `separator` is one byte; `isRepeatable`: runs of it count as one (awk's blanks). */
  | {
      readonly kind: 'delimited';
      readonly separator: number;
      readonly isRepeatable: boolean;
      /** Column i is field `positions[i]`, from 0. */
      readonly fields: readonly ColumnField[];
      readonly positions: readonly number[];
      readonly lineBytesMax: number;
    }
  /** RFC 4180 and its dialects. `fields` is known only when the program names them; else the header of each file does. */
  | {
      readonly kind: 'csv';
      readonly separator: number;
      /** -1: no quoting. */
      readonly quote: number;
      /** Quotes may hold line ends; otherwise every line is a row. */
      readonly isMultiline: boolean;
      readonly hasHeader: boolean;
      readonly fields: readonly ColumnField[] | undefined;
      readonly lineBytesMax: number;
    }
  /** Column chunks: the source's reader gives them itself. */
  | { readonly kind: 'parquet' };

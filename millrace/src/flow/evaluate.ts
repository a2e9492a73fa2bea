/**
 * What column expressions mean, on rows that are objects. This is the definition: engines that compute on bytes give the same.
 *
 * - A value of a column is a string, number, boolean or null. Anything else that a row may hold (a date, a list) can be selected and grouped
 *   by as it is; compared or computed with, it counts as null.
 * - A comparison is false when a side is null or the sides have different types; `!=` too. Text compares by code point
 *   (`compareText`), false before true. A condition holds when it is true: `not` is true where it is false or null.
 * - Arithmetic takes numbers and gives a finite number; anything else is null. Results are never -0.
 * - `number` of a number is itself, of a text what `parseNumberText` makes of it, null when that is none.
 * - `lower` is Unicode's default mapping, as `toLowerCase`. Blanks are space, tab, LF, vertical tab, form feed and CR.
 */
import { MillraceError } from '../core/errors.ts';
import { parseNumberText } from './column-text.ts';
import type { ColumnValue, Expression } from './columns.ts';
import { compareText } from './compare-text.ts';

export type Row = Readonly<Record<string, unknown>>;
/** The value of an expression on a row. */
export type Evaluate = (row: Row) => unknown;

/**
 * Makes a function of an expression. Words give an array of strings, all else a column value, or what the row holds where the expression
 * is just a column.
 * @returns a function that throws ML_COLUMN_UNKNOWN for rows that lack a column
 * @example compileExpression(col('bytes').times(2).expression)({ bytes: 21 }) // => 42
 */
export function compileExpression(expression: Expression): Evaluate {
  switch (expression.kind) {
    case 'column':
      return readColumn(expression.name, expression.isOptional === true);
    case 'literal': {
      const { value } = expression;
      return () => value;
    }
    case 'compare':
      return compileComparison(expression);
    case 'text':
      return compileText(expression);
    case 'in':
      return compileIn(expression);
    case 'and':
      return compileAnd(expression.terms.map(compileExpression));
    case 'or':
      return compileOr(expression.terms.map(compileExpression));
    case 'not': {
      const term = compileExpression(expression.term);
      return (row) => term(row) !== true;
    }
    case 'isNull': {
      const value = compileExpression(expression.value);
      return (row) => value(row) === null;
    }
    case 'arithmetic':
      return compileArithmetic(expression);
    case 'number': {
      const text = compileExpression(expression.text);
      return (row) => numberOf(text(row));
    }
    case 'lower': {
      const text = compileExpression(expression.text);
      return (row) => {
        const value = text(row);
        return typeof value === 'string' ? value.toLowerCase() : null;
      };
    }
    case 'before':
      return compileBefore(expression);
    case 'words': {
      const text = compileExpression(expression.text);
      const pattern = expression.of === 'letters' ? /[A-Za-z]+/g : /[^ \t\n\v\f\r]+/g;
      return (row) => {
        const value = text(row);
        return typeof value === 'string' ? (value.match(pattern) ?? []) : [];
      };
    }
  }
}

/** Reads one column of a row; null for undefined. */
export function readColumn(name: string, isOptional: boolean): Evaluate {
  return (row) => {
    const value = row[name];
    // What is inherited, such as `constructor`, is no column: functions are never values of columns.
    if (value !== undefined && typeof value !== 'function') return value;
    if (isOptional || Object.hasOwn(row, name)) return null;
    throw new MillraceError(
      'ML_COLUMN_UNKNOWN',
      `there is no column "${name}"; there are ${Object.keys(row).join(', ')}`,
      { fields: { column: name } },
    );
  };
}

/** The value as that of a column: null for what is none. */
export function columnValue(value: unknown): ColumnValue {
  if (typeof value === 'string' || typeof value === 'number') return value;
  return typeof value === 'boolean' ? value : null;
}

/** Less than 0, 0, or more; NaN when the values have no order: null, NaN, or of different types. */
function compareValues(left: unknown, right: unknown): number {
  if (typeof left === 'number' && typeof right === 'number') {
    // Infinities are equal to themselves, but their difference is not 0.
    return left === right ? 0 : left - right;
  }
  if (typeof left === 'string' && typeof right === 'string') return compareText(left, right);
  if (typeof left === 'boolean' && typeof right === 'boolean') return Number(left) - Number(right);
  return Number.NaN;
}

type Compare = Extract<Expression, { kind: 'compare' }>;

function compileComparison({ operator, left, right }: Compare): Evaluate {
  const a = compileExpression(left);
  const b = compileExpression(right);
  switch (operator) {
    case '=':
      return (row) => {
        const value = columnValue(a(row));
        return value !== null && value === b(row);
      };
    case '!=':
      return (row) => {
        const order = compareValues(a(row), b(row));
        return order < 0 || order > 0;
      };
    case '<':
      return (row) => compareValues(a(row), b(row)) < 0;
    case '<=':
      return (row) => compareValues(a(row), b(row)) <= 0;
    case '>':
      return (row) => compareValues(a(row), b(row)) > 0;
    case '>=':
      return (row) => compareValues(a(row), b(row)) >= 0;
  }
}

function compileText({ operator, text, part }: Extract<Expression, { kind: 'text' }>): Evaluate {
  const read = compileExpression(text);
  const search = SEARCHES[operator];
  return (row) => {
    const value = read(row);
    return typeof value === 'string' && search(value, part);
  };
}

const SEARCHES: Readonly<
  Record<'startsWith' | 'endsWith' | 'contains', (text: string, part: string) => boolean>
> = {
  startsWith: (text, part) => text.startsWith(part),
  endsWith: (text, part) => text.endsWith(part),
  contains: (text, part) => text.includes(part),
};

function compileIn({ value, set }: Extract<Expression, { kind: 'in' }>): Evaluate {
  const read = compileExpression(value);
  const members: ReadonlySet<unknown> = new Set(set.filter((member) => member !== null));
  return (row) => members.has(read(row));
}

function compileAnd(terms: readonly Evaluate[]): Evaluate {
  const [first, second] = terms;
  if (terms.length === 2 && first !== undefined && second !== undefined)
    return (row) => first(row) === true && second(row) === true;
  return (row) => {
    for (const term of terms) if (term(row) !== true) return false;
    return true;
  };
}

function compileOr(terms: readonly Evaluate[]): Evaluate {
  return (row) => {
    for (const term of terms) if (term(row) === true) return true;
    return false;
  };
}

function compileArithmetic({
  operator,
  left,
  right,
}: Extract<Expression, { kind: 'arithmetic' }>): Evaluate {
  const a = compileExpression(left);
  const b = compileExpression(right);
  const compute = ARITHMETIC[operator];
  return (row) => {
    const x = a(row);
    const y = b(row);
    if (typeof x !== 'number' || typeof y !== 'number') return null;
    const result = compute(x, y);
    // Adding 0 makes 0 of -0.
    return Number.isFinite(result) ? result + 0 : null;
  };
}

const ARITHMETIC: Readonly<Record<'+' | '-' | '*' | '/', (x: number, y: number) => number>> = {
  '+': (x, y) => x + y,
  '-': (x, y) => x - y,
  '*': (x, y) => x * y,
  '/': (x, y) => x / y,
};

function numberOf(value: unknown): number | null {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return null;
  const number = parseNumberText(value, 0, value.length);
  return Number.isNaN(number) ? null : number + 0;
}

function compileBefore({ text, separator }: Extract<Expression, { kind: 'before' }>): Evaluate {
  const read = compileExpression(text);
  return (row) => {
    const value = read(row);
    if (typeof value !== 'string') return null;
    const end = value.indexOf(separator);
    return end < 0 ? value : value.slice(0, end);
  };
}

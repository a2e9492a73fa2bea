/** What expressions and aggregates over columns mean, read from `flow/columns.ts` once more, for the oracle. */
import { compareOracleKeys } from './oracle-order.ts';
import type { ColumnAggregates, ColumnValue, Expression } from '../../src/flow/columns.ts';

export type OracleRow = Readonly<Record<string, ColumnValue>>;

export function evaluateExpression(expression: Expression, row: OracleRow): ColumnValue {
  const value = (inner: Expression): ColumnValue => evaluateExpression(inner, row);
  const text = (inner: Expression): string | null => {
    const found = value(inner);
    return typeof found === 'string' ? found : null;
  };
  switch (expression.kind) {
    case 'column':
      return row[expression.name] ?? null;
    case 'literal':
      return expression.value;
    case 'compare':
      return compare(expression.operator, value(expression.left), value(expression.right));
    case 'text': {
      const found = text(expression.text);
      if (found === null) return false;
      if (expression.operator === 'startsWith') return found.startsWith(expression.part);
      if (expression.operator === 'endsWith') return found.endsWith(expression.part);
      return found.includes(expression.part);
    }
    case 'in':
      return expression.set.some((each) => compare('=', value(expression.value), each));
    case 'and':
      return expression.terms.every((term) => value(term) === true);
    case 'or':
      return expression.terms.some((term) => value(term) === true);
    case 'not':
      return value(expression.term) !== true;
    case 'isNull':
      return value(expression.value) === null;
    case 'arithmetic':
      return arithmetic(expression.operator, value(expression.left), value(expression.right));
    case 'number': {
      const found = value(expression.text);
      if (typeof found === 'number') return found;
      if (typeof found !== 'string' || found.trim() === '') return null;
      return Number.isNaN(Number(found)) ? null : Number(found);
    }
    case 'lower':
      return text(expression.text)?.toLowerCase() ?? null;
    case 'before':
      return text(expression.text)?.split(expression.separator)[0] ?? null;
    case 'words':
      throw new TypeError('words stands only inside explode');
  }
}

export function explodedWords(expression: Expression, row: OracleRow): string[] {
  if (expression.kind !== 'words') throw new TypeError('explode takes words');
  const text = evaluateExpression(expression.text, row);
  if (typeof text !== 'string') return [];
  return text.match(expression.of === 'letters' ? /[A-Za-z]+/g : /[^ \t\n\v\f\r]+/g) ?? [];
}

export function aggregateColumns(
  aggregates: ColumnAggregates,
  rows: readonly OracleRow[],
): Record<string, ColumnValue> {
  const out: Record<string, ColumnValue> = {};
  for (const [name, aggregate] of Object.entries(aggregates)) {
    if (aggregate.kind === 'count') {
      out[name] = rows.length;
      continue;
    }
    const values = rows
      .map((row) => evaluateExpression(aggregate.value, row))
      .filter((value) => value !== null);
    const numbers = values.filter((value) => typeof value === 'number');
    const sum = numbers.reduce((total, value) => total + value, 0);
    if (aggregate.kind === 'countDistinct') out[name] = new Set(values).size;
    else if (aggregate.kind === 'sum') out[name] = numbers.length === 0 ? null : sum;
    else if (aggregate.kind === 'avg')
      out[name] = numbers.length === 0 ? null : sum / numbers.length;
    else if (aggregate.kind === 'min') out[name] = extreme(values, '<');
    else out[name] = extreme(values, '>');
  }
  return out;
}

function extreme(values: readonly ColumnValue[], operator: '<' | '>'): ColumnValue {
  let found: ColumnValue = null;
  for (const value of values) if (found === null || compare(operator, value, found)) found = value;
  return found;
}

function compare(
  operator: '=' | '!=' | '<' | '<=' | '>' | '>=',
  left: ColumnValue,
  right: ColumnValue,
): boolean {
  if (left === null || right === null || typeof left !== typeof right) return false;
  // Of two values of one type the order is that of keys: text by code point, false before true.
  const order = compareOracleKeys(left, right);
  switch (operator) {
    case '=':
      return order === 0;
    case '!=':
      return order !== 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
  }
}

/** Finite, and never -0. */
function arithmetic(
  operator: '+' | '-' | '*' | '/',
  left: ColumnValue,
  right: ColumnValue,
): ColumnValue {
  if (typeof left !== 'number' || typeof right !== 'number') return null;
  const results = { '+': left + right, '-': left - right, '*': left * right, '/': left / right };
  const result = results[operator];
  return Number.isFinite(result) ? result + 0 : null;
}

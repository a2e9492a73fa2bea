/** Column expressions and functions as short text for people. */
import type { ColumnAggregate, ColumnValue, Expression } from './columns.ts';
import {
  identity,
  isPresent,
  isSomething,
  keepLeft,
  keepRight,
  keyOfPair,
  keyOfRecord,
  lineOfRow,
  partsOf,
  rowOfLine,
  toEntry,
  valueOfEntry,
  valueOfPair,
} from './functions.ts';

/** Longer texts of functions are cut. */
const FUNCTION_CHARACTERS_MAX = 60;

/**
 * A function as its name, else as its text on one line, cut; what the language has wrapped around a function of the user is left out.
 * @example explainFunction((hit) => hit.path) // => '(hit) => hit.path'
 */
export function explainFunction(fn: object): string {
  const own = OWN.get(fn);
  if (own !== undefined) return own;
  const inner = partsOf(fn).filter((part) => typeof part === 'function');
  if (inner.length > 0) return inner.map(explainFunction).join(', ');
  const text = Function.prototype.toString.call(fn);
  if (typeof fn === 'function' && fn.name !== '' && !isPropertyName(fn.name)) return fn.name;
  const line = text
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ (?=[),;:])/g, '')
    .trim();
  return line.length <= FUNCTION_CHARACTERS_MAX
    ? line
    : `${line.slice(0, FUNCTION_CHARACTERS_MAX - 1)}…`;
}

/** What the functions of the language do. */
const OWN: ReadonlyMap<object, string> = new Map<object, string>([
  [identity, 'value'],
  [toEntry, '{ key, value }'],
  [valueOfEntry, 'value'],
  [keyOfPair, 'the key that was emitted'],
  [valueOfPair, 'the value that was emitted'],
  [keyOfRecord, 'key'],
  [keepLeft, 'the first value'],
  [keepRight, 'the last value'],
  [isSomething, 'there is a value'],
  [isPresent, 'it was not deleted'],
  [rowOfLine, '{ line }'],
  [lineOfRow, 'line'],
]);

const PROPERTY_NAMES: ReadonlySet<string> = new Set([
  'add',
  'by',
  'finish',
  'fn',
  'init',
  'map',
  'merge',
  'of',
  'onRecord',
  'onTimer',
  'reduce',
  'subtract',
  'until',
]);

/** Names that a function has because it is a member of an object of options: they say nothing. */
function isPropertyName(name: string): boolean {
  return PROPERTY_NAMES.has(name);
}

/** @example explainExpression(col('status').ge(400).expression) // => 'status >= 400' */
export function explainExpression(expression: Expression): string {
  switch (expression.kind) {
    case 'column':
      return expression.name;
    case 'literal':
      return literal(expression.value);
    case 'compare':
    case 'arithmetic':
      return `${operand(expression.left)} ${expression.operator} ${operand(expression.right)}`;
    case 'text':
      return `${operand(expression.text)} ${expression.operator} ${literal(expression.part)}`;
    case 'in':
      return `${operand(expression.value)} in (${expression.set.map(literal).join(', ')})`;
    case 'and':
    case 'or':
      return expression.terms.map(operand).join(` ${expression.kind} `);
    case 'not':
      return `not ${operand(expression.term)}`;
    case 'isNull':
      return `${operand(expression.value)} is null`;
    case 'number':
    case 'lower':
      return `${expression.kind}(${explainExpression(expression.text)})`;
    case 'before':
      return `before(${explainExpression(expression.text)}, ${literal(expression.separator)})`;
    case 'words':
      return `words(${explainExpression(expression.text)}, ${expression.of})`;
  }
}

/** @example explainAggregate(sum('bytes').aggregate) // => 'sum(bytes)' */
export function explainAggregate(aggregate: ColumnAggregate): string {
  if (aggregate.kind === 'count') return 'count()';
  return `${aggregate.kind}(${explainExpression(aggregate.value)})`;
}

const SIMPLE: ReadonlySet<Expression['kind']> = new Set([
  'column',
  'literal',
  'number',
  'lower',
  'before',
]);

function operand(expression: Expression): string {
  const text = explainExpression(expression);
  return SIMPLE.has(expression.kind) ? text : `(${text})`;
}

function literal(value: ColumnValue): string {
  return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
}

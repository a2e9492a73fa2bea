/** The builders of column expressions: `col('status').eq(200).and(…)`. What they mean is defined in `evaluate.ts`. */
import type {
  AnyUse,
  AsNumber,
  AsText,
  ColumnOf,
  TypeOfLiteral,
  Use,
  UsedAs,
} from './column-types.ts';
import type { ColumnAggregate, ColumnValue, Expression } from './columns.ts';
import { flowError, type Operator } from './draft.ts';
import { described } from './operator-builder.ts';

/** What columns are compared with, and computed with. */
export type Operand = string | number | boolean | ColumnExpression;
type NumberOperand = number | ColumnExpression;

type UsesOf<X> = X extends ColumnExpression<infer U> ? U : never;
type ValueOf<X> = X extends ColumnExpression<AnyUse, infer V> ? V : X;
/** What a comparison of a column with a literal says of the column. */
type ComparedWith<V, X> = X extends ColumnExpression ? never : UsedAs<V, TypeOfLiteral<X>>;
type Compared<U extends AnyUse, V, X> = ColumnExpression<
  U | UsesOf<X> | ComparedWith<V, X>,
  boolean
>;
type Computed<U extends AnyUse, V, X> = ColumnExpression<
  U | UsesOf<X> | UsedAs<V, number> | UsedAs<ValueOf<X>, number>,
  AsNumber<V> | AsNumber<ValueOf<X>>
>;

/**
 * A value that is computed from the columns of a row; made by `col`. Frozen: each method makes a new one. A comparison with null, or
 * of values of different types, is false; arithmetic with what is not a number gives null.
 */
export class ColumnExpression<out U extends AnyUse = AnyUse, out V = unknown> {
  readonly expression: Expression;
  /** Carries the types; never set. */
  declare readonly types?: { readonly uses: U; readonly value: V };

  constructor(expression: Expression) {
    this.expression = Object.freeze(expression);
    Object.freeze(this);
  }

  /** Equal to. */
  eq<X extends Operand>(other: X): Compared<U, V, X> {
    return this.#compare('eq', '=', other);
  }

  /** Not equal to; false if one of them is null. */
  ne<X extends Operand>(other: X): Compared<U, V, X> {
    return this.#compare('ne', '!=', other);
  }

  /** Less than. Text compares by code point, false is less than true. */
  lt<X extends Operand>(other: X): Compared<U, V, X> {
    return this.#compare('lt', '<', other);
  }

  /** Less than or equal to. */
  le<X extends Operand>(other: X): Compared<U, V, X> {
    return this.#compare('le', '<=', other);
  }

  /** Greater than. */
  gt<X extends Operand>(other: X): Compared<U, V, X> {
    return this.#compare('gt', '>', other);
  }

  /** Greater than or equal to. */
  ge<X extends Operand>(other: X): Compared<U, V, X> {
    return this.#compare('ge', '>=', other);
  }

  /** Equal to one of these. */
  in<const X extends string | number | boolean>(
    values: readonly X[],
  ): ColumnExpression<U | UsedAs<V, TypeOfLiteral<X>>, boolean> {
    if (!Array.isArray(values)) throw misuse('in', 'an array', values);
    const set = values.map((value) => literalOf('in', value));
    return new ColumnExpression({
      kind: 'in',
      value: this.expression,
      set: Object.freeze(set),
    });
  }

  /** Both hold, or all of them. */
  and<const T extends readonly ColumnExpression[]>(
    ...terms: T
  ): ColumnExpression<U | UsesOf<T[number]>, boolean> {
    return this.#combine('and', terms);
  }

  /** At least one holds. */
  or<const T extends readonly ColumnExpression[]>(
    ...terms: T
  ): ColumnExpression<U | UsesOf<T[number]>, boolean> {
    return this.#combine('or', terms);
  }

  /** It does not hold: true where the condition is false, or null. */
  not(): ColumnExpression<U, boolean> {
    return new ColumnExpression({ kind: 'not', term: this.expression });
  }

  /** There is no value. */
  isNull(): ColumnExpression<U, boolean> {
    return new ColumnExpression({ kind: 'isNull', value: this.expression });
  }

  /** The text begins with `part`. */
  startsWith(part: string): ColumnExpression<U | UsedAs<V, string>, boolean> {
    return this.#text('startsWith', part);
  }

  /** The text ends with `part`. */
  endsWith(part: string): ColumnExpression<U | UsedAs<V, string>, boolean> {
    return this.#text('endsWith', part);
  }

  /** `part` occurs in the text. */
  contains(part: string): ColumnExpression<U | UsedAs<V, string>, boolean> {
    return this.#text('contains', part);
  }

  /** The sum. */
  plus<X extends NumberOperand>(other: X): Computed<U, V, X> {
    return this.#compute('plus', '+', other);
  }

  /** The difference. */
  minus<X extends NumberOperand>(other: X): Computed<U, V, X> {
    return this.#compute('minus', '-', other);
  }

  /** The product. */
  times<X extends NumberOperand>(other: X): Computed<U, V, X> {
    return this.#compute('times', '*', other);
  }

  /** The quotient; null when it is not a finite number, as in a division by 0. */
  dividedBy<X extends NumberOperand>(
    other: X,
  ): ColumnExpression<
    U | UsesOf<X> | UsedAs<V, number> | UsedAs<ValueOf<X>, number>,
    number | null
  > {
    return this.#compute('dividedBy', '/', other);
  }

  /** The number that a text writes in decimal: `-12.5`, `1e3`; null when it is none. */
  number(): ColumnExpression<U, number | null> {
    return new ColumnExpression({ kind: 'number', text: this.expression });
  }

  /** The text in lower case, whatever the language. */
  lower(): ColumnExpression<U | UsedAs<V, string>, AsText<V>> {
    return new ColumnExpression({ kind: 'lower', text: this.expression });
  }

  /**
   * The text up to the first occurrence of `separator`; all of it when there is none.
   * @example col('path').before('?')
   */
  before(separator: string): ColumnExpression<U | UsedAs<V, string>, AsText<V>> {
    requireText('before', separator);
    return new ColumnExpression({ kind: 'before', text: this.expression, separator });
  }

  #compare<W extends AnyUse>(
    method: string,
    operator: Extract<Expression, { kind: 'compare' }>['operator'],
    other: Operand,
  ): ColumnExpression<W, boolean> {
    const right = operandOf(method, other);
    return new ColumnExpression({ kind: 'compare', operator, left: this.expression, right });
  }

  #compute<W extends AnyUse, X>(
    method: string,
    operator: '+' | '-' | '*' | '/',
    other: NumberOperand,
  ): ColumnExpression<W, X> {
    const right = operandOf(method, other);
    return new ColumnExpression({ kind: 'arithmetic', operator, left: this.expression, right });
  }

  #text<W extends AnyUse>(
    operator: 'startsWith' | 'endsWith' | 'contains',
    part: string,
  ): ColumnExpression<W, boolean> {
    requireText(operator, part);
    return new ColumnExpression({ kind: 'text', operator, text: this.expression, part });
  }

  #combine<W extends AnyUse>(
    kind: 'and' | 'or',
    others: readonly ColumnExpression[],
  ): ColumnExpression<W, boolean> {
    const terms = [this.expression, ...others.map((other) => expressionOf(kind, other))];
    return new ColumnExpression({ kind, terms: Object.freeze(terms) });
  }
}

/** An aggregate over the rows of a group; made by `count`, `sum` and others. */
export class AggregateExpression<out U extends AnyUse = AnyUse, out V = unknown> {
  readonly aggregate: ColumnAggregate;
  /** Carries the types; never set. */
  declare readonly types?: { readonly uses: U; readonly value: V };

  constructor(aggregate: ColumnAggregate) {
    this.aggregate = Object.freeze(aggregate);
    Object.freeze(this);
  }
}

/** The words of a text; made by `words`, for `explode`. */
export class WordsExpression<out U extends AnyUse = AnyUse> {
  readonly expression: Expression;
  /** Carries the types; never set. */
  declare readonly types?: { readonly uses: U };

  constructor(expression: Expression) {
    this.expression = Object.freeze(expression);
    Object.freeze(this);
  }
}

/**
 * A column, to compare and compute with.
 * @throws {MillraceError} ML_FLOW_INVALID for a name that is empty
 * @example rows.where(col('status').ge(500).and(col('path').startsWith('/api/')))
 */
export function col<const Name extends string>(
  name: Name,
): ColumnExpression<Use<Name, unknown>, ColumnOf<Name>> {
  requireColumnName('col', name);
  return new ColumnExpression({ kind: 'column', name });
}

/** The number of rows. */
export function count(): AggregateExpression<never, number> {
  return new AggregateExpression({ kind: 'count' });
}

type Aggregated<X, Type> = X extends string
  ? Use<X, Type>
  : X extends ColumnExpression<infer U, infer V>
    ? U | (unknown extends Type ? never : UsedAs<V, Type>)
    : never;
type ColumnValueOf<X> = X extends string ? ColumnOf<X> : ValueOf<X>;

/** The number of different values, exactly; null is none. */
export function countDistinct<const X extends string | ColumnExpression>(
  value: X,
): AggregateExpression<Aggregated<X, unknown>, number> {
  return new AggregateExpression({ kind: 'countDistinct', value: valueOf('countDistinct', value) });
}

/**
 * The sum of the numbers, rounded once: the same however the rows are split and in whatever order they come. Null where no row has a
 * number.
 * @param value the name of a column, or an expression
 * @example rows.groupBy('path').agg({ bytes: sum('bytes'), cost: sum(col('hours').times(3.5)) })
 */
export function sum<const X extends string | ColumnExpression>(
  value: X,
): AggregateExpression<Aggregated<X, number>, AsNumber<ColumnValueOf<X>>> {
  return new AggregateExpression({ kind: 'sum', value: valueOf('sum', value) });
}

/** The mean of the numbers: their exact sum divided by how many there are. Null where no row has a number. */
export function avg<const X extends string | ColumnExpression>(
  value: X,
): AggregateExpression<Aggregated<X, number>, AsNumber<ColumnValueOf<X>>> {
  return new AggregateExpression({ kind: 'avg', value: valueOf('avg', value) });
}

/** The smallest value: booleans before numbers before texts, texts by code point. Null where no row has a value. */
export function min<const X extends string | ColumnExpression>(
  value: X,
): AggregateExpression<Aggregated<X, unknown>, ColumnValueOf<X>> {
  return new AggregateExpression({ kind: 'min', value: valueOf('min', value) });
}

/** The largest value, in the order of `min`. */
export function max<const X extends string | ColumnExpression>(
  value: X,
): AggregateExpression<Aggregated<X, unknown>, ColumnValueOf<X>> {
  return new AggregateExpression({ kind: 'max', value: valueOf('max', value) });
}

/**
 * The words of a text, for `explode`.
 * @param text the name of a column, or an expression
 * @param of `letters` (default): the longest runs of ASCII letters; `blanks`: of anything but blanks
 * @example lines.rows().explode('word', words(col('line').lower()))
 */
export function words<const X extends string | ColumnExpression>(
  text: X,
  of: 'letters' | 'blanks' = 'letters',
): WordsExpression<Aggregated<X, string>> {
  if (of !== 'letters' && of !== 'blanks') throw misuse('words', "'letters' or 'blanks'", of);
  return new WordsExpression({ kind: 'words', text: valueOf('words', text), of });
}

/** The expression of a column that is named, or of what is computed. */
function valueOf(method: string, value: string | ColumnExpression): Expression {
  if (typeof value !== 'string') return expressionOf(method, value);
  requireColumnName(method, value);
  return Object.freeze({ kind: 'column', name: value });
}

function operandOf(method: string, value: Operand): Expression {
  if (value instanceof ColumnExpression) return value.expression;
  return Object.freeze({ kind: 'literal', value: literalOf(method, value) });
}

export function expressionOf(method: string, value: unknown): Expression {
  if (value instanceof ColumnExpression) return value.expression;
  throw misuse(method, "a column expression, such as col('status').eq(200)", value);
}

/** A number, text or boolean of the program. */
export function literalOf(method: string, value: unknown): ColumnValue {
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  // Adding 0 makes 0 of -0: they are equal, and must not give different bytes.
  if (typeof value === 'number' && Number.isFinite(value)) return value + 0;
  const wanted = 'a text, a finite number, a boolean or a column expression';
  throw misuse(method, value === null ? `${wanted} (isNull() asks for null)` : wanted, value);
}

function requireText(method: string, value: unknown): void {
  if (typeof value !== 'string' || value === '') throw misuse(method, 'a text', value);
}

export function requireColumnName(method: string, name: unknown): void {
  // Assigning to __proto__ does not make a column.
  if (typeof name === 'string' && name !== '' && name !== '__proto__') return;
  throw misuse(method, 'the name of a column', name);
}

function misuse(method: string, wanted: string, given: unknown): Error {
  const operator: Operator = { method, name: undefined, flow: undefined };
  return flowError(operator, `it takes ${wanted}, and is given ${described(given)}`);
}

/** What is behind `Rows` and `Lines`: declarative operators as nodes, their columns checked where they are known. */
import { desc, isDescending } from '../core/key-order.ts';
import { MillraceError } from '../core/errors.ts';
import { columnsOf, withOptionalColumns } from './expression-columns.ts';
import type { ColumnAggregate, ColumnLayout, Expression } from './columns.ts';
import { readColumn, type Row } from './evaluate.ts';
import { type Draft, flowError, type Operator } from './draft.ts';
import {
  AggregateExpression,
  ColumnExpression,
  expressionOf,
  literalOf,
  requireColumnName,
  WordsExpression,
} from './expressions.ts';
import { lineOfRow, madeOf, rowOfLine } from './functions.ts';
import { described, sinkOf, type UserFunction } from './operator-builder.ts';
import type { SortOrder } from './plan.ts';
import type { RowGroups, Rows } from './rows.ts';
import type { Writable } from './sink.ts';
import { type GroupedBuilder, StreamBuilder, type Surface } from './stream-builders.ts';

/** What is known of the columns of a stream. */
interface KnownColumns {
  /** undefined: only the input knows. */
  readonly names: readonly string[] | undefined;
  /** Rows may lack columns: those are null. */
  readonly areOptional: boolean;
}

const UNKNOWN_COLUMNS: KnownColumns = { names: undefined, areOptional: true };

/** What a source says of its columns. */
export function columnsOfLayout(layout: ColumnLayout | undefined): KnownColumns {
  if (layout === undefined || layout.kind === 'line') return UNKNOWN_COLUMNS;
  if (layout.kind === 'parquet') return { names: undefined, areOptional: false };
  const names = layout.fields?.map((field) => field.name);
  return { names, areOptional: false };
}

export class RowsBuilder extends StreamBuilder implements Surface<Rows<object>> {
  readonly #columns: KnownColumns;

  constructor(draft: Draft, columns: KnownColumns = UNKNOWN_COLUMNS) {
    super(draft);
    this.#columns = columns;
  }

  protected override same(draft: Draft): RowsBuilder {
    return new RowsBuilder(draft, this.#columns);
  }

  /** Of `Lines`. */
  rows(): RowsBuilder {
    return new RowsBuilder(this.addMap(rowOfLine, false), named(['line']));
  }

  where(condition: unknown): RowsBuilder {
    const operator = this.operator('where');
    const given =
      condition instanceof ColumnExpression
        ? condition.expression
        : equalityOf(operator, condition);
    const content = { kind: 'where', condition: this.#checked(operator, given) } as const;
    return new RowsBuilder(this.add(operator, content), this.#columns);
  }

  select(...given: readonly unknown[]): RowsBuilder {
    const operator = this.operator('select');
    const columns = selectionOf(operator, given);
    for (const name of Object.keys(columns)) requireColumnName('select', name);
    return this.#select(operator, columns);
  }

  override groupBy(...by: readonly UserFunction[]): GroupedBuilder;
  override groupBy(...by: readonly unknown[]): GroupedBuilder | RowGroupsBuilder;
  override groupBy(...by: readonly unknown[]): GroupedBuilder | RowGroupsBuilder {
    const [first] = by;
    if (typeof first === 'function') return super.groupBy(first as UserFunction);
    const operator = this.operator('groupBy');
    if (by.length === 0) throw flowError(operator, 'it takes the names of one or more columns');
    const names = by.map((name) => columnName(operator, name));
    for (const name of names) this.#check(operator, name);
    if (new Set(names).size < names.length) throw flowError(operator, 'a column is named twice');
    return new RowGroupsBuilder(this, names, this.operator('agg'));
  }

  agg(aggregates: Readonly<Record<string, unknown>>): RowsBuilder {
    return new RowGroupsBuilder(this, [], this.operator('agg')).agg(aggregates);
  }

  /** Behind `groupBy(…).agg(…)`. */
  aggregateColumns(
    by: readonly string[],
    aggregates: Readonly<Record<string, ColumnAggregate>>,
  ): RowsBuilder {
    const operator = this.operator('agg');
    const used = new Set(by);
    for (const aggregate of Object.values(aggregates)) {
      if (aggregate.kind !== 'count') for (const name of columnsOf(aggregate.value)) used.add(name);
    }
    for (const name of used) this.#check(operator, name);
    // Behind the select every column is there.
    if (this.#columns.areOptional) {
      const columns = [...used].map((name) => [name, { kind: 'column', name }] as const);
      return this.#select(operator, Object.fromEntries(columns)).aggregateColumns(by, aggregates);
    }
    const draft = this.add(operator, {
      kind: 'columnAggregate',
      by: Object.freeze([...by]),
      aggregates: Object.freeze(aggregates),
    });
    return new RowsBuilder(draft, named([...by, ...Object.keys(aggregates)]));
  }

  sortBy(...columns: readonly unknown[]): RowsBuilder {
    const operator = this.operator('sortBy');
    if (columns.length === 0)
      throw flowError(operator, 'it takes the names of one or more columns');
    const parts = columns.map((column) => {
      const descending = isDescending(column);
      return { name: columnName(operator, descending ? column.value : column), descending };
    });
    for (const { name } of parts) this.#check(operator, name);
    const [only] = parts;
    const { areOptional } = this.#columns;
    const order: SortOrder =
      parts.length === 1 && only !== undefined
        ? { by: columnReader(only.name, areOptional), descending: only.descending }
        : { by: columnsReader(parts, areOptional), descending: false };
    const draft = this.add(operator, {
      kind: 'sort',
      order: Object.freeze(order),
      column: parts.length === 1 ? only?.name : undefined,
    });
    return new RowsBuilder(draft, this.#columns);
  }

  explode(name: string, elements: unknown): RowsBuilder {
    const operator = this.operator('explode');
    const column = columnName(operator, name);
    if (!(elements instanceof WordsExpression)) {
      throw flowError(operator, `it takes words(…), and is given ${described(elements)}`);
    }
    const expression = this.#checked(operator, elements.expression);
    const draft = this.add(operator, { kind: 'explode', column, expression });
    return new RowsBuilder(draft, named([column]));
  }

  override write(to: Writable): void {
    const sink = sinkOf(this.operator('write'), to);
    const { names } = this.#columns;
    const isLine = names?.length === 1 && names[0] === 'line' && sink.format === 'lines';
    if (isLine) new StreamBuilder(this.addMap(lineOfRow, false)).write(to);
    else super.write(to);
  }

  #select(operator: Operator, columns: Readonly<Record<string, Expression>>): RowsBuilder {
    const checked = Object.entries(columns).map(
      ([name, expression]) => [name, this.#checked(operator, expression)] as const,
    );
    const content = {
      kind: 'select',
      columns: Object.freeze(Object.fromEntries(checked)),
    } as const;
    return new RowsBuilder(this.add(operator, content), named(Object.keys(columns)));
  }

  #checked(operator: Operator, expression: Expression): Expression {
    for (const name of columnsOf(expression)) this.#check(operator, name);
    return this.#columns.areOptional ? withOptionalColumns(expression) : expression;
  }

  #check(operator: Operator, name: string): void {
    const { names } = this.#columns;
    if (names === undefined || names.includes(name)) return;
    throw new MillraceError(
      'ML_COLUMN_UNKNOWN',
      `flow "${operator.flow}", ${operator.method}: there is no column "${name}"; there are ${names.join(', ')}`,
      { fields: { column: name } },
    );
  }
}

class RowGroupsBuilder implements Surface<RowGroups<object, never>> {
  readonly kind = 'rowGroups';
  readonly #rows: RowsBuilder;
  readonly #by: readonly string[];
  readonly #operator: Operator;

  constructor(rows: RowsBuilder, by: readonly string[], operator: Operator) {
    this.#rows = rows;
    this.#by = by;
    this.#operator = operator;
  }

  agg(given: Readonly<Record<string, unknown>>): RowsBuilder {
    const aggregates: Record<string, ColumnAggregate> = {};
    if (Object.keys(given).length === 0)
      throw flowError(this.#operator, 'it takes one or more aggregates');
    for (const [name, aggregate] of Object.entries(given)) {
      requireColumnName('agg', name);
      if (this.#by.includes(name)) {
        throw flowError(
          this.#operator,
          `"${name}" is a column of the groups already: name the aggregate otherwise`,
        );
      }
      if (!(aggregate instanceof AggregateExpression)) {
        throw flowError(
          this.#operator,
          `"${name}" must be an aggregate such as count() or sum('bytes')`,
        );
      }
      aggregates[name] = aggregate.aggregate;
    }
    return this.#rows.aggregateColumns(this.#by, aggregates);
  }
}

function named(names: readonly string[]): KnownColumns {
  return { names, areOptional: false };
}

function columnName(operator: Operator, name: unknown): string {
  requireColumnName(operator.method, name);
  return String(name);
}

/** `{ status: 200 }` as a condition. */
function equalityOf(operator: Operator, given: unknown): Expression {
  if (typeof given !== 'object' || given === null || Object.keys(given).length === 0) {
    throw flowError(
      operator,
      `it takes a column expression or an object of columns, and is given ${described(given)}`,
    );
  }
  const terms = Object.entries(given).map(([name, value]): Expression => {
    const column: Expression = { kind: 'column', name: columnName(operator, name) };
    if (value === null) return { kind: 'isNull', value: column };
    const right: Expression = { kind: 'literal', value: literalOf('where', value) };
    return { kind: 'compare', operator: '=', left: column, right };
  });
  const [only] = terms;
  return terms.length === 1 && only !== undefined ? only : { kind: 'and', terms };
}

function selectionOf(
  operator: Operator,
  given: readonly unknown[],
): Readonly<Record<string, Expression>> {
  const [first] = given;
  if (typeof first === 'object' && first !== null && given.length === 1) {
    const columns = Object.entries(first);
    if (columns.length > 0) {
      return Object.fromEntries(
        columns.map(([name, value]) => [name, expressionOf('select', value)] as const),
      );
    }
  }
  if (given.length === 0 || typeof first !== 'string') {
    throw flowError(operator, 'it takes the names of columns, or an object of column expressions');
  }
  return Object.fromEntries(
    given.map((name) => {
      const column = columnName(operator, name);
      return [column, { kind: 'column', name: column } as const] as const;
    }),
  );
}

function columnReader(name: string, isOptional: boolean): (row: unknown) => unknown {
  const read = readColumn(name, isOptional);
  return madeOf([name, isOptional], (row: unknown) => read(row as Row));
}

function columnsReader(
  parts: readonly { readonly name: string; readonly descending: boolean }[],
  areOptional: boolean,
): (row: unknown) => unknown {
  const readers = parts.map(({ name, descending }) => {
    const read = columnReader(name, areOptional);
    return descending ? (row: unknown) => desc(read(row)) : read;
  });
  return madeOf([parts, areOptional], (row: unknown) => readers.map((read) => read(row)));
}

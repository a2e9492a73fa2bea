/**
 * What aggregates over columns mean, on rows that are objects: `ColumnAggregateNode` as the four functions of an aggregation. The
 * accumulator of a group is an array with one element for each aggregate, in the order of `Object.keys(aggregates)`; engines that compute on
 * bytes make the same ones:
 *
 *   count            number
 *   sum, avg         NumberSum (exact-sum.ts); numbers alone are added, all else is skipped
 *   min, max         the value, or null before the first; -0 is 0, NaN is skipped
 *   countDistinct    Set of values; -0 is 0
 *
 * Null, and what is no value of a column, is skipped by all but `count`. Results: 0 and up for the counts, null for the others where
 * nothing was counted. The key of a group is the array of its `by` columns, null where a row has none.
 */
import type { ColumnAggregate, ColumnAggregates, ColumnValue } from './columns.ts';
import { compareText } from './compare-text.ts';
import { columnValue, compileExpression, type Evaluate, readColumn, type Row } from './evaluate.ts';
import { addToSum, mergeSums, newSum, type NumberSum, sumOf } from './exact-sum.ts';

export interface ColumnAggregation {
  readonly key: (row: unknown) => readonly unknown[];
  readonly init: () => unknown;
  /** Changes the accumulator, and returns it. */
  readonly add: (accumulator: unknown, row: unknown) => unknown;
  /** Changes `left`, and returns it. */
  readonly merge: (left: unknown, right: unknown) => unknown;
  /** The row: the columns of the key, then the aggregates. */
  readonly finish: (accumulator: unknown, key: unknown) => unknown;
}

/** One aggregate, on its element of the accumulator. */
interface Aggregator {
  readonly init: () => unknown;
  readonly add: (state: unknown, row: Row) => unknown;
  readonly merge: (left: unknown, right: unknown) => unknown;
  readonly finish: (state: unknown) => ColumnValue;
}

/**
 * @example
 * const { key, init, add, finish } = columnAggregation(['path'], { hits: { kind: 'count' } });
 * finish(add(init(), { path: '/' }), key({ path: '/' })) // => { path: '/', hits: 1 }
 */
export function columnAggregation(
  by: readonly string[],
  aggregates: ColumnAggregates,
): ColumnAggregation {
  const names = Object.keys(aggregates);
  const parts = Object.values(aggregates).map(aggregatorOf);
  const readers = by.map((name) => readColumn(name, false));
  return {
    key: (row) => readers.map((read) => read(row as Row)),
    init: () => parts.map((part) => part.init()),
    add: (accumulator, row) => {
      const states = accumulator as unknown[];
      for (let index = 0; index < parts.length; index++) {
        const part = parts[index] as Aggregator;
        states[index] = part.add(states[index], row as Row);
      }
      return states;
    },
    merge: (left, right) => {
      const states = left as unknown[];
      const others = right as readonly unknown[];
      for (let index = 0; index < parts.length; index++) {
        states[index] = (parts[index] as Aggregator).merge(states[index], others[index]);
      }
      return states;
    },
    finish: (accumulator, key) => {
      const row: Record<string, unknown> = {};
      const values = key as readonly unknown[];
      const states = accumulator as readonly unknown[];
      for (let index = 0; index < by.length; index++) row[by[index] as string] = values[index];
      for (let index = 0; index < names.length; index++) {
        row[names[index] as string] = (parts[index] as Aggregator).finish(states[index]);
      }
      return row;
    },
  };
}

function aggregatorOf(aggregate: ColumnAggregate): Aggregator {
  switch (aggregate.kind) {
    case 'count':
      return COUNT;
    case 'countDistinct':
      return countDistinct(compileExpression(aggregate.value));
    case 'sum':
      return sum(compileExpression(aggregate.value), sumOf);
    case 'avg':
      return sum(compileExpression(aggregate.value), (state) => sumOf(state) / state.count + 0);
    case 'min':
      return extreme(compileExpression(aggregate.value), (order) => order < 0);
    case 'max':
      return extreme(compileExpression(aggregate.value), (order) => order > 0);
  }
}

const COUNT: Aggregator = {
  init: () => 0,
  add: (state) => (state as number) + 1,
  merge: (left, right) => (left as number) + (right as number),
  finish: (state) => state as number,
};

function sum(read: Evaluate, finish: (state: NumberSum) => number): Aggregator {
  return {
    init: newSum,
    add: (state, row) => {
      const value = read(row);
      if (typeof value === 'number') addToSum(state as NumberSum, value);
      return state;
    },
    merge: (left, right) => {
      mergeSums(left as NumberSum, right as NumberSum);
      return left;
    },
    finish: (state) => ((state as NumberSum).count === 0 ? null : finish(state as NumberSum)),
  };
}

function countDistinct(read: Evaluate): Aggregator {
  return {
    init: () => new Set(),
    add: (state, row) => {
      const value = columnValue(read(row));
      // A Set takes 0 and -0 for the same.
      if (value !== null) (state as Set<ColumnValue>).add(value);
      return state;
    },
    merge: (left, right) => {
      for (const value of right as ReadonlySet<ColumnValue>) (left as Set<ColumnValue>).add(value);
      return left;
    },
    finish: (state) => (state as ReadonlySet<ColumnValue>).size,
  };
}

function extreme(read: Evaluate, isBetter: (order: number) => boolean): Aggregator {
  const better = (best: ColumnValue, value: ColumnValue): ColumnValue => {
    if (value === null) return best;
    return best === null || isBetter(orderOf(value, best)) ? value : best;
  };
  return {
    init: () => null,
    add: (state, row) => better(state as ColumnValue, ordered(columnValue(read(row)))),
    merge: (left, right) => better(left as ColumnValue, right as ColumnValue),
    finish: (state) => state as ColumnValue,
  };
}

/** The value as one that has an order among all others. */
function ordered(value: ColumnValue): ColumnValue {
  if (typeof value !== 'number') return value;
  return Number.isNaN(value) ? null : value + 0;
}

/** The order of `min` and `max`: booleans before numbers before texts, as keys have it. */
export function orderOf(left: string | number | boolean, right: string | number | boolean): number {
  if (typeof left === 'number' && typeof right === 'number')
    return left < right ? -1 : Number(left > right);
  if (typeof left === 'string' && typeof right === 'string') return compareText(left, right);
  if (typeof left === 'boolean' && typeof right === 'boolean') return Number(left) - Number(right);
  return RANKS[typeof left as Rank] - RANKS[typeof right as Rank];
}

type Rank = 'boolean' | 'number' | 'string';
const RANKS: Readonly<Record<Rank, number>> = { boolean: 0, number: 1, string: 2 };

/** Declarative columns on rows, as functions that the operators call: what they mean is defined by `flow/evaluate.ts`. */
import { assert } from '../../../core/errors.ts';
import type {
  ColumnAggregateNode,
  ExplodeNode,
  SelectNode,
  ValueFunction,
  WhereNode,
} from '../../../flow/plan.ts';

export interface RowAggregation {
  readonly init: () => unknown;
  readonly add: (accumulator: unknown, row: unknown) => unknown;
  readonly merge: (left: unknown, right: unknown) => unknown;
  /** The row: the columns of the key, then the aggregates. */
  readonly finish: (accumulator: unknown, key: unknown) => unknown;
}

export function whereCondition(node: WhereNode): ValueFunction {
  return assert(false, `${node.name} cannot run on rows`) as never;
}
export function selectColumns(node: SelectNode): ValueFunction {
  return assert(false, `${node.name} cannot run on rows`) as never;
}
export function explodeColumn(node: ExplodeNode): ValueFunction {
  return assert(false, `${node.name} cannot run on rows`) as never;
}
export function rowAggregation(node: ColumnAggregateNode): RowAggregation {
  return assert(false, `${node.name} cannot run on rows`) as never;
}

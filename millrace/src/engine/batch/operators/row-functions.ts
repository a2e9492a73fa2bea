/** Declarative columns on rows, as functions that the operators call: what they mean is defined by `flow/evaluate.ts`. */
import { type ColumnAggregation, columnAggregation } from '../../../flow/column-aggregation.ts';
import { compileExpression, type Row } from '../../../flow/evaluate.ts';
import type {
  ColumnAggregateNode,
  ExplodeNode,
  SelectNode,
  ValueFunction,
  WhereNode,
} from '../../../flow/plan.ts';

/** Null is not true. */
export function whereCondition(node: WhereNode): ValueFunction {
  const condition = compileExpression(node.condition);
  return (row) => condition(row as Row) === true;
}

export function selectColumns(node: SelectNode): ValueFunction {
  const columns = Object.entries(node.columns).map(
    ([name, expression]) => [name, compileExpression(expression)] as const,
  );
  return (row) => {
    const selected: Record<string, unknown> = {};
    for (const [name, read] of columns) selected[name] = read(row as Row);
    return selected;
  };
}

export function explodeColumn(node: ExplodeNode): ValueFunction {
  const { column } = node;
  const elements = compileExpression(node.expression);
  return (row) =>
    (elements(row as Row) as readonly unknown[]).map((element) => ({ [column]: element }));
}

/** Its accumulators are what goes through the exchange, under the array of the `by` columns as their key. */
export function rowAggregation(node: ColumnAggregateNode): ColumnAggregation {
  return columnAggregation(node.by, node.aggregates);
}

/** Which columns of a source a lane reads, and where they are in its rows. */
import type {
  ColumnAggregateNode,
  ExplodeNode,
  SelectNode,
  WhereNode,
} from '../../../flow/plan.ts';
import type { ColumnField, ColumnLayout, Expression } from '../../../flow/columns.ts';
import { columnsOf } from '../../../flow/expression-columns.ts';

export type TextLayout = Exclude<ColumnLayout, { readonly kind: 'parquet' }>;

/** What may stand between a source and its aggregation. */
export type LaneStep = WhereNode | SelectNode | ExplodeNode;

export interface LaneColumn extends ColumnField {
  /** Number of its field in a row, from 0; -1: the whole row. */
  readonly position: number;
  /** A text that is not of the column's type, and not empty, is an error. */
  readonly isStrict: boolean;
}

/**
 * The columns to read from rows; undefined where they cannot be told: the reader of rows knows what is wrong.
 * @param header names of the columns of the file, where it has a header
 * @param used undefined: all
 */
export function laneColumns(
  layout: TextLayout,
  header: readonly string[] | undefined,
  used: ReadonlySet<string> | undefined,
): readonly LaneColumn[] | undefined {
  const isUsed = (name: string): boolean => used === undefined || used.has(name);
  switch (layout.kind) {
    case 'line':
      return isUsed('line')
        ? [{ name: 'line', type: 'string', position: -1, isStrict: false }]
        : [];
    case 'delimited':
      return layout.fields
        .map((field, index) => ({
          ...field,
          position: layout.positions[index] ?? 0,
          isStrict: false,
        }))
        .filter(({ name }) => isUsed(name));
    case 'csv': {
      const names = header ?? layout.fields?.map(({ name }) => name) ?? [];
      const fields = layout.fields ?? names.map((name) => ({ name, type: 'string' as const }));
      const columns = fields.map((field) => ({
        ...field,
        position: names.indexOf(field.name),
        isStrict: field.type !== 'string',
      }));
      const isClear = columns.every(
        ({ name, position }) => position >= 0 && !names.includes(name, position + 1),
      );
      // Every row is checked, also in columns that nothing else needs.
      return isClear ? columns.filter(({ name, isStrict }) => isStrict || isUsed(name)) : undefined;
    }
  }
}

/**
 * The columns of the source that are used: those up to the first operator that makes new rows; undefined: all.
 * @param aggregate undefined: the rows themselves are wanted
 */
export function usedColumns(
  steps: readonly LaneStep[],
  aggregate: ColumnAggregateNode | undefined,
): ReadonlySet<string> | undefined {
  const used = new Set<string>();
  const use = (expression: Expression): void => {
    for (const name of columnsOf(expression)) used.add(name);
  };
  for (const step of steps) {
    if (step.kind === 'where') use(step.condition);
    else if (step.kind === 'explode') {
      use(step.expression);
      return used;
    } else {
      for (const expression of Object.values(step.columns)) use(expression);
      return used;
    }
  }
  if (aggregate === undefined) return undefined;
  for (const name of aggregate.by) used.add(name);
  for (const each of Object.values(aggregate.aggregates))
    if (each.kind !== 'count') use(each.value);
  return used;
}

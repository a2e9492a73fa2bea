/** Which stages can run on bytes: a text source, operators on columns, a column aggregation, one after the other and nothing else. */
import { rowOfLine } from '../../../flow/functions.ts';
import { LANE_LINE_BYTES_MAX } from '../../../core/limits.ts';
import type { ColumnAggregateNode, Plan, PlanNode } from '../../../flow/plan.ts';
import type { Source } from '../../../flow/source.ts';
import type { Stage } from '../stage.ts';
import type { LaneStep, TextLayout } from './lane-columns.ts';

export interface LanePlan {
  readonly source: Source;
  readonly layout: TextLayout;
  readonly steps: readonly LaneStep[];
  readonly aggregate: ColumnAggregateNode;
}

/** undefined: the stage runs on rows. Whether the expressions run on bytes is known only when a lane is opened. */
export function findLane(plan: Plan, stage: Stage): LanePlan | undefined {
  const nodes = chainOf(plan, stage);
  const [first, ...rest] = nodes;
  const aggregate = rest.pop();
  if (first?.kind !== 'source' || aggregate?.kind !== 'columnAggregate') return undefined;
  const { source } = first;
  const { columns: layout } = source;
  if (source.openBytes === undefined || layout === undefined || layout.kind === 'parquet')
    return undefined;
  // A chunk is as long as its longest line, and has to fit into the memory of a lane.
  if (layout.lineBytesMax > LANE_LINE_BYTES_MAX) return undefined;
  // Of the errors in a row of CSV only its reader makes dead letters.
  if (layout.kind === 'csv' && plan.onError.kind === 'skip') return undefined;
  const isLine = layout.kind === 'line';
  // Lines are strings until they are made into rows of one column.
  const [toRows] = rest;
  if (isLine !== (toRows?.kind === 'map' && toRows.fn === rowOfLine)) return undefined;
  const steps = isLine ? rest.slice(1) : rest;
  if (!steps.every(isLaneStep)) return undefined;
  return { source, layout, steps, aggregate };
}

/** The nodes of a stage without branches; empty for others. */
export function chainOf(plan: Plan, stage: Stage): readonly PlanNode[] {
  const isChain = stage.steps.every(({ parent }, index) => parent === index - 1);
  if (!isChain || stage.broadcastsIn.length > 0) return [];
  return stage.steps.flatMap(({ node }) => plan.nodes[node] ?? []);
}

function isLaneStep(node: PlanNode): node is LaneStep {
  return node.kind === 'where' || node.kind === 'select' || node.kind === 'explode';
}

/**
 * Which stages can run on bytes: a text source, operators on columns, a column aggregation, one after the other and nothing else. And which can
 * begin on bytes: a text source and conditions on its columns, whatever comes then.
 */
import { rowOfLine } from '../../../flow/functions.ts';
import { LANE_LINE_BYTES_MAX } from '../../../core/limits.ts';
import type {
  ColumnAggregateNode,
  Plan,
  PlanNode,
  SelectNode,
  WhereNode,
} from '../../../flow/plan.ts';
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
  const layout = laneLayout(plan, source);
  if (layout === undefined) return undefined;
  const isLine = layout.kind === 'line';
  // Lines are strings until they are made into rows of one column.
  const [toRows] = rest;
  if (isLine !== (toRows?.kind === 'map' && toRows.fn === rowOfLine)) return undefined;
  const steps = isLine ? rest.slice(1) : rest;
  if (!steps.every(isLaneStep)) return undefined;
  return { source, layout, steps, aggregate };
}

/** What of a stage can run on bytes before there are rows. */
export interface RowLanePlan {
  readonly source: Source;
  readonly layout: TextLayout;
  /** There is a condition among them. */
  readonly steps: readonly RowStep[];
}

export interface RowStep {
  readonly node: WhereNode | SelectNode;
  /** Which step of the stage it is. */
  readonly index: number;
}

/** undefined: rows are decoded in any case. Whether the expressions run on bytes is known only when a lane is opened. */
export function findRowLane(plan: Plan, stage: Stage): RowLanePlan | undefined {
  const [root, toRows, ...others] = lineOf(plan, stage);
  if (root?.node.kind !== 'source') return undefined;
  const { source } = root.node;
  const layout = laneLayout(plan, source);
  if (layout === undefined) return undefined;
  const isLine = layout.kind === 'line';
  if (isLine !== (toRows?.node.kind === 'map' && toRows.node.fn === rowOfLine)) return undefined;
  const steps: RowStep[] = [];
  for (const { node, index } of isLine || toRows === undefined ? others : [toRows, ...others]) {
    const isKnown = node.kind === 'where' || (node.kind === 'select' && isPlainSelect(node));
    if (!isKnown) break;
    steps.push({ node, index });
  }
  return steps.some(({ node }) => node.kind === 'where') ? { source, layout, steps } : undefined;
}

/** The layout of a source that can be read as bytes. */
function laneLayout(plan: Plan, source: Source): TextLayout | undefined {
  const { columns: layout } = source;
  if (source.openBytes === undefined || layout === undefined || layout.kind === 'parquet')
    return undefined;
  // A chunk is as long as its longest line, and has to fit into the memory of a lane.
  if (layout.lineBytesMax > LANE_LINE_BYTES_MAX) return undefined;
  // Of the errors in a row of CSV only its reader makes dead letters.
  if (layout.kind === 'csv' && plan.onError.kind === 'skip') return undefined;
  return layout;
}

/** The steps of a stage up to where it branches, or ends. */
function lineOf(
  plan: Plan,
  { steps }: Stage,
): readonly { readonly node: PlanNode; readonly index: number }[] {
  const line: { readonly node: PlanNode; readonly index: number }[] = [];
  for (let index: number | undefined = 0; index !== undefined; ) {
    const node = plan.nodes[steps[index]?.node ?? -1];
    if (node === undefined) break;
    line.push({ node, index });
    const behind = steps.flatMap(({ parent }, at) => (parent === index ? [at] : []));
    index = behind.length === 1 ? behind[0] : undefined;
  }
  return line;
}

/** What assigning to that name does to a row is left to rows. */
function isPlainSelect({ columns }: SelectNode): boolean {
  return !Object.hasOwn(columns, '__proto__');
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

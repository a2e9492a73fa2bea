/**
 * Which views a flow has, and what their rows are made of. Derived from the plan alone, so that whoever has the plan can read entries of a
 * store, or records of its changelog, without the operator that wrote them.
 *
 * A view is what has a name and a meaning for others: tables, aggregates, tables that were joined, windows, the state of `process`. Stores that
 * only serve an operator (buffers of joins, timers, matches that have begun) are none.
 */
import type { PlanNode } from '../../../flow/plan.ts';
import { rowAggregation } from '../../batch/operators/row-functions.ts';
import type { StageNode, Topology } from '../topology.ts';
import type { ViewKind } from './view-row.ts';
import type { EntryRow, Readable, ViewSpec } from './view-spec.ts';
import { windowRows } from './window-rows.ts';

export type { ViewSpec } from './view-spec.ts';

export const GLOBAL_STAGE = -1;

/** By name, in the order of the plan. */
export function viewsOf(topology: Topology): ReadonlyMap<string, ViewSpec> {
  const { plan, stages } = topology;
  const views = new Map<string, ViewSpec>();
  const add = (node: PlanNode, stage: number, partitions: number, at: StageNode): void => {
    const readable = rowsOf(node);
    if (readable === undefined) return;
    const { kind, rows } = readable;
    views.set(node.name, { name: node.name, kind, store: node.name, stage, partitions, at, rows });
  };
  for (const node of plan.nodes) {
    if (node.kind === 'table' && node.scope === 'global') {
      add(node, GLOBAL_STAGE, 1, { node: node.id });
      continue;
    }
    for (const { id, partitions, nodes } of stages)
      for (const at of nodes) if (at.node === node.id && hasRows(at)) add(node, id, partitions, at);
  }
  return views;
}

/** Parts of nodes whose state is no result. */
function hasRows({ role }: StageNode): boolean {
  return role === undefined || role === 'collect' || role === 'aggregate';
}

type Readers = {
  readonly [Kind in PlanNode['kind']]?: (
    node: Extract<PlanNode, { readonly kind: Kind }>,
  ) => Readable | undefined;
};

const READERS: Readers = {
  table: ({ historyMs }) => (historyMs === undefined ? pairs() : history()),
  aggregate: accumulated,
  tableAggregate: accumulated,
  columnAggregate: (node) => accumulated(rowAggregation(node)),
  tableJoin: ({ sides }) => (sides === 'table-table' ? pairs() : undefined),
  process: pairs,
  foreignJoin: answers,
  windowAggregate: windowRows,
};

function rowsOf(node: PlanNode): Readable | undefined {
  const read = READERS[node.kind] as ((node: PlanNode) => Readable | undefined) | undefined;
  return read?.(node);
}

function byEntry(kind: ViewKind, row: EntryRow): Readable {
  return { kind, rows: { by: 'entry', row } };
}

/** [value, time] */
function pairs(): Readable {
  return byEntry('table', (key, _sub, entry) => {
    const [value, time] = entry as readonly [unknown, number];
    return value === undefined ? undefined : { key, value, time };
  });
}

/** [accumulator, time, …] */
function accumulated({
  finish,
}: {
  readonly finish: ((accumulator: unknown, key: unknown) => unknown) | undefined;
}): Readable {
  return byEntry('table', (key, _sub, entry) => {
    const [accumulator, time] = entry as readonly [unknown, number];
    const value = finish === undefined ? accumulator : finish(accumulator, key);
    return value === undefined ? undefined : { key, value, time };
  });
}

/** Of a join by foreign key: the answer that counts, with its number. */
function answers(): Readable {
  return byEntry('table', (key, _sub, entry) => {
    const { value, time } = entry as { readonly value: unknown; readonly time: number };
    return value === undefined ? undefined : { key, value, time };
  });
}

/** [value, until], under the time from which on it is true. */
function history(): Readable {
  return byEntry('history', (key, time, entry) => {
    const [value, until] = entry as readonly [unknown, number];
    const isLatest = until === Number.POSITIVE_INFINITY;
    return isLatest && value !== null ? { key, value, time } : undefined;
  });
}

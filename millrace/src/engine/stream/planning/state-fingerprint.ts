/** What saved state depends on, as text by node: kind, settings that are data, partitions, and how keys choose them. */
import type { PlanNode } from '../../../flow/plan.ts';
import { panesOf } from '../operators/windows/create-window-aggregate.ts';
import type { StreamStage } from '../topology.ts';
import { partitionerText } from './partitioner-text.ts';

/** Nodes whose stores hold what their settings say. Functions are not among the settings. */
const STATEFUL: ReadonlySet<PlanNode['kind']> = new Set([
  'aggregate',
  'windowAggregate',
  'tableAggregate',
  'windowJoin',
  'tableJoin',
  'foreignJoin',
  'table',
  'process',
  'pattern',
  'dedupe',
]);

export function keepsState(node: PlanNode): boolean {
  return STATEFUL.has(node.kind);
}

export function stateFingerprintOf(
  nodes: readonly PlanNode[],
  stages: readonly StreamStage[],
): Record<string, string> {
  const fingerprint: Record<string, string> = {};
  for (const stage of stages) {
    for (const { node: id, role } of stage.nodes) {
      const node = nodes[id];
      if (node === undefined || !keepsState(node)) continue;
      const name = role === undefined ? node.name : `${node.name} ${role}`;
      fingerprint[name] = `${node.kind} ${settingsOf(node)} over ${stage.partitions} partitions`;
    }
    for (const input of stage.inputs) {
      if (input.from.kind === 'source') continue;
      const { exchange } = input.from;
      fingerprint[exchange.topic] =
        `${exchange.partitions} partitions by ${partitionerText(exchange.partitioner)}, written by ${exchange.writers} tasks`;
    }
  }
  return fingerprint;
}

const NOT_SETTINGS: ReadonlySet<string> = new Set(['id', 'name', 'inputs', 'kind', 'isTable']);

function settingsOf(node: PlanNode): string {
  const settings: [string, unknown][] = Object.entries(node).filter(
    ([name]) => !NOT_SETTINGS.has(name),
  );
  // With a function that merges windows may share panes: then what is kept is another thing.
  if (node.kind === 'windowAggregate') settings.push(['panes', panesOf(node)?.paneMs]);
  return JSON.stringify(Object.fromEntries(settings), (_key, value: unknown) => dataOf(value));
}

/** JSON has no word for these, and leaves functions out. */
function dataOf(value: unknown): unknown {
  if (typeof value === 'function') return undefined;
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value;
}

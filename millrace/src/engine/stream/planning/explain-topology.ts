/** A topology as text, for `millrace plan`. */
import type { PlanNode } from '../../../flow/plan.ts';
import type { StageExit, StageInput, StageNode, StreamStage, Topology } from '../topology.ts';
import { partitionerText } from './partitioner-text.ts';
import { keepsState } from './state-fingerprint.ts';

/**
 * Stages in the order of the records: what each reads, runs and writes.
 * @example
 * Stage 0: 4 tasks
 *   reads   topic orders
 *   runs    by-tier
 *   sends   revenue-revenue-repartition, 4 partitions by key, to revenue
 */
export function explainTopology(topology: Topology): string {
  const stages = topology.stages.map((stage) => explainStage(topology, stage));
  const letters = topology.deadLetters;
  const last = letters === undefined ? [] : [`Records that fail go to topic ${letters.port.name}`];
  return [...stages, ...last].join('\n\n');
}

function explainStage({ plan }: Topology, stage: StreamStage): string {
  const tasks = stage.partitions === 1 ? '1 task' : `${stage.partitions} tasks`;
  return [
    `Stage ${stage.id}: ${tasks}`,
    ...stage.inputs.map((input) => line('reads', inputText(input))),
    ...stage.globals.map((input) => line('follows', `all of ${inputText(input)}`)),
    ...stage.nodes.map((at) => line('runs', operatorText(plan.nodes[at.node], at))),
    ...stage.exits.map((exit) => exitLine(plan.nodes, exit)),
  ].join('\n');
}

function line(word: string, text: string): string {
  return `  ${word.padEnd(8)}${text}`;
}

function inputText({ topic, from }: StageInput): string {
  if (from.kind === 'source') return `topic ${topic}`;
  const { table } = from.exchange;
  return table === undefined ? topic : `${topic}, kept as table ${table.name}`;
}

function operatorText(node: PlanNode | undefined, { role }: StageNode): string {
  if (node === undefined) return '';
  const name = role === undefined ? node.name : `${node.name} (${role})`;
  const kind = node.name.startsWith(node.kind) ? '' : `: ${node.kind}`;
  return keepsState(node) ? `${name}${kind}, with state` : `${name}${kind}`;
}

function exitLine(nodes: readonly PlanNode[], exit: StageExit): string {
  if (exit.kind === 'sink')
    return line('writes', `topic ${exit.port.name}, ${partitionsText(exit.partitions)}`);
  const { topic, partitions, partitioner, to } = exit.exchange;
  const names = new Set(to.map(({ node }) => nodes[node]?.name ?? ''));
  return line(
    'sends',
    `${topic}, ${partitionsText(partitions)} by ${partitionerText(partitioner)}, to ${[...names].join(', ')}`,
  );
}

function partitionsText(partitions: number): string {
  return partitions === 1 ? '1 partition' : `${partitions} partitions`;
}

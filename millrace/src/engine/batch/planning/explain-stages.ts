/** The physical plan as text, for people: stages, what moves between them, how joins are done and why. */
import type { Plan } from '../../../flow/plan.ts';
import { findLane, findRowLane } from '../columns/find-lane.ts';
import type { Exchange, Stage, StageGraph } from '../stage.ts';

/**
 * What `millrace plan` prints below the operators.
 * @example
 * explainStages(plan, graph)
 * // stage 0  read lines logs/*.log → map-1 → keyBy-2 → hits
 * //   tasks  packs of splits
 * //   to     stage 1, for hits: by hash of the key into 4 partitions, sorted, combined before: a hot key is one record per task
 * // stage 1  hits → map-4 → hits-top
 * //   tasks  one per partition
 * //   to     stage 2, for hits-top: into one partition, sorted; only the first 10 of each task
 * // stage 2  hits-top → write ndjson out/top-pages
 * //   tasks  one
 * //   write  ndjson out/top-pages
 */
export function explainStages(plan: Plan, graph: StageGraph): string {
  return graph.stages.flatMap((stage) => linesOf(plan, graph, stage)).join('\n');
}

function linesOf(plan: Plan, graph: StageGraph, stage: Stage): string[] {
  const lines = [`stage ${stage.id}  ${stage.label}`];
  const line = (what: string, text: string): void => {
    lines.push(`  ${what.padEnd(5)}  ${text}`);
  };
  line('tasks', tasksOf(graph, stage));
  if (findLane(plan, stage) !== undefined)
    line('how', 'on the bytes of the input, without strings');
  else if (findRowLane(plan, stage) !== undefined)
    line('how', 'filtered on the bytes of the input, rows are made of what passes');
  for (const { node, strategy, reason } of stage.joins)
    line('join', `${plan.nodes[node]?.name ?? ''}: ${strategy} (${reason})`);
  for (const id of stage.broadcastsIn)
    line('side', `${graph.exchanges[id]?.name ?? ''}, whole in the memory of every task`);
  for (const id of stage.exchangesOut) {
    const exchange = graph.exchanges[id];
    if (exchange !== undefined) line('to', exchangeText(plan, exchange));
  }
  for (const id of stage.writes) {
    const node = plan.nodes[id];
    if (node?.kind === 'write') line('write', node.sink.label);
  }
  return lines;
}

function tasksOf(graph: StageGraph, stage: Stage): string {
  if (stage.isSingle) return 'one';
  if (stage.exchangesIn.length === 0) return 'packs of splits';
  const exchange = graph.exchanges[stage.exchangesIn[0] ?? -1];
  if (exchange?.kind === 'range') return 'ranges of keys, by a sample';
  const isShared = stage.joins.some(
    ({ node, strategy }) => node === exchange?.node && strategy === 'sort-merge',
  );
  return isShared ? 'one per partition; more for hot keys' : 'one per partition';
}

function exchangeText(plan: Plan, exchange: Exchange): string {
  const stages = exchange.consumers.map((stage) => `stage ${stage}`).join(', ');
  const sides = exchange.kind === 'hash' && plan.nodes[exchange.node]?.kind === 'join';
  const side = sides ? (exchange.input === 0 ? ' (left)' : ' (right)') : '';
  const parts = [
    `${kindText(exchange)}${exchange.isSorted ? ', sorted' : ''}`,
    ...(exchange.producers.length > 1 ? [`${exchange.producers.length} lanes`] : []),
    ...advantages(plan, exchange),
  ];
  return `${stages}, for ${exchange.name}${side}: ${parts.join(', ')}`;
}

function kindText({ kind, partitions }: Exchange): string {
  switch (kind) {
    case 'hash':
      return `by hash of the key into ${partitions} partition${partitions === 1 ? '' : 's'}`;
    case 'range':
      return 'as one sequence, cut by sampled keys';
    case 'gather':
      return 'into one partition';
    case 'broadcast':
      return 'to every task';
  }
}

function advantages(plan: Plan, { kind, node: id, isCombined }: Exchange): string[] {
  const node = plan.nodes[id];
  if (node?.kind === 'top') return [`only the first ${node.count} of each task`];
  if (!isCombined) return [];
  return kind === 'hash'
    ? ['combined before: a hot key is few records per task']
    : ['combined before: one record per task'];
}

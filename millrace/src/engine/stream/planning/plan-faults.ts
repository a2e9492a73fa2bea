/** Refuses plans that cannot run without end. */
import { MillraceError } from '../../../core/errors.ts';
import type { Plan, PlanNode } from '../../../flow/plan.ts';
import { hasTopics, streamFaults } from '../../../flow/stream-faults.ts';

/** @throws {MillraceError} ML_FLOW_INVALID, with a sentence for each node at fault */
export function refuseBounded(plan: Plan): void {
  const sentences = streamFaults(plan).map(({ sentence }) => sentence);
  for (const node of plan.nodes) {
    const fault = globalFaultOf(plan.nodes, node);
    if (fault !== undefined) sentences.push(`"${node.name}" ${fault}`);
  }
  if (!hasTopics(plan)) sentences.push('it reads no topic');
  if (sentences.length === 0) return;
  const list = sentences.map((sentence) => `\n  ${sentence}`).join('');
  throw new MillraceError('ML_FLOW_INVALID', `flow "${plan.name}" cannot run without end:${list}`, {
    fields: { flow: plan.name },
    hint: 'Change these operators, or run it up to what is there now: --until now',
  });
}

/** Global tables may be filtered and mapped, and asked by a globalJoin. */
function globalFaultOf(nodes: readonly PlanNode[], node: PlanNode): string | undefined {
  if (node.kind === 'globalJoin') return undefined;
  const input = nodes[node.inputs[0] ?? -1];
  if (node.kind === 'table' && node.scope === 'global')
    return input?.kind === 'source'
      ? undefined
      : 'is a global table, which is read from a topic as it is';
  if (!isOfGlobalTable(nodes, input)) return undefined;
  return MADE_OF_GLOBAL.has(node.kind)
    ? undefined
    : 'takes a global table, of which every task has all: join with it, or use a table';
}

const MADE_OF_GLOBAL: ReadonlySet<PlanNode['kind']> = new Set(['map', 'filter', 'tap']);

function isOfGlobalTable(nodes: readonly PlanNode[], start: PlanNode | undefined): boolean {
  for (let node = start; node !== undefined; node = nodes[node.inputs[0] ?? -1]) {
    if (node.kind === 'table') return node.scope === 'global';
    if (!MADE_OF_GLOBAL.has(node.kind)) return false;
  }
  return false;
}

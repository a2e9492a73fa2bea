/** What keeps a plan from running without end: a sentence for each node. */
import { MillraceError } from '../../../core/errors.ts';
import type { Plan, PlanNode } from '../../../flow/plan.ts';
import type { Source } from '../../../flow/source.ts';

export interface PlanFault {
  readonly node: string;
  readonly sentence: string;
}

/** @throws {MillraceError} ML_FLOW_INVALID, with all of them */
export function refuseBounded(plan: Plan): void {
  const faults = planFaults(plan);
  if (faults.length === 0) return;
  const list = faults.map(({ node, sentence }) => `\n  ${node}: ${sentence}`).join('');
  throw new MillraceError('ML_FLOW_INVALID', `flow "${plan.name}" cannot run without end:${list}`, {
    fields: { flow: plan.name, operator: faults[0]?.node ?? '' },
    hint: 'Change these operators, or run it up to what is there now: --until now',
  });
}

export function planFaults(plan: Plan): readonly PlanFault[] {
  const faults: PlanFault[] = [];
  for (const node of plan.nodes) {
    const sentence = faultOf(node) ?? globalFaultOf(plan.nodes, node);
    if (sentence !== undefined) faults.push({ node: node.name, sentence });
  }
  if (!plan.nodes.some(({ kind }) => kind === 'source'))
    faults.push({ node: plan.name, sentence: 'it reads nothing' });
  if (plan.onError.kind === 'skip' && plan.onError.sink.topic === undefined)
    faults.push({
      node: 'onError',
      sentence: `dead letters of a run without end go to a topic, not to ${plan.onError.sink.label}`,
    });
  return faults;
}

function faultOf(node: PlanNode): string | undefined {
  if (node.kind === 'source') return sourceFault(node.source);
  if (node.kind === 'write' && node.sink.topic === undefined)
    return `${node.sink.label} cannot be written without end: write to a topic`;
  return ENDS[node.kind];
}

/** Why there is no result before the end of the input. */
const ENDS: Readonly<Partial<Record<PlanNode['kind'], string>>> = {
  sort: 'an order over all records is known at their end only; windows have an end',
  top: 'the first of all records are known at their end only; windows have an end',
  group: 'all values of a key are there at the end only: aggregate them, or use process',
  join: 'all records of both sides are needed: join within a time, or with a table',
  broadcast: 'side data is complete at its end only: join with a global table (f.globalTable)',
  with: 'side data is complete at its end only: join with a global table (f.globalTable)',
  iterate: 'a round ends with its input',
  iterationInput: 'a round ends with its input',
};

function sourceFault({ topic, label }: Source): string | undefined {
  if (topic === undefined) return `${label} has an end: a run without end reads topics`;
  if (topic.only !== undefined)
    return `only partitions ${topic.only.join(', ')} are read: a run without end reads all`;
  return undefined;
}

/** Global tables may be filtered and mapped, and asked by a globalJoin. */
function globalFaultOf(nodes: readonly PlanNode[], node: PlanNode): string | undefined {
  if (node.kind === 'globalJoin') return undefined;
  const input = nodes[node.inputs[0] ?? -1];
  if (node.kind === 'table' && node.scope === 'global')
    return input?.kind === 'source' ? undefined : 'a global table is read from a topic as it is';
  if (!isOfGlobalTable(nodes, input)) return undefined;
  return MADE_OF_GLOBAL.has(node.kind)
    ? undefined
    : 'every task has all of a global table: join with it, or use a table';
}

const MADE_OF_GLOBAL: ReadonlySet<PlanNode['kind']> = new Set(['map', 'filter', 'tap']);

function isOfGlobalTable(nodes: readonly PlanNode[], start: PlanNode | undefined): boolean {
  for (let node = start; node !== undefined; node = nodes[node.inputs[0] ?? -1]) {
    if (node.kind === 'table') return node.scope === 'global';
    if (!MADE_OF_GLOBAL.has(node.kind)) return false;
  }
  return false;
}

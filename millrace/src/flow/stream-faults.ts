/** What of a plan cannot run without end. */
import { keepLeft } from './functions.ts';
import type { Plan, PlanNode } from './plan.ts';
import type { Sink } from './sink.ts';
import type { Source } from './source.ts';

/** Whether the plan reads topics: it can run without end, if nothing speaks against it. */
export function hasTopics(plan: Plan): boolean {
  return plan.nodes.some((node) => node.kind === 'source' && node.source.topic !== undefined);
}

export interface StreamFault {
  /** undefined: the flow as a whole. */
  readonly node: PlanNode | undefined;
  /** What is wrong, and what to do instead; begins with the name of the operator. */
  readonly sentence: string;
}

/** All reasons why a plan cannot run without end; none: it can. Such a plan may still run as far as its topics go. */
export function streamFaults(plan: Plan): readonly StreamFault[] {
  const faults = plan.nodes.flatMap((node): StreamFault[] => {
    const sentence = faultOf(node);
    return sentence === undefined ? [] : [{ node, sentence: `"${node.name}" ${sentence}` }];
  });
  if (plan.onError.kind !== 'skip' || plan.onError.sink.topic !== undefined) return faults;
  const sentence = `onError ${notWritten(plan.onError.sink)}`;
  return [...faults, { node: undefined, sentence }];
}

/** Operators that need the end of their input, whatever their settings. */
const NEED_AN_END: Readonly<Partial<Record<PlanNode['kind'], string>>> = {
  sort: 'puts all records in order, and there is no last one',
  top: 'waits for the last record to say which are the first, and there is none',
  group:
    'needs all values of a key at once: put them into an accumulator with keyBy(…).aggregate(…)',
  columnAggregate: 'has its rows when all have been read: use keyBy(…).aggregate(…)',
  broadcast: 'is side data of which all has to be there first: use f.globalTable and joinGlobal',
  iterate: 'goes over all records again and again',
};

function faultOf(node: PlanNode): string | undefined {
  if (node.kind === 'source') return sourceFault(node.source);
  if (node.kind === 'write')
    return node.sink.topic === undefined ? notWritten(node.sink) : undefined;
  if (node.kind === 'join') return joinFault(node.type);
  if (node.kind === 'aggregate' && node.add === keepLeft)
    return 'would remember all that it has seen: say for how long with dedupe(name, by, within)';
  return NEED_AN_END[node.kind];
}

function sourceFault({ topic, label }: Source): string | undefined {
  if (topic === undefined) return `reads ${label}, which has an end: give it a topic`;
  if (topic.only === undefined) return undefined;
  return `reads some partitions of ${label}: a run without end reads all of them`;
}

function joinFault(type: string): string {
  return type === 'semi' || type === 'anti'
    ? `is a ${type} join, which has to know all of its right side: use a leftJoin with a table`
    : 'joins what has an end: both of its sides must come from topics';
}

function notWritten(sink: Sink): string {
  return `writes ${sink.label}, which is complete when the run has ended: write a topic`;
}

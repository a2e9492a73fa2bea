/**
 * A plan over topics, made bounded: the same program for the batch engine, over the records that are there. Every value becomes a
 * `Timed`; nodes that know of time become groups, sorted by time, in which the stream engine's own operators are replayed
 * (`replay.ts`); aggregates become aggregates. At the end time is infinite: windows close, joins give up waiting.
 *
 * Flows in which nothing knows of time stay as they are, but for tables, of which only the latest values count: files and topics are
 * the same to them.
 */
import { isPresent } from '../../flow/functions.ts';
import type { Plan, PlanNode } from '../../flow/plan.ts';
import { boundNode, isTimedNode, latest } from './bound-nodes.ts';
import { PlanWriter } from './plan-writer.ts';

/** The plan that the batch engine runs. One that needs no change is given back. */
export function boundPlan(plan: Plan): Plan {
  const { nodes } = plan;
  const isTimed = nodes.some(isTimedNode);
  if (!isTimed && !nodes.some(({ kind }) => kind === 'table')) return plan;
  const writer = new PlanWriter(plan);
  for (const node of nodes) {
    if (isTimed) boundNode(writer, node);
    else if (node.kind === 'table') latestOf(writer, node);
    else writer.copy(node);
  }
  return Object.freeze({ ...plan, nodes: writer.nodes() });
}

function latestOf(writer: PlanWriter, node: PlanNode): void {
  const [input = -1] = writer.inputsOf(node);
  const last = latest(writer, node, input);
  writer.become(node, writer.add(node.name, { kind: 'filter', fn: isPresent }, [last]));
}

/** The topics of a flow, as it describes them. */
import type { Plan } from '../flow/plan.ts';
import type { TopicPort } from '../flow/topic-port.ts';

/** By name: topics that are read first, then those that are written. A topic that is described twice is as where it is read. */
export function portsOf(plan: Plan): ReadonlyMap<string, TopicPort> {
  const ports = new Map<string, TopicPort>();
  const add = (port: TopicPort | undefined): void => {
    if (port !== undefined && !ports.has(port.name)) ports.set(port.name, port);
  };
  for (const node of plan.nodes) if (node.kind === 'source') add(node.source.topic);
  for (const node of plan.nodes) if (node.kind === 'write') add(node.sink.topic);
  if (plan.onError.kind === 'skip') add(plan.onError.sink.topic);
  return ports;
}

/** Of the topics that are read. */
export function sourcePorts(plan: Plan): readonly TopicPort[] {
  return plan.nodes.flatMap((node) =>
    node.kind === 'source' && node.source.topic !== undefined ? [node.source.topic] : [],
  );
}

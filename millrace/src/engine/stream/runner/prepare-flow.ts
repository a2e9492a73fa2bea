/** What has to be true before a worker of a flow starts: topics exist, saved state fits, the topology is known. */
import type { Log, TopicDescription } from '../../../client/log.ts';
import type { Plan } from '../../../flow/plan.ts';
import { planTopology } from '../planning/plan-topology.ts';
import type { Topology } from '../topology.ts';
import { createFlowTopics, findTopics } from './flow-topics.ts';
import { checkSavedState, readSavedState, saveState, stateTopic } from './saved-state.ts';

export interface PreparedFlow {
  readonly topology: Topology;
  /** What the topology was planned from: partitions by topic. Whoever plans from the same gets the same. */
  readonly partitionsByTopic: ReadonlyMap<string, number>;
  /** Topics that are read. */
  readonly sources: ReadonlyMap<string, TopicDescription>;
  /** Another one after every reset: local state of another epoch is of another life. */
  readonly epoch: string;
}

export interface PrepareOptions {
  readonly partitions: number | undefined;
  readonly onMissing: ((missing: readonly string[]) => void) | undefined;
  readonly signal: AbortSignal;
}

/** @throws {MillraceError} ML_TOPIC_MISSING, ML_FLOW_CHANGED, ML_TOPIC_CHANGED, ML_FLOW_INVALID, ML_ABORTED */
export async function prepareFlow(
  log: Log,
  plan: Plan,
  options: PrepareOptions,
): Promise<PreparedFlow> {
  const sources = await findTopics(log, sourceTopics(plan), options.onMissing, options.signal);
  const written = await log.topics(sinkTopics(plan));
  const partitionsByTopic = new Map(
    [...written, ...sources].map(([name, { partitions }]) => [name, partitions]),
  );
  const topology = planFlow(plan, partitionsByTopic, options.partitions);
  const saved = await readSavedState(log, plan.name);
  if (saved !== undefined) checkSavedState(plan.name, saved, topology.stateFingerprint, sources);
  await saveState(log, plan.name, saved, {
    nodes: topology.stateFingerprint,
    sources,
    topics: topology.internalTopics.map(({ name }) => name),
  });
  await createFlowTopics(log, topology);
  const topic = stateTopic(plan.name);
  const epoch = (await log.topics([topic])).get(topic)?.id ?? '';
  return { topology, partitionsByTopic, sources, epoch };
}

export function planFlow(
  plan: Plan,
  partitionsByTopic: ReadonlyMap<string, number>,
  partitions: number | undefined,
): Topology {
  const topics = new Map(
    [...partitionsByTopic].map(([name, count]) => [name, { partitions: count }]),
  );
  return planTopology(plan, topics, { partitions });
}

export function sourceTopics(plan: Plan): string[] {
  return unique(
    plan.nodes.map((node) => (node.kind === 'source' ? node.source.topic?.name : undefined)),
  );
}

export function sinkTopics(plan: Plan): string[] {
  const { onError } = plan;
  return unique([
    ...plan.nodes.map((node) => (node.kind === 'write' ? node.sink.topic?.name : undefined)),
    onError.kind === 'skip' ? onError.sink.topic?.name : undefined,
  ]);
}

function unique(names: readonly (string | undefined)[]): string[] {
  return [...new Set(names.filter((name) => name !== undefined))];
}

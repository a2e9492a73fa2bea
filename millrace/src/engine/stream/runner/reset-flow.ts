/**
 * Forgets all that a flow has: the offsets of its group, its own topics (repartition, changelogs, saved state) and its state on this
 * machine. What it has written to topics stays. State on other machines is of another life then, which they see when they start.
 *
 * The order matters to whoever is cut off in the middle: what says what there is to delete goes last.
 */
import { refusedWith } from '../../../client/kafka/refusal.ts';
import type { Log, TopicPartition } from '../../../client/log.ts';
import { MillraceError } from '../../../core/errors.ts';
import type { Topology } from '../topology.ts';
import { TASKS_PROTOCOL } from '../worker/member-data.ts';
import { type FlowInstance, flowDirectory, lockAllInstances } from './flow-instance.ts';
import { readSavedState, stateTopic } from './saved-state.ts';

/** Where the flow begins next time. */
export type ResetTo = 'beginning' | 'end' | { readonly timestamp: number };

export interface ResetOptions {
  /** Default 'beginning'. */
  readonly to?: ResetTo;
}

export interface ResetResult {
  /** Topics that were deleted. */
  readonly topics: readonly string[];
  /** Where the flow begins, when that is not the beginning. */
  readonly offsets: readonly (TopicPartition & { readonly offset: number })[];
}

/**
 * @param dataDirectory absolute; where the flow keeps its state on this machine
 * @throws {MillraceError} ML_FLOW_BUSY while members of the flow are running
 */
export async function resetFlow(
  log: Log,
  topology: Topology,
  dataDirectory: string,
  options: ResetOptions = {},
): Promise<ResetResult> {
  const flow = topology.plan.name;
  const instances = await lockAllInstances(log.env, dataDirectory, flow);
  try {
    const offsets = await startOffsets(log, topology, options.to ?? 'beginning');
    await forgetGroup(log, flow, instances);
    const saved = await readSavedState(log, flow);
    const own = [...(saved?.topics ?? []), ...topology.internalTopics.map(({ name }) => name)];
    const topics = await deleteTopics(log, [...new Set(own), stateTopic(flow)]);
    if (offsets.length > 0) await log.setCommitted(flow, offsets);
    return { topics, offsets };
  } finally {
    for (const instance of instances) instance.release();
    await log.env.fs.removeDirectory(flowDirectory(dataDirectory, flow));
  }
}

async function startOffsets(
  log: Log,
  topology: Topology,
  to: ResetTo,
): Promise<(TopicPartition & { readonly offset: number })[]> {
  if (to === 'beginning') return [];
  const own = new Set(topology.internalTopics.map(({ name }) => name));
  const partitions = topology.stages.flatMap(({ inputs, partitions: count }) =>
    [...new Set(inputs.map(({ topic }) => topic))]
      .filter((topic) => !own.has(topic))
      .flatMap((topic) => Array.from({ length: count }, (_, partition) => ({ topic, partition }))),
  );
  const ends = await log.offsets(partitions, 'end');
  const found = to === 'end' ? ends : await log.offsets(partitions, to);
  return partitions.map((at, index) => ({ ...at, offset: found[index] ?? ends[index] ?? 0 }));
}

/**
 * A worker that ended in order keeps its place in the group for some seconds, so that a restart need not wait. Those of this machine,
 * whose locks are held here, are taken and left for good.
 */
async function forgetGroup(
  log: Log,
  flow: string,
  instances: readonly FlowInstance[],
): Promise<void> {
  if (await tryForget(log, flow)) return;
  for (const instance of instances) {
    for (const worker of log.env.fs.list(instance.directory)) {
      const number = /^worker-(\d+)$/.exec(worker)?.[1];
      if (number !== undefined) await takePlace(log, flow, `${instance.id}-${number}`);
    }
  }
  if (await tryForget(log, flow)) return;
  throw new MillraceError('ML_FLOW_BUSY', `flow '${flow}' has members that are running`, {
    fields: { flow },
  });
}

async function tryForget(log: Log, flow: string): Promise<boolean> {
  try {
    await log.deleteGroup(flow);
    return true;
  } catch (error) {
    if (refusedWith(error) === 'NON_EMPTY_GROUP') return false;
    throw error;
  }
}

async function takePlace(log: Log, flow: string, instanceId: string): Promise<void> {
  const member = log.member({
    group: flow,
    instanceId,
    protocols: [TASKS_PROTOCOL],
    topics: () => [],
    userData: () => Buffer.alloc(0),
    assign: () => Promise.resolve(new Map()),
    onRebalance: () => {},
  });
  try {
    await member.join();
  } finally {
    await member.leave();
  }
}

async function deleteTopics(log: Log, names: readonly string[]): Promise<string[]> {
  const found = await log.topics(names);
  const there = names.filter((name) => found.has(name));
  if (there.length > 0) await log.deleteTopics(there);
  return there;
}

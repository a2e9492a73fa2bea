/** Where a task reads on: where the group says, if the partition still holds that; else where the flow begins. */
import type { CommittedOffset, Log, TopicPartition } from '../../../client/log.ts';
import { MillraceError } from '../../../core/errors.ts';
import type { StreamTask } from '../task.ts';
import type { Topology } from '../topology.ts';
import { taskName } from './assign-tasks.ts';
import { inputTopics } from './member-data.ts';
import { partitionKey } from './task-run.ts';
import type { StartFrom } from './worker-types.ts';

const RESET_HINT =
  'Begin anew with `millrace reset PROGRAM`: state that was made of records that are gone cannot be made again. A longer `retention.ms` of the topic gives the flow more time';

/**
 * @returns an offset for each partition
 * @throws {MillraceError} ML_OFFSET_OUT_OF_RANGE: records that the flow has not read are gone
 */
export async function checkPositions(
  log: Log,
  partitions: readonly TopicPartition[],
  committed: readonly (CommittedOffset | undefined)[],
  options: {
    readonly flow: string;
    readonly startOf: (topic: string) => StartFrom;
    /** What others have deleted before the flow came to it is no loss. */
    readonly mayLose: (topic: string) => boolean;
  },
): Promise<number[]> {
  const [beginnings, ends] = await Promise.all([
    log.offsets(partitions, 'beginning'),
    log.offsets(partitions, 'end'),
  ]);
  const news = partitions.filter((_, index) => committed[index] === undefined);
  const starts = await timedStarts(log, news, options.startOf);
  return partitions.map(({ topic, partition }, index) => {
    const first = beginnings[index] ?? 0;
    const end = ends[index] ?? first;
    const offset = committed[index]?.offset;
    if (offset === undefined) {
      const from = options.startOf(topic);
      if (from === 'beginning') return first;
      return from === 'latest' ? end : (starts.get(partitionKey(topic, partition)) ?? end);
    }
    if (offset >= first && offset <= end) return offset;
    if (offset < first && options.mayLose(topic)) return first;
    throw outOfRange(options.flow, { topic, partition, offset, first, end });
  });
}

/**
 * For a task of which the group has committed nothing. State is committed together with offsets: where it is and they are not, a broker
 * has forgotten them, and all that was counted would be counted again.
 * @throws {MillraceError} ML_FLOW_CHANGED
 */
export function checkState({ id, state, changelogs }: StreamTask, flow: string): void {
  const filled = changelogs.find(({ store }) => (state.committedView(store)?.size ?? 0) > 0);
  if (filled === undefined) return;
  const { store } = filled;
  throw new MillraceError(
    'ML_FLOW_CHANGED',
    `the offsets that flow '${flow}' has committed for task ${taskName(id)} are gone, and its state in '${store}' is there: what that was made of would be read once more`,
    {
      hint: 'Brokers forget the offsets of a group that has had no members for `offsets.retention.minutes`: begin anew with `millrace reset PROGRAM`',
      fields: { flow, store },
    },
  );
}

/** The first records that are not older than the flow wants; a partition that has none is left out. */
async function timedStarts(
  log: Log,
  partitions: readonly TopicPartition[],
  startOf: (topic: string) => StartFrom,
): Promise<ReadonlyMap<string, number>> {
  const starts = new Map<string, number>();
  for (const at of partitions) {
    const from = startOf(at.topic);
    if (typeof from !== 'object') continue;
    const [offset] = await log.offsets([at], from);
    if (offset !== undefined) starts.set(partitionKey(at.topic, at.partition), offset);
  }
  return starts;
}

/** What a reader says whose records were deleted while it was on its way to them, in the words of the flow. */
export function recordsGone(error: MillraceError, { plan }: Topology): MillraceError {
  if (error.fields['flow'] !== undefined) return error;
  return new MillraceError(
    'ML_OFFSET_OUT_OF_RANGE',
    `records were deleted before flow '${plan.name}' had read them: ${error.message}`,
    { hint: RESET_HINT, cause: error, fields: { ...error.fields, flow: plan.name } },
  );
}

/** What a broker says that is told offsets of a topic that somebody has deleted, in the words of the flow. */
export async function topicGone(
  error: MillraceError,
  log: Log,
  topology: Topology,
): Promise<MillraceError> {
  const names = inputTopics(topology);
  const found = await log.topics(names);
  const missing = names.find((name) => !found.has(name));
  const flow = topology.plan.name;
  // Somebody was faster than this question: the name is another topic by now.
  if (missing === undefined)
    return new MillraceError(
      'ML_TOPIC_CHANGED',
      `a topic that flow '${flow}' reads was deleted and made anew meanwhile: it is one of ${names.join(', ')}`,
      { cause: error, fields: { flow } },
    );
  return new MillraceError(
    'ML_TOPIC_MISSING',
    `topic ${missing} was deleted while flow '${flow}' read it`,
    { cause: error, fields: { topic: missing, flow } },
  );
}

function outOfRange(
  flow: string,
  at: TopicPartition & { readonly offset: number; readonly first: number; readonly end: number },
): MillraceError {
  const { topic, partition, offset, first, end } = at;
  const why =
    offset < first
      ? `records ${offset} to ${first - 1} were deleted before the flow had read them`
      : `the partition ends at ${end}: the topic was deleted and made anew`;
  return new MillraceError(
    'ML_OFFSET_OUT_OF_RANGE',
    `flow '${flow}' has read topic ${topic} partition ${partition} up to offset ${offset}, but ${why}`,
    {
      hint: RESET_HINT,
      fields: { flow, topic, partition, offset, first, end },
    },
  );
}

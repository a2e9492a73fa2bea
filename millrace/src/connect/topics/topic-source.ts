/**
 * Topics read as far as they go: each partition from its first record to the end that it had when the job was planned, without
 * records of transactions that are open or were aborted. The order is that of partitions, then of offsets.
 */
import { Cluster, type Topic } from '../../client/kafka/cluster.ts';
import { DEFAULT_BROKERS, parseAddresses } from '../../client/kafka/addresses.ts';
import {
  listOffsets,
  type PartitionRange,
  partitionsOf,
  rangesOf,
  sizesOf,
} from '../../client/kafka/offset-ranges.ts';
import { connectKafka } from '../../client/kafka/kafka-log.ts';
import type { TopicPartition } from '../../client/log.ts';
import { MillraceError } from '../../core/errors.ts';
import { SPLIT_BYTES } from '../../core/limits.ts';
import type { PlanContext, Source, SourcePlan, Split, Until } from '../../flow/source.ts';
import type { TopicPort } from '../../flow/topic-port.ts';
import { timedTopic } from './timed-topic.ts';
import { TopicReader, type TopicSplit } from './topic-reader.ts';

/** What `topic(…)` gives to be read. */
export function topicSource(port: TopicPort): Source {
  const { name, only } = port;
  const source: Source = {
    kind: 'source',
    format: 'topic',
    label: `topic ${name}`,
    paths: Object.freeze([]),
    columns: undefined,
    topic: port,
    plan: (context) => planTopic(name, only, context),
    open: (split, context) => new TopicReader(split.data as TopicSplit, split.bytes, context, port),
    timed: () => timedTopic(source, port),
    ...(port.isTaken === true ? { taken: takeFromTopic } : {}),
  };
  return Object.freeze(source);
}

async function planTopic(
  name: string,
  asked: readonly number[] | undefined,
  context: PlanContext,
): Promise<SourcePlan> {
  const addresses = parseAddresses(context.brokers ?? DEFAULT_BROKERS);
  const cluster = await Cluster.connect(context.env, addresses);
  try {
    const topic = await cluster.topic(name);
    const all = partitionsOf(topic);
    for (const partition of asked ?? [])
      if (!all.includes(partition))
        throw new MillraceError('ML_TOPIC_MISSING', `topic ${name} has no partition ${partition}`, {
          fields: { topic: name, partition },
          hint: `It has ${all.length}, counted from 0`,
        });
    const partitions = asked ?? all;
    const ranges = await rangesOf(cluster, { topic, partitions, uncommitted: false });
    const sizes = await sizesOf(cluster, topic, partitions);
    const splits: Split[] = [];
    const ends = await endsOf(cluster, topic, ranges, context.until);
    for (const { partition, beginning } of ranges) {
      const end = ends.get(partition) ?? 0;
      const bytes = sizes.get(partition) ?? 0;
      for (const [from, to] of cutOffsets(beginning, end, bytes, context.splitBytes))
        splits.push({
          index: splits.length,
          bytes: Math.ceil((bytes / Math.max(end - beginning, 1)) * (to - from)),
          label: `topic ${name} partition ${partition} [${from}, ${to})`,
          data: { topic: name, partition, from, to } satisfies TopicSplit,
        });
    }
    return { splits, files: [] };
  } finally {
    await cluster.close();
  }
}

/** Deletes the records that were read. */
async function takeFromTopic(splits: readonly Split[], context: PlanContext): Promise<void> {
  if (splits.length === 0) return;
  const { env, brokers } = context;
  const before = new Map<number, TopicPartition & { readonly offset: number }>();
  for (const { data } of splits) {
    const { topic, partition, to } = data as TopicSplit;
    const known = before.get(partition)?.offset ?? 0;
    before.set(partition, { topic, partition, offset: Math.max(to, known) });
  }
  const log = await connectKafka(env, brokers === undefined ? {} : { brokers });
  try {
    await log.deleteRecords([...before.values()]);
  } finally {
    await log.close();
  }
}

/** Where each partition is read to. */
async function endsOf(
  cluster: Cluster,
  topic: Topic,
  ranges: readonly PartitionRange[],
  until: Until = { kind: 'now' },
): Promise<Map<number, number>> {
  const ends = new Map(ranges.map(({ partition, end }) => [partition, end]));
  const partitions = [...ends.keys()];
  const wanted =
    until.kind === 'time'
      ? await listOffsets(cluster, { topic, partitions, uncommitted: false }, until.ms)
      : new Map<number, number>();
  if (until.kind === 'offsets')
    for (const [partition, offset] of Object.entries(until.offsets[topic.name] ?? {}))
      wanted.set(Number(partition), offset);
  for (const [partition, end] of ends) {
    const offset = wanted.get(partition) ?? -1;
    // There is no such record: all are before it.
    if (offset >= 0) ends.set(partition, Math.min(offset, end));
  }
  return ends;
}

/** Pieces of nearly equal numbers of offsets, of about `splitBytes` each. */
function cutOffsets(
  beginning: number,
  end: number,
  bytes: number,
  splitBytes: number,
): [number, number][] {
  const offsets = end - beginning;
  if (offsets <= 0) return [];
  const wanted = Math.round(bytes / (splitBytes > 0 ? splitBytes : SPLIT_BYTES));
  const count = Math.min(Math.max(wanted, 1), offsets);
  return Array.from({ length: count }, (_, index) => [
    beginning + Math.floor((offsets / count) * index),
    index + 1 === count ? end : beginning + Math.floor((offsets / count) * (index + 1)),
  ]);
}

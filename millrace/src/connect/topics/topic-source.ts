/**
 * Topics read as far as they go: each partition from its first record to the end that it had when the job was planned, without
 * records of transactions that are open or were aborted. The order is that of partitions, then of offsets.
 */
import { Cluster } from '../../client/kafka/cluster.ts';
import { DEFAULT_BROKERS, parseAddresses } from '../../client/kafka/addresses.ts';
import { partitionsOf, rangesOf, sizesOf } from '../../client/kafka/offset-ranges.ts';
import { MillraceError } from '../../core/errors.ts';
import { SPLIT_BYTES } from '../../core/limits.ts';
import type { PlanContext, Source, SourcePlan, Split } from '../../flow/source.ts';
import type { TopicPort } from '../../flow/topic-port.ts';
import { TopicReader, type TopicSplit } from './topic-reader.ts';

/** What `topic(…)` gives to be read. */
export function topicSource(port: TopicPort): Source {
  const { name, key, value, only } = port;
  const source: Source = {
    kind: 'source',
    format: 'topic',
    label: `topic ${name}`,
    paths: Object.freeze([]),
    columns: undefined,
    topic: port,
    plan: (context) => planTopic(name, only, context),
    open: (split, context) =>
      new TopicReader(split.data as TopicSplit, split.bytes, context, { value, key }),
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
        throw new MillraceError('ML_INPUT_MISSING', `topic ${name} has no partition ${partition}`, {
          fields: { topic: name, partition },
          hint: `It has ${all.length}, counted from 0`,
        });
    const partitions = asked ?? all;
    const ranges = await rangesOf(cluster, { topic, partitions, uncommitted: false });
    const sizes = await sizesOf(cluster, topic, partitions);
    const splits: Split[] = [];
    for (const { partition, beginning, end } of ranges) {
      const bytes = sizes.get(partition) ?? 0;
      for (const [from, to] of cutOffsets(beginning, end, bytes, context.splitBytes))
        splits.push({
          index: splits.length,
          bytes: Math.ceil((bytes / (end - beginning)) * (to - from)),
          label: `topic ${name} partition ${partition} [${from}, ${to})`,
          data: { topic: name, partition, from, to } satisfies TopicSplit,
        });
    }
    return { splits, files: [] };
  } finally {
    await cluster.close();
  }
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

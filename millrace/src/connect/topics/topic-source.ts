/**
 * Topics read as far as they go: each partition from its first record to the end that it had when the job was planned, without
 * records of transactions that are open or were aborted. The order is that of partitions, then of offsets.
 */
import { Cluster } from '../../client/kafka/cluster.ts';
import { DEFAULT_BROKERS, parseAddresses } from '../../client/kafka/addresses.ts';
import { partitionsOf, rangesOf, sizesOf } from '../../client/kafka/offset-ranges.ts';
import { MillraceError } from '../../core/errors.ts';
import { SPLIT_BYTES } from '../../core/limits.ts';
import type { PlanContext, Readable, Source, SourcePlan, Split } from '../../flow/source.ts';
import { serdeOf, type SerdeName, type SerdeTypes } from './serdes.ts';
import type { Serde } from '../../flow/serde.ts';
import { TopicReader, type TopicSplit } from './topic-reader.ts';

type SerdeGiven = SerdeName | Serde<unknown>;
type Decoded<S> =
  S extends Serde<infer T> ? T : S extends SerdeName ? SerdeTypes[S] : SerdeTypes['string'];

export interface TopicOptions<Value extends SerdeGiven, Key extends SerdeGiven> {
  /** How values are written: `json()`, `string()`, `bytes()`, or their names. Default `string`. */
  readonly value?: Value;
  /** How keys are. Default `string`. */
  readonly key?: Key;
  /** Partitions to read, in this order. Default: all, from 0. */
  readonly partitions?: readonly number[];
}

/**
 * A topic of the brokers that `--brokers` names (default 127.0.0.1:9092). `f.read` gives the values of its records, `f.table` the latest
 * value of each key. A record without a value, or without a key, has null there, whatever the serde: say so in its type where it
 * happens, `json<Order | null>()`.
 *
 * When the job runs: ML_CONNECT_FAILED, ML_BROKER_REFUSED (no such topic), ML_INPUT_MALFORMED with partition and offset,
 * ML_OFFSET_OUT_OF_RANGE when records were deleted while they were read.
 * @example f.read(topic('orders', { value: json<Order>() })).keyBy((order) => order.customerId)
 */
export function topic<
  const Value extends SerdeGiven = 'string',
  const Key extends SerdeGiven = 'string',
>(name: string, options: TopicOptions<Value, Key> = {}): Readable<Decoded<Value>, Decoded<Key>> {
  return { source: () => topicSource<Decoded<Value>, Decoded<Key>>(name, options) };
}

function topicSource<Value, Key>(
  name: string,
  options: TopicOptions<SerdeGiven, SerdeGiven>,
): Source<Value, Key> {
  const value = serdeOf<Value>((options.value ?? 'string') as SerdeName | Serde<Value>);
  const key = serdeOf<Key>((options.key ?? 'string') as SerdeName | Serde<Key>);
  const source: Source<Value, Key> = {
    kind: 'source',
    format: 'topic',
    label: `topic ${name}`,
    paths: Object.freeze([]),
    columns: undefined,
    plan: (context) => planTopic(name, options.partitions, context),
    open: (split, context) =>
      new TopicReader<Value, Key>(split.data as TopicSplit, split.bytes, context, { value, key }),
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

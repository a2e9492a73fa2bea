/** What a topic holds: the offsets of each partition, and its bytes on disk. */
import { MillraceError } from '../../core/errors.ts';
import { messages } from '../../wire/kafka/registry.ts';
import type { Cluster, Topic } from './cluster.ts';
import { accept } from './refusal.ts';

export interface PartitionRange {
  readonly partition: number;
  readonly beginning: number;
  /** Offset after the last record; for readers of committed data, of the last stable one. */
  readonly end: number;
}

export interface Reading {
  readonly topic: Topic;
  readonly partitions: readonly number[];
  /** Whether records of open transactions count. */
  readonly uncommitted: boolean;
}

const BEGINNING = -2;
const END = -1;

/** First offset, and the offset after the last, of each partition. */
export async function rangesOf(cluster: Cluster, reading: Reading): Promise<PartitionRange[]> {
  const beginning = await listOffsets(cluster, reading, BEGINNING);
  const end = await listOffsets(cluster, reading, END);
  return reading.partitions.map((partition) => ({
    partition,
    beginning: beginning.get(partition) ?? 0,
    end: end.get(partition) ?? 0,
  }));
}

/** What ListOffsets says for one timestamp, by partition; -1 where there is no such record. */
export async function listOffsets(
  cluster: Cluster,
  reading: Reading,
  timestamp: number,
): Promise<Map<number, number>> {
  return cluster.retrying(async () => {
    const topic = await cluster.topic(reading.topic.name);
    const offsets = new Map<number, number>();
    for (const [leader, partitions] of byLeader(topic, reading.partitions)) {
      const answer = await cluster.callOn(leader, messages[2], {
        replicaId: -1,
        isolationLevel: reading.uncommitted ? 0 : 1,
        topics: [
          {
            name: topic.name,
            partitions: partitions.map((partitionIndex) => ({ partitionIndex, timestamp })),
          },
        ],
      });
      for (const each of answer.topics[0]?.partitions ?? []) {
        accept(each.errorCode);
        offsets.set(each.partitionIndex, each.offset);
      }
    }
    return offsets;
  });
}

/** Bytes on disk of each partition, as its leader tells; empty where brokers do not tell (that needs a right of its own). */
export async function sizesOf(
  cluster: Cluster,
  topic: Topic,
  partitions: readonly number[],
): Promise<Map<number, number>> {
  const sizes = new Map<number, number>();
  try {
    for (const [leader, some] of byLeader(topic, partitions)) {
      const answer = await cluster.callOn(leader, messages[35], {
        topics: [{ topic: topic.name, partitions: some }],
      });
      for (const { topics } of answer.results)
        for (const each of topics.find(({ name }) => name === topic.name)?.partitions ?? [])
          sizes.set(each.partitionIndex, each.partitionSize);
    }
  } catch (error) {
    // An estimate only: whatever is wrong with the broker shows when the records are asked for.
    if (!(error instanceof MillraceError)) throw error;
  }
  return sizes;
}

/** All partitions of a topic. */
export function partitionsOf(topic: Topic): number[] {
  return topic.leaders.map((_, partition) => partition);
}

function byLeader(topic: Topic, partitions: readonly number[]): Map<number, number[]> {
  const leaders = new Map<number, number[]>();
  for (const partition of partitions) {
    const leader = topic.leaders[partition] ?? -1;
    leaders.set(leader, [...(leaders.get(leader) ?? []), partition]);
  }
  return leaders;
}

/** Positions turned into offsets, partition by partition. */
import { messages } from '../wire/kafka/registry.ts';
import type { Cluster, Topic } from '../client/kafka/cluster.ts';
import { accept } from '../client/kafka/refusal.ts';
import { listOffsetsTimestamp, type Position } from './positions.ts';

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

/** What ListOffsets says for one timestamp, by partition; -1 where there is no such record. */
async function list(
  cluster: Cluster,
  reading: Reading,
  timestamp: number,
): Promise<Map<number, number>> {
  return cluster.retrying(async () => {
    const topic = await cluster.topic(reading.topic.name);
    const offsets = new Map<number, number>();
    for (const leader of new Set(reading.partitions.map((each) => topic.leaders[each] ?? -1))) {
      const answer = await cluster.callOn(leader, messages[2], {
        replicaId: -1,
        isolationLevel: reading.uncommitted ? 0 : 1,
        topics: [
          {
            name: topic.name,
            partitions: reading.partitions
              .filter((partition) => topic.leaders[partition] === leader)
              .map((partitionIndex) => ({ partitionIndex, timestamp })),
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

/** First offset, and the offset after the last, of each partition. */
export async function rangesOf(cluster: Cluster, reading: Reading): Promise<PartitionRange[]> {
  const beginning = await list(cluster, reading, BEGINNING);
  const end = await list(cluster, reading, END);
  return reading.partitions.map((partition) => ({
    partition,
    beginning: beginning.get(partition) ?? 0,
    end: end.get(partition) ?? 0,
  }));
}

/**
 * The offset of a position in each partition, kept within what the partition holds. A time later than every record is the end.
 * @param ranges from `rangesOf` for the same reading
 */
export async function offsetsAt(
  cluster: Cluster,
  reading: Reading,
  ranges: readonly PartitionRange[],
  position: Position,
): Promise<Map<number, number>> {
  const found =
    position.kind === 'time'
      ? await list(cluster, reading, listOffsetsTimestamp(position))
      : undefined;
  const offsets = new Map<number, number>();
  for (const range of ranges) offsets.set(range.partition, offsetIn(range, position, found));
  return offsets;
}

function offsetIn(
  range: PartitionRange,
  position: Position,
  found: ReadonlyMap<number, number> | undefined,
): number {
  switch (position.kind) {
    case 'beginning':
      return range.beginning;
    case 'end':
      return range.end;
    case 'offset':
      return Math.min(Math.max(position.offset, range.beginning), range.end);
    case 'time': {
      const offset = found?.get(range.partition) ?? -1;
      return offset < 0 ? range.end : Math.min(offset, range.end);
    }
  }
}

/** All partitions of a topic. */
export function partitionsOf(topic: Topic): number[] {
  return topic.leaders.map((_, partition) => partition);
}

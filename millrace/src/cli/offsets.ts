/** Positions turned into offsets, partition by partition. */
import type { Admin } from '@platformatic/kafka';
import { listOffsetsTimestamp, type Position } from './positions.ts';

export interface PartitionRange {
  readonly partition: number;
  readonly beginning: number;
  readonly end: number;
}

/** How many partitions a topic has. Asks once, without creating the topic. */
export async function partitionsOf(admin: Admin, topic: string): Promise<number[]> {
  const metadata = await admin.metadata({
    topics: [topic],
    autocreateTopics: false,
    forceUpdate: true,
  });
  const count = metadata.topics.get(topic)?.partitionsCount ?? 0;
  return Array.from({ length: count }, (_, partition) => partition);
}

async function list(
  admin: Admin,
  topic: string,
  partitions: readonly number[],
  timestamp: bigint,
): Promise<Map<number, number>> {
  const listed = await admin.listOffsets({
    topics: [
      {
        name: topic,
        partitions: partitions.map((partitionIndex) => ({ partitionIndex, timestamp })),
      },
    ],
  });
  const offsets = new Map<number, number>();
  for (const each of listed) {
    if (each.name !== topic) continue;
    for (const one of each.partitions) offsets.set(one.partitionIndex, Number(one.offset));
  }
  return offsets;
}

/** First offset, and the offset after the last, of each partition. */
export async function rangesOf(
  admin: Admin,
  topic: string,
  partitions: readonly number[],
): Promise<PartitionRange[]> {
  const beginning = await list(admin, topic, partitions, -2n);
  const end = await list(admin, topic, partitions, -1n);
  return partitions.map((partition) => ({
    partition,
    beginning: beginning.get(partition) ?? 0,
    end: end.get(partition) ?? 0,
  }));
}

/** The offset of a position in each partition, kept within what the partition holds. A time later than every record is the end. */
export async function offsetsAt(
  admin: Admin,
  topic: string,
  ranges: readonly PartitionRange[],
  position: Position,
): Promise<Map<number, number>> {
  const found =
    position.kind === 'time'
      ? await list(
          admin,
          topic,
          ranges.map((range) => range.partition),
          listOffsetsTimestamp(position),
        )
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
      return offset < 0 ? range.end : offset;
    }
  }
}

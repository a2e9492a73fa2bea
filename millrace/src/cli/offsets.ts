/** Positions turned into offsets, partition by partition. */
import type { Cluster } from '../client/kafka/cluster.ts';
import { listOffsets, type PartitionRange, type Reading } from '../client/kafka/offset-ranges.ts';
import { listOffsetsTimestamp, type Position } from './positions.ts';

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
      ? await listOffsets(cluster, reading, listOffsetsTimestamp(position))
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

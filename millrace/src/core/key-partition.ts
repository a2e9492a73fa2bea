/**
 * Which partition of a hash exchange, or of a table, a key belongs to. The tag of the encoding is left out of the hash, so that
 * strings and bytes are where Kafka's clients put them: a table and a topic with equally many partitions go together.
 * NOTE: decides where records of stored tables are: do not change.
 */
import { partitionOf } from './murmur2.ts';

/**
 * @param bytes bytes[start, end) is a key as `encodeKey` writes it
 * @param partitions how many there are, at least 1
 */
export function partitionOfKey(
  bytes: Uint8Array,
  start: number,
  end: number,
  partitions: number,
): number {
  return partitions === 1 ? 0 : partitionOf(bytes, partitions, start + 1, end);
}

/** For people: how the partition of a record is chosen. */
import type { Partitioner } from '../topology.ts';

export function partitionerText(partitioner: Partitioner): string {
  if (partitioner === 'key-codec') return 'key';
  if (partitioner === 'spread') return 'nothing';
  return `key as ${partitioner.serde.name}`;
}

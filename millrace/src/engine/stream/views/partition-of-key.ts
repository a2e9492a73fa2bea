/** In which partition of a view a key is. */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import { partitionOfKey } from '../../../core/key-partition.ts';
import { KeyBytes } from '../task/sink-exit.ts';
import { schemeOfTopic } from '../planning/schemes.ts';
import type { Partitioner, Topology } from '../topology.ts';
import type { ViewSpec } from './view-spec.ts';

export interface KeyPlace {
  readonly partition: number;
  /** The flow has put it there itself. Otherwise somebody has who writes a topic, and might have done otherwise. */
  readonly isSure: boolean;
}

/** undefined: it cannot be told. */
export function placeOfKey(topology: Topology, spec: ViewSpec, key: unknown): KeyPlace | undefined {
  if (spec.partitions === 1) return { partition: 0, isSure: true };
  const { inputs = [] } = topology.stages[spec.stage] ?? {};
  const exchanges = inputs.flatMap(({ from }) => (from.kind === 'exchange' ? [from.exchange] : []));
  const own = exchanges.find(({ to }) =>
    to.some(({ node, role }) => node === spec.at.node && role === spec.at.role),
  );
  const isSure = own !== undefined && own.partitioner !== 'spread';
  // All that is kept by keys in a stage is partitioned alike.
  const partitioner = own?.partitioner ?? exchanges[0]?.partitioner ?? partitionerOfSource(inputs);
  const partition = partitioner === undefined ? undefined : partitionOf(partitioner, key, spec);
  return partition === undefined ? undefined : { partition, isSure };
}

function partitionerOfSource(
  inputs: Topology['stages'][number]['inputs'],
): Partitioner | undefined {
  for (const { from } of inputs)
    if (from.kind === 'source') return schemeOfTopic(from.port.key, 1).partitioner;
  return undefined;
}

function partitionOf(
  partitioner: Partitioner,
  key: unknown,
  { partitions }: ViewSpec,
): number | undefined {
  if (partitioner === 'spread') return undefined;
  if (partitioner === 'key-codec') {
    const writer = new ByteWriter(64);
    encodeKey(key, writer);
    return partitionOfKey(writer.buffer, 0, writer.length, partitions);
  }
  try {
    return new KeyBytes().partitionOf(partitioner.serde.encode(key), partitions);
  } catch {
    // A key of another kind than the topic has is in none.
    return undefined;
  }
}

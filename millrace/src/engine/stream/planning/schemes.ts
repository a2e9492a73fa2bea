/** Which partitions keys are in, and whether two streams agree about that. */
import type { TopicPort } from '../../../flow/topic-port.ts';
import type { Partitioner } from '../topology.ts';
import type { Placed, Scheme } from './stage-graph.ts';

/** Keys that are strings and bytes are where `key-codec` puts them, too. */
const LIKE_KEY_CODEC: ReadonlySet<string> = new Set(['string', 'bytes', 'text']);

/** Records without a key are anywhere. */
export function schemeOfTopic(key: TopicPort['key'], partitions: number): Scheme {
  const id = LIKE_KEY_CODEC.has(key.name) ? 'key-codec' : `serde ${key.name}`;
  return { partitions, id, partitioner: { serde: key } };
}

export function schemeOfKeys(partitions: number): Scheme {
  return { partitions, id: 'key-codec', partitioner: 'key-codec' };
}

/** Of results over windows: they are where the key without the window was. */
export function windowedScheme(scheme: Scheme): Scheme {
  return {
    partitions: scheme.partitions,
    id: `windowed ${scheme.id}`,
    partitioner: undefined,
  };
}

/** Whether equal keys of both are in equal partitions. */
export function isSameScheme(one: Scheme, other: Scheme): boolean {
  if (one.partitions !== other.partitions) return false;
  return one.partitions === 1 || one.id === other.id;
}

export function isSamePartitioner(one: Partitioner, other: Partitioner): boolean {
  if (typeof one === 'string' || typeof other === 'string') return one === other;
  return one.serde.name === other.serde.name;
}

/** What all of these have in common; undefined: nothing. */
export function commonScheme(placed: readonly Placed[]): Scheme | undefined {
  const first = placed[0]?.scheme;
  if (first === undefined) return undefined;
  const isCommon = placed.every(
    ({ scheme }) => scheme !== undefined && isSameScheme(scheme, first),
  );
  return isCommon ? first : undefined;
}

/**
 * Where a reader of a topic stands, as text: of each partition the offset that comes next, `0:123,1:456`. The id of events, and what
 * `Last-Event-ID` and `from` say.
 */
import { TOPIC_PARTITIONS_MAX } from '../../core/limits.ts';

export type OffsetVector = ReadonlyMap<number, number>;

const VECTOR = /^\d{1,5}:\d{1,16}(?:,\d{1,5}:\d{1,16})*$/;

/** undefined: it is none. */
export function parseVector(text: string): OffsetVector | undefined {
  if (!VECTOR.test(text)) return undefined;
  const vector = new Map<number, number>();
  for (const place of text.split(',')) {
    const colon = place.indexOf(':');
    const partition = Number(place.slice(0, colon));
    const offset = Number(place.slice(colon + 1));
    if (vector.has(partition) || partition >= TOPIC_PARTITIONS_MAX) return undefined;
    if (!Number.isSafeInteger(offset)) return undefined;
    vector.set(partition, offset);
  }
  return vector;
}

/** In the order of its partitions. */
export function vectorText(vector: OffsetVector): string {
  return [...vector]
    .toSorted(([left], [right]) => left - right)
    .map(([partition, offset]) => `${partition}:${offset}`)
    .join(',');
}

/** The text around the offset of one partition, for who writes many that differ in that one. */
export function aroundVector(
  vector: OffsetVector,
  partition: number,
): { readonly before: string; readonly after: string } {
  const below = new Map([...vector].filter(([each]) => each < partition));
  const above = new Map([...vector].filter(([each]) => each > partition));
  const before = below.size === 0 ? '' : `${vectorText(below)},`;
  const after = above.size === 0 ? '' : `,${vectorText(above)}`;
  return { before: `${before}${partition}:`, after };
}

/**
 * Which segments to rewrite together without what is not live. Pure: nothing here touches a file.
 *
 *    ████████  ██░░░░░░  ░░░░░░░░  █░  ░   █░  ████████
 *     dense     sparse    sparse     small       dense
 *              ╰────────── one group ──────╯
 *
 * Sparse: less than half of its records is live. Small ones are what is left of others; they are joined, or there would be ever more
 * ever smaller files. So each byte is rewritten about once for each time that what is left has halved.
 */

/** Largest distance of an offset from the base of its segment. */
const RELATIVE_OFFSET_MAX = 2 ** 31 - 1;
/** Less than this part of a full segment is small. */
const SMALL_PART = 4;
/** So many small neighbours are worth to be joined. */
const SMALL_SEGMENTS_MIN = 4;

export interface ReclaimableSegment {
  readonly baseOffset: number;
  /** Exclusive. */
  readonly endOffset: number;
  readonly sizeBytes: number;
  /** Records in it, without markers; at least `live`. */
  readonly records: number;
  readonly live: number;
  /** First offset of the aborted transactions that end in it; Infinity when there are none. */
  readonly abortedFrom: number;
}

/**
 * @param segments neighbours, in their order; those that cannot be rewritten are not among them, so there may be gaps
 * @param firstOffset base offset of the first segment of the log
 */
export function planReclaim<T extends ReclaimableSegment>(
  segments: readonly T[],
  options: { readonly segmentBytes: number; readonly firstOffset: number },
): T[][] {
  const { segmentBytes, firstOffset } = options;
  const groups: T[][] = [];
  let group: T[] = [];
  let bytes = 0;
  for (const segment of segments) {
    const isLight = isSparse(segment) || segment.sizeBytes < segmentBytes / SMALL_PART;
    const [head] = group;
    const last = group[group.length - 1];
    const fits =
      head !== undefined &&
      last?.endOffset === segment.baseOffset &&
      bytes + liveBytes(segment) <= segmentBytes &&
      segment.endOffset - 1 - head.baseOffset <= RELATIVE_OFFSET_MAX;
    if (!isLight || !fits) {
      groups.push(group);
      group = [];
      bytes = 0;
    }
    if (!isLight) continue;
    // What a transaction has written before must not become visible: its marker goes with all of it, or stays.
    const base = group[0]?.baseOffset ?? segment.baseOffset;
    if (base > firstOffset && segment.abortedFrom < base) {
      groups.push(group);
      group = [];
      bytes = 0;
      continue;
    }
    group.push(segment);
    bytes += liveBytes(segment);
  }
  groups.push(group);
  return groups.filter((members) => members.some(isSparse) || members.length >= SMALL_SEGMENTS_MIN);
}

export function isSparse(segment: { readonly records: number; readonly live: number }): boolean {
  return segment.live * 2 < segment.records;
}

function liveBytes({ sizeBytes, records, live }: ReclaimableSegment): number {
  return records === 0 ? sizeBytes : sizeBytes * (live / records);
}

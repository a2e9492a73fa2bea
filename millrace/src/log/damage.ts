/**
 * Damage in a segment: bytes below the recovery point that are not what was written. It is never cut off and never
 * skipped in silence: it has a range of offsets that reads answer with CORRUPT_MESSAGE, and everything behind it is served.
 */
import { baseOffset, batchBytes, HEADER_BYTES } from '../wire/kafka/records/record-batch.ts';
import { canBeHeader, findBatch, readBatch, isGoodBatch } from './batch-walk.ts';
import type { ReadableLog } from './readable-log.ts';
import type { DamagedRange, Segment } from './segment.ts';

/**
 * The damaged range that begins at `position`, where the batch with offset `expected` should be. Looks for its end the
 * first time, logs and counts it then.
 * @param endOffset one past the last offset that the segment can hold
 */
export function damagedRangeAt(
  log: ReadableLog,
  segment: Segment,
  position: number,
  offsets: { readonly expected: number; readonly end: number },
): DamagedRange {
  const known = knownDamage(segment, position);
  if (known !== undefined) return known;
  const next = nextGood(segment, position, offsets);
  const range: DamagedRange = {
    start: position,
    end: next?.position ?? segment.sizeBytes,
    firstOffset: offsets.expected,
    endOffset: next?.baseOffset ?? offsets.end,
  };
  segment.damaged.push(range);
  log.context.counters.damagedRanges++;
  log.context.logger.error('A segment is damaged: the disk does not hold what was written', {
    ...log.id,
    path: segment.path,
    ...range,
  });
  return range;
}

/** The damage that was found at `position` before. */
export function knownDamage(segment: Segment, position: number): DamagedRange | undefined {
  if (segment.damaged.length === 0) return undefined;
  return segment.damaged.find((range) => range.start <= position && position < range.end);
}

function nextGood(
  segment: Segment,
  position: number,
  offsets: { readonly expected: number; readonly end: number },
): { readonly position: number; readonly baseOffset: number } | undefined {
  const file = segment.use();
  const end = segment.sizeBytes;
  // Most damage is inside a batch whose length is still right.
  const batch = readBatch(file, position, end);
  if (batch !== undefined && canBeHeader(batch, 0)) {
    const next = position + batchBytes(batch, 0);
    if (next === end) return undefined;
    const head = end - next >= HEADER_BYTES ? readBatch(file, next, end) : undefined;
    const offset = head === undefined ? -1 : baseOffset(head, 0);
    if (offset > offsets.expected && offset < offsets.end && isGoodBatch(file, next, end))
      return { position: next, baseOffset: offset };
  }
  return findBatch(file, position + 1, end, { first: offsets.expected + 1, end: offsets.end });
}

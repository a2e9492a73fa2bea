/**
 * Comparing text that is bytes. The order of text is that of its bytes: see `flow/compare-text.ts`.
 *
 * @hot
 */

/** Whether text[start, end) is `part`. */
export function isPart(text: Uint8Array, start: number, end: number, part: Uint8Array): boolean {
  const { length } = part;
  return end - start === length && hasPartAt(text, start, part, length);
}

/** Whether the `length` bytes of `part` are at `start`; there must be so many. */
export function hasPartAt(
  text: Uint8Array,
  start: number,
  part: Uint8Array,
  length: number,
): boolean {
  for (let index = 0; index < length; index++)
    if (text[start + index] !== part[index]) return false;
  return true;
}

/** Below 0, 0 or above 0, as the text a[aStart, aEnd) is before, equal to or after b[bStart, bEnd). */
export function compareBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const aLength = aEnd - aStart;
  const bLength = bEnd - bStart;
  const length = aLength < bLength ? aLength : bLength;
  for (let index = 0; index < length; index++) {
    const difference = (a[aStart + index] as number) - (b[bStart + index] as number);
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

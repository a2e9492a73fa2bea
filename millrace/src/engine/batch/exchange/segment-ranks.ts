/** Where in a sorted segment a key is: found in its index, then in the few blocks that the index leaves open. */
import type { RunStorage } from '../exchange.ts';
import type { RunSegment } from '../stage.ts';
import type { IndexEntry, SegmentIndex } from './run-format.ts';
import { keyBytesOf, keyWord } from './run-format.ts';
import type { RankRange, ReadBuffer, SeekPoint } from './segment-cursor.ts';
import { SEGMENT_START, SegmentCursor } from './segment-cursor.ts';

/** Records of the segment whose keys are before `key`. `buffer` has room for the largest block. */
export function rankOf(
  key: Buffer,
  segment: RunSegment,
  index: SegmentIndex,
  storage: RunStorage,
  buffer: ReadBuffer,
): number {
  const from = lastBefore(index.entries, key);
  const range: RankRange = { from: from.ordinal, to: segment.records };
  const region = { buffer, start: 0, end: index.blockBytesMax };
  const cursor = new SegmentCursor(segment, index, storage, region, range, from);
  let rank = from.ordinal;
  try {
    while (cursor.advance() && isBefore(buffer, cursor.at, key)) rank++;
  } finally {
    cursor.close();
  }
  return rank;
}

/** The last indexed block that begins at rank `rank` or before. */
export function seekPoint(index: SegmentIndex, rank: number): SeekPoint {
  return lastWhere(index.entries, (entry) => entry.ordinal <= rank);
}

/** The last indexed block that surely begins with a key before `key`. */
function lastBefore(entries: readonly IndexEntry[], key: Buffer): SeekPoint {
  return lastWhere(entries, (entry) => {
    // Of a key that was cut, what is missing may make it larger than `key`.
    const other = entry.isCut ? key.subarray(0, entry.key.length) : key;
    return entry.key.compare(other) < 0;
  });
}

/** `holds` is true for the first entries, then false. */
function lastWhere(
  entries: readonly IndexEntry[],
  holds: (entry: IndexEntry) => boolean,
): SeekPoint {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = entries[middle];
    if (entry !== undefined && holds(entry)) low = middle + 1;
    else high = middle;
  }
  return entries[low - 1] ?? SEGMENT_START;
}

function isBefore({ words, bytes }: ReadBuffer, at: number, key: Buffer): boolean {
  const start = keyWord(words, at) * 4;
  return bytes.compare(key, 0, key.length, start, start + keyBytesOf(words, at)) < 0;
}

/**
 * Reads a partition of an exchange: plans which records of which runs are wanted, merges runs in passes when there are too many
 * for the memory, then hands over to the merge or to the concatenation.
 */
import { MERGE_RUNS_MAX, RUN_BUFFER_BYTES, RUN_READ_BYTES } from '../../../core/limits.ts';
import type { MergeReader, MergeReaderOptions, RunStorage } from '../exchange.ts';
import type { KeyRange, RunSegment } from '../stage.ts';
import { ConcatReader } from './concat-reader.ts';
import { KeyMerge } from './key-merge.ts';
import type { SegmentIndex } from './run-format.ts';
import { RunWriter } from './run-writer.ts';
import type { RankRange, RunPart } from './segment-cursor.ts';
import { createReadBuffer, readIndex, SEGMENT_START } from './segment-cursor.ts';
import { rankOf, seekPoint } from './segment-ranks.ts';

/**
 * Opens the read. Usage: see `MergeReader`.
 * @throws {MillraceError} ML_IO when a run is not what was written; ML_DISK_FULL when passes need more room than there is
 */
export function createMergeReader(options: MergeReaderOptions): MergeReader {
  const { read, storage } = options;
  const segments = read.runs.filter(({ records }) => records > 0);
  const { range } = read;
  const needsEntries = range !== undefined;
  let parts = segments.map((segment) =>
    planPart(segment, readIndex(segment, storage, needsEntries), range, storage),
  );
  const isSorted = parts.every(({ index }) => index.isSorted);
  const isConcatenation = !isSorted || parts.length < 2 || isOneKey(range);
  const slice = range?.slice;
  const total = parts.reduce((sum, part) => sum + count(part), 0);
  const ranks: RankRange =
    slice === undefined
      ? { from: 0, to: total }
      : {
          from: Math.floor((total * slice.index) / slice.count),
          to: Math.floor((total * (slice.index + 1)) / slice.count),
        };
  if (isConcatenation) {
    parts = cutParts(parts, ranks, storage).filter((part) => count(part) > 0);
    return new ConcatReader(parts, storage, concatBytes(parts, options.memoryBytes));
  }
  const merge = mergeOf(
    parts.filter((part) => count(part) > 0),
    options,
  );
  for (let rank = 0; rank < ranks.from; rank++) merge.next();
  merge.restart(ranks.to - ranks.from);
  return merge;
}

function planPart(
  segment: RunSegment,
  index: SegmentIndex,
  range: KeyRange | undefined,
  storage: RunStorage,
): RunPart {
  let from = 0;
  let to = segment.records;
  if (range?.from !== undefined || range?.to !== undefined) {
    const buffer = createReadBuffer(index.blockBytesMax);
    const rank = (key: string): number =>
      rankOf(Buffer.from(key, 'base64'), segment, index, storage, buffer);
    if (range.from !== undefined) from = rank(range.from);
    if (range.to !== undefined) to = Math.max(from, rank(range.to));
  }
  const seek = range === undefined ? SEGMENT_START : seekPoint(index, from);
  return { segment, index: withoutEntries(index), range: { from, to }, seek };
}

/** Entries of all runs together may be large; nobody needs them any more. */
function withoutEntries(index: SegmentIndex): SegmentIndex {
  return { ...index, entries: [] };
}

function count(part: RunPart): number {
  return part.range.to - part.range.from;
}

/** The range of all that equals `from` ends with the very next key, which is longer by a zero. */
function isOneKey(range: KeyRange | undefined): boolean {
  if (range?.from === undefined || range.to === undefined) return false;
  const from = Buffer.from(range.from, 'base64');
  const to = Buffer.from(range.to, 'base64');
  return to.length === from.length + 1 && to[from.length] === 0 && to.subarray(0, -1).equals(from);
}

/** The records with rank `ranks.from` and above, below `ranks.to`, of the parts one after the other. */
function cutParts(parts: readonly RunPart[], ranks: RankRange, storage: RunStorage): RunPart[] {
  let before = 0;
  return parts.map((part) => {
    const start = part.range.from - before;
    const from = clamp(start + ranks.from, part.range);
    const to = clamp(start + ranks.to, part.range);
    before += count(part);
    if (from === part.range.from) return { ...part, range: { from, to } };
    const seek = seekPoint(readIndex(part.segment, storage, true), from);
    return { ...part, range: { from, to }, seek };
  });
}

function clamp(value: number, { from, to }: RankRange): number {
  return Math.min(Math.max(value, from), to);
}

function concatBytes(parts: readonly RunPart[], memoryBytes: number): number {
  const largest = parts.reduce((bytes, { segment }) => Math.max(bytes, segment.bytes), 0);
  return Math.min(largest, RUN_READ_BYTES, memoryBytes);
}

/** Merges the parts in passes until the rest fits, then opens the rest. */
function mergeOf(all: readonly RunPart[], options: MergeReaderOptions): KeyMerge {
  const { storage } = options;
  const bufferBytes = Math.min(RUN_BUFFER_BYTES, Math.floor(options.memoryBytes / 16)) & ~3;
  const temporary: string[] = [];
  let parts = [...all];
  try {
    for (;;) {
      const fanIn = runsAtOnce(parts, options.memoryBytes);
      if (parts.length <= fanIn) break;
      const width = Math.min(
        runsAtOnce(parts, options.memoryBytes - bufferBytes),
        parts.length - fanIn + 1,
      );
      const first = cheapest(parts, width);
      const buffer = new Int32Array(Math.max(bufferBytes, PASS_BUFFER_BYTES_MIN) / 4);
      const group = parts.slice(first, first + width);
      const merged = mergePass(group, storage, options.memoryBytes - bufferBytes, buffer);
      temporary.push(merged.segment.path);
      parts = [...parts.slice(0, first), merged, ...parts.slice(first + width)];
      for (const { segment } of group) {
        const at = temporary.indexOf(segment.path);
        if (at < 0) continue;
        storage.remove(segment.path);
        temporary.splice(at, 1);
      }
    }
    return new KeyMerge(parts, storage, options.memoryBytes, temporary);
  } catch (error) {
    for (const path of temporary) storage.remove(path);
    throw error;
  }
}

const PASS_BUFFER_BYTES_MIN = 2_048;

/** How many runs there is memory for: 2 at least, whatever their records take. */
function runsAtOnce(parts: readonly RunPart[], memoryBytes: number): number {
  const largest = parts.reduce((bytes, { index }) => Math.max(bytes, index.blockBytesMax), 0);
  return Math.max(2, Math.min(MERGE_RUNS_MAX, Math.floor(memoryBytes / largest)));
}

/** Where the neighbours begin that have the fewest bytes together. */
function cheapest(parts: readonly RunPart[], width: number): number {
  let best = 0;
  let bestBytes = Number.POSITIVE_INFINITY;
  for (let first = 0; first + width <= parts.length; first++) {
    let bytes = 0;
    for (let index = first; index < first + width; index++)
      bytes += parts[index]?.segment.bytes ?? 0;
    if (bytes < bestBytes) {
      best = first;
      bestBytes = bytes;
    }
  }
  return best;
}

function mergePass(
  group: readonly RunPart[],
  storage: RunStorage,
  memoryBytes: number,
  buffer: Int32Array,
): RunPart {
  const merge = new KeyMerge(group, storage, memoryBytes, []);
  try {
    const writer = new RunWriter(storage, true, buffer);
    while (merge.next()) writer.add(merge.words, merge.at);
    const { segment } = writer.endSegment();
    writer.close();
    const index = readIndex(segment, storage, false);
    return { segment, index, range: { from: 0, to: segment.records }, seek: SEGMENT_START };
  } finally {
    merge.close();
  }
}

/**
 * Putting a compacted segment in the place of those that it was made of, so that a power cut at any step leaves either
 * all of the old ones or the new one.
 *
 * The names say everything that a start has to know:
 *
 *   <base offset>.<end offset>.cleaned   being written; worth nothing
 *   <base offset>.<end offset>.swap      complete; takes the place of all segments that begin in [base, end)
 *
 * Steps, each durable before the next:
 *   1. the file is written and synced as `.cleaned`, renamed to `.swap`, the directory synced: from here on it counts
 *   2. the files of the old segments are removed, except the first one's `.log`
 *   3. `.swap` is renamed over that `.log`
 *
 * Invariant: as long as a file of an old segment may be there, so is the `.swap` that says that it is void. Step 3 is
 * atomic, and begins when all others are gone for good.
 */
import type { FileSystem } from '../core/env.ts';
import {
  CLEANED_SUFFIX,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  segmentBaseOffset,
  segmentPath,
  SWAP_SUFFIX,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './segment-files.ts';

/** What a compacted segment stands for. */
export interface SwapRange {
  readonly baseOffset: number;
  /** Exclusive. */
  readonly endOffset: number;
}

const DIGITS = 20;
const NAME = /^(\d{20})\.(\d{20})\.(?:swap|cleaned)$/;

export function cleanedPath(directory: string, range: SwapRange): string {
  return `${rangePath(directory, range)}${CLEANED_SUFFIX}`;
}

export function swapPath(directory: string, range: SwapRange): string {
  return `${rangePath(directory, range)}${SWAP_SUFFIX}`;
}

function rangePath(directory: string, range: SwapRange): string {
  const end = String(range.endOffset).padStart(DIGITS, '0');
  return `${segmentPath(directory, range.baseOffset)}.${end}`;
}

/** undefined when it is not the name of a compacted segment that is not in place yet. */
function swapRange(name: string): SwapRange | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  const range = { baseOffset: Number(match[1]), endOffset: Number(match[2]) };
  return range.baseOffset < range.endOffset && Number.isSafeInteger(range.endOffset)
    ? range
    : undefined;
}

/**
 * Step 2. @param bases base offsets of all segments that are replaced, the first of them the range's own
 * @throws {MillraceError} ML_FSYNC_FAILED, ML_IO
 */
export async function removeReplaced(
  fs: FileSystem,
  directory: string,
  range: SwapRange,
  bases: readonly number[],
): Promise<void> {
  for (const base of bases) {
    const path = segmentPath(directory, base);
    for (const suffix of [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX])
      await fs.remove(path + suffix);
    // Last: a start finds the rest of a segment by the name of its batches.
    if (base !== range.baseOffset) await fs.remove(path + LOG_SUFFIX);
  }
  await fs.syncDirectory(directory);
}

/**
 * Completes what a compaction of this log had begun when it was stopped, and removes what it had not finished. To be
 * called before the segments are looked at, after any stop that was not clean. Any number of times.
 * @throws {MillraceError} ML_FSYNC_FAILED, ML_IO
 */
export async function finishSwaps(fs: FileSystem, directory: string): Promise<void> {
  const names = fs.list(directory);
  let isChanged = false;
  for (const name of names) {
    if (!name.endsWith(CLEANED_SUFFIX)) continue;
    await fs.remove(`${directory}/${name}`);
    isChanged = true;
  }
  for (const name of names) {
    const range = name.endsWith(SWAP_SUFFIX) ? swapRange(name) : undefined;
    if (range === undefined) continue;
    const bases = names
      .map(segmentBaseOffset)
      .filter((base) => base !== undefined)
      .filter((base) => base > range.baseOffset && base < range.endOffset);
    // What was seen may not be durable: the name of the .swap itself must be, before anything else goes.
    await fs.syncDirectory(directory);
    await removeReplaced(fs, directory, range, [range.baseOffset, ...bases]);
    fs.rename(`${directory}/${name}`, segmentPath(directory, range.baseOffset) + LOG_SUFFIX);
    isChanged = true;
  }
  if (isChanged) await fs.syncDirectory(directory);
}

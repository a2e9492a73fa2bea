/**
 * Merges sorted runs by a tournament of losers (Knuth, The Art of Computer Programming 3, 5.4.1) over the 8 bytes of the keys
 * behind what all of them have in common; keys that are equal there are compared whole, and equal keys are ordered by run.
 *
 * @hot
 */
import { RUN_READ_BYTES } from '../../../core/limits.ts';
import type { MergeReader, RunStorage } from '../exchange.ts';
import { KeptKey } from './kept-key.ts';
import { compareRecords, wordOfKey } from './record-sort.ts';
import { isValueKey, keyBytesOf, keyWord, valueBytesOf } from './run-format.ts';
import type { ReadBuffer, RunPart } from './segment-cursor.ts';
import { createReadBuffer, SegmentCursor } from './segment-cursor.ts';

export class KeyMerge implements MergeReader {
  readonly buffer: Buffer;
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  isSameKey = false;
  records = 0;
  bytes = 0;
  /** The current record begins at words[at]. */
  readonly words: Int32Array;
  at = 0;

  private readonly memory: ReadBuffer;
  private readonly storage: RunStorage;
  private readonly temporary: readonly string[];
  private readonly cursors: SegmentCursor[] = [];
  private readonly kept: KeptKey;
  private isStarted = false;
  private isFirst = true;
  private left = Number.POSITIVE_INFINITY;

  private readonly depth: number;
  /** The 8 bytes of the current key of each run. */
  private readonly high: Int32Array;
  private readonly low: Int32Array;
  /** The word where the current record of each run begins; -1: the run has ended. */
  private readonly ats: Int32Array;
  /** `losers[0]` is the winner. */
  private readonly losers: Int32Array;

  private isClosed = false;

  /** @param temporary runs to remove at the end */
  constructor(
    parts: readonly RunPart[],
    storage: RunStorage,
    memoryBytes: number,
    temporary: readonly string[],
  ) {
    this.storage = storage;
    this.temporary = temporary;
    const sizes = regionBytes(parts, memoryBytes);
    this.memory = createReadBuffer(sizes.reduce((sum, size) => sum + size, 0));
    this.words = this.memory.words;
    this.buffer = this.memory.bytes;
    this.kept = new KeptKey(this.words);
    this.depth = commonBytes(parts.flatMap(({ index }) => [index.firstKey, index.lastKey]));
    this.high = new Int32Array(parts.length);
    this.low = new Int32Array(parts.length);
    this.ats = new Int32Array(parts.length);
    this.losers = new Int32Array(parts.length);
    let start = 0;
    try {
      for (const [run, { segment, index, range, seek }] of parts.entries()) {
        const end = start + (sizes[run] ?? 0);
        const region = { buffer: this.memory, start, end };
        this.cursors.push(new SegmentCursor(segment, index, storage, region, range, seek));
        start = end;
      }
    } catch (error) {
      for (const cursor of this.cursors) cursor.close();
      throw error;
    }
  }

  next(): boolean {
    if (this.left <= 0 || this.cursors.length === 0) return false;
    if (this.isStarted) this.step();
    else this.start();
    const winner = this.losers[0] as number;
    const at = this.ats[winner] as number;
    if (at < 0) {
      this.left = 0;
      return false;
    }
    if (this.isFirst) {
      this.isSameKey = false;
      this.isFirst = false;
    }
    const { words } = this;
    this.at = at;
    const start = keyWord(words, at) * 4;
    const end = start + keyBytesOf(words, at);
    const valueBytes = valueBytesOf(words, at);
    this.keyStart = start;
    this.keyEnd = end;
    if (isValueKey(words, at)) {
      this.valueStart = start;
      this.valueEnd = end;
    } else {
      this.valueStart = end;
      this.valueEnd = end + valueBytes;
    }
    this.left--;
    this.records++;
    this.bytes += end - start + valueBytes;
    return true;
  }

  /** What was read counts as skipped; `records` more are there to be read. */
  restart(records: number): void {
    this.left = records;
    this.isFirst = true;
    this.records = 0;
    this.bytes = 0;
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.left = 0;
    for (const cursor of this.cursors) cursor.close();
    for (const path of this.temporary) this.storage.remove(path);
  }

  private start(): void {
    this.isStarted = true;
    const { length } = this.cursors;
    const winners = new Int32Array(length * 2);
    for (let run = 0; run < length; run++) {
      this.load(run);
      winners[length + run] = run;
    }
    for (let node = length - 1; node > 0; node--) {
      const left = winners[node * 2] as number;
      const right = winners[node * 2 + 1] as number;
      const isLeft = this.isBefore(left, right);
      winners[node] = isLeft ? left : right;
      this.losers[node] = isLeft ? right : left;
    }
    this.losers[0] = winners[1] as number;
  }

  /** Behind the current record. */
  private step(): void {
    const { kept } = this;
    const run = this.losers[0] as number;
    const cursor = this.cursors[run] as SegmentCursor;
    const high = this.high[run] as number;
    const low = this.low[run] as number;
    if (cursor.isLastOfBlock) kept.save(this.at);
    else kept.point(this.at);
    this.load(run);
    let next = this.ats[run] as number;
    const isSame = high === this.high[run] && low === this.low[run];
    // What has the same key and comes from the same run is the next winner, too.
    if (isSame && next >= 0 && kept.equals(next)) {
      this.isSameKey = true;
      return;
    }
    this.replay(run);
    const winner = this.losers[0] as number;
    next = this.ats[winner] as number;
    this.isSameKey =
      high === this.high[winner] && low === this.low[winner] && next >= 0 && kept.equals(next);
  }

  private load(run: number): void {
    const cursor = this.cursors[run] as SegmentCursor;
    if (!cursor.advance()) {
      this.high[run] = -1;
      this.low[run] = -1;
      this.ats[run] = -1;
      return;
    }
    const { words, depth } = this;
    const { view } = this.memory;
    const { at } = cursor;
    this.high[run] = wordOfKey(words, view, at, depth);
    this.low[run] = wordOfKey(words, view, at, depth + 4);
    this.ats[run] = at;
  }

  private replay(run: number): void {
    const { losers } = this;
    let winner = run;
    for (let node = (run + losers.length) >>> 1; node > 0; node >>>= 1) {
      const other = losers[node] as number;
      if (this.isBefore(other, winner)) {
        losers[node] = winner;
        winner = other;
      }
    }
    losers[0] = winner;
  }

  private isBefore(a: number, b: number): boolean {
    const { high, low } = this;
    if (high[a] !== high[b]) return (high[a] as number) >>> 0 < (high[b] as number) >>> 0;
    if (low[a] !== low[b]) return (low[a] as number) >>> 0 < (low[b] as number) >>> 0;
    const aAt = this.ats[a] as number;
    const bAt = this.ats[b] as number;
    if (aAt < 0 || bAt < 0) return aAt >= 0;
    const order = compareRecords(this.words, this.memory.view, aAt, bAt, this.depth);
    return order === 0 ? a < b : order < 0;
  }
}

/** How much of the memory each run gets: its largest block, and an equal share of the rest. */
function regionBytes(parts: readonly RunPart[], memoryBytes: number): number[] {
  const least = parts.reduce((sum, { index }) => sum + index.blockBytesMax, 0);
  const more = Math.max(0, Math.floor((memoryBytes - least) / Math.max(1, parts.length)));
  return parts.map(({ index, segment }) => {
    const wanted = Math.min(segment.bytes, Math.max(RUN_READ_BYTES, index.blockBytesMax));
    return Math.min(index.blockBytesMax + more, wanted) & ~3;
  });
}

/** How many bytes all keys begin with. */
function commonBytes(keys: readonly Buffer[]): number {
  const [first = Buffer.alloc(0)] = keys;
  let common = first.length;
  for (const key of keys) {
    let index = 0;
    while (index < common && index < key.length && key[index] === first[index]) index++;
    common = index;
  }
  return common;
}

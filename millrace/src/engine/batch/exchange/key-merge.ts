/**
 * Merges sorted runs by a tournament of losers (Knuth, The Art of Computer Programming 3, 5.4.1) with offset-value codes: each key
 * knows where it first differs from the key that it lost to, and what it has there. Of two keys that differ from the same third one
 * the one that differs later is first; at the same place the lower value is. So most games are decided by two numbers, and no
 * byte of a key is looked at twice (Do and Graefe, "Robust and Efficient Sorting with Offset-Value Coding", 2022).
 * Equal keys are ordered by run.
 *
 * @hot
 */
import { RUN_READ_BYTES } from '../../../core/limits.ts';
import type { MergeReader, RunStorage } from '../exchange.ts';
import { IS_EQUAL, KeptKey, LENGTH_DIFFERS, wordAt } from './kept-key.ts';
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

  /** Offset and value of the current key of each run, against the last winner or the winner that it lost to. */
  private readonly offsets: Int32Array;
  private readonly values: Int32Array;
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
    this.kept = new KeptKey(this.memory);
    this.offsets = new Int32Array(parts.length);
    this.values = new Int32Array(parts.length);
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
    const { words, cursors, losers, ats } = this;
    const { length } = cursors;
    const winners = new Int32Array(length * 2);
    for (const [run, cursor] of cursors.entries()) {
      winners[length + run] = run;
      ats[run] = cursor.advance() ? cursor.at : -1;
      const at = cursor.at;
      // Against a key that is before all: all differ from it in the first word.
      this.offsets[run] = ats[run] === -1 ? ENDED : 0;
      this.values[run] = wordAt(this.memory.view, keyWord(words, at), keyBytesOf(words, at), 0);
    }
    for (let node = length - 1; node > 0; node--) {
      const left = winners[node * 2] as number;
      const right = winners[node * 2 + 1] as number;
      const isLeft = this.isBefore(left, right);
      winners[node] = isLeft ? left : right;
      losers[node] = isLeft ? right : left;
    }
    losers[0] = winners[1] as number;
  }

  /** Behind the current record. */
  private step(): void {
    const { kept, losers, offsets } = this;
    const run = losers[0] as number;
    const cursor = this.cursors[run] as SegmentCursor;
    if (cursor.isLastOfBlock) kept.save(this.at);
    else kept.point(this.at);
    if (cursor.advance()) {
      const { at } = cursor;
      this.ats[run] = at;
      kept.compare(at);
      // What has the same key and comes from the same run is the next winner, too.
      if (kept.offset === IS_EQUAL) {
        this.isSameKey = true;
        return;
      }
      offsets[run] = kept.offset;
      this.values[run] = kept.value;
    } else {
      this.ats[run] = -1;
      offsets[run] = ENDED;
    }
    let winner = run;
    for (let node = (run + losers.length) >>> 1; node > 0; node >>>= 1) {
      const other = losers[node] as number;
      if (this.isBefore(other, winner)) {
        losers[node] = winner;
        winner = other;
      }
    }
    losers[0] = winner;
    this.isSameKey = offsets[winner] === IS_EQUAL;
  }

  /** Whether the key of run `a` wins against that of run `b`, which was coded against the same key. Codes the loser anew. */
  private isBefore(a: number, b: number): boolean {
    const { offsets, values } = this;
    const aOffset = offsets[a] as number;
    const bOffset = offsets[b] as number;
    if (aOffset !== bOffset) return aOffset > bOffset;
    const aValue = values[a] as number;
    const bValue = values[b] as number;
    if (aValue !== bValue) return aValue >>> 0 < bValue >>> 0;
    return this.isBeforeBehind(a, b, aOffset);
  }

  /** The same for keys that are equal up to, and in, the word at `offset`. */
  private isBeforeBehind(a: number, b: number, offset: number): boolean {
    if (offset === ENDED) return a < b;
    const { words, offsets, values } = this;
    const { view } = this.memory;
    const aAt = this.ats[a] as number;
    const bAt = this.ats[b] as number;
    const aBytes = keyBytesOf(words, aAt);
    const bBytes = keyBytesOf(words, bAt);
    if (offset < LENGTH_DIFFERS) {
      const aKey = keyWord(words, aAt);
      const bKey = keyWord(words, bAt);
      const end = (aBytes > bBytes ? aBytes : bBytes) >>> 2;
      for (let index = offset + 1; index <= end; index++) {
        const aWord = wordAt(view, aKey, aBytes, index);
        const bWord = wordAt(view, bKey, bBytes, index);
        if (aWord === bWord) continue;
        const isFirst = aWord >>> 0 < bWord >>> 0;
        const loser = isFirst ? b : a;
        offsets[loser] = index;
        values[loser] = isFirst ? bWord : aWord;
        return isFirst;
      }
      if (aBytes !== bBytes) {
        const loser = aBytes < bBytes ? b : a;
        offsets[loser] = LENGTH_DIFFERS;
        values[loser] = aBytes < bBytes ? bBytes : aBytes;
        return aBytes < bBytes;
      }
    }
    const loser = a < b ? b : a;
    offsets[loser] = IS_EQUAL;
    values[loser] = aBytes;
    return a < b;
  }
}

/** Of a run that has ended: behind every key. */
const ENDED = -1;

/** How much of the memory each run gets: its largest block, and an equal share of the rest. */
function regionBytes(parts: readonly RunPart[], memoryBytes: number): number[] {
  const least = parts.reduce((sum, { index }) => sum + index.blockBytesMax, 0);
  const more = Math.max(0, Math.floor((memoryBytes - least) / Math.max(1, parts.length)));
  return parts.map(({ index, segment }) => {
    const wanted = Math.min(segment.bytes, Math.max(RUN_READ_BYTES, index.blockBytesMax));
    return Math.min(index.blockBytesMax + more, wanted) & ~3;
  });
}

/**
 * A set of positions within one chunk of offsets: a short sorted list of runs, or a bitmap when that is smaller. It takes 16 bytes when
 * it is small and 2 KiB at most.
 *
 *   runs  first₀ last₀ first₁ last₁ …    16 bits each, `last` inclusive, neither overlapping nor touching
 *   bits  one per position, in words of 32
 *
 * Invariant: adding allocates only when the list grows (a few times per chunk).
 *
 * @hot `add`
 */
import { QUEUE_CHUNK_OFFSETS } from '../../../core/queue-limits.ts';

const WORDS = QUEUE_CHUNK_OFFSETS / 32;
const FIRST_RUNS = 4;
/** As large as the bitmap. */
const RUNS_MAX = (WORDS * 4) / 4;
/** A bitmap that has become this simple is a list again; fewer than RUNS_MAX, so that it does not go to and fro. */
const RUNS_AGAIN_MAX = RUNS_MAX / 8;

export class ChunkSet {
  /** Positions in the set. */
  size = 0;
  private runs = new Uint16Array(FIRST_RUNS * 2);
  private runCount = 0;
  private bits: Uint32Array | undefined;
  /** The run that was touched last: the next position is mostly beside it. */
  private touched = 0;

  static fromBits(bits: Uint32Array): ChunkSet {
    const set = new ChunkSet();
    set.bits = bits;
    set.size = countBits(bits, 0, QUEUE_CHUNK_OFFSETS);
    return set;
  }

  get bytes(): number {
    return this.bits === undefined ? this.runs.byteLength : this.bits.byteLength;
  }

  has(position: number): boolean {
    const { bits } = this;
    if (bits !== undefined)
      return ((bits[position >>> 5] as number) & (1 << (position & 31))) !== 0;
    const index = this.firstEndingFrom(position);
    return index < this.runCount && (this.runs[index * 2] as number) <= position;
  }

  /** @returns whether it was not in the set before */
  add(position: number): boolean {
    const { bits } = this;
    if (bits === undefined) return this.addToRuns(position);
    const word = bits[position >>> 5] as number;
    const mask = 1 << (position & 31);
    if ((word & mask) !== 0) return false;
    bits[position >>> 5] = word | mask;
    this.size++;
    return true;
  }

  /** Adds [from, to), which lies behind everything that is in the set and does not touch it, and is not empty. */
  append(from: number, to: number): void {
    this.size += to - from;
    if (this.bits === undefined) this.insertRun(this.runCount, from, to - 1);
    else fillBits(this.bits, from, to);
  }

  /** Adds [from, to). @returns how many were not in the set before */
  addRange(from: number, to: number): number {
    if (from >= to) return 0;
    const { size } = this;
    if (this.bits === undefined) this.addRangeToRuns(from, to);
    else this.addRangeToBits(this.bits, from, to);
    return this.size - size;
  }

  /** Positions of [from, to) that are in the set. */
  countIn(from: number, to: number): number {
    if (from >= to) return 0;
    if (from === 0 && to === QUEUE_CHUNK_OFFSETS) return this.size;
    if (this.bits !== undefined) return countBits(this.bits, from, to);
    let count = 0;
    for (let index = this.firstEndingFrom(from); index < this.runCount; index++) {
      const first = Math.max(from, this.runs[index * 2] as number);
      const last = Math.min(to - 1, this.runs[index * 2 + 1] as number);
      if (first > last) break;
      count += last - first + 1;
    }
    return count;
  }

  /** Runs of neighbours. */
  get runsNow(): number {
    return this.bits === undefined ? this.runCount : countRuns(this.bits);
  }

  /** The first position at or above `from` that is in the set; QUEUE_CHUNK_OFFSETS when there is none. */
  firstIn(from: number): number {
    if (this.bits !== undefined) return firstBit(this.bits, from, 0);
    const index = this.firstEndingFrom(from);
    if (index === this.runCount) return QUEUE_CHUNK_OFFSETS;
    return Math.max(from, this.runs[index * 2] as number);
  }

  /** The first position at or above `from` that is not in the set; QUEUE_CHUNK_OFFSETS when there is none. */
  firstMissing(from: number): number {
    if (this.bits !== undefined) return firstBit(this.bits, from, -1);
    const index = this.firstEndingFrom(from);
    if (index === this.runCount || (this.runs[index * 2] as number) > from) return from;
    return (this.runs[index * 2 + 1] as number) + 1;
  }

  /** Takes the simplest form that there is. */
  simplify(): void {
    if (this.bits !== undefined) this.keepBits(this.bits, 0, QUEUE_CHUNK_OFFSETS);
  }

  /** Removes all positions below `position`. */
  removeBelow(position: number): void {
    this.keep(position, QUEUE_CHUNK_OFFSETS);
  }

  /** Removes all positions at or above `position`. */
  removeFrom(position: number): void {
    this.keep(0, position);
  }

  /** Visits the runs in order, `last` inclusive. */
  forEachRun(visit: (first: number, last: number) => void): void {
    for (let first = this.firstIn(0); first < QUEUE_CHUNK_OFFSETS; ) {
      const end = this.firstMissing(first);
      visit(first, end - 1);
      first = end === QUEUE_CHUNK_OFFSETS ? end : this.firstIn(end);
    }
  }

  /** The set as a bitmap; a view that is not to be changed. */
  asBits(): Uint32Array {
    if (this.bits !== undefined) return this.bits;
    const bits = new Uint32Array(WORDS);
    this.forEachRun((first, last) => {
      fillBits(bits, first, last + 1);
    });
    return bits;
  }

  // ---- Runs ---------------------------------------------------------------------------------------------------------

  private addToRuns(position: number): boolean {
    const { runs, runCount } = this;
    const index = this.firstEndingFrom(position - 1);
    const at = index * 2;
    if (index === runCount || (runs[at] as number) > position + 1) {
      this.insertRun(index, position, position);
    } else if ((runs[at] as number) === position + 1) {
      runs[at] = position;
    } else if ((runs[at + 1] as number) >= position) {
      return false;
    } else {
      runs[at + 1] = position;
      if (index + 1 < runCount && (runs[at + 2] as number) === position + 1) {
        runs[at + 1] = runs[at + 3] as number;
        this.removeRuns(index + 1, index + 2);
      }
    }
    this.touched = index;
    this.size++;
    return true;
  }

  private addRangeToRuns(from: number, to: number): void {
    const { runs, runCount } = this;
    const index = this.firstEndingFrom(from - 1);
    let behind = index;
    let covered = 0;
    while (behind < runCount && (runs[behind * 2] as number) <= to) {
      covered += (runs[behind * 2 + 1] as number) - (runs[behind * 2] as number) + 1;
      behind++;
    }
    if (behind === index) {
      this.size += to - from;
      this.insertRun(index, from, to - 1);
      return;
    }
    const first = Math.min(from, runs[index * 2] as number);
    const last = Math.max(to - 1, runs[behind * 2 - 1] as number);
    runs[index * 2] = first;
    runs[index * 2 + 1] = last;
    this.removeRuns(index + 1, behind);
    this.size += last - first + 1 - covered;
  }

  /** The first run whose last position is at or above `position`. */
  private firstEndingFrom(position: number): number {
    const { runs, runCount, touched } = this;
    if (
      touched < runCount &&
      (runs[touched * 2 + 1] as number) >= position &&
      (touched === 0 || (runs[touched * 2 - 1] as number) < position)
    )
      return touched;
    let low = 0;
    let high = runCount;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((runs[middle * 2 + 1] as number) >= position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  private insertRun(index: number, first: number, last: number): void {
    if (this.runCount === RUNS_MAX) {
      this.bits = this.asBits();
      fillBits(this.bits, first, last + 1);
      this.runs = new Uint16Array(0);
      this.runCount = 0;
      return;
    }
    if (this.runCount * 2 === this.runs.length) {
      const grown = new Uint16Array(Math.min(RUNS_MAX * 2, this.runs.length * 2));
      grown.set(this.runs);
      this.runs = grown;
    }
    this.runs.copyWithin(index * 2 + 2, index * 2, this.runCount * 2);
    this.runs[index * 2] = first;
    this.runs[index * 2 + 1] = last;
    this.runCount++;
  }

  private removeRuns(from: number, to: number): void {
    if (from === to) return;
    this.runs.copyWithin(from * 2, to * 2, this.runCount * 2);
    this.runCount -= to - from;
  }

  // ---- Both ---------------------------------------------------------------------------------------------------------

  private addRangeToBits(bits: Uint32Array, from: number, to: number): void {
    this.size += to - from - countBits(bits, from, to);
    fillBits(bits, from, to);
  }

  /** Removes everything outside [from, to). */
  private keep(from: number, to: number): void {
    if (this.bits === undefined) this.keepRuns(from, to);
    else this.keepBits(this.bits, from, to);
  }

  private keepRuns(from: number, to: number): void {
    const begin = this.firstEndingFrom(from);
    let end = begin;
    let size = 0;
    for (; end < this.runCount && (this.runs[end * 2] as number) < to; end++) {
      const first = Math.max(from, this.runs[end * 2] as number);
      const last = Math.min(to - 1, this.runs[end * 2 + 1] as number);
      this.runs[end * 2] = first;
      this.runs[end * 2 + 1] = last;
      size += last - first + 1;
    }
    this.runCount = end;
    this.removeRuns(0, begin);
    this.touched = 0;
    this.size = size;
  }

  private keepBits(bits: Uint32Array, from: number, to: number): void {
    clearBits(bits, 0, from);
    clearBits(bits, to, QUEUE_CHUNK_OFFSETS);
    this.size = countBits(bits, 0, QUEUE_CHUNK_OFFSETS);
    if (countRuns(bits) > RUNS_AGAIN_MAX) return;
    this.bits = undefined;
    this.runs = new Uint16Array(FIRST_RUNS * 2);
    this.touched = 0;
    const { size } = this;
    for (let first = firstBit(bits, 0, 0); first < QUEUE_CHUNK_OFFSETS; ) {
      const end = firstBit(bits, first, -1);
      this.insertRun(this.runCount, first, end - 1);
      first = firstBit(bits, end, 0);
    }
    this.size = size;
  }
}

/** The first position at or above `from` whose bit, flipped where `flip` has ones, is set. */
function firstBit(bits: Uint32Array, from: number, flip: number): number {
  if (from >= QUEUE_CHUNK_OFFSETS) return QUEUE_CHUNK_OFFSETS;
  let index = from >>> 5;
  let word = ((bits[index] as number) ^ flip) & (-1 << (from & 31));
  while (word === 0) {
    if (++index === WORDS) return QUEUE_CHUNK_OFFSETS;
    word = (bits[index] as number) ^ flip;
  }
  return index * 32 + 31 - Math.clz32(word & -word);
}

/** Bits of [from, to) within the word `index`. */
function maskOf(index: number, from: number, to: number): number {
  const low = Math.max(0, from - index * 32);
  const high = Math.min(32, to - index * 32);
  const below = high === 32 ? -1 : (1 << high) - 1;
  return below & (-1 << low);
}

function countBits(bits: Uint32Array, from: number, to: number): number {
  if (from >= to) return 0;
  const first = from >>> 5;
  const last = (to - 1) >>> 5;
  let count = ones((bits[first] as number) & maskOf(first, from, to));
  for (let index = first + 1; index < last; index++) count += ones(bits[index] as number);
  if (last > first) count += ones((bits[last] as number) & maskOf(last, from, to));
  return count;
}

function ones(word: number): number {
  let count = word - ((word >>> 1) & 0x5555_5555);
  count = (count & 0x3333_3333) + ((count >>> 2) & 0x3333_3333);
  return Math.imul((count + (count >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

function fillBits(bits: Uint32Array, from: number, to: number): void {
  if (from >= to) return;
  const last = (to - 1) >>> 5;
  for (let index = from >>> 5; index <= last; index++)
    bits[index] = (bits[index] as number) | maskOf(index, from, to);
}

function clearBits(bits: Uint32Array, from: number, to: number): void {
  if (from >= to) return;
  const last = (to - 1) >>> 5;
  for (let index = from >>> 5; index <= last; index++)
    bits[index] = (bits[index] as number) & ~maskOf(index, from, to);
}

function countRuns(bits: Uint32Array): number {
  let count = 0;
  let before = 0;
  for (let index = 0; index < WORDS; index++) {
    const word = bits[index] as number;
    // A run begins at each bit whose lower neighbour is not set.
    count += ones(word & ~((word << 1) | before));
    before = word >>> 31;
  }
  return count;
}

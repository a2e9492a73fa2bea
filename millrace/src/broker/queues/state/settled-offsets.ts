/**
 * Which offsets of a log are settled, how often the others came back and until when they wait, and which of those the owner keeps something
 * about.
 *
 *   chunk      0          1          2          3          4
 *          ├──────────┼──────────┼──────────┼──────────┼──────────┤
 *          ███████████████░░█░███ ██████████ ░░░░░░░░░░ ░█░░░░░░░░
 *                        ▲ floor    full     (nothing)    a few
 *
 * Of a chunk that is full only its number is kept, in ranges; of one without anything nothing. The others are sets of positions, which are
 * 2 KiB at most. What lies below the floor is settled by that alone: sets may or may not hold it.
 *
 * Invariants
 * - The floor is not settled. No chunk that lies wholly below it is kept.
 * - A chunk of which all is settled, and that begins above the floor, is in `full` and nowhere else.
 * - `dirty` holds every chunk whose record would differ from the one that was encoded last.
 *
 * @hot `settle`: no allocation, unless a set grows
 */
import { assert } from '../../../core/errors.ts';
import { QUEUE_CHUNK_OFFSETS, QUEUE_DUES_MAX } from '../../../core/queue-limits.ts';
import { ChunkSet } from './chunk-set.ts';
import { NumberRanges } from './number-ranges.ts';
import { chunkOf, OffsetChunk } from './offset-chunk.ts';

export class SettledOffsets {
  floor: number;
  /** Settled offsets above the floor. */
  settledAbove = 0;
  /** Chunks that have changed since they were taken from here. */
  dirty = new NumberRanges();
  private readonly chunks = new Map<number, OffsetChunk>();
  private readonly full = new NumberRanges();
  /** Nothing at or above is settled. */
  private top = 0;
  /** The chunk that was used last. */
  private current: OffsetChunk | undefined;
  /** Chunks with marks, ascending; emptied from the front as marks are settled. */
  private readonly markedChunks: number[] = [];
  /** No unsettled mark lies below. */
  private marksFrom = 0;
  /** Offsets that are due at a time. */
  private dueCount = 0;
  private readonly onChange: () => void;

  /** @param onChange called after each change */
  constructor(floor: number, onChange: () => void) {
    this.floor = floor;
    this.onChange = onChange;
  }

  isSettled(offset: number): boolean {
    if (offset < this.floor) return true;
    const number = chunkOf(offset);
    const chunk = this.chunkAt(number);
    if (chunk !== undefined) return chunk.settled.has(offset - number * QUEUE_CHUNK_OFFSETS);
    return this.full.has(number);
  }

  settle(offset: number): void {
    const { floor } = this;
    if (offset <= floor) {
      if (offset === floor) this.settleFloor();
      return;
    }
    const number = chunkOf(offset);
    const chunk = this.chunkAt(number) ?? this.newChunk(number);
    if (chunk === undefined) return;
    const position = offset - number * QUEUE_CHUNK_OFFSETS;
    if (!chunk.settled.add(position)) return;
    this.settledAbove++;
    if (offset >= this.top) this.top = offset + 1;
    this.forgetReturns(chunk, position, position + 1);
    if (chunk.settled.size === QUEUE_CHUNK_OFFSETS) this.fill(number, number + 1);
    else this.touch(chunk);
    this.onChange();
  }

  settleRange(from: number, to: number): void {
    if (to <= this.floor || from >= to) return;
    if (from <= this.floor) this.raiseFloor(to);
    else this.settleAbove(from, to);
    this.onChange();
  }

  /** Settles everything below `floor`, and on from there what is settled already. */
  raiseFloor(floor: number): void {
    if (floor <= this.floor) return;
    this.settledAbove -= this.settledIn(this.floor, floor);
    this.removeChunks(chunkOf(this.floor), chunkOf(floor));
    this.floor = floor;
    const chunk = this.chunkAt(chunkOf(floor));
    if (chunk !== undefined)
      this.forgetReturns(chunk, 0, floor - chunk.number * QUEUE_CHUNK_OFFSETS);
    this.advance();
  }

  unsettledFrom(from: number): number {
    let offset = Math.max(from, this.floor);
    for (;;) {
      const number = chunkOf(offset);
      const end = this.full.endOf(number);
      if (end > number) {
        offset = end * QUEUE_CHUNK_OFFSETS;
        continue;
      }
      const chunk = this.chunkAt(number);
      if (chunk === undefined) return offset;
      const base = number * QUEUE_CHUNK_OFFSETS;
      const position = chunk.settled.firstMissing(offset - base);
      offset = base + position;
      if (position < QUEUE_CHUNK_OFFSETS) return offset;
    }
  }

  unsettledIn(from: number, to: number): number {
    const start = Math.max(from, this.floor);
    if (start >= to) return 0;
    const isAll = start === this.floor && to >= this.top;
    return to - start - (isAll ? this.settledAbove : this.settledIn(start, to));
  }

  // ---- Counts and marks ---------------------------------------------------------------------------------------------

  countOf(offset: number): number {
    if (offset < this.floor) return 0;
    const number = chunkOf(offset);
    const counts = this.chunkAt(number)?.counts;
    return counts?.get(offset - number * QUEUE_CHUNK_OFFSETS) ?? 0;
  }

  raiseCount(offset: number): number {
    if (this.isSettled(offset)) return 0;
    const number = chunkOf(offset);
    const chunk = this.unsettledChunk(number);
    const position = offset - number * QUEUE_CHUNK_OFFSETS;
    chunk.counts ??= new Map();
    const count = (chunk.counts.get(position) ?? 0) + 1;
    chunk.counts.set(position, count);
    this.touch(chunk);
    this.onChange();
    return count;
  }

  /** When it is due; 0: nobody has said. */
  dueOf(offset: number): number {
    if (offset < this.floor) return 0;
    const number = chunkOf(offset);
    return this.chunkAt(number)?.dues?.get(offset - number * QUEUE_CHUNK_OFFSETS) ?? 0;
  }

  /** Of too many it is not known. */
  setDue(offset: number, dueMs: number): void {
    if (this.isSettled(offset)) return;
    const number = chunkOf(offset);
    const chunk = this.unsettledChunk(number);
    const position = offset - number * QUEUE_CHUNK_OFFSETS;
    if (chunk.dues?.has(position) !== true) {
      if (this.dueCount >= QUEUE_DUES_MAX) return;
      this.dueCount++;
    }
    chunk.dues ??= new Map();
    chunk.dues.set(position, dueMs);
    this.touch(chunk);
    this.onChange();
  }

  /** Offsets that are due at a time, in order. */
  dueOffsets(): Float64Array {
    const offsets = new Float64Array(this.dueCount);
    let at = 0;
    for (const { number, dues } of this.chunks.values())
      for (const position of dues?.keys() ?? [])
        offsets[at++] = number * QUEUE_CHUNK_OFFSETS + position;
    return offsets.sort();
  }

  mark(offset: number): void {
    if (this.isSettled(offset)) return;
    const number = chunkOf(offset);
    const chunk = this.unsettledChunk(number);
    chunk.marks ??= this.newMarks(number);
    if (!chunk.marks.add(offset - number * QUEUE_CHUNK_OFFSETS)) return;
    if (offset < this.marksFrom) this.marksFrom = offset;
    this.touch(chunk);
    this.onChange();
  }

  /** The lowest unsettled offset with a mark; -1 when there is none. */
  get markedFrom(): number {
    for (let [number] = this.markedChunks; number !== undefined; [number] = this.markedChunks) {
      const offset = this.markIn(number);
      if (offset !== -1) {
        this.marksFrom = offset;
        return offset;
      }
      this.markedChunks.shift();
      const chunk = this.chunkAt(number);
      if (chunk !== undefined) chunk.marks = undefined;
    }
    return -1;
  }

  private markIn(number: number): number {
    const chunk = this.chunkAt(number);
    if (chunk?.marks === undefined) return -1;
    const base = number * QUEUE_CHUNK_OFFSETS;
    let position = Math.max(0, Math.max(this.floor, this.marksFrom) - base);
    while (position < QUEUE_CHUNK_OFFSETS) {
      position = chunk.marks.firstIn(position);
      if (position === QUEUE_CHUNK_OFFSETS) break;
      const unsettled = chunk.settled.firstMissing(position);
      if (unsettled === position) return base + position;
      position = unsettled;
    }
    return -1;
  }

  private newMarks(number: number): ChunkSet {
    const { markedChunks } = this;
    let at = markedChunks.length;
    while (at > 0 && (markedChunks[at - 1] as number) > number) at--;
    if (markedChunks[at - 1] !== number) markedChunks.splice(at, 0, number);
    return new ChunkSet();
  }

  // ---- For those who write it down ----------------------------------------------------------------------------------

  /**
   * What there is to write of a chunk; undefined when nothing. What the floor says of it is in it: the record may be there without that floor.
   */
  chunkToWrite(number: number): OffsetChunk | 'full' | undefined {
    if (this.full.has(number)) return 'full';
    const chunk = this.chunkAt(number);
    if (chunk === undefined) return undefined;
    const below = Math.max(0, this.floor - number * QUEUE_CHUNK_OFFSETS);
    chunk.isDirty = false;
    chunk.settled.addRange(0, below);
    chunk.settled.simplify();
    chunk.marks?.removeBelow(below);
    if (chunk.marks?.size === 0) chunk.marks = undefined;
    if (!chunk.isEmpty) return chunk;
    this.remove(number);
    return undefined;
  }

  /** The chunk has to be written again: what was made of it did not get there. */
  writeAgain(number: number): void {
    const chunk = this.chunks.get(number);
    if (chunk !== undefined) this.touch(chunk);
    else this.dirty.add(number, number + 1);
  }

  /** Takes a chunk as it was written, in the place of what is known of it. `restored` has to be called at the end. */
  restoreChunk(number: number, chunk: OffsetChunk | 'full' | undefined): void {
    this.full.removeOne(number);
    this.remove(number);
    if (chunk === 'full') this.full.add(number, number + 1);
    else if (chunk !== undefined) this.chunks.set(number, chunk);
  }

  /** Everything that was written has been given to `restoreChunk`. */
  restored(floor: number): void {
    this.floor = floor;
    const [...chunks] = this.chunks.values();
    for (const chunk of chunks)
      if (chunk.settled.size === QUEUE_CHUNK_OFFSETS) {
        this.remove(chunk.number);
        this.full.add(chunk.number, chunk.number + 1);
      }
    this.removeChunks(0, chunkOf(floor));
    // The floor may have risen since the chunk was written.
    this.chunks.get(chunkOf(floor))?.forgetReturns(0, floor % QUEUE_CHUNK_OFFSETS);
    this.recount();
    this.advance();
  }

  /** Takes back whatever is known of offsets at or above `end`. @returns whether that was anything */
  takeBackFrom(end: number): boolean {
    const number = chunkOf(end);
    const position = end - number * QUEUE_CHUNK_OFFSETS;
    let isChanged = this.floor > end || this.full.endOf(number) > number;
    if (this.full.has(number) && position > 0) {
      const chunk = new OffsetChunk(number);
      chunk.settled.addRange(0, position);
      this.chunks.set(number, chunk);
      this.touch(chunk);
    }
    this.full.forEachRange((from, to) => {
      const start = Math.max(from, position > 0 ? number + 1 : number);
      isChanged ||= to > start;
      this.dirty.add(start, to);
    });
    this.full.removeFrom(number);
    const [...chunks] = this.chunks.values();
    for (const chunk of chunks) {
      if (chunk.number < number) continue;
      const before = chunk.size;
      chunk.cut(chunk.number === number ? position : 0);
      if (chunk.size === before) continue;
      isChanged = true;
      this.touch(chunk);
      if (chunk.isEmpty) this.remove(chunk.number);
    }
    if (this.floor > end) {
      // Of chunks that the floor had passed there may be records, which count again.
      this.dirty.add(number, chunkOf(this.floor) + 1);
      this.floor = end;
    }
    this.recount();
    return isChanged;
  }

  /** Bytes that the sets take, roughly. */
  get memoryBytes(): number {
    let bytes = this.full.count * 16;
    for (const chunk of this.chunks.values()) bytes += chunk.memoryBytes;
    return bytes;
  }

  // ---- Inside -------------------------------------------------------------------------------------------------------

  private chunkAt(number: number): OffsetChunk | undefined {
    const { current } = this;
    if (current !== undefined && current.number === number) return current;
    const chunk = this.chunks.get(number);
    if (chunk !== undefined) this.current = chunk;
    return chunk;
  }

  /** undefined when all of it is settled. */
  private newChunk(number: number): OffsetChunk | undefined {
    if (this.full.has(number)) return undefined;
    const chunk = new OffsetChunk(number);
    this.chunks.set(number, chunk);
    this.current = chunk;
    return chunk;
  }

  /** The chunk of an offset that is not settled. */
  private unsettledChunk(number: number): OffsetChunk {
    const chunk = this.chunkAt(number) ?? this.newChunk(number);
    assert(chunk !== undefined, 'a chunk with an unsettled offset is not full');
    return chunk;
  }

  private remove(number: number): void {
    this.dueCount -= this.chunks.get(number)?.dues?.size ?? 0;
    this.chunks.delete(number);
    if (this.current?.number === number) this.current = undefined;
  }

  private forgetReturns(chunk: OffsetChunk, from: number, to: number): void {
    if (chunk.counts !== undefined || chunk.dues !== undefined)
      this.dueCount -= chunk.forgetReturns(from, to);
  }

  private touch(chunk: OffsetChunk): void {
    if (chunk.isDirty) return;
    chunk.isDirty = true;
    this.dirty.add(chunk.number, chunk.number + 1);
  }

  /** Settles the floor itself: most acknowledgements come in order. */
  private settleFloor(): void {
    const { floor } = this;
    const number = chunkOf(floor);
    const chunk = this.chunkAt(number);
    const base = number * QUEUE_CHUNK_OFFSETS;
    let next = floor + 1;
    if (chunk !== undefined) {
      const position = floor - base;
      this.forgetReturns(chunk, position, position + 1);
      next = base + chunk.settled.firstMissing(position + 1);
      this.settledAbove -= next - floor - 1;
    }
    this.floor = next;
    if (next - base === QUEUE_CHUNK_OFFSETS) {
      this.removeChunks(number, number + 1);
      this.advance();
    }
    this.onChange();
  }

  /** Moves the floor past what is settled, when it may lie on such an offset. */
  private advance(): void {
    const floor = this.unsettledFrom(this.floor);
    if (floor > this.floor) {
      this.settledAbove -= floor - this.floor;
      this.removeChunks(chunkOf(this.floor), chunkOf(floor));
      this.floor = floor;
    }
    if (this.top < floor) this.top = floor;
  }

  /** Nothing is to be known of the chunks [from, to) any more, nor of any below. */
  private removeChunks(from: number, to: number): void {
    this.full.removeBelow(to);
    this.dirty.removeBelow(to);
    this.forget(from, to);
  }

  private forget(from: number, to: number): void {
    if (to - from > this.chunks.size) {
      for (const number of this.chunks.keys())
        if (number >= from && number < to) this.remove(number);
    } else {
      for (let number = from; number < to; number++) this.remove(number);
    }
  }

  private settleAbove(from: number, to: number): void {
    this.settledAbove += to - from - this.settledIn(from, to);
    if (to > this.top) this.top = to;
    const first = chunkOf(from);
    const last = chunkOf(to - 1);
    for (const number of first === last ? [first] : [first, last]) {
      const base = number * QUEUE_CHUNK_OFFSETS;
      this.settleInChunk(
        number,
        Math.max(0, from - base),
        Math.min(QUEUE_CHUNK_OFFSETS, to - base),
      );
    }
    this.fill(first + 1, last);
  }

  private settleInChunk(number: number, from: number, to: number): void {
    const chunk = this.chunkAt(number) ?? this.newChunk(number);
    if (chunk === undefined || chunk.settled.addRange(from, to) === 0) return;
    this.forgetReturns(chunk, from, to);
    if (chunk.settled.size === QUEUE_CHUNK_OFFSETS) this.fill(number, number + 1);
    else this.touch(chunk);
  }

  /** All of the chunks [from, to) is settled. */
  private fill(from: number, to: number): void {
    if (from >= to) return;
    this.forget(from, to);
    this.full.add(from, to);
    this.dirty.add(from, to);
  }

  /** Settled offsets of [from, to), which begins at or above the floor. */
  private settledIn(from: number, to: number): number {
    const first = chunkOf(from);
    const last = chunkOf(to - 1);
    let count = this.full.countIn(first, last + 1) * QUEUE_CHUNK_OFFSETS;
    if (this.full.has(first)) count -= from - first * QUEUE_CHUNK_OFFSETS;
    if (this.full.has(last)) count -= (last + 1) * QUEUE_CHUNK_OFFSETS - to;
    if (last - first < this.chunks.size) {
      for (let number = first; number <= last; number++)
        count += this.chunks.get(number)?.settledIn(from, to) ?? 0;
    } else {
      for (const chunk of this.chunks.values()) count += chunk.settledIn(from, to);
    }
    return count;
  }

  /** Everything that follows from the chunks, anew. */
  private recount(): void {
    this.settledAbove = 0;
    this.top = this.floor;
    this.markedChunks.length = 0;
    this.marksFrom = 0;
    this.dueCount = 0;
    this.full.forEachRange((from, to) => {
      this.settledAbove +=
        to * QUEUE_CHUNK_OFFSETS - Math.max(this.floor, from * QUEUE_CHUNK_OFFSETS);
      this.top = to * QUEUE_CHUNK_OFFSETS;
    });
    for (const chunk of this.chunks.values()) {
      const base = chunk.number * QUEUE_CHUNK_OFFSETS;
      const from = Math.max(this.floor, base);
      this.settledAbove += chunk.settledIn(from, base + QUEUE_CHUNK_OFFSETS);
      this.dueCount += chunk.dues?.size ?? 0;
      if (chunk.settled.size > 0) this.top = Math.max(this.top, base + QUEUE_CHUNK_OFFSETS);
      if (chunk.marks !== undefined) this.markedChunks.push(chunk.number);
    }
    this.markedChunks.sort((a, b) => a - b);
  }
}

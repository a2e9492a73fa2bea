/**
 * Heaps of numbers in typed arrays: offsets, the smallest first; and offsets with a time, the earliest first. What was pushed in
 * order costs one comparison.
 *
 * @hot
 */

const FIRST_ENTRIES = 16;

export class OffsetHeap {
  private entries = new Float64Array(FIRST_ENTRIES);
  size = 0;

  /** The smallest; Infinity when there is none. */
  get first(): number {
    return this.size === 0 ? Infinity : (this.entries[0] as number);
  }

  push(offset: number): void {
    if (this.size === this.entries.length) this.entries = grown(this.entries);
    const { entries } = this;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = entries[parent] as number;
      if (above <= offset) break;
      entries[at] = above;
      at = parent;
    }
    entries[at] = offset;
  }

  /** Removes the smallest, which must be there. */
  pop(): number {
    const { entries } = this;
    const first = entries[0] as number;
    const last = entries[--this.size] as number;
    const { size } = this;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && (entries[child + 1] as number) < (entries[child] as number)) child++;
      const below = entries[child] as number;
      if (below >= last) break;
      entries[at] = below;
      at = child;
    }
    if (size > 0) entries[at] = last;
    else this.entries = new Float64Array(FIRST_ENTRIES);
    return first;
  }

  clear(): void {
    this.size = 0;
    this.entries = new Float64Array(FIRST_ENTRIES);
  }

  /** Forgets all that are not wanted. */
  filter(isWanted: (offset: number) => boolean): void {
    const { entries, size } = this;
    this.clear();
    for (let at = 0; at < size; at++) {
      const offset = entries[at] as number;
      if (isWanted(offset)) this.push(offset);
    }
  }
}

/** Numbers of one entry: time, offset, note. */
const STRIDE = 3;

/** Offsets that wait for a time, with a number each. Of equal times the smaller offset comes first. */
export class TimedHeap {
  private entries = new Float64Array(FIRST_ENTRIES * STRIDE);
  size = 0;

  /** When the first is due; Infinity when there is none. */
  get firstMs(): number {
    return this.size === 0 ? Infinity : (this.entries[0] as number);
  }

  get firstOffset(): number {
    return this.entries[1] as number;
  }

  get firstNote(): number {
    return this.entries[2] as number;
  }

  push(timeMs: number, offset: number, note: number): void {
    if (this.size * STRIDE === this.entries.length) this.entries = grown(this.entries);
    const { entries } = this;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!isBefore(timeMs, offset, entries, parent)) break;
      move(entries, parent, at);
      at = parent;
    }
    put(entries, at, timeMs, offset, note);
  }

  /** Removes the first, which must be there. */
  pop(): void {
    const { entries } = this;
    const last = --this.size;
    const timeMs = entries[last * STRIDE] as number;
    const offset = entries[last * STRIDE + 1] as number;
    const note = entries[last * STRIDE + 2] as number;
    let at = 0;
    for (let child = 1; child < last; child = 2 * at + 1) {
      if (child + 1 < last && isEntryBefore(entries, child + 1, child)) child++;
      if (isBefore(timeMs, offset, entries, child)) break;
      move(entries, child, at);
      at = child;
    }
    if (last > 0) put(entries, at, timeMs, offset, note);
    else this.entries = new Float64Array(FIRST_ENTRIES * STRIDE);
  }

  /** Removes entries with smaller offsets. @returns their notes */
  removeBelow(offset: number): number[] {
    const { entries, size } = this;
    const notes: number[] = [];
    this.size = 0;
    this.entries = new Float64Array(FIRST_ENTRIES * STRIDE);
    for (let at = 0; at < size * STRIDE; at += STRIDE) {
      const own = entries[at + 1] as number;
      const note = entries[at + 2] as number;
      if (own < offset) notes.push(note);
      else this.push(entries[at] as number, own, note);
    }
    return notes;
  }

  /** Forgets all that are not wanted. */
  filter(isWanted: (offset: number) => boolean): void {
    const { entries, size } = this;
    this.size = 0;
    this.entries = new Float64Array(FIRST_ENTRIES * STRIDE);
    for (let at = 0; at < size * STRIDE; at += STRIDE) {
      const offset = entries[at + 1] as number;
      if (isWanted(offset)) this.push(entries[at] as number, offset, entries[at + 2] as number);
    }
  }

  /** The offsets, in no order. */
  offsets(): Float64Array {
    const offsets = new Float64Array(this.size);
    for (let at = 0; at < this.size; at++) offsets[at] = this.entries[at * STRIDE + 1] as number;
    return offsets;
  }
}

function isBefore(timeMs: number, offset: number, entries: Float64Array, other: number): boolean {
  const otherMs = entries[other * STRIDE] as number;
  return (
    timeMs < otherMs || (timeMs === otherMs && offset < (entries[other * STRIDE + 1] as number))
  );
}

function isEntryBefore(entries: Float64Array, at: number, other: number): boolean {
  return isBefore(
    entries[at * STRIDE] as number,
    entries[at * STRIDE + 1] as number,
    entries,
    other,
  );
}

function move(entries: Float64Array, from: number, to: number): void {
  entries[to * STRIDE] = entries[from * STRIDE] as number;
  entries[to * STRIDE + 1] = entries[from * STRIDE + 1] as number;
  entries[to * STRIDE + 2] = entries[from * STRIDE + 2] as number;
}

function put(
  entries: Float64Array,
  at: number,
  timeMs: number,
  offset: number,
  note: number,
): void {
  entries[at * STRIDE] = timeMs;
  entries[at * STRIDE + 1] = offset;
  entries[at * STRIDE + 2] = note;
}

function grown(entries: Float64Array): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(entries.length * 2);
  larger.set(entries);
  return larger;
}

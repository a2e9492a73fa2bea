/**
 * What is aggregated per group, in typed arrays: the accumulators of `flow/column-aggregation.ts`, until they are handed on.
 *
 * @hot Loops over the rows of a batch; `groups` holds the group of row i at `at + i`.
 */
import { addToSum, newSum, type NumberSum } from '../../../flow/exact-sum.ts';
import { decodeText } from '../../../core/text-escape.ts';
import { compareBytes } from './byte-text.ts';
import type { LaneMemory } from './lane-memory.ts';
import { type BooleanVector, NULL_BOOLEAN, type NumberVector, type TextVector } from './vectors.ts';

export interface Accumulator {
  /** Room for groups below `count`. */
  grow(count: number): void;
  /** Computes what `add` needs: the memory may grow meanwhile. */
  prepare(): void;
  /** Takes rows [from, to). */
  add(groups: Int32Array, at: number, from: number, to: number): void;
  /** The accumulator of a group, as the definition has it. */
  state(group: number): unknown;
  /** Forgets groups below `count`. */
  clear(count: number): void;
  /** Besides what `grow` has made. */
  readonly heldBytes: number;
  readonly bytesPerGroup: number;
}

export class CountAccumulator implements Accumulator {
  readonly heldBytes = 0;
  readonly bytesPerGroup = 8;
  private counts = new Float64Array(0);

  grow(count: number): void {
    this.counts = grown(this.counts, count);
  }

  prepare(): void {}

  add(groups: Int32Array, at: number, from: number, to: number): void {
    const { counts } = this;
    for (let row = from; row < to; row++) (counts[groups[at + row] as number] as number)++;
  }

  state(group: number): unknown {
    return this.counts[group];
  }

  clear(count: number): void {
    this.counts.fill(0, 0, count);
  }
}

/** Larger numbers have an accumulator of their own, which cannot overflow. */
const LARGE = 2 ** 970;
/** Of an exact accumulator, about. */
const EXACT_BYTES = 160;

/** sum and avg. */
export class SumAccumulator implements Accumulator {
  readonly bytesPerGroup = 24;
  private readonly value: NumberVector;
  private sums = new Float64Array(0);
  private counts = new Float64Array(0);
  /** Of groups whose sum is not one number: all that came after that. */
  private exact: (NumberSum | undefined)[] = [];
  private exactCount = 0;

  constructor(value: NumberVector) {
    this.value = value;
  }

  get heldBytes(): number {
    return this.exactCount * EXACT_BYTES;
  }

  grow(count: number): void {
    this.sums = grown(this.sums, count);
    this.counts = grown(this.counts, count);
  }

  prepare(): void {
    this.value.prepare();
  }

  add(groups: Int32Array, at: number, from: number, to: number): void {
    const { counts, sums } = this;
    const { values } = this.value;
    for (let row = from; row < to; row++) {
      const value = values[row] as number;
      if (value !== value) continue;
      const group = groups[at + row] as number;
      const before = sums[group] as number;
      const sum = before + value;
      const part = sum - before;
      // What the addition would round away (Knuth).
      const error = before - (sum - part) + (value - part);
      if (error === 0 && sum < LARGE && sum > -LARGE) {
        sums[group] = sum;
        (counts[group] as number)++;
      } else this.addExactly(group, value);
    }
  }

  state(group: number): NumberSum {
    const sum = this.sums[group] as number;
    const count = this.counts[group] as number;
    const state: NumberSum = { count, special: 0, sum, low: 0, rest: null, large: null };
    const exact = this.exact[group];
    if (exact === undefined) return state;
    addToSum(exact, sum);
    exact.count += count - 1;
    return exact;
  }

  clear(count: number): void {
    this.sums.fill(0, 0, count);
    this.counts.fill(0, 0, count);
    this.exact = [];
    this.exactCount = 0;
  }

  private addExactly(group: number, value: number): void {
    let exact = this.exact[group];
    if (exact === undefined) {
      exact = newSum();
      this.exact[group] = exact;
      this.exactCount++;
    }
    addToSum(exact, value);
  }
}

/** min and max of numbers. */
export class ExtremeNumber implements Accumulator {
  readonly heldBytes = 0;
  readonly bytesPerGroup = 8;
  private readonly value: NumberVector;
  private readonly isMin: boolean;
  private best = new Float64Array(0);

  constructor(value: NumberVector, isMin: boolean) {
    this.value = value;
    this.isMin = isMin;
  }

  grow(count: number): void {
    const { length } = this.best;
    this.best = grown(this.best, count);
    this.best.fill(Number.NaN, length);
  }

  prepare(): void {
    this.value.prepare();
  }

  add(groups: Int32Array, at: number, from: number, to: number): void {
    const { best, isMin } = this;
    const { values } = this.value;
    for (let row = from; row < to; row++) {
      const value = values[row] as number;
      const group = groups[at + row] as number;
      const known = best[group] as number;
      // NaN is no value: it neither is better, nor stays.
      if (known !== known || (isMin ? value < known : value > known)) best[group] = value + 0;
    }
  }

  state(group: number): unknown {
    const best = this.best[group] as number;
    return best === best ? best : null;
  }

  clear(count: number): void {
    this.best.fill(Number.NaN, 0, count);
  }
}

export class ExtremeBoolean implements Accumulator {
  readonly heldBytes = 0;
  readonly bytesPerGroup = 1;
  private readonly value: BooleanVector;
  private readonly isMin: boolean;
  private best = new Uint8Array(0);

  constructor(value: BooleanVector, isMin: boolean) {
    this.value = value;
    this.isMin = isMin;
  }

  grow(count: number): void {
    const { length } = this.best;
    const best = new Uint8Array(count);
    best.set(this.best);
    this.best = best.fill(NULL_BOOLEAN, length);
  }

  prepare(): void {
    this.value.prepare();
  }

  add(groups: Int32Array, at: number, from: number, to: number): void {
    const { best, isMin } = this;
    const { values } = this.value;
    for (let row = from; row < to; row++) {
      const value = values[row] as number;
      if (value === NULL_BOOLEAN) continue;
      const group = groups[at + row] as number;
      const known = best[group] as number;
      if (known === NULL_BOOLEAN || (isMin ? value < known : value > known)) best[group] = value;
    }
  }

  state(group: number): unknown {
    const best = this.best[group];
    return best === NULL_BOOLEAN ? null : best === 1;
  }

  clear(count: number): void {
    this.best.fill(NULL_BOOLEAN, 0, count);
  }
}

/** Of an array with a buffer of its own, besides its bytes: a piece of a pooled one would keep the pool alive. */
const BUFFER_BYTES = 200;

/** Copies the best texts: seldom, once most groups have had some rows. */
export class ExtremeText implements Accumulator {
  readonly bytesPerGroup = 8;
  heldBytes = 0;
  private readonly memory: LaneMemory;
  private readonly value: TextVector;
  private readonly sign: number;
  private best: (Uint8Array<ArrayBuffer> | undefined)[] = [];

  constructor(memory: LaneMemory, value: TextVector, isMin: boolean) {
    this.memory = memory;
    this.value = value;
    this.sign = isMin ? 1 : -1;
  }

  grow(count: number): void {
    while (this.best.length < count) this.best.push(undefined);
  }

  prepare(): void {
    this.value.prepare();
  }

  add(groups: Int32Array, at: number, from: number, to: number): void {
    const { best, sign } = this;
    const { buffer, i32 } = this.memory;
    const ranges = this.value.ranges >> 2;
    for (let row = from; row < to; row++) {
      const end = i32[ranges + row * 2 + 1] as number;
      if (end === 0) continue;
      const start = i32[ranges + row * 2] as number;
      const group = groups[at + row] as number;
      const known = best[group];
      if (known === undefined) this.heldBytes += BUFFER_BYTES;
      else if (compareBytes(buffer, start, end, known, 0, known.length) * sign >= 0) continue;
      this.heldBytes += end - start - (known?.length ?? 0);
      best[group] = new Uint8Array(buffer.subarray(start, end));
    }
  }

  state(group: number): unknown {
    const best = this.best[group];
    return best === undefined ? null : decodeText(Buffer.from(best.buffer), 0, best.length);
  }

  clear(count: number): void {
    this.best.fill(undefined, 0, count);
    this.heldBytes = 0;
  }
}

function grown(values: Float64Array, count: number): Float64Array<ArrayBuffer> {
  const next = new Float64Array(count);
  next.set(values);
  return next;
}

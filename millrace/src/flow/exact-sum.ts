/**
 * Sums that do not depend on the order or the grouping of what is added: an accumulator holds the exact sum as numbers whose bits do not
 * overlap, and rounds it once, when it is read. Accumulators are plain data, so that parts of a sum can go from task to task.
 *
 * Source: J. R. Shewchuk, Adaptive Precision Floating-Point Arithmetic, 1997, grow-expansion; the rounding is that of Python's
 * math.fsum.
 *
 * @hot Two numbers hold the sums of integers below 2^53, and those of prices for a long time: an addition is a few operations on doubles.
 */

export interface NumberSum {
  /** Numbers that were added. */
  count: number;
  /** Infinities and NaN among them: a bit for each kind. */
  special: number;
  /** The whole sum is `sum + low` while two numbers can hold it (`rest` is null). */
  sum: number;
  low: number;
  /** The sum as non-overlapping numbers of increasing size. */
  rest: number[] | null;
  /** Of numbers from LARGE on, times 2^-64, in the same way: they could overflow on the way to a sum that does not. */
  large: number[] | null;
}

const LARGE = 2 ** 970;
const DOWN = 2 ** -64;
const UP = 2 ** 64;
/** Smaller numbers lose bits when they are scaled down. */
const TINY = 2 ** -950;
/** Where a scaled sum is so large that numbers below TINY only decide between halves. */
const SCALED_LARGE = 2 ** 850;

const POSITIVE_INFINITY = 1;
const NEGATIVE_INFINITY = 2;
const NOT_A_NUMBER = 4;

export function newSum(): NumberSum {
  return { count: 0, special: 0, sum: 0, low: 0, rest: null, large: null };
}

/** Adds `value`, and counts it. */
export function addToSum(into: NumberSum, value: number): void {
  into.count++;
  addValue(into, value);
}

function addValue(into: NumberSum, value: number): void {
  if (into.rest === null) {
    const before = into.sum;
    const sum = before + value;
    const part = sum - before;
    // What the addition rounded away (Knuth).
    const error = before - (sum - part) + (value - part);
    if (sum < LARGE && sum > -LARGE) {
      const lowBefore = into.low;
      const low = lowBefore + error;
      const lowPart = low - lowBefore;
      if (lowBefore - (low - lowPart) + (error - lowPart) === 0) {
        into.sum = sum;
        into.low = low;
        return;
      }
    }
  }
  addExactly(into, value);
}

/** Adds all that `from` holds to `into`. `from` stays as it is. */
export function mergeSums(into: NumberSum, from: NumberSum): void {
  into.count += from.count;
  into.special |= from.special;
  if (from.rest === null) {
    addValue(into, from.sum);
    addValue(into, from.low);
  } else for (const part of from.rest) addValue(into, part);
  if (from.large === null) return;
  into.large ??= [];
  for (const part of from.large) grow(into.large, part);
}

/** The exact sum, rounded to the nearest double, ties to even; 0 when nothing was added. Never -0. */
export function sumOf(sum: NumberSum): number {
  if (sum.special !== 0) return specialSum(sum.special);
  if (sum.large !== null) return roundedLarge(partsOf(sum), sum.large) + 0;
  return (sum.rest === null ? sum.sum + sum.low : rounded(sum.rest)) + 0;
}

function addExactly(into: NumberSum, value: number): void {
  if (!Number.isFinite(value)) {
    into.special |= Number.isNaN(value)
      ? NOT_A_NUMBER
      : value > 0
        ? POSITIVE_INFINITY
        : NEGATIVE_INFINITY;
    return;
  }
  if (Math.abs(value) >= LARGE) {
    into.large ??= [];
    grow(into.large, value * DOWN);
    return;
  }
  const rest = partsOf(into);
  grow(rest, value);
  into.rest = rest.length > 2 ? rest : null;
  into.sum = rest.at(-1) ?? 0;
  into.low = rest.length === 2 ? (rest[0] as number) : 0;
}

/** The sum but for its large part, as non-overlapping numbers; `rest` itself where there is one. */
function partsOf(sum: NumberSum): number[] {
  if (sum.rest !== null) return sum.rest;
  const parts: number[] = [];
  grow(parts, sum.low);
  grow(parts, sum.sum);
  return parts;
}

/** Adds a number to an expansion, in place. */
function grow(parts: number[], value: number): void {
  let carried = value;
  let kept = 0;
  for (let index = 0; index < parts.length; index++) {
    let larger = carried;
    let smaller = parts[index] as number;
    if (Math.abs(larger) < Math.abs(smaller)) {
      larger = smaller;
      smaller = carried;
    }
    carried = larger + smaller;
    const error = smaller - (carried - larger);
    if (error !== 0) parts[kept++] = error;
  }
  parts.length = kept;
  if (carried !== 0) parts.push(carried);
}

/** The nearest double to an expansion. */
function rounded(parts: readonly number[]): number {
  let index = parts.length - 1;
  if (index < 0) return 0;
  let high = parts[index] as number;
  let low = 0;
  while (index > 0) {
    const before = high;
    const next = parts[--index] as number;
    high = before + next;
    low = next - (high - before);
    if (low !== 0) break;
  }
  // `high` was rounded as if nothing came behind `low`: when that was a tie, what comes behind decides.
  const below = index > 0 ? (parts[index - 1] as number) : 0;
  if ((low < 0 && below < 0) || (low > 0 && below > 0)) {
    const doubled = low * 2;
    const next = high + doubled;
    if (doubled === next - high) return next;
  }
  return high;
}

function roundedLarge(parts: readonly number[], large: readonly number[]): number {
  const scaled = [...large];
  const tiny: number[] = [];
  for (const part of parts) {
    if (Math.abs(part) < TINY) grow(tiny, part);
    else grow(scaled, part * DOWN);
  }
  const top = scaled.at(-1) ?? 0;
  if (Math.abs(top) >= SCALED_LARGE) {
    // The direction is all that matters of what is so far below.
    if (tiny.length > 0) grow(scaled, Math.sign(tiny.at(-1) ?? 0) * Number.MIN_VALUE);
    return rounded(scaled) * UP;
  }
  for (const part of scaled) grow(tiny, part * UP);
  return rounded(tiny);
}

function specialSum(special: number): number {
  if (special === POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  return special === NEGATIVE_INFINITY ? Number.NEGATIVE_INFINITY : Number.NaN;
}

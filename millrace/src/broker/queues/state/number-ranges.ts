/**
 * A set of integers as sorted ranges that neither overlap nor touch: what is mostly a few long runs takes a few numbers.
 *
 *   numbers  from₀ to₀ from₁ to₁ …      `to` exclusive
 */
const FIRST_RANGES = 4;

export class NumberRanges {
  private numbers = new Float64Array(FIRST_RANGES * 2);
  private length = 0;

  /** Ranges. */
  get count(): number {
    return this.length >>> 1;
  }

  get isEmpty(): boolean {
    return this.length === 0;
  }

  /** The smallest number; undefined when there is none. */
  get first(): number | undefined {
    return this.length === 0 ? undefined : this.numbers[0];
  }

  has(value: number): boolean {
    return this.endOf(value) > value;
  }

  /** The first number at or above `value` that is not in the set. */
  endOf(value: number): number {
    const at = this.firstEndingAfter(value);
    if (at === this.length || (this.numbers[at] as number) > value) return value;
    return this.numbers[at + 1] as number;
  }

  /** How many numbers of [from, to) are in the set. */
  countIn(from: number, to: number): number {
    let count = 0;
    for (let at = this.firstEndingAfter(from); at < this.length; at += 2) {
      const start = Math.max(from, this.numbers[at] as number);
      const end = Math.min(to, this.numbers[at + 1] as number);
      if (start >= end) break;
      count += end - start;
    }
    return count;
  }

  /** Adds [from, to). */
  add(from: number, to: number): void {
    if (from >= to) return;
    const { numbers, length } = this;
    // The first range that touches or follows, and the first that lies wholly behind.
    const at = this.firstEndingAfter(from - 0.5);
    let behind = at;
    while (behind < length && (numbers[behind] as number) <= to) behind += 2;
    if (behind === at) {
      this.makeRoom(at);
      this.numbers[at] = from;
      this.numbers[at + 1] = to;
      return;
    }
    numbers[at] = Math.min(from, numbers[at] as number);
    numbers[at + 1] = Math.max(to, numbers[behind - 1] as number);
    this.remove(at + 2, behind);
  }

  /** Removes all numbers below `value`. */
  removeBelow(value: number): void {
    const at = this.firstEndingAfter(value);
    if (at < this.length && (this.numbers[at] as number) < value) this.numbers[at] = value;
    this.remove(0, at);
  }

  /** Removes all numbers at or above `value`. */
  removeFrom(value: number): void {
    const at = this.firstEndingAfter(value);
    const isCut = at < this.length && (this.numbers[at] as number) < value;
    if (isCut) this.numbers[at + 1] = value;
    this.length = isCut ? at + 2 : at;
  }

  removeOne(value: number): void {
    const at = this.firstEndingAfter(value);
    const from = this.numbers[at] as number;
    if (at === this.length || from > value) return;
    const to = this.numbers[at + 1] as number;
    this.remove(at, at + 2);
    this.add(from, value);
    this.add(value + 1, to);
  }

  forEachRange(visit: (from: number, to: number) => void): void {
    const { numbers, length } = this;
    for (let at = 0; at < length; at += 2) visit(numbers[at] as number, numbers[at + 1] as number);
  }

  /** Position of the first range that ends above `value`. */
  private firstEndingAfter(value: number): number {
    const { numbers } = this;
    let low = 0;
    let high = this.length >>> 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((numbers[middle * 2 + 1] as number) > value) high = middle;
      else low = middle + 1;
    }
    return low * 2;
  }

  private makeRoom(at: number): void {
    if (this.length === this.numbers.length) {
      const grown = new Float64Array(this.length * 2);
      grown.set(this.numbers);
      this.numbers = grown;
    }
    this.numbers.copyWithin(at + 2, at, this.length);
    this.length += 2;
  }

  private remove(from: number, to: number): void {
    if (from === to) return;
    this.numbers.copyWithin(from, to, this.length);
    this.length -= to - from;
  }
}

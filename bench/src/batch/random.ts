/** Random numbers that are the same in every run: what is compared must be the same data. */

/** Uniform 32-bit numbers (xorshift32, Marsaglia 2003). */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed | 0) === 0 ? 0x9e3779b9 : seed | 0;
  }

  /** 0 to 2^32-1. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** 0 to `bound`-1. */
  below(bound: number): number {
    return Math.floor((this.next() / 2 ** 32) * bound);
  }
}

/**
 * Ranks 0 to count-1 with about Zipf's frequencies: rank r comes up in proportion to 1 / (r + 1)^exponent. Drawn from a table by
 * Walker's alias method, so that a draw costs the same for any count.
 */
export class Zipf {
  readonly #random: SeededRandom;
  readonly #threshold: Float64Array;
  readonly #alias: Uint32Array;

  constructor(random: SeededRandom, count: number, exponent: number) {
    this.#random = random;
    const weights = Float64Array.from({ length: count }, (_, rank) => (rank + 1) ** -exponent);
    const scale = count / weights.reduce((sum, weight) => sum + weight, 0);
    this.#threshold = weights.map((weight) => weight * scale);
    this.#alias = new Uint32Array(count);
    this.#pair(count);
  }

  next(): number {
    const slot = this.#random.below(this.#threshold.length);
    const own = (this.#threshold[slot] ?? 1) * 2 ** 32;
    return this.#random.next() < own ? slot : (this.#alias[slot] ?? slot);
  }

  /** Fills every slot that is too light from one that is too heavy. */
  #pair(count: number): void {
    const light: number[] = [];
    const heavy: number[] = [];
    for (let slot = 0; slot < count; slot++) (this.#weight(slot) < 1 ? light : heavy).push(slot);
    while (light.length > 0 && heavy.length > 0) {
      const small = light.pop() ?? 0;
      const large = heavy.at(-1) ?? 0;
      this.#alias[small] = large;
      this.#threshold[large] = this.#weight(large) - (1 - this.#weight(small));
      if (this.#weight(large) < 1) {
        heavy.pop();
        light.push(large);
      }
    }
    for (const slot of [...light, ...heavy]) this.#threshold[slot] = 1;
  }

  #weight(slot: number): number {
    return this.#threshold[slot] ?? 1;
  }
}

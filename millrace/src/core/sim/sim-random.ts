/**
 * The seeded random numbers of a simulated machine: sfc32, 128 bits of state, one 32-bit addition chain per number.
 * The same seed gives the same sequence on every platform. Not for secrets.
 *
 * Source: Chris Doty-Humphrey, PractRand (sfc32).
 */

import type { Random } from '../env.ts';

const WARM_UP_ROUNDS = 15;
const TWO_TO_32 = 0x1_0000_0000;
const TWO_TO_26 = 0x400_0000;
const TWO_TO_53 = 0x20_0000_0000_0000;

export class SimRandom implements Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** @param seed any safe integer; each gives another sequence */
  constructor(seed: number) {
    this.a = seed | 0;
    this.b = Math.floor(seed / TWO_TO_32) | 0;
    this.c = 0x9e3779b9 | 0;
    for (let round = 0; round < WARM_UP_ROUNDS; round++) this.next32();
  }

  /** Uniform in [0, 2^32), an integer. */
  next32(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + sum) | 0;
    return sum >>> 0;
  }

  next(): number {
    const high = this.next32() >>> 5;
    const low = this.next32() >>> 6;
    return (high * TWO_TO_26 + low) / TWO_TO_53;
  }

  /** Uniform in [0, count), an integer; `count` from 1 to 2^32. */
  below(count: number): number {
    return Math.floor((this.next32() / TWO_TO_32) * count);
  }

  /** Uniform in [min, max). */
  between(min: number, max: number): number {
    return min + (this.next32() / TWO_TO_32) * (max - min);
  }

  /** True with probability `probability`. Draws nothing when it is 0 or 1. */
  chance(probability: number): boolean {
    if (probability <= 0) return false;
    return probability >= 1 || this.next32() < probability * TWO_TO_32;
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.allocUnsafe(count);
    for (let index = 0; index < count; index++) bytes[index] = this.next32() >>> 24;
    return bytes;
  }

  uuid(): string {
    const bytes = this.bytes(16);
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    const hex = bytes.toString('hex');
    return [
      hex.slice(0, 8),
      hex.slice(8, 12),
      hex.slice(12, 16),
      hex.slice(16, 20),
      hex.slice(20),
    ].join('-');
  }

  /** A generator of its own, whose sequence does not depend on how often this one is used later. */
  fork(): SimRandom {
    return new SimRandom(this.next32() + (this.next32() >>> 11) * TWO_TO_32);
  }
}

/**
 * The last stable offset of a log: below it every transaction is decided, durably. A transaction whose marker is written
 * but not durable is not decided yet.
 */
import type { EndedTransaction } from './producer-state.ts';

export class StableOffset {
  /** Ended transactions whose markers are not known to be durable. */
  private ended: EndedTransaction[] = [];

  add(transaction: EndedTransaction): void {
    this.ended.push(transaction);
  }

  /** @param firstOpenOffset of the oldest open transaction; Infinity = none */
  at(highWatermark: number, firstOpenOffset: number): number {
    let stable = Math.min(highWatermark, firstOpenOffset);
    if (this.ended.length === 0) return stable;
    this.ended = this.ended.filter(({ lastOffset }) => lastOffset >= highWatermark);
    for (const { firstOffset } of this.ended) stable = Math.min(stable, firstOffset);
    return stable;
  }
}

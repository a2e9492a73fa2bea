/**
 * What a channel has delivered and not had settled, in the order of delivery tags.
 *
 * Tags only rise, so a sorted list it is: settling the oldest, or all up to a tag, costs what is taken; any other single one a binary
 * search at most. Memory follows the number of messages held, not the span of their tags: one message that is never settled holds
 * nothing else.
 *
 *   tags   [ .  .  7  9  -  12 13 ]     '.' taken from the front, '-' taken from the middle
 *                  ^ first
 *
 * @hot
 */
import type { Delivery } from '../../broker/queues/queue.ts';

/** Holes are closed when there are this many and they are most of it. */
const COMPACT_MIN = 64;

export class UnackedDeliveries {
  /** Held messages. */
  size = 0;
  private tags: number[] = [];
  private deliveries: (Delivery | undefined)[] = [];
  /** Where the oldest one held is; the end when there is none. */
  private first = 0;

  /** @param tag higher than all before */
  add(tag: number, delivery: Delivery): void {
    this.tags.push(tag);
    this.deliveries.push(delivery);
    this.size++;
  }

  /** Takes the one with this tag; undefined when there is none. */
  take(tag: number): Delivery | undefined {
    const at = this.find(tag);
    const delivery = at < 0 ? undefined : this.deliveries[at];
    if (delivery === undefined) return undefined;
    this.deliveries[at] = undefined;
    this.size--;
    this.tidy();
    return delivery;
  }

  /** Whether one with this tag is held. */
  has(tag: number): boolean {
    const at = this.find(tag);
    return at >= 0 && this.deliveries[at] !== undefined;
  }

  /** Takes all up to and with this tag, the oldest first. */
  takeUpTo(tag: number): Delivery[] {
    const taken: Delivery[] = [];
    let at = this.first;
    for (; at < this.tags.length; at++) {
      if ((this.tags[at] ?? 0) > tag) break;
      const delivery = this.deliveries[at];
      if (delivery === undefined) continue;
      taken.push(delivery);
      this.deliveries[at] = undefined;
    }
    this.first = at;
    this.size -= taken.length;
    this.tidy();
    return taken;
  }

  takeAll(): Delivery[] {
    return this.takeUpTo(Number.POSITIVE_INFINITY);
  }

  /** Puts back what was taken, tags and messages one to one: a transaction was rolled back. */
  restore(tags: readonly number[], deliveries: readonly Delivery[]): void {
    const all: [number, Delivery][] = [];
    for (let at = this.first; at < this.tags.length; at++) {
      const delivery = this.deliveries[at];
      if (delivery !== undefined) all.push([this.tags[at] ?? 0, delivery]);
    }
    for (const [index, tag] of tags.entries()) {
      const delivery = deliveries[index];
      if (delivery !== undefined) all.push([tag, delivery]);
    }
    all.sort(([a], [b]) => a - b);
    this.tags = all.map(([tag]) => tag);
    this.deliveries = all.map(([, delivery]) => delivery);
    this.first = 0;
    this.size = all.length;
  }

  /** Tags held up to and with this one. */
  tagsUpTo(tag: number): number[] {
    const found: number[] = [];
    for (let at = this.first; at < this.tags.length; at++) {
      const each = this.tags[at] ?? 0;
      if (each > tag) break;
      if (this.deliveries[at] !== undefined) found.push(each);
    }
    return found;
  }

  private find(tag: number): number {
    const { tags, first } = this;
    const oldest = tags[first];
    if (oldest === undefined || tag < oldest) return -1;
    // Without a gap it is exactly so far from the oldest.
    const guess = first + (tag - oldest);
    if (tags[guess] === tag) return guess;
    let low = first;
    let high = Math.min(guess, tags.length) - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = tags[middle] ?? 0;
      if (found === tag) return middle;
      if (found < tag) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  private tidy(): void {
    const { tags, deliveries } = this;
    while (this.first < tags.length && deliveries[this.first] === undefined) this.first++;
    if (this.size === 0) {
      tags.length = 0;
      deliveries.length = 0;
      this.first = 0;
    } else if (tags.length >= COMPACT_MIN && tags.length > 2 * this.size) this.compact();
  }

  private compact(): void {
    const { tags, deliveries } = this;
    let to = 0;
    for (let at = this.first; at < tags.length; at++) {
      const delivery = deliveries[at];
      if (delivery === undefined) continue;
      tags[to] = tags[at] ?? 0;
      deliveries[to++] = delivery;
    }
    tags.length = to;
    deliveries.length = to;
    this.first = 0;
  }
}

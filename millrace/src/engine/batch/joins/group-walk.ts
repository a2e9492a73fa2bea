/**
 * Two sorted inputs, key by key: `next` stands on the smallest key that either side has, `nextLeft` and `nextRight` go through its
 * rows. What was not gone through is passed over by the following `next`.
 *
 * @hot Nothing is allocated, neither per row nor per key.
 */
import { compareKeys } from '../../../core/key-codec.ts';
import type { MergeReader } from '../exchange.ts';
import { isNullKey } from './null-key.ts';

/** What `next` found: which sides have rows of the key. Both readers stand on their first one. */
export const END = 0;
export const LEFT_ONLY = 1;
export const RIGHT_ONLY = 2;
export const BOTH = 3;

export class GroupWalk {
  readonly left: MergeReader;
  readonly right: MergeReader;
  private leftIsLive = false;
  private rightIsLive = false;
  private leftIsInGroup = false;
  private rightIsInGroup = false;
  private hasStarted = false;

  constructor(left: MergeReader, right: MergeReader) {
    this.left = left;
    this.right = right;
  }

  /** Goes to the next key. A null key that both sides have is two keys, first the left one: null equals nothing. */
  next(): number {
    if (!this.hasStarted) {
      this.hasStarted = true;
      this.leftIsLive = this.left.next();
      this.rightIsLive = this.right.next();
    }
    while (this.leftIsInGroup) this.nextLeft();
    while (this.rightIsInGroup) this.nextRight();
    if (!this.leftIsLive && !this.rightIsLive) return END;
    const order = this.order();
    this.leftIsInGroup = order <= 0;
    this.rightIsInGroup = order >= 0;
    return order < 0 ? LEFT_ONLY : order > 0 ? RIGHT_ONLY : BOTH;
  }

  /** To the next left row of the key; false when there are no more. */
  nextLeft(): boolean {
    this.leftIsLive = this.left.next();
    this.leftIsInGroup = this.leftIsLive && this.left.isSameKey;
    return this.leftIsInGroup;
  }

  nextRight(): boolean {
    this.rightIsLive = this.right.next();
    this.rightIsInGroup = this.rightIsLive && this.right.isSameKey;
    return this.rightIsInGroup;
  }

  private order(): number {
    if (!this.leftIsLive) return 1;
    if (!this.rightIsLive) return -1;
    const { left, right } = this;
    const order = compareKeys(
      left.buffer,
      left.keyStart,
      left.keyEnd,
      right.buffer,
      right.keyStart,
      right.keyEnd,
    );
    if (order !== 0) return order;
    return isNullKey(left.buffer, left.keyStart, left.keyEnd) ? -1 : 0;
  }
}

/**
 * Two sorted inputs, key by key: `next` stands on the smallest key that either side has, `nextLeft` and `nextRight` go through its
 * rows. What was not gone through is passed over by the following `next`.
 *
 * @hot Nothing is allocated, neither per row nor per key.
 */
import type { MergeReader } from '../exchange.ts';
import type { JoinCodec } from './join-options.ts';

/** What `next` found: which sides have rows of the key. Both readers stand on their first one. */
export const END = 0;
export const LEFT_ONLY = 1;
export const RIGHT_ONLY = 2;
export const BOTH = 3;

export class GroupWalk {
  readonly left: MergeReader;
  readonly right: MergeReader;
  private readonly isNull: JoinCodec['isNull'];
  private leftIsLive = false;
  private rightIsLive = false;
  private leftIsInGroup = false;
  private rightIsInGroup = false;
  private hasStarted = false;

  constructor(left: MergeReader, right: MergeReader, isNull: JoinCodec['isNull']) {
    this.left = left;
    this.right = right;
    this.isNull = isNull;
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
    const order = compareBytes(
      left.buffer,
      left.keyStart,
      left.keyEnd,
      right.buffer,
      right.keyStart,
      right.keyEnd,
    );
    if (order !== 0) return order;
    return this.isNull(left.buffer, left.keyStart, left.keyEnd) ? -1 : 0;
  }
}

/** Below this many bytes a loop is faster than a call into the runtime. */
const NATIVE_COMPARE_BYTES_MIN = 24;

/** Below, above or equal to 0, as left is less than, greater than or equal to right, byte by byte; a prefix is less. */
export function compareBytes(
  left: Buffer,
  leftStart: number,
  leftEnd: number,
  right: Buffer,
  rightStart: number,
  rightEnd: number,
): number {
  const leftBytes = leftEnd - leftStart;
  const rightBytes = rightEnd - rightStart;
  const shared = leftBytes < rightBytes ? leftBytes : rightBytes;
  if (shared >= NATIVE_COMPARE_BYTES_MIN)
    return left.compare(right, rightStart, rightEnd, leftStart, leftEnd);
  for (let index = 0; index < shared; index++) {
    const difference = (left[leftStart + index] ?? 0) - (right[rightStart + index] ?? 0);
    if (difference !== 0) return difference;
  }
  return leftBytes - rightBytes;
}

/** Settling everything but some: what a purge does. */
import type { QueueState } from './state/queue-state.ts';

/** Two lists of offsets as one, the smallest first. */
export function inOrder(some: Float64Array, others: Float64Array): Float64Array {
  if (others.length === 0) return some;
  const all = new Float64Array(some.length + others.length);
  all.set(some);
  all.set(others, some.length);
  return all.sort();
}

/** Settles all offsets below `limit` that are not in `kept`, which is in order. @returns how many were not settled before */
export function settleBetween(state: QueueState, kept: Float64Array, limit: number): number {
  let from = state.floor;
  let count = 0;
  const settle = (to: number): void => {
    if (to <= from) return;
    count += state.unsettledIn(from, to);
    state.settleRange(from, to);
  };
  for (const offset of kept) {
    if (offset >= limit) break;
    settle(offset);
    from = Math.max(from, offset + 1);
  }
  settle(limit);
  return count;
}

/** What every join algorithm is given, and the order in which it puts out its pairs. */
import type { JoinType } from '../../../flow/plan.ts';
import type { MergeReader, RunStorage } from '../exchange.ts';

/**
 * The law of order for joins. Let `l` be the rows of the left input of a task, in its order, and `r` those of the right.
 *
 * - sort-merge: by encoded key. Within a key by left row, then by right row, each in stream order. A key that only one side has
 *   stands at its place among all keys. Rows whose key is null or undefined match nothing; where their side is preserved they
 *   stand at the place of that key, too (null sorts before everything else), those of the left before those of the right.
 * - partitioned-hash: by left row in arrival order, then by right row in arrival order; a left row without a match stands at its
 *   own place, whatever its key. Right rows without a match follow after all left rows, in arrival order.
 * - broadcast-hash: as partitioned-hash, without right rows that have no match. Left rows go through no exchange: their keys are
 *   those that the program gave, where an exchange makes 0 of -0.
 *
 * The order never depends on the memory that a task has: what does not fit is sorted on disk and comes back in this order.
 */
export interface JoinOptions {
  /** Of the join node, for messages. */
  readonly name: string;
  readonly type: JoinType;
  /** Opens the left input, from its beginning: an algorithm that runs out of memory reads a side twice. */
  left(): MergeReader;
  right(): MergeReader;
  /** What the algorithm may hold besides the buffers of the two readers. */
  readonly memoryBytes: number;
  /** For what does not fit into it. */
  readonly storage: RunStorage;
}

/** Left rows without a match are part of the result. */
export function keepsLeft(type: JoinType): boolean {
  return type === 'left' || type === 'outer' || type === 'anti';
}

/** Right rows without a match are part of the result. */
export function keepsRight(type: JoinType): boolean {
  return type === 'right' || type === 'outer';
}

/** Semi and anti joins ask only whether there is a match: no pair is made. */
export function isFilter(type: JoinType): boolean {
  return type === 'semi' || type === 'anti';
}

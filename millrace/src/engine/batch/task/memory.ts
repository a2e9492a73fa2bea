/**
 * How the memory of a task is divided among what holds records. Every part keeps to its share by counting what it holds; shares that are
 * not used up are not lent to others, since most grow to their share anyway.
 *
 *   broadcasts    1/2 of all, in equal parts, when there are any
 *   of the rest   readers of exchanges 1/4, in equal parts
 *                 a join 1/4; an iteration, which opens its readers itself, 1/2
 *                 exits, all that is left, in equal parts: one that aggregates has half for its table, half for its writer;
 *                 without exits the others share what there is
 *
 * Not counted: sinks (SINK_BUFFER_BYTES each), the chunk that a source reads, the records of a `top` (its count bounds them), one
 * accumulator after an exchange, and what one call of a group's function emits while what is behind is busy.
 */
import { EXCHANGE_SHARE_BYTES_MIN } from '../../../core/limits.ts';

export interface TaskParts {
  readonly broadcasts: number;
  readonly readers: number;
  /** What the root of the stage needs besides its readers. */
  readonly root: 'nothing' | 'join' | 'iteration';
  readonly exits: number;
}

/** Bytes of each of its kind. */
export interface TaskMemory {
  readonly broadcast: number;
  readonly reader: number;
  /** Of the join, or the iteration. */
  readonly root: number;
  readonly exit: number;
}

export function divideMemory(memoryBytes: number, parts: TaskParts): TaskMemory {
  const forBroadcasts = parts.broadcasts === 0 ? 0 : memoryBytes / 2;
  const weights = {
    readers: parts.readers === 0 ? 0 : 1,
    root: parts.root === 'nothing' ? 0 : parts.root === 'join' ? 1 : 2,
  };
  const forExits = parts.exits === 0 ? 0 : 4 - weights.readers - weights.root;
  const unit = (memoryBytes - forBroadcasts) / (weights.readers + weights.root + forExits || 1);
  return {
    broadcast: share(forBroadcasts, parts.broadcasts),
    reader: share(unit * weights.readers, parts.readers),
    root: share(unit * weights.root, weights.root === 0 ? 0 : 1),
    exit: share(unit * forExits, parts.exits),
  };
}

function share(bytes: number, count: number): number {
  return count === 0 ? 0 : Math.max(Math.floor(bytes / count), EXCHANGE_SHARE_BYTES_MIN);
}

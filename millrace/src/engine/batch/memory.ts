/**
 * How the memory of a task is divided among what holds records. Every part keeps to its share by counting what it holds; shares that are
 * not used up are not lent to others, since most grow to their share anyway.
 *
 *   broadcasts    1/2 of all, in equal parts, when there are any
 *   of the rest   readers of exchanges 1/4, in equal parts
 *                 a join 1/4
 *                 exits, all that is left, in equal parts: one that aggregates has half for its table, half for its writer
 *
 * Not counted: sinks (SINK_BUFFER_BYTES each), the chunk that a source reads, the records of a `top` (its count bounds them), one
 * accumulator after an exchange, and what one call of a group's function emits while what is behind is busy.
 */
import { EXCHANGE_SHARE_BYTES_MIN } from '../../core/limits.ts';

export interface TaskParts {
  readonly broadcasts: number;
  readonly readers: number;
  readonly hasJoin: boolean;
  readonly exits: number;
}

/** Bytes of each of its kind. */
export interface TaskMemory {
  readonly broadcast: number;
  readonly reader: number;
  readonly join: number;
  readonly exit: number;
}

export function divideMemory(memoryBytes: number, parts: TaskParts): TaskMemory {
  const forBroadcasts = parts.broadcasts === 0 ? 0 : memoryBytes / 2;
  const rest = memoryBytes - forBroadcasts;
  // What ends in sinks leaves the share of the exits to its input.
  const isLast = parts.exits === 0;
  const forReaders =
    parts.readers === 0 ? 0 : rest / (isLast && !parts.hasJoin ? 1 : isLast ? 2 : 4);
  const forJoin = parts.hasJoin ? (isLast ? rest - forReaders : rest / 4) : 0;
  const forExits = rest - forReaders - forJoin;
  return {
    broadcast: share(forBroadcasts, parts.broadcasts),
    reader: share(forReaders, parts.readers),
    join: share(forJoin, parts.hasJoin ? 1 : 0),
    exit: share(forExits, parts.exits),
  };
}

function share(bytes: number, count: number): number {
  return count === 0 ? 0 : Math.max(Math.floor(bytes / count), EXCHANGE_SHARE_BYTES_MIN);
}

/**
 * How large the young generation of V8 gets in a broker. Most of what a message takes in memory is a buffer that is garbage soon, and V8
 * collects those only when objects fill the young generation: with its own bound of 64 MiB for each half, a broker under load holds three
 * times what it needs, and is no faster for it.
 *
 * V8 reads its bound once, before any program runs; the factor by which the young generation grows it reads each time. So it grows as it
 * likes up to `YOUNG_BYTES`, and then no further.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import type { Timers } from '../core/env.ts';

/** Both halves. */
const YOUNG_BYTES = 16 * 1024 * 1024;
const LOOK_MS = 500;

/** Keeps the young generation of this process small, from now on. Costs a look every half second. */
export function boundYoungMemory(timers: Timers): void {
  let isBounded = false;
  const look = (): void => {
    const isFull = youngBytes() >= YOUNG_BYTES;
    // It gets smaller when the process rests, and may grow again then.
    if (isFull !== isBounded) setFlagsFromString(`--semi-space-growth-factor=${isFull ? 1 : 2}`);
    isBounded = isFull;
    timers.after(LOOK_MS, look);
  };
  look();
}

function youngBytes(): number {
  for (const space of getHeapSpaceStatistics())
    if (space.space_name === 'new_space') return space.space_size;
  return 0;
}

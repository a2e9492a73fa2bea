/** What is kept of one window of one key: `(key, start) → [accumulator, time, flags, told]`, the last two where they are needed. */

export type WindowState = [
  accumulator: unknown,
  /** The latest of the records in it. */
  time: number,
  flags?: number,
  /** `emit: every`: the result that was told last; undefined: none. */
  told?: unknown,
];

/** It has changed since it was told. */
export const IS_UNTOLD = 1;
/** It is closed, and kept because others are made of it. */
export const IS_CLOSED = 2;

export function hasFlag(state: WindowState, flag: number): boolean {
  return ((state[2] ?? 0) & flag) !== 0;
}

/** How far `time` is behind the last multiple of `step`. */
export function distance(time: number, step: number): number {
  const rest = time % step;
  return rest < 0 ? rest + step : rest;
}

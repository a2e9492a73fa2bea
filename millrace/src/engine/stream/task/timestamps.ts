/** Times of records as topics carry them: whole milliseconds since 1970. */

/** The year 37,648: differences of times, and some bits more, still are safe integers. */
const TIMESTAMP_MS_MAX = 2 ** 50 - 1;

/** @returns -1 for what is no time, or one before 1970 @hot */
export function timestampOf(time: number): number {
  return time >= 0 && time <= TIMESTAMP_MS_MAX ? Math.floor(time) : -1;
}

/** What a function of `time: { of }` has returned. @returns -1 as above */
export function eventTimeOf(given: unknown): number {
  if (typeof given === 'number') return timestampOf(given);
  return given instanceof Date ? timestampOf(given.getTime()) : -1;
}

/**
 * What can be a key, and the mark that turns the order of one around. The encoding of keys reads both from here, and so does
 * the language.
 */

/**
 * A key: of a record, of a sort, of a group. Undefined comes first, then null. Strings are ordered by code point, numbers by size, dates by time, bytes as unsigned
 * numbers, false before true; arrays compare element by element.
 */
export type Key = KeyScalar | readonly Key[] | Windowed<unknown>;
export type KeyScalar = string | number | bigint | boolean | Date | Uint8Array | null | undefined;

/** What a function that orders records may return: a key, any part of which may be marked by `desc`. */
export type SortKey = KeyScalar | Descending | Windowed<unknown> | readonly SortKey[];

/** A key whose order is turned around. Made by `desc`; recognised at the top of a sort key and inside its arrays. */
export interface Descending<T = unknown> {
  readonly kind: 'descending';
  readonly value: T;
}

/**
 * Marks a sort key, or one component of it, to be ordered from large to small.
 * @param value a key: string, number, bigint, boolean, Date, bytes, null, or an array of these. For `sortBy`, the name of a column
 * @example
 * hits.sort('by-day', (hit) => [desc(hit.day), hit.path]); // latest day first, within it by path
 * rows.sortBy(desc('bytes'), 'path');
 */
export function desc<const T>(value: T): Descending<T> {
  return Object.freeze({ kind: 'descending', value });
}

/** Whether a value is the mark that `desc` makes. By its shape: two copies of this package understand one another. */
export function isDescending(value: unknown): value is Descending {
  return (
    typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'descending'
  );
}

/** The key of a result over a window: ordered by key, then by start. */
export interface Windowed<K> {
  readonly key: K;
  /** Milliseconds since 1970. */
  readonly start: number;
  readonly end: number;
}

/** By its shape: keys are decoded, copied and compared. */
export function isWindowed(value: object): value is Windowed<unknown> {
  return 'key' in value && 'start' in value && 'end' in value;
}

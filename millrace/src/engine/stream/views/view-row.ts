/** What a view shows, and how it is asked for: the same for every kind of operator, however that keeps its state. */

/**
 * `table`: one row per key, also of aggregates, joins and the state of `process`. `history`: a table that knows what was true before; its rows
 * are the latest. `window`: one row per key and window that is open; `session`: the same, windows that end where their records do.
 */
export type ViewKind = 'table' | 'history' | 'window' | 'session';

export interface ViewRow {
  readonly key: unknown;
  /** Of windows and sessions, milliseconds since 1970. */
  readonly start?: number;
  readonly end?: number;
  readonly value: unknown;
  /** Of the latest record in it; of a version, from when on it is true. Absent: nobody knows. */
  readonly time?: number;
}

/** A row that has changed; without a value it is gone, and then `end` and `time` may be missing. */
export interface ViewChange {
  readonly key: unknown;
  readonly start?: number;
  readonly end?: number;
  readonly value: unknown;
  readonly time?: number;
}

/** A question to one task. Structured clones. */
export type ViewQuestion = {
  readonly kind: 'view';
  readonly view: string;
  readonly limit: number;
} & (
  | {
      readonly by: 'key';
      readonly key: unknown;
      /** Of windows: only the one that starts there; undefined: all of the key. */
      readonly start: number | undefined;
      /** Of a history: what was true then; undefined: what is true now. */
      readonly at: number | undefined;
    }
  | {
      readonly by: 'range';
      /** Orders of keys, as `orderOf` makes them: from <= key < to. */
      readonly from: string;
      readonly to: string | undefined;
      /** Of the key whose order `from` is, only what is behind this sub. */
      readonly after: number;
    }
);

/** Where a range goes on. */
export interface PagePosition {
  readonly order: string;
  readonly after: number;
}

export interface ViewPage {
  /** A `ViewRow[]`, as `core/value-codec` writes it: the same wherever it was made, and whatever carried it. */
  readonly rows: Uint8Array;
  /** undefined: there is no more. */
  readonly next: PagePosition | undefined;
  /** Records of its changelog before this offset are part of it, those from it on are not. */
  readonly position: number;
  /** T of the task at its last commit; -Infinity: it has seen nothing. */
  readonly watermark: number;
  /** Of the last commit, by the wall clock, milliseconds since 1970; undefined: there was none since the task was opened. */
  readonly committedAt: number | undefined;
}

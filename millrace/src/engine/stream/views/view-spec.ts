/** A view, from the side of who reads it: whose entries it shows, and how rows are made of them. */
import type { StoredEntry } from '../state/store.ts';
import type { StageNode } from '../topology.ts';
import type { ViewKind, ViewRow } from './view-row.ts';

/** The row that an entry is; undefined: it is none. */
export type EntryRow = (key: unknown, sub: number, value: unknown) => ViewRow | undefined;

export interface ViewSpec {
  readonly name: string;
  readonly kind: ViewKind;
  /** Where its entries are. */
  readonly store: string;
  /** Whose tasks have it; -1: every worker has all of it (global tables). */
  readonly stage: number;
  readonly partitions: number;
  readonly at: StageNode;
  /** One row for one entry; or, where rows are made of several entries of a key, all rows of a key. */
  readonly rows: { readonly by: 'entry'; readonly row: EntryRow } | KeyRows;
}

/** All rows of a key, made of all entries of it. */
export interface KeyRows {
  readonly by: 'key';
  /**
   * Rows whose start is greater than `after`, ascending; false ends it.
   * @param visit is told what the row has cost, in entries that were looked at
   */
  rows(
    entries: readonly StoredEntry[],
    after: number,
    visit: (row: ViewRow, cost: number) => boolean,
  ): void;
}

/** What is known of the views of a node from the node alone. */
export type Readable = Pick<ViewSpec, 'kind' | 'rows'>;

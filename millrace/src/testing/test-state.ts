/** State of a flow as of its last commit, read by the name of the operator that has it. */
import { MillraceError } from '../core/errors.ts';
import { compareEntryKeys, orderOf } from '../engine/stream/state/entry-key.ts';
import type { ReadableStore, StoredEntry } from '../engine/stream/state/store.ts';
import type { ViewRow } from '../engine/stream/views/view-row.ts';
import type { ViewSpec } from '../engine/stream/views/view-spec.ts';
import { GLOBAL_STAGE, viewsOf } from '../engine/stream/views/view-specs.ts';
import type { MemoryCluster } from './memory-cluster.ts';

/** A row of state. */
export interface StateEntry<Value = unknown, Key = unknown> {
  /** Of windows: `{ key, start, end }`. */
  readonly key: Key;
  readonly value: Value;
}

/** What a table, an aggregate, the open windows of one, or `process` has, as of the last commit. */
export interface StateReader<Value = unknown, Key = unknown> {
  /** The value of a key; undefined: it has none. Of windows the key is `{ key, start, end }`. */
  get(key: Key): Value | undefined;
  /** All of it, in the order of the keys. */
  entries(): readonly StateEntry<Value, Key>[];
  readonly size: number;
}

/** @throws {MillraceError} ML_USAGE: the flow has no such state */
export function readState(cluster: MemoryCluster, name: string): StateReader {
  const views = viewsOf(cluster.topology);
  const view = views.get(name);
  if (view === undefined) {
    const known = [...views.keys()];
    throw new MillraceError('ML_USAGE', `the flow has no state named '${name}'`, {
      hint:
        known.length === 0
          ? 'Nothing in it keeps what could be read: tables, aggregates, windows, process'
          : `It has ${known.join(', ')}`,
    });
  }
  const entries = (): readonly StateEntry[] =>
    storesOf(cluster, view)
      .flatMap((store) => rowsOf(view, store.range(undefined, undefined, ALL)))
      .sort((a, b) => compareEntryKeys(a.key, b.key));
  return {
    entries,
    get: (key) => {
      const order = orderOf(key);
      return entries().find((entry) => orderOf(entry.key) === order)?.value;
    },
    get size() {
      return entries().length;
    },
  };
}

const ALL = Number.MAX_SAFE_INTEGER;

/** Of all tasks; of a global table, which every worker has all of, that of one. */
function storesOf(cluster: MemoryCluster, { stage, store }: ViewSpec): ReadableStore[] {
  if (stage === GLOBAL_STAGE)
    return cluster.workers
      .flatMap(({ globals }) => globals?.committedView(store) ?? [])
      .slice(0, 1);
  return cluster.tasks.flatMap(({ id, task }) =>
    id.stage === stage ? (task.state.committedView(store) ?? []) : [],
  );
}

function rowsOf({ rows }: ViewSpec, stored: readonly StoredEntry[]): StateEntry[] {
  const found: StateEntry[] = [];
  const take = ({ key, start, end, value }: ViewRow): boolean => {
    found.push({ key: start === undefined ? key : { key, start, end }, value });
    return true;
  };
  if (rows.by === 'entry') {
    for (const { key, sub, value } of stored) {
      const row = rows.row(key, sub, value);
      if (row !== undefined) take(row);
    }
    return found;
  }
  // Those of a key follow one another.
  for (let from = 0, to = 0; from < stored.length; from = to) {
    const order = orderOf(stored[from]?.key);
    while (to < stored.length && orderOf(stored[to]?.key) === order) to++;
    rows.rows(stored.slice(from, to), Number.NEGATIVE_INFINITY, take);
  }
  return found;
}

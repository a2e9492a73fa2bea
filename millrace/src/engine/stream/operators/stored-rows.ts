/**
 * What the entries of a store say as rows: for views, which read what is committed without the operator that wrote it. The rows of a
 * window aggregate are the windows that are open.
 */
import type { PlanNode } from '../../../flow/plan.ts';
import type { WindowAggregateNode } from '../../../flow/stream-nodes.ts';
import { rowAggregation } from '../../batch/operators/row-functions.ts';
import type { Accumulated } from './aggregate.ts';
import type { Row } from './table.ts';
import type { Version } from './versioned-table.ts';
import { type WindowEntry, windowRows } from './windows/window-rows.ts';

export interface StoredRow {
  readonly key: unknown;
  readonly value: unknown;
  /** Event time, milliseconds since 1970. */
  readonly time: number;
}

/**
 * Rows of one key, in order.
 * @param entries all of the key in the store that is named like the node, ascending by sub; plain data of their own
 * @returns undefined: the store of the node has no rows
 */
export function storedRows(
  node: PlanNode,
  key: unknown,
  entries: Entries,
): readonly StoredRow[] | undefined {
  const { kind } = node;
  if (kind === 'aggregate' || kind === 'tableAggregate')
    return accumulatedRows(key, entries, node.finish);
  if (kind === 'columnAggregate') return accumulatedRows(key, entries, rowAggregation(node).finish);
  if (kind === 'table' && node.historyMs !== undefined) return latestVersion(key, entries);
  if (kind === 'table' || kind === 'process') return latestRows(key, entries);
  return kind === 'windowAggregate' ? resultsOf(node, key, entries) : undefined;
}

function resultsOf(
  node: WindowAggregateNode,
  key: unknown,
  entries: Entries,
): readonly StoredRow[] {
  const { finish } = node;
  return windowRows(node, key, entries as readonly WindowEntry[]).flatMap((row) => {
    const { accumulator, time } = row;
    const value = finish === undefined ? accumulator : finish(accumulator, key);
    return value === undefined ? [] : [{ key: row.key, value, time }];
  });
}

type Entries = readonly { readonly sub: number; readonly value: unknown }[];

function accumulatedRows(
  key: unknown,
  entries: Entries,
  finish: ((accumulator: unknown, key: unknown) => unknown) | undefined,
): readonly StoredRow[] {
  return entries.flatMap((entry) => {
    const [accumulator, time] = entry.value as Accumulated;
    const value = finish === undefined ? accumulator : finish(accumulator, key);
    return value === undefined ? [] : [{ key, value, time }];
  });
}

function latestRows(key: unknown, entries: Entries): readonly StoredRow[] {
  return entries.map((entry) => {
    const [value, time] = entry.value as Row;
    return { key, value, time };
  });
}

function latestVersion(key: unknown, entries: Entries): readonly StoredRow[] {
  const last = entries.at(-1);
  if (last === undefined) return [];
  const [value] = last.value as Version;
  return value === null ? [] : [{ key, value, time: last.sub }];
}

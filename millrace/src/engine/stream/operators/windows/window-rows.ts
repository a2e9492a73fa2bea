/** The windows of one key that are open, as what is stored of them says: for who reads the state of a flow from outside. */
import type { WindowAggregateNode } from '../../../../flow/stream-nodes.ts';
import type { Windowed } from '../../../../flow/windows.ts';
import { panesOf } from './create-window-aggregate.ts';
import { type Merge, mergePanes } from './merged-panes.ts';
import { LEFT } from './sliding-panes.ts';
import { hasFlag, IS_CLOSED, type WindowState } from './window-state.ts';

export interface WindowRow {
  readonly key: Windowed<unknown>;
  readonly accumulator: unknown;
  readonly time: number;
}

export interface WindowEntry {
  readonly sub: number;
  readonly value: WindowState;
}

/** @param entries all of the key, ascending */
export function windowRows(
  node: WindowAggregateNode,
  key: unknown,
  entries: readonly WindowEntry[],
): WindowRow[] {
  const panes = panesOf(node);
  if (panes !== undefined) return mergedRows(node, key, entries, panes.merge);
  const { window } = node;
  const rows: WindowRow[] = [];
  for (const { sub: start, value } of entries) {
    const [accumulator, time] = value;
    if (window.kind === 'sliding' && hasFlag(value, IS_CLOSED)) continue;
    const end = window.kind === 'session' ? time : start + window.sizeMs;
    rows.push({ key: { key, start, end }, accumulator, time });
  }
  return rows;
}

function mergedRows(
  node: WindowAggregateNode,
  key: unknown,
  entries: readonly WindowEntry[],
  merge: Merge,
): WindowRow[] {
  const { window } = node;
  if (window.kind !== 'hopping' && window.kind !== 'sliding') return [];
  const { sizeMs } = window;
  const last = window.kind === 'hopping' ? sizeMs - 1 : sizeMs;
  const scan = (
    _key: unknown,
    from: number,
    to: number,
    visit: (sub: number, value: WindowState) => void,
  ): void => {
    for (const { sub, value } of entries) if (sub >= from && sub <= to) visit(sub, value);
  };
  const rows: WindowRow[] = [];
  for (const start of [...openStarts(node, entries)].sort((a, b) => a - b)) {
    const merged = mergePanes({ scan }, merge, key, start, start + last);
    if (merged === undefined) continue;
    const [accumulator, time] = merged;
    rows.push({ key: { key, start, end: start + sizeMs }, accumulator, time });
  }
  return rows;
}

function openStarts(
  { window }: WindowAggregateNode,
  entries: readonly WindowEntry[],
): ReadonlySet<number> {
  const starts = new Set<number>();
  for (const { sub: pane, value } of entries) {
    const next = value[2] ?? Number.POSITIVE_INFINITY;
    if (window.kind === 'hopping')
      for (let start = next; start <= pane; start += window.everyMs) starts.add(start);
    if (window.kind === 'sliding') {
      if (next === LEFT) starts.add(pane - window.sizeMs);
      starts.add(pane + 1);
    }
  }
  return starts;
}

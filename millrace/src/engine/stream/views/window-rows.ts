/**
 * Rows of windows, from how they are kept: an accumulator for each window; or panes, of which windows are merged when somebody asks. A window is
 * a row while it is open.
 */
import type { WindowAggregateNode } from '../../../flow/stream-nodes.ts';
import { copyData } from '../operators/copy-data.ts';
import { paneOf } from '../operators/windows/pane-windows.ts';
import { hasFlag, IS_CLOSED, type WindowState } from '../operators/windows/window-state.ts';
import type { StoredEntry } from '../state/store.ts';
import type { KeyRows, Readable } from './view-spec.ts';

export function windowRows(node: WindowAggregateNode): Readable {
  const { window, merge, emit, finish } = node;
  const resultOf = (accumulator: unknown, key: unknown): unknown =>
    finish === undefined ? accumulator : finish(accumulator, key);
  const isMerged = emit.kind === 'close' && merge !== undefined;
  if (isMerged && window.kind === 'hopping' && paneOf(window) !== undefined) {
    const { sizeMs, everyMs } = window;
    const startsOf = (panes: readonly StoredEntry[]): number[] => hoppingStarts(panes, everyMs);
    return {
      kind: 'window',
      rows: paneRows({ startsOf, lastMs: sizeMs - 1, sizeMs, merge, resultOf }),
    };
  }
  if (isMerged && window.kind === 'sliding') {
    const { sizeMs } = window;
    const startsOf = (panes: readonly StoredEntry[]): number[] => slidingStarts(panes, sizeMs);
    return {
      kind: 'window',
      rows: paneRows({ startsOf, lastMs: sizeMs, sizeMs, merge, resultOf }),
    };
  }
  const sizeMs = window.kind === 'session' ? undefined : window.sizeMs;
  return {
    kind: window.kind === 'session' ? 'session' : 'window',
    rows: {
      by: 'entry',
      row: (key, start, entry) => {
        const state = entry as WindowState;
        if (window.kind === 'sliding' && hasFlag(state, IS_CLOSED)) return undefined;
        const end = sizeMs === undefined ? state[1] : start + sizeMs;
        const value = resultOf(state[0], key);
        return value === undefined ? undefined : { key, start, end, value, time: state[1] };
      },
    },
  };
}

interface PaneSettings {
  readonly startsOf: (panes: readonly StoredEntry[]) => number[];
  /** From the start of a window to the last time of a pane in it. */
  readonly lastMs: number;
  readonly sizeMs: number;
  readonly merge: (left: unknown, right: unknown) => unknown;
  readonly resultOf: (accumulator: unknown, key: unknown) => unknown;
}

function paneRows({ startsOf, lastMs, sizeMs, merge, resultOf }: PaneSettings): KeyRows {
  return {
    by: 'key',
    rows: (panes, after, visit) => {
      let first = 0;
      for (const start of startsOf(panes)) {
        while (first < panes.length && (panes[first]?.sub ?? 0) < start) first++;
        if (start <= after) continue;
        let merged: WindowState | undefined;
        let cost = 0;
        for (let index = first; index < panes.length; index++, cost++) {
          const pane = panes[index];
          if (pane === undefined || pane.sub > start + lastMs) break;
          const [part, time] = pane.value as WindowState;
          // Another window is made of the same pane.
          const own = copyData(part);
          merged =
            merged === undefined ? [own, time] : [merge(merged[0], own), Math.max(merged[1], time)];
        }
        const key = panes[0]?.key;
        if (merged === undefined) continue;
        const value = resultOf(merged[0], key);
        const row = { key, start, end: start + sizeMs, value, time: merged[1] };
        if (value !== undefined && !visit(row, cost)) return;
      }
    },
  };
}

/** A pane is in all windows from the first that has not closed (`next`) to the one that begins with it, or before. */
function hoppingStarts(panes: readonly StoredEntry[], everyMs: number): number[] {
  const starts: number[] = [];
  for (const { sub: pane, value } of panes) {
    const next = (value as WindowState)[2] ?? Number.POSITIVE_INFINITY;
    const last = starts.at(-1);
    const from = last === undefined ? next : Math.max(next, last + everyMs);
    for (let start = from; start <= pane; start += everyMs) starts.push(start);
  }
  return starts;
}

/** A time with records ends a window until that has closed (LEFT is 0), and begins another one behind it if others follow. */
function slidingStarts(panes: readonly StoredEntry[], sizeMs: number): number[] {
  const starts = new Set<number>();
  for (const [index, { sub: time, value }] of panes.entries()) {
    if ((value as WindowState)[2] === 0) starts.add(time - sizeMs);
    const following = panes[index + 1];
    if (following !== undefined && following.sub <= time + 1 + sizeMs) starts.add(time + 1);
  }
  return [...starts].sort((a, b) => a - b);
}

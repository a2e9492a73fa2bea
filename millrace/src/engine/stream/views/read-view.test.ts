import { expect, test } from 'vitest';
import { VIEW_PAGE_BYTES_MAX, VIEW_SCAN_ENTRIES_MAX } from '../../../core/http-limits.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import type { ReadableStore } from '../state/store.ts';
import { openMemoryState } from '../state/task-state.ts';
import { readView } from './read-view.ts';
import type { PagePosition, ViewRow } from './view-row.ts';
import type { ViewSpec } from './view-spec.ts';

type Rows = ViewSpec['rows'];

function spec(rows: Rows, kind: ViewSpec['kind'] = 'window'): ViewSpec {
  return { name: 'v', kind, store: 'v', stage: 0, partitions: 1, at: { node: 0 }, rows };
}

/** Every entry is a row, or every `each`-th. */
function everyEntry(each = 1): Rows {
  return {
    by: 'entry',
    row: (key, start, value) =>
      (value as number) % each === 0 ? { key, start, end: start, value } : undefined,
  };
}

/** A row for each entry, each of which has cost a lot. */
const costly: Rows = {
  by: 'key',
  rows: (entries, after, visit) => {
    for (const { key, sub, value } of entries)
      if (sub > after && !visit({ key, start: sub, end: sub, value }, 1_000)) return;
  },
};

function storeOf(keys: number, subs: number, value: (index: number) => unknown): ReadableStore {
  const state = openMemoryState({ isLogged: false });
  const store = state.store({ name: 'v' });
  for (let key = 0, index = 0; key < keys; key++)
    for (let sub = 0; sub < subs; sub++) store.put(key, sub, value(index++), 0);
  state.committed(new Map());
  const view = state.committedView('v');
  if (view === undefined) throw new Error('the store is there');
  return view;
}

interface Page {
  readonly rows: readonly ViewRow[];
  readonly next: PagePosition | undefined;
}

function pages(view: ViewSpec, store: ReadableStore, limit: number): Page[] {
  const all: Page[] = [];
  let position: PagePosition | undefined = { order: '', after: Number.NEGATIVE_INFINITY };
  while (position !== undefined) {
    const { rows, next } = readView(view, store, {
      kind: 'view',
      view: 'v',
      by: 'range',
      from: position.order,
      after: position.after,
      to: undefined,
      limit,
    });
    const bytes = Buffer.from(rows);
    all.push({ rows: decodeValue(bytes, 0, bytes.length) as ViewRow[], next });
    position = next;
  }
  return all;
}

function valuesOf(all: readonly Page[]): unknown[] {
  return all.flatMap(({ rows }) => rows.map(({ value }) => value));
}

function upTo(count: number, each = 1): number[] {
  return Array.from({ length: Math.ceil(count / each) }, (_, index) => index * each);
}

test.each([1, 7, 255, 256, 257, 1_000])('pages of %i rows give all of them, in order', (limit) => {
  for (const rows of [everyEntry(), costly]) {
    const store = storeOf(13, 50, (index) => index);
    const all = pages(spec(rows), store, limit);
    expect(valuesOf(all)).toEqual(upTo(650));
    expect(Math.max(...all.map((page) => page.rows.length))).toBeLessThanOrEqual(limit);
  }
});

test('a key with more entries than are read at a time is one key', () => {
  for (const rows of [everyEntry(), costly])
    expect(
      valuesOf(
        pages(
          spec(rows),
          storeOf(2, 600, (index) => index),
          1_000,
        ),
      ),
    ).toEqual(upTo(1_200));
});

test('entries that are no rows end a page, too, and none is lost', () => {
  const count = 3 * VIEW_SCAN_ENTRIES_MAX;
  const all = pages(
    spec(everyEntry(1_000)),
    storeOf(count, 1, (index) => index),
    1_000,
  );
  expect(all.length).toBeGreaterThanOrEqual(3);
  expect(valuesOf(all)).toEqual(upTo(count, 1_000));
});

test('what a row costs ends a page', () => {
  const all = pages(
    spec(costly),
    storeOf(4, 10, (index) => index),
    1_000,
  );
  expect(Math.max(...all.map(({ rows }) => rows.length))).toBeLessThanOrEqual(
    VIEW_SCAN_ENTRIES_MAX / 1_000 + 1,
  );
  expect(valuesOf(all)).toEqual(upTo(40));
});

test('a page ends with the row that is too large for it', () => {
  const large = 'x'.repeat(VIEW_PAGE_BYTES_MAX / 2);
  const all = pages(
    spec({ by: 'entry', row: (key, _sub, value) => ({ key, value }) }, 'table'),
    storeOf(9, 1, () => large),
    1_000,
  );
  expect(Math.max(...all.map(({ rows }) => rows.length))).toBe(2);
  expect(valuesOf(all)).toHaveLength(9);
});

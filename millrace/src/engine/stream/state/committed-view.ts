/** What is committed of a store, decoded for whoever asks: nothing of it is shared with the task. */
import { type Entry, IS_PACKED, lowerBound } from './entry.ts';
import { orderOf } from './entry-key.ts';
import type { KeyTable } from './key-table.ts';
import { unpack } from './packed-value.ts';
import type { ReadableStore, StoredEntry } from './store.ts';

export class CommittedView implements ReadableStore {
  private readonly table: KeyTable;
  private readonly sizeNow: () => number;

  constructor(table: KeyTable, sizeNow: () => number) {
    this.table = table;
    this.sizeNow = sizeNow;
  }

  get size(): number {
    return this.sizeNow();
  }

  get(key: unknown, sub: number): unknown {
    const entry = entryOf(this.table, key, sub);
    return entry === undefined ? undefined : baseOf(entry);
  }

  range(from: unknown, to: unknown, limit: number): readonly StoredEntry[] {
    const end = to === undefined ? undefined : orderOf(to);
    return this.page(from === undefined ? '' : orderOf(from), NOTHING_BEFORE, end, limit);
  }

  ofKey(key: unknown): readonly StoredEntry[] {
    const found: StoredEntry[] = [];
    const head = this.table.get(key);
    if (head !== undefined) collectGroup(head, NOTHING_BEFORE, found, Number.POSITIVE_INFINITY);
    return found;
  }

  page(from: string, after: number, to: string | undefined, limit: number): readonly StoredEntry[] {
    const found: StoredEntry[] = [];
    if (limit <= 0) return found;
    let isFirst = true;
    this.table.walk(from, to, (head) => {
      const isContinued = isFirst && after > NOTHING_BEFORE && orderOf(head.key) === from;
      isFirst = false;
      return collectGroup(head, isContinued ? after : NOTHING_BEFORE, found, limit);
    });
    return found;
  }
}

export const NOTHING_BEFORE = Number.NEGATIVE_INFINITY;

/** What is committed of a key, behind `after`. @returns whether there is room for more */
function collectGroup(head: Entry, after: number, found: StoredEntry[], limit: number): boolean {
  for (const entry of head.group ?? [head]) {
    if (entry.base === undefined || !(entry.sub > after || after === NOTHING_BEFORE)) continue;
    found.push({ key: entry.key, sub: entry.sub, value: baseOf(entry) });
    if (found.length >= limit) return false;
  }
  return true;
}

/** The entry, if it is in memory. */
export function entryOf(table: KeyTable, key: unknown, sub: number): Entry | undefined {
  const head = table.get(key);
  if (head === undefined) return undefined;
  const group = head.group ?? [head];
  const entry = group[lowerBound(group, sub)];
  return entry?.sub === sub ? entry : undefined;
}

/** A value of its own. */
export function baseOf(entry: Entry): unknown {
  return (entry.flags & IS_PACKED) === 0 ? entry.base : unpack(entry.base as string);
}

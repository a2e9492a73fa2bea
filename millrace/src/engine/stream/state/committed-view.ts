/** What is committed of a store, decoded for whoever asks: nothing of it is shared with the task. */
import { IS_PACKED, type Entry } from './entry.ts';
import { orderOf } from './entry-key.ts';
import { unpack } from './packed-value.ts';
import type { StateStore } from './state-store.ts';
import type { ReadableStore, StoredEntry } from './store.ts';

export class CommittedView implements ReadableStore {
  private readonly store: StateStore;

  constructor(store: StateStore) {
    this.store = store;
  }

  get size(): number {
    return this.store.committedSize;
  }

  get(key: unknown, sub: number): unknown {
    const entry = this.store.committedEntry(key, sub);
    return entry === undefined ? undefined : baseOf(entry);
  }

  range(from: unknown, to: unknown, limit: number): readonly StoredEntry[] {
    const found: StoredEntry[] = [];
    if (limit <= 0) return found;
    const start = from === undefined ? '' : orderOf(from);
    this.store.table.walk(start, to === undefined ? undefined : orderOf(to), (head) => {
      for (const entry of head.group ?? [head]) {
        if (entry.base === undefined) continue;
        found.push({ key: entry.key, sub: entry.sub, value: baseOf(entry) });
        if (found.length === limit) return false;
      }
      return true;
    });
    return found;
  }
}

function baseOf(entry: Entry): unknown {
  return (entry.flags & IS_PACKED) === 0 ? entry.base : unpack(entry.base as string);
}

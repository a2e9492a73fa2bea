/** What is committed of a store on disk, decoded for whoever asks: rows, and over them what the disk has not been told. */
import { decodeValue } from '../../../core/value-codec.ts';
import { baseOf, entryOf, NOTHING_BEFORE } from './committed-view.ts';
import type { DiskRow, DiskSection } from './disk-rows.ts';
import type { Entry } from './entry.ts';
import { orderOf } from './entry-key.ts';
import type { KeyTable } from './key-table.ts';
import type { ReadableStore, StoredEntry } from './store.ts';

export class DiskView implements ReadableStore {
  private readonly table: KeyTable;
  private readonly section: DiskSection;
  private readonly sizeNow: () => number;

  constructor(table: KeyTable, section: DiskSection, sizeNow: () => number) {
    this.table = table;
    this.section = section;
    this.sizeNow = sizeNow;
  }

  get size(): number {
    return this.sizeNow();
  }

  get(key: unknown, sub: number): unknown {
    const entry = entryOf(this.table, key, sub);
    if (entry !== undefined) return baseOf(entry);
    const value = this.section.read(key, sub);
    return value === undefined ? undefined : decodeValue(value, 0, value.length);
  }

  range(from: unknown, to: unknown, limit: number): readonly StoredEntry[] {
    const end = to === undefined ? undefined : orderOf(to);
    return this.page(from === undefined ? '' : orderOf(from), NOTHING_BEFORE, end, limit);
  }

  ofKey(key: unknown): readonly StoredEntry[] {
    const rows = this.section.readKey(key, NOTHING_BEFORE, Number.POSITIVE_INFINITY);
    const found = this.saved(rows);
    const head = this.table.get(key);
    if (head !== undefined) collectUnsaved(head, orderOf(key), found);
    return found.sort(compare).map(({ entry }) => entry);
  }

  page(from: string, after: number, to: string | undefined, limit: number): readonly StoredEntry[] {
    let at: string | undefined = from;
    const found: StoredEntry[] = [];
    while (at !== undefined && found.length < limit) {
      const { rows, next } = this.section.readKeys(at, to);
      const chunk = this.merged(at, next ?? to, rows, limit - found.length + 1);
      for (const { order, entry } of chunk.entries) {
        if (order === from && after !== NOTHING_BEFORE && !(entry.sub > after)) continue;
        if (found.length >= limit) break;
        found.push(entry);
      }
      at = chunk.next ?? next;
    }
    return found;
  }

  /**
   * Entries of keys with from <= order < to, of which `rows` are on disk. What is only in memory may be a lot: of that not many more than
   * `limit` at a time; `next` is where it goes on then.
   */
  private merged(
    from: string,
    to: string | undefined,
    rows: readonly DiskRow[],
    limit: number,
  ): { readonly entries: readonly Ordered[]; readonly next: string | undefined } {
    const unsaved: Ordered[] = [];
    let next: string | undefined;
    this.table.walk(from, to, (head) => {
      const order = orderOf(head.key);
      if (unsaved.length > limit) {
        next = order;
        return false;
      }
      collectUnsaved(head, order, unsaved);
      return true;
    });
    const end = next;
    const saved = this.saved(rows).filter(({ order }) => end === undefined || order < end);
    return { entries: [...saved, ...unsaved].sort(compare), next };
  }

  /** What memory knows nothing else of. */
  private saved(rows: readonly DiskRow[]): Ordered[] {
    return rows
      .filter(({ key, sub }) => entryOf(this.table, key, sub) === undefined)
      .map(({ key, sub, value }) => ({
        order: orderOf(key),
        entry: { key, sub, value: decodeValue(value, 0, value.length) },
      }));
  }
}

interface Ordered {
  readonly order: string;
  readonly entry: StoredEntry;
}

function collectUnsaved(head: Entry, order: string, found: Ordered[]): void {
  for (const entry of head.group ?? [head])
    if (entry.base !== undefined)
      found.push({ order, entry: { key: entry.key, sub: entry.sub, value: baseOf(entry) } });
}

function compare(a: Ordered, b: Ordered): number {
  return a.order === b.order ? a.entry.sub - b.entry.sub : a.order < b.order ? -1 : 1;
}

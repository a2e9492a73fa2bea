/** What is committed of a store on disk, decoded for whoever asks: rows, and over them what the disk has not been told. */
import { decodeValue } from '../../../core/value-codec.ts';
import { baseOf, entryOf } from './committed-view.ts';
import type { DiskRow, DiskSection } from './disk-rows.ts';
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
    let at: string | undefined = from === undefined ? '' : orderOf(from);
    const found: StoredEntry[] = [];
    while (at !== undefined && found.length < limit) {
      const { rows, next } = this.section.readKeys(at, end);
      for (const entry of this.merged(at, next ?? end, rows)) {
        if (found.length >= limit) break;
        found.push(entry);
      }
      at = next;
    }
    return found;
  }

  /** All entries of keys with from <= order < to, of which `rows` are on disk. */
  private merged(from: string, to: string | undefined, rows: readonly DiskRow[]): StoredEntry[] {
    const all: { readonly order: string; readonly entry: StoredEntry }[] = [];
    for (const { key, sub, value } of rows)
      if (entryOf(this.table, key, sub) === undefined)
        all.push({
          order: orderOf(key),
          entry: { key, sub, value: decodeValue(value, 0, value.length) },
        });
    this.table.walk(from, to, (head) => {
      const order = orderOf(head.key);
      for (const entry of head.group ?? [head])
        if (entry.base !== undefined)
          all.push({ order, entry: { key: entry.key, sub: entry.sub, value: baseOf(entry) } });
    });
    return all
      .sort((a, b) =>
        a.order === b.order ? a.entry.sub - b.entry.sub : a.order < b.order ? -1 : 1,
      )
      .map(({ entry }) => entry);
  }
}

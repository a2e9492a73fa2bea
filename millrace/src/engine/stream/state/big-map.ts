/** A Map without its limit of 2^24 entries: a full one is put behind, and asked when the newest does not know. */
import { STATE_MAP_ENTRIES_MAX } from '../../../core/stream-limits.ts';

export class BigMap<K, V> {
  private newest = new Map<K, V>();
  private older: Map<K, V>[] = [];
  private readonly entriesMax: number;

  /** @param entriesMax of one Map */
  constructor(entriesMax = STATE_MAP_ENTRIES_MAX) {
    this.entriesMax = entriesMax;
  }

  get size(): number {
    let size = this.newest.size;
    for (const map of this.older) size += map.size;
    return size;
  }

  /** @hot */
  get(key: K): V | undefined {
    const found = this.newest.get(key);
    return found === undefined && this.older.length > 0 ? this.holder(key)?.get(key) : found;
  }

  set(key: K, value: V): void {
    const holder = this.older.length === 0 ? undefined : this.holder(key);
    if (holder !== undefined) {
      holder.set(key, value);
      return;
    }
    this.newest.set(key, value);
    if (this.newest.size < this.entriesMax) return;
    this.older.push(this.newest);
    this.newest = new Map();
  }

  delete(key: K): void {
    if (this.newest.delete(key) || this.older.length === 0) return;
    const holder = this.holder(key);
    if (holder === undefined) return;
    holder.delete(key);
    if (holder.size === 0) this.older = this.older.filter((map) => map !== holder);
  }

  /** `visit` may delete what it was shown. */
  forEach(visit: (value: V, key: K) => void): void {
    for (const map of [...this.older, this.newest]) map.forEach(visit);
  }

  /** The oldest first; false ends it. `visit` may delete what it was shown. @returns false: it was ended */
  some(visit: (value: V) => boolean): boolean {
    for (const map of [...this.older, this.newest])
      for (const value of map.values()) if (!visit(value)) return false;
    return true;
  }

  clear(): void {
    this.newest = new Map();
    this.older = [];
  }

  private holder(key: K): Map<K, V> | undefined {
    for (const map of this.older) if (map.has(key)) return map;
    return undefined;
  }
}

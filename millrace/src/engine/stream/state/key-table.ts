/** The keys of a store, each with one of its entries. In no order, until somebody asks for one: then it is made, and kept. */
import { BigMap } from './big-map.ts';
import { isDirect, isDirectOrder, keyOfOrder, orderOf } from './entry-key.ts';
import type { Entry } from './entry.ts';
import { SortedStrings } from './sorted-strings.ts';

export class KeyTable {
  private readonly direct = new BigMap<string | number, Entry>();
  /** All other keys, by their order. */
  private readonly encoded = new BigMap<string, Entry>();
  private order: SortedStrings | undefined;

  get size(): number {
    return this.direct.size + this.encoded.size;
  }

  /** @hot @throws {MillraceError} ML_KEY_INVALID */
  get(key: unknown): Entry | undefined {
    return typeof key === 'string' || typeof key === 'number'
      ? this.direct.get(key)
      : this.encoded.get(orderOf(key));
  }

  /** The first entry of a key. */
  add(entry: Entry): void {
    this.replace(entry);
    this.order?.add(orderOf(entry.key));
  }

  /** Another entry of the same key. */
  replace(entry: Entry): void {
    const { key } = entry;
    if (isDirect(key)) this.direct.set(key, entry);
    else this.encoded.set(orderOf(key), entry);
  }

  delete(key: unknown): void {
    if (isDirect(key)) this.direct.delete(key);
    else this.encoded.delete(orderOf(key));
    this.order?.delete(orderOf(key));
  }

  forEach(visit: (entry: Entry) => void): void {
    this.direct.forEach(visit);
    this.encoded.forEach(visit);
  }

  /** As `forEach`, the oldest first, until `visit` returns false. */
  someKeys(visit: (entry: Entry) => boolean): void {
    if (this.direct.some(visit)) this.encoded.some(visit);
  }

  /** Keys with from <= order < to (undefined: no bound), ascending; `visit` may change the table, false ends it. */
  walk(from: string, to: string | undefined, visit: (entry: Entry) => boolean | void): void {
    this.order ??= this.sorted();
    this.order.walk(from, (order) => {
      if (to !== undefined && order >= to) return false;
      const entry = this.ofOrder(order);
      return entry === undefined ? true : visit(entry);
    });
  }

  clear(): void {
    this.direct.clear();
    this.encoded.clear();
    this.order = undefined;
  }

  private ofOrder(order: string): Entry | undefined {
    return isDirectOrder(order)
      ? this.direct.get(keyOfOrder(order) as string | number)
      : this.encoded.get(order);
  }

  private sorted(): SortedStrings {
    const orders: string[] = [];
    this.direct.forEach((_, key) => orders.push(orderOf(key)));
    this.encoded.forEach((_, order) => orders.push(order));
    return new SortedStrings(orders);
  }
}

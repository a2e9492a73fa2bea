/**
 * State of the operators that replay one key: a sorted list, which is all it takes for the few entries that a key has, and a heap of what
 * is due. Nothing of it outlives the key.
 */
import { ByteWriter } from '../../core/byte-writer.ts';
import { encodeKey } from '../../core/key-codec.ts';
import type { Store, StoreSpec } from '../stream/state/store.ts';

interface Entry<V> {
  /** Order-preserving bytes of the key, one character each. */
  readonly id: string;
  readonly key: unknown;
  readonly sub: number;
  value: V;
  due: number;
}

type Visit<V> = (key: unknown, sub: number, value: V) => boolean | void;

const writer = new ByteWriter();

function idOf(key: unknown): string {
  writer.clear();
  encodeKey(key, writer);
  return writer.buffer.latin1Slice(0, writer.length);
}

export class ReplayStore<V = unknown> implements Store<V> {
  readonly name: string;
  readonly #dueOf: StoreSpec<V>['dueOf'];
  /** By (id, sub). */
  readonly #entries: Entry<V>[] = [];
  /** By due; entries that are due at another time by now, or gone, are passed over. */
  readonly #heap: { readonly due: number; readonly entry: Entry<V> }[] = [];

  constructor(spec: StoreSpec<V>) {
    this.name = spec.name;
    this.#dueOf = spec.dueOf;
  }

  get size(): number {
    return this.#entries.length;
  }

  clear(): void {
    this.#entries.length = 0;
    this.#heap.length = 0;
  }

  get(key: unknown, sub: number): V | undefined {
    const id = idOf(key);
    const entry = this.#entries[this.#find(id, sub)];
    return entry !== undefined && entry.id === id && entry.sub === sub ? entry.value : undefined;
  }

  put(key: unknown, sub: number, value: V | undefined, _time: number): void {
    const id = idOf(key);
    const at = this.#find(id, sub);
    let entry = this.#entries[at];
    const isThere = entry !== undefined && entry.id === id && entry.sub === sub;
    if (value === undefined) {
      if (entry !== undefined && isThere) {
        entry.due = Number.NaN;
        this.#entries.splice(at, 1);
      }
      return;
    }
    if (entry === undefined || !isThere) {
      entry = { id, key, sub, value, due: Number.NaN };
      this.#entries.splice(at, 0, entry);
    } else entry.value = value;
    const due = this.#dueOf?.(value, sub, key) ?? Infinity;
    if (due === entry.due) return;
    entry.due = due;
    if (due !== Infinity) this.#push({ due, entry });
  }

  scan(
    key: unknown,
    from: number,
    to: number,
    visit: (sub: number, value: V) => boolean | void,
  ): void {
    const id = idOf(key);
    const found: Entry<V>[] = [];
    for (let at = this.#find(id, from); at < this.#entries.length; at++) {
      const entry = this.#entries[at];
      if (entry === undefined || entry.id !== id || entry.sub > to) break;
      found.push(entry);
    }
    for (const entry of found) if (visit(entry.sub, entry.value) === false) return;
  }

  floor(key: unknown, sub: number): { readonly sub: number; readonly value: V } | undefined {
    const id = idOf(key);
    const at = this.#find(id, sub);
    const here = this.#entries[at];
    const entry =
      here !== undefined && here.id === id && here.sub === sub ? here : this.#entries[at - 1];
    return entry !== undefined && entry.id === id ? entry : undefined;
  }

  range(from: unknown, to: unknown, visit: Visit<V>): void {
    const first = from === undefined ? '' : idOf(from);
    const last = to === undefined ? undefined : idOf(to);
    this.#visit(
      this.#entries.filter(({ id }) => id >= first && (last === undefined || id < last)),
      visit,
    );
  }

  prefix(elements: readonly unknown[], visit: Visit<V>): void {
    // Without the byte that ends an array.
    const begin = idOf(elements).slice(0, -1);
    this.#visit(
      this.#entries.filter(({ id }) => id.startsWith(begin)),
      visit,
    );
  }

  get nextDue(): number {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (top.entry.due === top.due) return top.due;
      this.#pop();
    }
    return Infinity;
  }

  due(until: number, visit: (key: unknown, sub: number, value: V) => void): void {
    const due: Entry<V>[] = [];
    for (let next = this.nextDue; next <= until && next < Infinity; next = this.nextDue) {
      const top = this.#pop();
      if (top !== undefined) due.push(top.entry);
    }
    due.sort((a, b) => a.due - b.due || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0) || a.sub - b.sub);
    for (const entry of due) {
      const { due: before } = entry;
      // What an earlier visit has deleted.
      if (Number.isNaN(before)) continue;
      entry.due = Number.NaN;
      visit(entry.key, entry.sub, entry.value);
    }
  }

  #visit(entries: readonly Entry<V>[], visit: Visit<V>): void {
    for (const { key, sub, value } of entries) if (visit(key, sub, value) === false) return;
  }

  /** Index of the first entry that is not before (id, sub). */
  #find(id: string, sub: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#entries[middle];
      if (entry !== undefined && (entry.id < id || (entry.id === id && entry.sub < sub)))
        low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #push(item: { readonly due: number; readonly entry: Entry<V> }): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || above.due <= item.due) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = item;
  }

  #pop(): { readonly due: number; readonly entry: Entry<V> } | undefined {
    const heap = this.#heap;
    const [top] = heap;
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      const right = heap[child + 1];
      let below = heap[child];
      if (below === undefined) break;
      if (right !== undefined && right.due < below.due) {
        below = right;
        child++;
      }
      if (below.due >= last.due) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

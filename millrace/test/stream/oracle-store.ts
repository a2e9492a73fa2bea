/**
 * A store that is so plain that it is right: every entry as bytes in one map, sorted whenever somebody asks for an order. What operators
 * are tested with, and what other stores are compared with. A value that is changed in place and not put again stays what it was.
 */
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { decodeKey, encodeKey } from '../../src/core/key-codec.ts';
import { decodeValue, encodeValue } from '../../src/core/value-codec.ts';
import type { Store, StoreSpec } from '../../src/engine/stream/state/store.ts';

interface Entry {
  readonly keyBytes: Buffer;
  readonly sub: number;
  readonly value: Buffer;
}

export class OracleStore<V = unknown> implements Store<V> {
  readonly name: string;
  private readonly spec: StoreSpec<V>;
  private entries = new Map<string, Entry>();
  private committed = new Map<string, Entry>();

  constructor(spec: StoreSpec<V>) {
    this.name = spec.name;
    this.spec = spec;
  }

  get(key: unknown, sub: number): V | undefined {
    const entry = this.entries.get(idOf(keyBytesOf(key), sub));
    return entry === undefined ? undefined : this.valueOf(entry);
  }

  put(key: unknown, sub: number, value: V | undefined, _time: number): void {
    if (Number.isNaN(sub)) throw new Error(`store "${this.name}": NaN is no sub`);
    const keyBytes = keyBytesOf(key);
    const id = idOf(keyBytes, sub);
    if (value === undefined) this.entries.delete(id);
    else this.entries.set(id, { keyBytes, sub, value: valueBytesOf(value) });
  }

  scan(
    key: unknown,
    from: number,
    to: number,
    visit: (sub: number, value: V) => boolean | void,
  ): void {
    const keyBytes = keyBytesOf(key);
    for (const entry of this.sorted()) {
      if (!entry.keyBytes.equals(keyBytes) || entry.sub < from || entry.sub > to) continue;
      if (visit(entry.sub, this.valueOf(entry)) === false) return;
    }
  }

  floor(key: unknown, sub: number): { readonly sub: number; readonly value: V } | undefined {
    let found: { readonly sub: number; readonly value: V } | undefined;
    this.scan(key, Number.NEGATIVE_INFINITY, sub, (at, value) => {
      found = { sub: at, value };
    });
    return found;
  }

  range(
    from: unknown,
    to: unknown,
    visit: (key: unknown, sub: number, value: V) => boolean | void,
  ): void {
    const fromBytes = from === undefined ? undefined : keyBytesOf(from);
    const toBytes = to === undefined ? undefined : keyBytesOf(to);
    for (const entry of this.sorted()) {
      if (fromBytes !== undefined && Buffer.compare(entry.keyBytes, fromBytes) < 0) continue;
      if (toBytes !== undefined && Buffer.compare(entry.keyBytes, toBytes) >= 0) return;
      if (visit(keyOf(entry), entry.sub, this.valueOf(entry)) === false) return;
    }
  }

  prefix(
    elements: readonly unknown[],
    visit: (key: unknown, sub: number, value: V) => boolean | void,
  ): void {
    const wanted = elements.map((element) => keyBytesOf(element).toString('hex'));
    for (const entry of this.sorted()) {
      const key = keyOf(entry);
      if (!Array.isArray(key) || key.length < wanted.length) continue;
      if (!wanted.every((hex, index) => keyBytesOf(key[index]).toString('hex') === hex)) continue;
      if (visit(key, entry.sub, this.valueOf(entry)) === false) return;
    }
  }

  due(until: number, visit: (key: unknown, sub: number, value: V) => void): void {
    for (let entry = this.firstDue(until); entry !== undefined; entry = this.firstDue(until)) {
      const due = this.dueAt(entry);
      visit(keyOf(entry), entry.sub, this.valueOf(entry));
      const after = this.entries.get(idOf(entry.keyBytes, entry.sub));
      if (after !== undefined && this.dueAt(after) <= due)
        throw new Error(`store "${this.name}": an entry is as due after its visit as before`);
    }
  }

  get nextDue(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const entry of this.entries.values()) next = Math.min(next, this.dueAt(entry));
    return next;
  }

  get size(): number {
    return this.entries.size;
  }

  commit(): void {
    this.committed = new Map(this.entries);
  }

  abort(): void {
    this.entries = new Map(this.committed);
  }

  private firstDue(until: number): Entry | undefined {
    let first: Entry | undefined;
    let due = Number.POSITIVE_INFINITY;
    for (const entry of this.entries.values()) {
      const at = this.dueAt(entry);
      if (at > until || at === Number.POSITIVE_INFINITY || at > due) continue;
      if (first !== undefined && at === due && compareEntries(first, entry) < 0) continue;
      first = entry;
      due = at;
    }
    return first;
  }

  private dueAt(entry: Entry): number {
    const { dueOf } = this.spec;
    if (dueOf === undefined) return Number.POSITIVE_INFINITY;
    return dueOf(this.valueOf(entry), entry.sub, keyOf(entry));
  }

  private valueOf(entry: Entry): V {
    return decodeValue(entry.value, 0, entry.value.length) as V;
  }

  private sorted(): Entry[] {
    return [...this.entries.values()].sort(compareEntries);
  }
}

function compareEntries(a: Entry, b: Entry): number {
  return Buffer.compare(a.keyBytes, b.keyBytes) || a.sub - b.sub;
}

function keyOf(entry: Entry): unknown {
  return decodeKey(entry.keyBytes, 0, entry.keyBytes.length);
}

function idOf(keyBytes: Buffer, sub: number): string {
  return `${keyBytes.toString('hex')}/${sub + 0}`;
}

function keyBytesOf(key: unknown): Buffer {
  const writer = new ByteWriter(64);
  encodeKey(key, writer);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

function valueBytesOf(value: unknown): Buffer {
  const writer = new ByteWriter(64);
  encodeValue(value, writer);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

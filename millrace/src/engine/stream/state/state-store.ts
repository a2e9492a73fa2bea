/**
 * A store in memory: what was committed, and over it what was not. The same where the committed part is on disk: then this is what was read
 * from there, and `disk` knows the rest.
 *
 *   get, put ──▶ entry.value ──flush──▶ bytes ──▶ changelog
 *                                         └─committed─▶ entry.base        abort: value = base
 *
 * The bytes that the changelog is given anyway are what an abort goes back to, so that values may be changed in place without anything
 * being copied. Whatever object was handed out is decoded anew after an abort, put or not.
 *
 * Deleted entries stay, empty, until the commit: nothing moves under who is walking over a key.
 *
 * @hot
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { assert, MillraceError } from '../../../core/errors.ts';
import { STATE_ENTRY_BYTES, STATE_FLUSH_BYTES } from '../../../core/limits.ts';
import { decodeValue, encodeValue } from '../../../core/value-codec.ts';
import { DueEntries } from './due-entries.ts';
import {
  Entry,
  IS_FLUSHED,
  IS_PACKED,
  IS_REMOVED,
  IS_TOUCHED,
  isDead,
  lowerBound,
  PACKED,
  WILL_BE_PACKED,
} from './entry.ts';
import {
  decodeEntryKey,
  encodeEntryKey,
  isDirect,
  keyOfOrder,
  orderBehind,
  orderOf,
  orderOfPrefix,
} from './entry-key.ts';
import { KeyTable } from './key-table.ts';
import { isChangeable, isChangeableAt, packed, unpack } from './packed-value.ts';
import type { Store, StoreSpec } from './store.ts';

type Visit<V> = (key: unknown, sub: number, value: V) => boolean | void;
export type Append = (
  store: string,
  key: Uint8Array,
  value: Uint8Array | null,
  time: number,
) => void;

/** NaN: equal to no sub. */
const NONE = new Entry(undefined, Number.NaN);

export class StateStore<V = unknown> implements Store<V> {
  readonly spec: StoreSpec<V>;
  readonly name: string;
  readonly table = new KeyTable();
  private readonly isLogged: boolean;
  private readonly dues: DueEntries | undefined;
  /** What was found last: `put` mostly follows `get`. */
  private last = NONE;
  /** Where the last `find` that found nothing would have: an entry of the key. */
  private head: Entry | undefined;

  /** Put since the last flush, and the times of that. */
  private readonly changed: Entry[] = [];
  private readonly times: number[] = [];
  /** Flushed since the last commit, in order, and what is then committed. */
  private readonly flushed: Entry[] = [];
  private readonly pending: unknown[] = [];
  /** Handed out, and put perhaps. */
  private readonly touched: Entry[] = [];

  private entries = 0;
  private live = 0;
  private based = 0;
  private packedBytes = 0;
  /** Entries were restored that are not among `dues` yet. */
  private isUnscheduled = false;
  private writer = new ByteWriter(1024);

  /** @param isLogged whether every change goes to a changelog before it is committed */
  constructor(spec: StoreSpec<V>, isLogged: boolean) {
    this.spec = spec;
    this.name = spec.name;
    this.isLogged = isLogged;
    const { dueOf } = spec;
    this.dues =
      dueOf === undefined
        ? undefined
        : new DueEntries((value, sub, key) => dueOf(value as V, sub, key));
  }

  get size(): number {
    return this.live;
  }

  /** Entries as of the last commit, about. */
  get committedSize(): number {
    return this.based;
  }

  /** The entry, whether its value is committed or not, without touching it. */
  committedEntry(key: unknown, sub: number): Entry | undefined {
    const head = this.table.get(key);
    if (head === undefined) return undefined;
    const group = head.group ?? [head];
    const entry = group[lowerBound(group, sub)];
    return entry?.sub === sub ? entry : undefined;
  }

  /** About what it takes of the memory. */
  get bytes(): number {
    return this.entries * STATE_ENTRY_BYTES + this.packedBytes;
  }

  get nextDue(): number {
    if (this.dues === undefined) return Number.POSITIVE_INFINITY;
    if (this.isUnscheduled) this.scheduleAll();
    return this.dues.next;
  }

  get(key: unknown, sub: number): V | undefined {
    const entry = this.find(key, sub);
    return entry === undefined ? undefined : this.read(entry);
  }

  put(key: unknown, sub: number, value: V | undefined, time: number): void {
    let entry = this.find(key, sub);
    if (entry === undefined) {
      if (value === undefined) return;
      entry = this.insert(key, sub);
    }
    if (value === undefined) {
      if (entry.value === undefined) return;
      this.live--;
    } else if (entry.value === undefined) this.live++;
    entry.value = value;
    if (entry.place < 0) {
      entry.place = this.changed.length;
      this.changed.push(entry);
      this.times.push(time);
    } else this.times[entry.place] = time;
    if (this.dues !== undefined && value !== undefined) this.dues.schedule(entry);
  }

  scan(
    key: unknown,
    from: number,
    to: number,
    visit: (sub: number, value: V) => boolean | void,
  ): void {
    const head = this.table.get(key);
    if (head !== undefined) this.scanFrom(head, from, to, visit);
  }

  floor(key: unknown, sub: number): { readonly sub: number; readonly value: V } | undefined {
    const head = this.table.get(key);
    if (head === undefined) return undefined;
    const group = head.group ?? [head];
    let index = lowerBound(group, sub);
    if (group[index]?.sub !== sub) index--;
    for (; index >= 0; index--) {
      const entry = group[index] as Entry;
      const value = this.read(entry);
      if (value !== undefined) return { sub: entry.sub, value };
    }
    return undefined;
  }

  range(from: unknown, to: unknown, visit: Visit<V>): void {
    const start = from === undefined ? '' : orderOf(from);
    this.walk(start, to === undefined ? undefined : orderOf(to), visit);
  }

  prefix(elements: readonly unknown[], visit: Visit<V>): void {
    const start = orderOfPrefix(elements);
    this.walk(start, orderBehind(start), visit);
  }

  due(until: number, visit: (key: unknown, sub: number, value: V) => void): void {
    const { dues } = this;
    if (dues === undefined) return;
    while (this.nextDue <= until && this.nextDue !== Number.POSITIVE_INFINITY) {
      const entries = dues.take();
      let done = 0;
      try {
        while (done < entries.length) {
          const entry = entries[done++] as Entry;
          // The visit of another may have put or deleted it.
          if (entry.value === undefined || entry.due !== undefined) continue;
          this.touch(entry);
          visit(entry.key, entry.sub, this.read(entry) as V);
        }
      } finally {
        for (; done < entries.length; done++) {
          const entry = entries[done] as Entry;
          if (entry.value !== undefined) dues.schedule(entry);
        }
      }
    }
  }

  /** See `TaskState.flush`. Bytes that were handed out are not touched again. */
  flush(append: Append): void {
    this.flushTo(this.isLogged ? append : undefined);
  }

  private flushTo(append: Append | undefined): void {
    const { changed } = this;
    let index = 0;
    try {
      for (; index < changed.length; index++)
        this.flushEntry(changed[index] as Entry, this.times[index] as number, append);
    } catch (error) {
      throw this.flushFailed(error, changed[index] as Entry);
    }
    changed.length = 0;
    this.times.length = 0;
  }

  /** See `TaskState.committed`. */
  commit(): void {
    if (this.changed.length > 0) {
      assert(!this.isLogged, `changes of store ${this.name} are committed that were not flushed`);
      this.flushTo(undefined);
    }
    const dead: Entry[] = [];
    for (let index = 0; index < this.flushed.length; index++) {
      const entry = this.flushed[index] as Entry;
      this.rebase(entry, this.pending[index], (entry.flags & WILL_BE_PACKED) !== 0);
      entry.flags &= ~IS_FLUSHED;
      if (entry.value === undefined) dead.push(entry);
    }
    for (const entry of this.touched) entry.flags &= ~IS_TOUCHED;
    this.endTransaction(dead);
  }

  /** See `TaskState.abort`. */
  abort(): void {
    const dead: Entry[] = [];
    for (const list of [this.changed, this.flushed, this.touched])
      for (const entry of list) this.revert(entry, dead);
    this.changed.length = 0;
    this.times.length = 0;
    this.endTransaction(dead);
  }

  /** See `TaskState.restore`. */
  restore(key: Buffer, value: Buffer | null): void {
    const at = decodeEntryKey(key, 0, key.length);
    let entry = this.find(at.key, at.sub);
    if (value === null) {
      if (entry === undefined) return;
      if (entry.value !== undefined) this.live--;
      entry.value = undefined;
      this.rebase(entry, undefined, false);
      this.remove([entry]);
      return;
    }
    entry ??= this.insert(at.key, at.sub);
    if (entry.value === undefined) this.live++;
    const isPacked = isChangeableAt(value, 0);
    this.rebase(
      entry,
      isPacked ? packed(value, 0, value.length) : decodeValue(value, 0, value.length),
      isPacked,
    );
    entry.value = isPacked ? PACKED : entry.base;
    this.isUnscheduled = this.dues !== undefined;
  }

  clear(): void {
    this.table.clear();
    this.dues?.clear();
    for (const list of [this.changed, this.times, this.flushed, this.pending, this.touched])
      list.length = 0;
    this.last = NONE;
    this.entries = 0;
    this.live = 0;
    this.based = 0;
    this.packedBytes = 0;
    this.isUnscheduled = false;
  }

  private find(key: unknown, sub: number): Entry | undefined {
    const { last } = this;
    if (last.key === key && last.sub === sub) return last;
    const head = this.table.get(key);
    this.head = head;
    if (head === undefined) return undefined;
    if (head.sub === sub) {
      this.last = head;
      return head;
    }
    const { group } = head;
    if (group === undefined) return undefined;
    const entry = group[lowerBound(group, sub)];
    if (entry === undefined || entry.sub !== sub) return undefined;
    this.last = entry;
    return entry;
  }

  /** What `find` has just not found. */
  private insert(key: unknown, sub: number): Entry {
    assert(sub === sub, `an entry of store ${this.name} has NaN as its sub`);
    const entry = new Entry(isDirect(key) ? key : keyOfOrder(orderOf(key)), sub + 0);
    const { head } = this;
    this.entries++;
    if (head === undefined) this.table.add(entry);
    else {
      head.group ??= [head];
      const at = lowerBound(head.group, sub);
      if (at === head.group.length) head.group.push(entry);
      else head.group.splice(at, 0, entry);
    }
    this.last = entry;
    return entry;
  }

  private read(entry: Entry): V | undefined {
    const { value } = entry;
    if (typeof value !== 'object' || value === null) return value as V | undefined;
    if (value === PACKED) entry.value = unpack(entry.base as string);
    this.touch(entry);
    return entry.value as V;
  }

  private touch(entry: Entry): void {
    if ((entry.flags & IS_TOUCHED) !== 0) return;
    entry.flags |= IS_TOUCHED;
    this.touched.push(entry);
  }

  private scanFrom(
    head: Entry,
    from: number,
    to: number,
    visit: (sub: number, value: V) => boolean | void,
  ): void {
    const isOnly = head.group === undefined;
    if (isOnly) {
      if (head.sub < from || head.sub > to || head.value === undefined) return;
      if (visit(head.sub, this.read(head) as V) === false) return;
    }
    // Others may have come while the only one was visited.
    const { group } = head;
    if (group === undefined) return;
    let index = isOnly ? lowerBound(group, head.sub) + 1 : lowerBound(group, from);
    while (index < group.length) {
      const entry = group[index++] as Entry;
      if (entry.sub > to) return;
      if (entry.value === undefined) continue;
      const { length } = group;
      if (visit(entry.sub, this.read(entry) as V) === false) return;
      if (group.length !== length) index = lowerBound(group, entry.sub) + 1;
    }
  }

  private walk(from: string, to: string | undefined, visit: Visit<V>): void {
    let isEnded = false;
    this.table.walk(from, to, (head) => {
      const { key } = head;
      this.scanFrom(head, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, (sub, value) => {
        isEnded = visit(key, sub, value) === false;
        return !isEnded;
      });
      return !isEnded;
    });
  }

  private flushEntry(entry: Entry, time: number, append: Append | undefined): void {
    const { value } = entry;
    const isPacked = isChangeable(value);
    const isNews =
      value !== undefined || entry.base !== undefined || (entry.flags & IS_FLUSHED) !== 0;
    let pending = value;
    if (isNews && (isPacked || append !== undefined)) {
      if (this.writer.length > STATE_FLUSH_BYTES)
        this.writer = new ByteWriter(STATE_FLUSH_BYTES + 4096);
      const { writer } = this;
      const start = writer.length;
      encodeEntryKey(entry.key, entry.sub, writer);
      const middle = writer.length;
      if (value !== undefined) encodeValue(value, writer);
      const { buffer, length: end } = writer;
      if (isPacked) pending = packed(buffer, middle, end);
      append?.(
        this.name,
        buffer.subarray(start, middle),
        value === undefined ? null : buffer.subarray(middle, end),
        time,
      );
    }
    entry.place = -1;
    entry.flags =
      (entry.flags & ~WILL_BE_PACKED) | (isPacked ? WILL_BE_PACKED : 0) | (isNews ? IS_FLUSHED : 0);
    this.flushed.push(entry);
    this.pending.push(pending);
  }

  private flushFailed(error: unknown, entry: Entry): MillraceError {
    const key = describeKey(entry.key);
    const message = error instanceof Error ? error.message : String(error);
    return new MillraceError(
      'ML_VALUE_INVALID',
      `the state of ${this.name} for key ${key} cannot be stored: ${message}`,
      { cause: error, fields: { store: this.name, key } },
    );
  }

  private rebase(entry: Entry, base: unknown, isPacked: boolean): void {
    if (typeof entry.base === 'string') this.packedBytes -= entry.base.length;
    if (typeof base === 'string') this.packedBytes += base.length;
    if (entry.base === undefined) this.based++;
    if (base === undefined) this.based--;
    entry.base = base;
    entry.flags = isPacked ? entry.flags | IS_PACKED : entry.flags & ~IS_PACKED;
  }

  private revert(entry: Entry, dead: Entry[]): void {
    const was = entry.value !== undefined;
    entry.place = -1;
    entry.flags &= ~(IS_TOUCHED | IS_FLUSHED | WILL_BE_PACKED);
    entry.value = (entry.flags & IS_PACKED) === 0 ? entry.base : PACKED;
    const is = entry.value !== undefined;
    if (was !== is) this.live += is ? 1 : -1;
    if (is) this.dues?.schedule(entry);
    else dead.push(entry);
  }

  private endTransaction(dead: readonly Entry[]): void {
    this.flushed.length = 0;
    this.pending.length = 0;
    this.touched.length = 0;
    this.remove(dead);
    // Those that are gone wait for their time, too: not too many of them.
    if (this.dues !== undefined && this.dues.size > 2 * this.entries + 1024) this.scheduleAll();
  }

  private remove(dead: readonly Entry[]): void {
    if (dead.length === 0) return;
    this.last = NONE;
    for (const entry of dead) {
      if ((entry.flags & IS_REMOVED) !== 0 || !isDead(entry)) continue;
      const head = this.table.get(entry.key) as Entry;
      const { group } = head;
      const left = (group ?? [head]).filter((other) => !isDead(other));
      for (const other of group ?? [head])
        if (isDead(other)) {
          other.flags |= IS_REMOVED;
          this.entries--;
        }
      this.regroup(head, left);
    }
  }

  /** `left`: what is left of the entries of the key of `head`. */
  private regroup(head: Entry, left: Entry[]): void {
    const [first] = left;
    if (first === undefined) {
      this.table.delete(head.key);
      return;
    }
    head.group = undefined;
    const next = (head.flags & IS_REMOVED) === 0 ? head : first;
    next.group = left.length > 1 ? left : undefined;
    if (next !== head) this.table.replace(next);
  }

  private scheduleAll(): void {
    const { dues } = this;
    this.isUnscheduled = false;
    if (dues === undefined) return;
    dues.clear();
    this.table.forEach((head) => {
      for (const entry of head.group ?? [head]) {
        entry.due = undefined;
        if (entry.value !== undefined) dues.schedule(entry);
      }
    });
  }
}

function describeKey(key: unknown): string {
  const text = typeof key === 'string' ? JSON.stringify(key) : String(key);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

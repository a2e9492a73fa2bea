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
import { assert } from '../../../core/errors.ts';
import { STATE_ENTRY_BYTES } from '../../../core/stream-limits.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import { type Append, ChangeWriter, notStorable } from './change-writer.ts';
import { CommittedView } from './committed-view.ts';
import { DueEntries } from './due-entries.ts';
import {
  Entry,
  IS_FLUSHED,
  IS_PACKED,
  IS_REMOVED,
  IS_TOUCHED,
  IS_WHOLE,
  IS_LARGE,
  isDead,
  lowerBound,
  NONE,
  PACKED,
  WILL_BE_PACKED,
} from './entry.ts';
import {
  decodeEntryKey,
  isDirect,
  keyOfOrder,
  orderBehind,
  orderOf,
  orderOfPrefix,
} from './entry-key.ts';
import { KeyTable } from './key-table.ts';
import { isChangeable, isChangeableAt, packed, unpack } from './packed-value.ts';
import type { ReadableStore, Store, StoreSpec } from './store.ts';

type Visit<V> = (key: unknown, sub: number, value: V) => boolean | void;
export class StateStore<V = unknown> implements Store<V> {
  readonly spec: StoreSpec<V>;
  readonly name: string;
  readonly table = new KeyTable();
  protected readonly dues: DueEntries | undefined;
  private readonly isLogged: boolean;
  private readonly changes: ChangeWriter;
  /** What was found last: `put` mostly follows `get`. */
  protected last = NONE;
  /** Where the last `find` that found nothing would have: an entry of the key. */
  protected head: Entry | undefined;

  /** Put since the last flush, and the times of that. */
  private readonly changed: Entry[] = [];
  private readonly times: number[] = [];
  /** Flushed since the last commit, in order, and what is then committed. */
  private readonly flushed: Entry[] = [];
  private readonly pending: unknown[] = [];
  /** Handed out, and put perhaps. */
  private readonly touched: Entry[] = [];

  /** In memory. */
  protected entries = 0;
  /** That have a value now, and as of the last commit. */
  protected live = 0;
  protected based = 0;
  private packedBytes = 0;
  /** Entries were restored that are not among `dues` yet. */
  private isUnscheduled = false;

  /** @param isLogged whether every change goes to a changelog before it is committed */
  constructor(spec: StoreSpec<V>, isLogged: boolean) {
    this.spec = spec;
    this.name = spec.name;
    this.isLogged = isLogged;
    this.changes = new ChangeWriter(spec.name);
    const { dueOf } = spec;
    this.dues =
      dueOf === undefined
        ? undefined
        : new DueEntries((value, sub, key) => dueOf(value as V, sub, key));
  }

  get size(): number {
    return this.live;
  }

  /** What others may read. */
  view(): ReadableStore {
    return new CommittedView(this.table, () => this.based);
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
    this.fetch(key, from, to);
    const head = this.table.get(key);
    if (head !== undefined) this.scanFrom(head, from, to, visit);
  }

  floor(key: unknown, sub: number): { readonly sub: number; readonly value: V } | undefined {
    this.fetchFloor(key, sub);
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
    this.fetchDue(until);
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
      throw notStorable(error, this.name, changed[index]?.key);
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
      const base = this.pending[index];
      if (base !== undefined || entry.base !== undefined) {
        this.willRebase(entry);
        this.rebase(entry, base, (entry.flags & WILL_BE_PACKED) !== 0);
      }
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
    this.setBase(entry, value);
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

  protected find(key: unknown, sub: number): Entry | undefined {
    const { last } = this;
    if (last.key === key && last.sub === sub) return last;
    const head = this.table.get(key);
    this.head = head;
    if (head === undefined) return this.missing(key, sub);
    if (head.sub === sub) {
      this.last = head;
      return head;
    }
    const { group } = head;
    if (group === undefined) return this.missing(key, sub);
    const entry = group[lowerBound(group, sub)];
    if (entry === undefined || entry.sub !== sub) return this.missing(key, sub);
    this.last = entry;
    return entry;
  }

  // What is beneath the entries in memory: nothing, here.

  /** Called for an entry that is not in memory, after `head` was set. */
  protected missing(_key: unknown, _sub: number): Entry | undefined {
    return undefined;
  }

  /** Brings entries into memory: of a key, with from <= sub <= to. */
  protected fetch(_key: unknown, _from: number, _to: number): void {}

  /** The one with the largest sub that is at most `sub`. */
  protected fetchFloor(_key: unknown, _sub: number): void {}

  /** Those that are due. */
  protected fetchDue(_until: number): void {}

  /** `entry.base` is still that of the commit before. */
  protected willRebase(_entry: Entry): void {}

  /** What `find` has just not found. */
  protected insert(key: unknown, sub: number): Entry {
    assert(sub === sub, `an entry of store ${this.name} has NaN as its sub`);
    // Of numbers -0 becomes 0, as it does in bytes.
    const own = typeof key === 'number' ? key + 0 : key;
    const entry = new Entry(isDirect(own) ? own : keyOfOrder(orderOf(own)), sub + 0);
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

  protected walk(from: string, to: string | undefined, visit: Visit<V>): void {
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
    // What came and went in between is no news to the changelog.
    const isNews =
      value !== undefined || entry.base !== undefined || (entry.flags & IS_FLUSHED) !== 0;
    const isPacked = isChangeable(value);
    entry.flags =
      (entry.flags & ~WILL_BE_PACKED) | (isPacked ? WILL_BE_PACKED : 0) | (isNews ? IS_FLUSHED : 0);
    const bytes =
      isNews && (isPacked || append !== undefined)
        ? this.changes.write(entry, time, append)
        : undefined;
    entry.place = -1;
    this.flushed.push(entry);
    this.pending.push(isPacked ? bytes : value);
  }

  /** What was committed, and is the value now. */
  protected setBase(entry: Entry, value: Buffer): void {
    const isPacked = isChangeableAt(value, 0);
    const base = isPacked ? packed(value, 0, value.length) : decodeValue(value, 0, value.length);
    this.rebase(entry, base, isPacked);
    entry.value = isPacked ? PACKED : base;
  }

  protected rebase(entry: Entry, base: unknown, isPacked: boolean): void {
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

  protected endTransaction(dead: readonly Entry[]): void {
    this.flushed.length = 0;
    this.pending.length = 0;
    this.touched.length = 0;
    this.remove(dead);
    // Those that are gone wait for their time, too: not too many of them.
    if (this.dues !== undefined && this.dues.size > 2 * this.entries + 1024) this.scheduleAll();
  }

  protected remove(dead: readonly Entry[]): void {
    if (dead.length === 0) return;
    this.last = NONE;
    for (const entry of dead) {
      if ((entry.flags & IS_REMOVED) !== 0 || !isDead(entry)) continue;
      const head = this.table.get(entry.key) as Entry;
      const { group } = head;
      const left = (group ?? [head]).filter((other) => !isDead(other));
      for (const other of group ?? [head]) if (isDead(other)) this.drop(other);
      this.regroup(head, left);
    }
  }

  /** Who still has it finds it empty. */
  protected drop(entry: Entry): void {
    if (typeof entry.base === 'string') this.packedBytes -= entry.base.length;
    entry.value = undefined;
    entry.base = undefined;
    entry.flags = (entry.flags & ~IS_PACKED) | IS_REMOVED;
    this.entries--;
  }

  /** An abort need not look at what was dropped. */
  protected dropTouched(): void {
    const left = this.touched.filter((entry) => (entry.flags & IS_REMOVED) === 0);
    this.touched.length = 0;
    for (const entry of left) this.touched.push(entry);
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
    next.flags |= head.flags & (IS_WHOLE | IS_LARGE);
    next.group = left.length > 1 ? left : undefined;
    if (next !== head) this.table.replace(next);
  }

  protected scheduleAll(): void {
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

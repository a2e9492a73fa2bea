/**
 * A store whose committed part is on disk: what is in memory is what was read, what was changed, and what the disk has not been told yet.
 *
 *   value · base ──committed──▶ unsaved ──save──▶ saving ──written──▶ forgotten when memory is needed
 *
 * What comes and goes between two saves is never written. Whatever is looked for is brought into memory first; then everything goes on as in a store without a disk. An entry in memory is always
 * newer than its row, or the same. An entry that is on its way to the disk stays.
 */
import { ByteWriter } from '../../../core/byte-writer.ts';
import { STATE_FLUSH_BYTES } from '../../../core/stream-limits.ts';
import { decodeValue, encodeValue } from '../../../core/value-codec.ts';
import { baseOf, entryOf } from './committed-view.ts';
import type { DiskRow, DiskSection, WriteRow } from './disk-rows.ts';
import { DiskView } from './disk-view.ts';
import { decodeEntryKey, orderOf } from './entry-key.ts';
import {
  type Entry,
  IS_FLUSHED,
  IS_LARGE,
  IS_NEEDED,
  IS_ON_DISK,
  IS_PACKED,
  IS_SAVING,
  IS_UNSAVED,
  IS_WHOLE,
  NONE,
} from './entry.ts';
import { stateDamaged } from './lmdb-environment.ts';
import { StateStore } from './state-store.ts';
import type { ReadableStore, StoreSpec } from './store.ts';

interface RestoredRow {
  readonly entryKey: Buffer;
  readonly key: unknown;
  readonly sub: number;
  readonly value: Buffer | undefined;
  readonly dueBefore: number;
  readonly dueNow: number;
}

const NOTHING = Buffer.alloc(0);
/** So many may stay in the list of what is to be saved. */
const DROPPED_MIN = 1024;

type Visit<V> = (key: unknown, sub: number, value: V) => boolean | void;

export class DiskStore<V = unknown> extends StateStore<V> {
  private readonly section: DiskSection;
  private readonly cacheBytes: number;
  /** Committed, not told to the disk; and when each is due as the disk has it, or will. */
  private unsaved: Entry[] = [];
  private unsavedDues: number[] = [];
  /** Of those: what the disk need not be told any more. */
  private dropped = 0;
  private saving: Entry[] = [];
  /** What is due before this is in memory. */
  private dueOnDisk: number;
  /** The order of a key that the disk does not have. */
  private absent: string | undefined;
  /** Walks, and visits of what is due, that are under way. */
  private visits = 0;
  /** Memory above which something is dropped. */
  private forgetAbove: number;
  /** Restored, not written: by entry key. */
  private restoring = new Map<string, Buffer | null>();

  constructor(spec: StoreSpec<V>, isLogged: boolean, section: DiskSection, cacheBytes: number) {
    super(spec, isLogged);
    this.section = section;
    this.cacheBytes = cacheBytes;
    this.forgetAbove = cacheBytes;
    this.dueOnDisk = this.dues === undefined ? Number.POSITIVE_INFINITY : section.firstDue;
    this.live = section.entries;
    this.based = section.entries;
  }

  override get nextDue(): number {
    return Math.min(super.nextDue, this.dueOnDisk);
  }

  /** Offset in the changelog up to which the disk has it. */
  get checkpoint(): number | undefined {
    return this.section.checkpoint;
  }

  /** Something was restored that is not on disk. */
  get isRestoring(): boolean {
    return this.restoring.size > 0;
  }

  /** Entries that the disk is to be told. */
  get unsavedEntries(): number {
    return this.unsaved.length - this.dropped;
  }

  override view(): ReadableStore {
    return new DiskView(this.table, this.section, () => this.based);
  }

  override restore(key: Buffer, value: Buffer | null): void {
    // Also what is bytes only has to be a key.
    decodeEntryKey(key, 0, key.length);
    this.restoring.set(key.latin1Slice(0, key.length), value === null ? null : Buffer.from(value));
  }

  /** Hands over the rows of what was restored. */
  writeRestored(row: WriteRow, checkpoint: number): void {
    // Everything that can fail comes before the first row is written.
    const restored = [...this.restoring].map(([text, value]) => this.restoredRow(text, value));
    for (const { entryKey, key, sub, value, dueBefore, dueNow } of restored) {
      row(this.section.rowKeyOf(entryKey), value);
      this.writeDue(row, dueBefore, dueNow, key, sub);
    }
    this.section.writeMeta(row, checkpoint, this.based);
  }

  private restoredRow(text: string, value: Buffer | null): RestoredRow {
    const entryKey = Buffer.from(text, 'latin1');
    const { key, sub } = decodeEntryKey(entryKey, 0, entryKey.length);
    const old = this.section.read(key, sub);
    if (old !== undefined) this.based--;
    if (value !== null) this.based++;
    const dueBefore = this.dueOfBytes(old, sub, key);
    const dueNow = this.dueOfBytes(value, sub, key);
    return { entryKey, key, sub, value: value ?? undefined, dueBefore, dueNow };
  }

  /** They are on disk. */
  restored(checkpoint: number): void {
    this.section.entries = this.based;
    this.section.checkpoint = checkpoint;
    super.clear();
    this.restoring = new Map();
    this.begin();
  }

  /** Hands over the rows of what was committed. `keep` keeps memory that is read from until they are written. */
  writeUnsaved(row: WriteRow, checkpoint: number | undefined, keep: Buffer[]): void {
    this.forgetDropped();
    this.saving = this.unsaved;
    const dues = this.unsavedDues;
    this.unsaved = [];
    this.unsavedDues = [];
    const slab = new Slab(keep);
    // Functions of the program run before the first row is written.
    const duesNow = this.saving.map((entry) => this.dueOfBase(entry));
    for (let index = 0; index < this.saving.length; index++) {
      const entry = this.saving[index] as Entry;
      const { key, sub } = entry;
      const wasOnDisk = (entry.flags & IS_ON_DISK) !== 0;
      const isOnDisk = entry.base !== undefined;
      entry.flags =
        (entry.flags & ~(IS_UNSAVED | IS_ON_DISK)) | IS_SAVING | (isOnDisk ? IS_ON_DISK : 0);
      if (isOnDisk || wasOnDisk) row(this.section.rowKey(key, sub), slab.add(entry));
      this.writeDue(row, dues[index] as number, duesNow[index] as number, key, sub);
    }
    this.section.writeMeta(row, checkpoint, this.based);
    this.section.entries = this.based;
  }

  /** They are on disk. */
  saved(checkpoint: number | undefined): void {
    this.section.checkpoint = checkpoint;
    const { saving } = this;
    this.saving = [];
    for (const entry of saving) entry.flags &= ~IS_SAVING;
    // Now there is something to forget.
    this.forgetAbove = this.cacheBytes;
    this.remove(saving.filter((entry) => entry.value === undefined));
  }

  override clear(): void {
    super.clear();
    this.unsaved = [];
    this.unsavedDues = [];
    this.dropped = 0;
    this.saving = [];
    this.restoring = new Map();
    this.begin();
  }

  protected override missing(key: unknown, sub: number): Entry | undefined {
    const { head } = this;
    if (head !== undefined) {
      if ((head.flags & IS_WHOLE) !== 0) return undefined;
      // One read for all that is looked for of this key, as far as it is not too much.
      if ((head.flags & IS_LARGE) === 0 && this.fetchWhole(key)) {
        this.head = this.table.get(key);
        return entryOf(this.table, key, sub);
      }
    } else if (this.absent !== undefined && this.absent === orderOf(key)) return undefined;
    const value = this.section.read(key, sub);
    return value === undefined ? undefined : this.adopt(key, sub, value);
  }

  protected override insert(key: unknown, sub: number): Entry {
    const isFirst = this.head === undefined;
    const entry = super.insert(key, sub);
    if (isFirst && this.absent !== undefined && this.absent === orderOf(key))
      entry.flags |= IS_WHOLE;
    return entry;
  }

  protected override fetch(key: unknown, from: number, to: number): void {
    if (this.fetchWhole(key)) return;
    for (const row of this.section.readKey(key, from, to)) this.bring(row);
  }

  protected override fetchFloor(key: unknown, sub: number): void {
    if (this.fetchWhole(key)) return;
    let at = sub;
    for (;;) {
      const rows = this.section.readFloor(key, at, this.section.rowsAtOnce);
      for (const row of rows) if (this.bring(row).value !== undefined) return;
      const last = rows.at(-1);
      if (last === undefined || rows.length < this.section.rowsAtOnce) return;
      at = last.sub;
    }
  }

  protected override fetchDue(until: number): void {
    if (this.dueOnDisk > until || this.dueOnDisk === Number.POSITIVE_INFINITY) return;
    this.dueOnDisk = this.section.readDue(this.dueOnDisk, until, (key, sub) => {
      const entry = this.find(key, sub);
      if (entry !== undefined && entry.value !== undefined) this.dues?.schedule(entry);
    });
  }

  protected override walk(from: string, to: string | undefined, visit: Visit<V>): void {
    let at: string | undefined = from;
    const watched: Visit<V> = (key, sub, value) => {
      const goesOn = visit(key, sub, value) !== false;
      if (!goesOn) at = undefined;
      return goesOn;
    };
    this.visits++;
    try {
      while (at !== undefined) {
        const start: string = at;
        const next = this.fetchFrom(start, to);
        at = next;
        super.walk(start, next ?? to, watched);
        // Between two pages nobody holds an entry, unless this walk is within another one.
        if (this.visits === 1 && this.bytes > this.forgetAbove) this.forget();
      }
    } finally {
      this.visits--;
    }
  }

  override due(until: number, visit: (key: unknown, sub: number, value: V) => void): void {
    this.visits++;
    try {
      super.due(until, visit);
    } finally {
      this.visits--;
    }
  }

  protected override willRebase(entry: Entry): void {
    if ((entry.flags & IS_UNSAVED) !== 0) return;
    entry.flags |= IS_UNSAVED;
    this.unsaved.push(entry);
    this.unsavedDues.push(this.dueOfBase(entry));
  }

  protected override endTransaction(dead: readonly Entry[]): void {
    for (const entry of dead) {
      if (!isUnknownToDisk(entry)) continue;
      entry.flags &= ~IS_UNSAVED;
      this.dropped++;
    }
    if (this.dropped > DROPPED_MIN && this.dropped > this.unsaved.length / 2) this.forgetDropped();
    super.endTransaction(dead);
    if (this.bytes > this.forgetAbove) this.forget();
    else if (this.bytes < this.cacheBytes) this.forgetAbove = this.cacheBytes;
  }

  private forgetDropped(): void {
    if (this.dropped === 0) return;
    const { unsaved, unsavedDues } = this;
    let count = 0;
    for (let index = 0; index < unsaved.length; index++) {
      const entry = unsaved[index] as Entry;
      if ((entry.flags & IS_UNSAVED) === 0) continue;
      unsaved[count] = entry;
      unsavedDues[count++] = unsavedDues[index] as number;
    }
    unsaved.length = count;
    unsavedDues.length = count;
    this.dropped = 0;
  }

  /** Whether everything that the disk has of the key is in memory now. */
  private fetchWhole(key: unknown): boolean {
    const head = this.table.get(key);
    if (head !== undefined) {
      if ((head.flags & IS_WHOLE) !== 0) return true;
      if ((head.flags & IS_LARGE) !== 0) return false;
    } else if (this.absent === orderOf(key)) return true;
    const limit = this.section.rowsAtOnce + 1;
    const rows = this.section.readKey(
      key,
      Number.NEGATIVE_INFINITY,
      Number.POSITIVE_INFINITY,
      limit,
    );
    const isWhole = rows.length < limit;
    if (isWhole) for (const row of rows) this.bring(row);
    else if (head === undefined) this.bring(rows[0] as DiskRow);
    const now = this.table.get(key);
    if (now === undefined) this.absent = orderOf(key);
    else now.flags |= isWhole ? IS_WHOLE : IS_LARGE;
    return isWhole;
  }

  /** Brings the next keys with at least this order. @returns the order of the first that was not; undefined: there are no more */
  private fetchFrom(order: string, to: string | undefined): string | undefined {
    const { rows, next } = this.section.readKeys(order, to);
    for (const row of rows) this.bring(row);
    return next;
  }

  private bring(row: DiskRow): Entry {
    const known = entryOf(this.table, row.key, row.sub);
    if (known !== undefined) return known;
    this.head = this.table.get(row.key);
    return this.adopt(row.key, row.sub, row.value);
  }

  /** Into memory, where it is not; `head` is that of its key. */
  private adopt(key: unknown, sub: number, value: Buffer): Entry {
    const { based } = this;
    const entry = this.insert(key, sub);
    entry.flags |= IS_ON_DISK;
    try {
      this.setBase(entry, value);
    } catch (error) {
      throw stateDamaged(this.section.path, `a value of store ${this.name} cannot be read`, error);
    }
    this.based = based;
    return entry;
  }

  /** Drops what the disk has, the oldest first, until half of the memory is free. */
  private forget(): void {
    this.table.someKeys((head) => {
      if (this.bytes <= this.cacheBytes / 2) return false;
      const group = head.group ?? [head];
      if (!group.every(isClean)) return true;
      for (const entry of group) {
        if (entry.due !== undefined && entry.due < this.dueOnDisk) this.dueOnDisk = entry.due;
        this.drop(entry);
      }
      this.table.delete(head.key);
      return true;
    });
    this.dropTouched();
    this.last = NONE;
    this.absent = undefined;
    this.scheduleAll();
    // Where little can be dropped, looking for it again and again would cost more than it frees.
    this.forgetAbove = Math.max(this.cacheBytes, this.bytes * 1.5);
  }

  private dueOfBase(entry: Entry): number {
    const { dueOf } = this.spec;
    if (dueOf === undefined || entry.base === undefined) return Number.POSITIVE_INFINITY;
    return timeOf(dueOf(baseOf(entry) as V, entry.sub, entry.key));
  }

  private dueOfBytes(bytes: Buffer | null | undefined, sub: number, key: unknown): number {
    const { dueOf } = this.spec;
    if (dueOf === undefined || bytes === undefined || bytes === null)
      return Number.POSITIVE_INFINITY;
    return timeOf(dueOf(decodeValue(bytes, 0, bytes.length) as V, sub, key));
  }

  private writeDue(row: WriteRow, before: number, now: number, key: unknown, sub: number): void {
    if (before === now) return;
    if (before !== Number.POSITIVE_INFINITY) row(this.section.dueKey(before, key, sub), undefined);
    if (now !== Number.POSITIVE_INFINITY) row(this.section.dueKey(now, key, sub), NOTHING);
  }

  private begin(): void {
    this.dueOnDisk = this.dues === undefined ? Number.POSITIVE_INFINITY : this.section.firstDue;
    this.live = this.section.entries;
    this.based = this.section.entries;
    this.absent = undefined;
    this.forgetAbove = this.cacheBytes;
  }
}

function timeOf(due: number): number {
  return due === due ? due : Number.POSITIVE_INFINITY;
}

/** It waits to be saved, is gone, and the disk has never had it. */
function isUnknownToDisk({ flags, value, base, place }: Entry): boolean {
  return (
    value === undefined &&
    base === undefined &&
    place < 0 &&
    (flags & (IS_UNSAVED | IS_SAVING | IS_ON_DISK | IS_FLUSHED)) === IS_UNSAVED
  );
}

/** The disk has it, as it is. */
function isClean(entry: Entry): boolean {
  return entry.place < 0 && (entry.flags & IS_NEEDED) === 0;
}

/** Values on their way to the disk: LMDB reads them from where they are, so nothing moves and all is kept. */
class Slab {
  private readonly keep: Buffer[];
  private writer = new ByteWriter(STATE_FLUSH_BYTES);
  private readonly scratch = new ByteWriter(256);

  constructor(keep: Buffer[]) {
    this.keep = keep;
    keep.push(this.writer.buffer);
  }

  /** The bytes of what is committed; undefined: nothing is. */
  add(entry: Entry): Buffer | undefined {
    const { base } = entry;
    if (base === undefined) return undefined;
    if ((entry.flags & IS_PACKED) !== 0) {
      const text = base as string;
      const start = this.room(text.length);
      this.writer.length += this.writer.buffer.latin1Write(text, start);
      return this.writer.buffer.subarray(start, this.writer.length);
    }
    const { scratch } = this;
    scratch.length = 0;
    encodeValue(base, scratch);
    const start = this.room(scratch.length);
    this.writer.bytes(scratch.buffer, 0, scratch.length);
    return this.writer.buffer.subarray(start, this.writer.length);
  }

  private room(bytes: number): number {
    if (this.writer.length + bytes > this.writer.buffer.length) {
      this.writer = new ByteWriter(Math.max(bytes, STATE_FLUSH_BYTES));
      this.keep.push(this.writer.buffer);
    }
    return this.writer.length;
  }
}

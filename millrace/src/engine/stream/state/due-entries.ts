/** When the entries of a store are due: `DueQueue` over entries, in the order (due, key, sub). */
import { compareEntryKeys, isDirect, orderOf } from './entry-key.ts';
import { DueQueue } from './due-queue.ts';
import { type Entry, PACKED } from './entry.ts';
import { unpack } from './packed-value.ts';

export type DueOf = (value: unknown, sub: number, key: unknown) => number;

export class DueEntries {
  private readonly queue = new DueQueue<Entry>();
  private readonly dueOf: DueOf;

  constructor(dueOf: DueOf) {
    this.dueOf = dueOf;
  }

  /** The smallest time at which an entry is due, or earlier. */
  get next(): number {
    return this.queue.next;
  }

  /** Entries in it, also those that are gone. */
  get size(): number {
    return this.queue.size;
  }

  /** @hot To be called when an entry has a value that it had not. */
  schedule(entry: Entry): void {
    const due = this.timeOf(entry);
    // One that is due later than it was is put back when its old time comes.
    if (due < (entry.due ?? Number.POSITIVE_INFINITY)) this.push(due, entry);
  }

  /** Takes out those with the smallest time, by key and sub. It may turn out that there are none, and the smallest time is another. */
  take(): Entry[] {
    const { queue } = this;
    const due = queue.next;
    const taken: Entry[] = [];
    while (queue.next === due) {
      const entry = queue.pop();
      if (entry.due !== due) continue;
      entry.due = undefined;
      if (entry.value === undefined) continue;
      const now = this.timeOf(entry);
      if (now <= due) taken.push(entry);
      else if (now < Number.POSITIVE_INFINITY) this.push(now, entry);
    }
    return sorted(taken);
  }

  clear(): void {
    this.queue.clear();
  }

  private push(due: number, entry: Entry): void {
    entry.due = due;
    this.queue.push(due, entry);
  }

  private timeOf(entry: Entry): number {
    if (entry.value === PACKED) entry.value = unpack(entry.base as string);
    return this.dueOf(entry.value, entry.sub, entry.key);
  }
}

function sorted(entries: Entry[]): Entry[] {
  if (entries.length < 2) return entries;
  if (entries.every((entry) => isDirect(entry.key)))
    return entries.sort((a, b) => compareEntryKeys(a.key, b.key) || a.sub - b.sub);
  return entries
    .map((entry) => ({ entry, order: orderOf(entry.key) }))
    .sort((a, b) => (a.order === b.order ? a.entry.sub - b.entry.sub : a.order < b.order ? -1 : 1))
    .map(({ entry }) => entry);
}

/**
 * One entry of a store: what is read now, and what was committed.
 *
 *   value   what `get` answers; undefined: deleted, or never there
 *   base    what the last commit left; undefined: nothing. Primitives as they are, all else as its bytes (IS_PACKED): an object that
 *           was handed out may be changed in place, and only bytes are safe from that.
 *
 * Entries of one key hang together: the table of keys leads to one of them, whose `group` has all, by `sub`, when there are several.
 */

/** Takes the place of a value that is there as bytes only. */
export const PACKED: object = Object.freeze({ kind: 'packed' });

/** `base` is a string of bytes, one per character, that `core/value-codec` decodes. */
export const IS_PACKED = 1;
/** What was handed to the changelog last, and is not committed yet, is packed. */
export const WILL_BE_PACKED = 2;
/** In the list of what an abort has to look at although it was not put. */
export const IS_TOUCHED = 4;
/** The changelog was given something of it in this transaction. */
export const IS_FLUSHED = 8;
/** Out of the table: nothing leads to it any more but, perhaps, the queue of what is due. */
export const IS_REMOVED = 16;
/** `base` is newer than the disk. */
export const IS_UNSAVED = 32;
/** The disk is being told. */
export const IS_SAVING = 256;
/** The disk has a row of it, or is being given one. */
export const IS_ON_DISK = 512;
/** Nothing but memory has it. */
export const IS_NEEDED = IS_FLUSHED | IS_UNSAVED | IS_SAVING;
/** All entries that the key has on the disk are in memory, too. At the entry that the table leads to. */
export const IS_WHOLE = 64;
/** Too many for that are on the disk. Likewise. */
export const IS_LARGE = 128;

export class Entry {
  /** Never changed: a copy, where the caller could change his. */
  readonly key: unknown;
  readonly sub: number;
  value: unknown;
  base: unknown;
  /** Its place in the list of changes that were not flushed; -1: it is not in it. */
  place: number;
  flags: number;
  /** As what it stands in the queue of what is due; undefined: it does not. Not always when it is due: see `due-queue.ts`. */
  due: number | undefined;
  group: Entry[] | undefined;

  constructor(key: unknown, sub: number) {
    this.key = key;
    this.sub = sub;
    this.value = undefined;
    this.base = undefined;
    this.place = -1;
    this.flags = 0;
    this.due = undefined;
    this.group = undefined;
  }
}

/** Stands for none: NaN is equal to no sub. */
export const NONE = new Entry(undefined, Number.NaN);

/** The first entry of a group with at least this sub. */
export function lowerBound(group: readonly Entry[], sub: number): number {
  let low = 0;
  let high = group.length;
  // What is looked for is nearly always among the last.
  if (high > 0 && (group[high - 1] as Entry).sub < sub) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((group[middle] as Entry).sub < sub) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Nothing needs it: not read, not committed, not waiting to be flushed or saved. */
export function isDead(entry: Entry): boolean {
  return (
    entry.value === undefined &&
    entry.base === undefined &&
    entry.place < 0 &&
    (entry.flags & IS_NEEDED) === 0
  );
}

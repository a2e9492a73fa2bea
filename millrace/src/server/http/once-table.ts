/**
 * What was written under which id, in memory: the latest of it, by number of records and by age. It is what the log says, and may be
 * forgotten at any time, since the log says it again.
 */
import type { PlacedAt } from '../../client/grouped-producer.ts';

/** What a record says of the request that it came with. */
export interface OnceMark {
  readonly id: string;
  /** Of the content of the request. */
  readonly fingerprint: string;
  /** Which of its records it is, of how many. */
  readonly index: number;
  readonly count: number;
  /** When it came. Milliseconds since 1970. */
  readonly atMs: number;
}

/** A request. */
export interface OnceEntry {
  readonly fingerprint: string;
  /** Where its records are, by index. undefined: not known to be written. */
  readonly places: (PlacedAt | undefined)[];
  atMs: number;
}

export interface OnceTableOptions {
  readonly recordsMax: number;
  readonly windowMs: number;
}

export class OnceTable {
  readonly windowMs: number;
  readonly recordsMax: number;
  /** In the order in which they came. */
  readonly #entries = new Map<string, OnceEntry>();
  #records = 0;

  constructor({ recordsMax, windowMs }: OnceTableOptions) {
    this.recordsMax = recordsMax;
    this.windowMs = windowMs;
  }

  /** Of all requests. */
  get records(): number {
    return this.#records;
  }

  find(id: string, nowMs: number): OnceEntry | undefined {
    const entry = this.#entries.get(id);
    return entry !== undefined && entry.atMs >= nowMs - this.windowMs ? entry : undefined;
  }

  /** What was just written. What is too much, or too old, goes. */
  add(mark: OnceMark, place: PlacedAt): void {
    const entry = this.#entries.get(mark.id);
    if (entry !== undefined) this.#remove(mark.id, entry);
    this.#set(mark.id, joined(entry, mark, place));
    for (const [id, oldest] of this.#entries) {
      if (this.#records <= this.recordsMax && oldest.atMs >= mark.atMs - this.windowMs) return;
      this.#remove(id, oldest);
    }
  }

  /** What was found. */
  merge(found: OnceFindings): void {
    const all = new Map(this.#entries);
    for (const [id, entry] of found.entries) {
      const known = all.get(id);
      if (known === undefined || !isSame(known, entry)) {
        if (known === undefined || known.atMs < entry.atMs) all.set(id, entry);
      } else for (const [index, place] of entry.places.entries()) known.places[index] ??= place;
    }
    this.#entries.clear();
    this.#records = 0;
    for (const [id, entry] of latest([...all], this.recordsMax).toReversed()) this.#set(id, entry);
  }

  /** Those whose ids begin so. */
  forget(prefix: string): void {
    for (const [id, entry] of this.#entries) if (id.startsWith(prefix)) this.#remove(id, entry);
  }

  #set(id: string, entry: OnceEntry): void {
    this.#entries.set(id, entry);
    this.#records += entry.places.length;
  }

  #remove(id: string, entry: OnceEntry): void {
    this.#entries.delete(id);
    this.#records -= entry.places.length;
  }
}

/** What is found when a log is looked through, in any order: the latest of it. */
export class OnceFindings {
  readonly #recordsMax: number;
  readonly #entries = new Map<string, OnceEntry>();
  #records = 0;
  /** What came then, or before, is too much. */
  #tooOldMs = -Infinity;

  constructor(recordsMax: number) {
    this.#recordsMax = recordsMax;
  }

  get entries(): Iterable<[string, OnceEntry]> {
    return this.#entries;
  }

  add(mark: OnceMark, place: PlacedAt): void {
    if (mark.atMs <= this.#tooOldMs) return;
    const entry = this.#entries.get(mark.id);
    // Twice under one id, with other content: the later one was written when the earlier one was forgotten.
    if (entry !== undefined && !isOf(entry, mark) && entry.atMs > mark.atMs) return;
    const next = joined(entry, mark, place);
    if (next !== entry) this.#records += next.places.length - (entry?.places.length ?? 0);
    this.#entries.set(mark.id, next);
    if (this.#records > 2 * this.#recordsMax) this.#cut();
  }

  #cut(): void {
    const all = [...this.#entries];
    const kept = latest(all, this.#recordsMax);
    const first = all
      .toSorted(([, left], [, right]) => right.atMs - left.atMs)
      .at(kept.length)?.[1];
    this.#tooOldMs = first?.atMs ?? this.#tooOldMs;
    this.#entries.clear();
    this.#records = 0;
    for (const [id, entry] of kept) {
      if (entry.atMs <= this.#tooOldMs) continue;
      this.#entries.set(id, entry);
      this.#records += entry.places.length;
    }
  }
}

/** The latest first, not more than so many records. */
function latest(all: readonly [string, OnceEntry][], recordsMax: number): [string, OnceEntry][] {
  const sorted = all.toSorted(([, left], [, right]) => right.atMs - left.atMs);
  let records = 0;
  const end = sorted.findIndex(([, { places }]) => (records += places.length) > recordsMax);
  return end < 0 ? sorted : sorted.slice(0, end);
}

function isSame(left: OnceEntry, right: OnceEntry): boolean {
  return left.fingerprint === right.fingerprint && left.places.length === right.places.length;
}

function isOf({ fingerprint, places }: OnceEntry, mark: OnceMark): boolean {
  return fingerprint === mark.fingerprint && places.length === mark.count;
}

function joined(entry: OnceEntry | undefined, mark: OnceMark, place: PlacedAt): OnceEntry {
  const { fingerprint, count, atMs, index } = mark;
  const next =
    entry !== undefined && isOf(entry, mark)
      ? entry
      : { fingerprint, places: Array.from<PlacedAt | undefined>({ length: count }), atMs };
  next.places[index] ??= place;
  next.atMs = Math.max(next.atMs, atMs);
  return next;
}

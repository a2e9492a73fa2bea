/** Keys that a queue remembers until a time, in about the order in which they are forgotten. */
import { createHash } from 'node:crypto';
import { DEDUPE_KEY_CHARACTERS_MAX } from '../../../core/queue-limits.ts';

export class DedupeKeys {
  /** Keys that were remembered or forgotten since they were taken from here. */
  changed = new Set<string>();
  private readonly until = new Map<string, number>();

  get size(): number {
    return this.until.size;
  }

  keys(): IterableIterator<string> {
    return this.until.keys();
  }

  /** @returns whether that is news */
  remember(name: string, untilMs: number): boolean {
    const key = shortened(name);
    const before = this.until.get(key);
    if (before !== undefined && before >= untilMs) return false;
    // To the end: what is looked at first is what is over first, as long as the window stays the same.
    this.until.delete(key);
    this.until.set(key, untilMs);
    this.changed.add(key);
    return true;
  }

  remembers(name: string, nowMs: number): boolean {
    const untilMs = this.until.get(shortened(name));
    return untilMs !== undefined && untilMs > nowMs;
  }

  /** As it was written; undefined = forgotten. */
  restore(key: string, untilMs: number | undefined): void {
    this.until.delete(key);
    if (untilMs !== undefined) this.until.set(key, untilMs);
  }

  /** When a key is over; undefined when it is not remembered. */
  untilOf(key: string): number | undefined {
    return this.until.get(key);
  }

  /** Forgets all. @returns whether there were any */
  forget(): boolean {
    for (const key of this.until.keys()) this.changed.add(key);
    this.until.clear();
    return this.changed.size > 0;
  }

  /** Forgets keys whose time is over. @returns whether there were any */
  expire(nowMs: number): boolean {
    let isChanged = false;
    for (const [key, untilMs] of this.until) {
      if (untilMs > nowMs) break;
      this.until.delete(key);
      this.changed.add(key);
      isChanged = true;
    }
    return isChanged;
  }
}

/** A key that would take much memory stands for itself by its hash. */
function shortened(name: string): string {
  if (name.length <= DEDUPE_KEY_CHARACTERS_MAX) return name;
  return `sha256:${createHash('sha256').update(name).digest('base64url')}`;
}

/**
 * Order by key: one message of a key is out, the others of that key wait for it in the order of the log. Keys of which nothing is out
 * take no memory.
 */
import { OffsetHeap } from './offset-heap.ts';

/** So many offsets are not looked through for settled ones. */
const COMPACT_OFFSETS_MIN = 4_096;

interface Line {
  /** The message that may be delivered, or is with somebody. */
  out: number;
  parked: OffsetHeap | undefined;
}

export class KeyLines {
  private readonly lines = new Map<string, Line>();
  private compactAbove = COMPACT_OFFSETS_MIN;
  /** Offsets that wait, settled ones among them. */
  parkedCount = 0;

  /** @returns whether the message may go out; if not it waits, and comes out of `left` later */
  enter(key: string, offset: number): boolean {
    const line = this.lines.get(key);
    if (line === undefined) {
      this.lines.set(key, { out: offset, parked: undefined });
      return true;
    }
    if (line.out === offset) return true;
    line.parked ??= new OffsetHeap();
    line.parked.push(offset);
    this.parkedCount++;
    return false;
  }

  /** The message is settled. @returns the one that follows it, or -1 */
  left(key: string, offset: number, isSettled: (offset: number) => boolean): number {
    const line = this.lines.get(key);
    if (line?.out !== offset) return -1;
    while (line.parked !== undefined && line.parked.size > 0) {
      const next = line.parked.pop();
      this.parkedCount--;
      if (isSettled(next)) continue;
      line.out = next;
      return next;
    }
    this.lines.delete(key);
    return -1;
  }

  /** Messages were settled that nobody had. @returns those that follow them, and may go out now */
  settledElsewhere(isSettled: (offset: number) => boolean): number[] {
    const next: number[] = [];
    for (const [key, { out }] of this.lines) {
      if (!isSettled(out)) continue;
      const following = this.left(key, out, isSettled);
      if (following >= 0) next.push(following);
    }
    return next;
  }

  /** What waits and is settled goes, before it is too much. */
  compact(isSettled: (offset: number) => boolean): void {
    if (this.parkedCount <= this.compactAbove) return;
    this.parkedCount = 0;
    for (const { parked } of this.lines.values()) {
      parked?.filter((offset) => !isSettled(offset));
      this.parkedCount += parked?.size ?? 0;
    }
    this.compactAbove = Math.max(COMPACT_OFFSETS_MIN, this.parkedCount * 2);
  }

  /** Everything was settled but what is `kept`. */
  purge(isKept: (offset: number) => boolean): void {
    for (const [key, line] of this.lines) {
      if (isKept(line.out)) line.parked = undefined;
      else this.lines.delete(key);
    }
    this.parkedCount = 0;
  }
}

/**
 * How many segment files are open at once. A segment opens its file when it is used and says so here; when there are
 * too many, those that were not used for longest are closed, if nothing depends on their descriptor.
 */

export interface HoldsFile {
  /** Set at each use. */
  wasUsed: boolean;
  /** Must stay open: reads under way, or bytes that were written and not synced. */
  readonly isBusy: boolean;
  closeFile(): void;
}

/** When all had to stay: so large a part of the limit is opened before anybody looks again. */
const LOOK_SHARE = 16;

export class OpenFiles {
  private readonly limit: number;
  /** In the order in which they were opened or last passed over. */
  private readonly holders = new Set<HoldsFile>();
  /** When there are more than this it is worth looking again: last time too many had to stay. */
  private worthAbove = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get count(): number {
    return this.holders.size;
  }

  /** A file was opened. */
  add(holder: HoldsFile): void {
    holder.wasUsed = true;
    this.holders.add(holder);
    const { size } = this.holders;
    if (size > this.limit && size > this.worthAbove) this.evict(holder);
  }

  /** Closes what is over the limit and has become idle meanwhile. */
  trim(): void {
    if (this.holders.size > this.limit) this.evict(undefined);
  }

  /** A file was closed. */
  remove(holder: HoldsFile): void {
    this.holders.delete(holder);
  }

  /** Second chance: who was used since the last pass goes to the end of the line, once. `opened` is about to be used. */
  private evict(opened: HoldsFile | undefined): void {
    const { holders, limit } = this;
    let tries = holders.size * 2;
    // One walk: whoever goes to the end is met again. Where a set begins is found only by passing all that has left it there.
    for (const holder of holders) {
      if (holders.size <= limit || tries-- <= 0) break;
      holders.delete(holder);
      if (holder === opened || holder.wasUsed || holder.isBusy) {
        holder.wasUsed = false;
        holders.add(holder);
      } else {
        holder.closeFile();
      }
    }
    this.worthAbove = holders.size <= limit ? 0 : holders.size + Math.ceil(limit / LOOK_SHARE);
  }
}

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

export class OpenFiles {
  private readonly limit: number;
  /** In the order in which they were opened or last passed over. */
  private readonly holders = new Set<HoldsFile>();

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
    if (this.holders.size > this.limit) this.evict(holder);
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
    for (let tries = this.holders.size * 2; tries > 0; tries--) {
      const [holder] = this.holders;
      if (holder === undefined || this.holders.size <= this.limit) return;
      this.holders.delete(holder);
      if (holder === opened || holder.wasUsed || holder.isBusy) {
        holder.wasUsed = false;
        this.holders.add(holder);
      } else {
        holder.closeFile();
      }
    }
  }
}

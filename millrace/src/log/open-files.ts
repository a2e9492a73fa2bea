/**
 * How many segment files are open at once. A segment opens its file when it is used and says so here; when there are
 * too many, those that were not used for longest are closed, if nothing depends on their descriptor.
 */

import { MillraceError } from '../core/errors.ts';

export interface HoldsFile {
  /** Set at each use. */
  wasUsed: boolean;
  /** Must stay open: reads under way, or bytes that were written and not synced. */
  readonly isBusy: boolean;
  closeFile(): void;
}

/** What the process can have open, once everything that should be open is. */
export interface OpenFilesBound {
  /** No file is opened to be written while so many are open. */
  readonly max: number;
  /** So large a part of that is that what keeps them open should be synced. */
  readonly onCrowded: () => void;
}

/** Of what may be open: from here on it is a crowd. */
const CROWDED_SHARE = 0.75;
/** When all had to stay: so large a part of the limit is opened before anybody looks again. */
const LOOK_SHARE = 16;

export class OpenFiles {
  private limit: number;
  private bound: OpenFilesBound | undefined;
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

  /** From now on. */
  setBound(bound: OpenFilesBound): void {
    this.bound = bound;
    // Idle ones alone do not make a crowd.
    this.limit = Math.min(this.limit, Math.ceil(bound.max / 4));
    this.trim();
  }

  /** So many are open that whoever would have more opened should wait. */
  get isCrowded(): boolean {
    return this.bound !== undefined && this.holders.size >= this.bound.max * CROWDED_SHARE;
  }

  /** Before a file is opened to be written. @throws {MillraceError} ML_TOO_MANY_FILES */
  admit(): void {
    const { bound, holders } = this;
    if (bound === undefined || !this.isCrowded) return;
    bound.onCrowded();
    if (holders.size < bound.max) return;
    throw new MillraceError(
      'ML_TOO_MANY_FILES',
      `${holders.size} segments are open that were written and not synced yet, and the process may open few files more`,
    );
  }

  /** A file was opened. */
  add(holder: HoldsFile): void {
    holder.wasUsed = true;
    this.holders.add(holder);
    if (this.isCrowded) this.bound?.onCrowded();
    const { size } = this.holders;
    if (size > this.limit && size > this.worthAbove) this.evict(holder);
  }

  /** Closes what is over the limit and has become idle meanwhile. */
  trim(): void {
    if (this.holders.size > this.limit) this.evict(undefined);
  }

  /** One that was busy is no more. */
  becameIdle(holder: HoldsFile): void {
    if (this.holders.size > this.limit && !holder.isBusy) holder.closeFile();
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

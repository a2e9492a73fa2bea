/**
 * The bytes of one simulated file, twice: `live`, what a running process sees (the page cache), and `disk`, what is
 * there after a power cut. Pages of 4,096 bytes; a missing page reads as zeros.
 *
 * Invariant: a page that is referenced from `disk` or from a sync under way is frozen, and is copied before it is
 * written. Pages whose content differs between `live` and `disk` are dirty, or in a sync under way, or were lost by a
 * failed sync (which leaves them clean and wrong, as Linux does).
 */

import type { SimRandom } from './sim-random.ts';

export const PAGE_BYTES = 4096;
/** What a device writes whole. */
export const SECTOR_BYTES = 512;
const SECTORS_PER_PAGE = PAGE_BYTES / SECTOR_BYTES;

interface Page {
  readonly bytes: Uint8Array;
  isFrozen: boolean;
}

/** Of all pages that were written with nothing else: journals and reserves are full of them. */
const ZERO_PAGE: Page = { bytes: new Uint8Array(PAGE_BYTES), isFrozen: true };

/** What one sync promised: the content when it began. */
export interface InodeSync {
  readonly sequence: number;
  readonly sizeBytes: number;
  readonly floorBytes: number;
  readonly pages: ReadonlyMap<number, Page | undefined>;
}

export class SimInode {
  readonly id: number;
  modifiedMs = 0;
  /** Names that lead to it in the live tree. */
  linkCount = 0;
  /** Open files. */
  openCount = 0;
  liveBytes = 0;
  diskBytes = 0;
  private live = new Map<number, Page>();
  private disk = new Map<number, Page>();
  private readonly dirty = new Set<number>();
  /** The smallest size that the file has had since the last sync began: what lies above was cut off meanwhile. */
  private floorBytes = 0;
  /** Under way, unless a later one has ended before. */
  private readonly syncs = new Set<InodeSync>();
  private syncSequence = 0;

  constructor(id: number) {
    this.id = id;
  }

  /** Bytes of the device that it occupies; holes occupy none. */
  allocatedBytes(): number {
    return this.live.size * PAGE_BYTES;
  }

  /** Bytes that a write of [position, position + count) would newly occupy. */
  missingBytes(position: number, count: number): number {
    let missing = 0;
    const last = Math.floor((position + count - 1) / PAGE_BYTES);
    for (let number = Math.floor(position / PAGE_BYTES); number <= last; number++)
      if (!this.live.has(number)) missing += PAGE_BYTES;
    return missing;
  }

  write(bytes: Uint8Array, start: number, end: number, position: number): void {
    let from = start;
    while (from < end) {
      const at = position + (from - start);
      const within = at % PAGE_BYTES;
      const count = Math.min(end - from, PAGE_BYTES - within);
      const number = (at - within) / PAGE_BYTES;
      const part = bytes.subarray(from, from + count);
      if (isZeroPage(part)) {
        this.dirty.add(number);
        this.live.set(number, ZERO_PAGE);
      } else {
        this.writablePage(number).set(part, within);
      }
      from += count;
    }
    this.liveBytes = Math.max(this.liveBytes, position + (end - start));
  }

  read(bytes: Uint8Array, start: number, end: number, position: number): number {
    const stop = Math.min(end, start + Math.max(0, this.liveBytes - position));
    let from = start;
    while (from < stop) {
      const at = position + (from - start);
      const within = at % PAGE_BYTES;
      const count = Math.min(stop - from, PAGE_BYTES - within);
      const page = this.live.get((at - within) / PAGE_BYTES);
      if (page === undefined) bytes.fill(0, from, from + count);
      else bytes.set(page.bytes.subarray(within, within + count), from);
      from += count;
    }
    return Math.max(0, stop - start);
  }

  truncate(sizeBytes: number): void {
    if (sizeBytes < this.liveBytes) {
      this.floorBytes = Math.min(this.floorBytes, sizeBytes);
      const within = sizeBytes % PAGE_BYTES;
      const keptPages = Math.ceil(sizeBytes / PAGE_BYTES);
      for (const number of this.live.keys())
        if (number >= keptPages) {
          this.live.delete(number);
          this.dirty.add(number);
        }
      if (within > 0 && this.live.has(keptPages - 1))
        this.writablePage(keptPages - 1).fill(0, within);
    }
    this.liveBytes = sizeBytes;
  }

  /** Begins a sync: what is written from now on is not part of its promise. */
  beginSync(): InodeSync {
    const numbers = new Set(this.dirty);
    let floorBytes = this.floorBytes;
    // An earlier sync may end after this one, or fail: this one has to promise what that one took.
    for (const earlier of this.syncs) {
      for (const number of earlier.pages.keys()) numbers.add(number);
      floorBytes = Math.min(floorBytes, earlier.floorBytes);
    }
    const pages = new Map<number, Page | undefined>();
    for (const number of numbers) pages.set(number, this.frozen(number));
    const sync = { sequence: ++this.syncSequence, sizeBytes: this.liveBytes, floorBytes, pages };
    this.dirty.clear();
    this.floorBytes = this.liveBytes;
    this.syncs.add(sync);
    return sync;
  }

  /** Ends a sync: its promise holds. Some of what was written meanwhile reaches the disk too. */
  completeSync(sync: InodeSync, random: SimRandom): void {
    // One that is gone was superseded by a later one, which has ended before it and promised more.
    if (this.syncs.has(sync)) {
      for (const other of this.syncs) if (other.sequence <= sync.sequence) this.syncs.delete(other);
      this.cutDisk(sync.floorBytes);
      // The pages end at the size: what lay above it was zeroed, or dropped, in memory.
      for (const [number, page] of sync.pages) this.setDisk(number, page);
      this.diskBytes = sync.sizeBytes;
    }
    if (this.dirty.size > 0 && random.chance(0.5)) this.writeBack(random);
  }

  /** Ends a sync with an error: some of its pages reached the disk, and all of them count as clean from now on. The
   * size, being metadata, stays to be written. */
  failSync(sync: InodeSync, random: SimRandom): void {
    if (!this.syncs.delete(sync)) return;
    this.floorBytes = Math.min(this.floorBytes, sync.floorBytes);
    if (sync.floorBytes < this.diskBytes) return;
    for (const [number, page] of sync.pages)
      if (random.chance(0.3) && page !== undefined) this.setDisk(number, page);
    this.clearDiskTail();
  }

  /** What the kernel does by itself at any time: writes some dirty pages that lie within the size on disk. */
  writeBack(random: SimRandom): void {
    if (this.floorBytes < this.diskBytes || this.syncs.size > 0) return;
    for (const number of this.dirty)
      if ((number + 1) * PAGE_BYTES <= this.diskBytes && random.chance(0.5))
        this.setDisk(number, this.frozen(number));
  }

  /** The power goes: decides what of the unsynced bytes is on the disk, then forgets the rest. */
  cutPower(random: SimRandom): void {
    const candidates = this.candidates();
    let floorBytes = this.floorBytes;
    for (const sync of this.syncs) floorBytes = Math.min(floorBytes, sync.floorBytes);
    const wasCut = floorBytes < this.diskBytes;
    const isCutDurable = !wasCut || random.chance(0.5);
    if (wasCut && isCutDurable) this.cutDisk(floorBytes);
    // A truncation that was lost leaves the old size, and the old content above the point of the cut.
    const limitBytes = isCutDurable ? this.chooseSize(random) : floorBytes;
    const survival = random.below(4) === 0 ? random.below(2) : random.next();
    for (const [number, pages] of candidates)
      if (number * PAGE_BYTES < limitBytes) this.choosePage(number, pages, survival, random);
    if (isCutDurable) this.diskBytes = limitBytes;
    this.clearDiskTail();
    this.startAfresh();
  }

  /** Flips one bit of what is stored, on disk and in memory. */
  flipBit(bit: number): void {
    const position = Math.floor(bit / 8);
    const number = Math.floor(position / PAGE_BYTES);
    for (const [pages, sizeBytes] of [
      [this.live, this.liveBytes],
      [this.disk, this.diskBytes],
    ] as const) {
      if (position >= sizeBytes) continue;
      const page = pages.get(number);
      const bytes = new Uint8Array(PAGE_BYTES);
      if (page !== undefined) bytes.set(page.bytes);
      const within = position % PAGE_BYTES;
      bytes[within] = (bytes[within] ?? 0) ^ (1 << (bit % 8));
      pages.set(number, { bytes, isFrozen: true });
    }
  }

  private writablePage(number: number): Uint8Array {
    this.dirty.add(number);
    const page = this.live.get(number);
    if (page !== undefined && !page.isFrozen) return page.bytes;
    const bytes = page === undefined ? new Uint8Array(PAGE_BYTES) : new Uint8Array(page.bytes);
    this.live.set(number, { bytes, isFrozen: false });
    return bytes;
  }

  private frozen(number: number): Page | undefined {
    const page = this.live.get(number);
    if (page !== undefined) page.isFrozen = true;
    return page;
  }

  private setDisk(number: number, page: Page | undefined): void {
    if (page === undefined) this.disk.delete(number);
    else this.disk.set(number, page);
  }

  private cutDisk(floorBytes: number): void {
    if (floorBytes >= this.diskBytes) return;
    this.diskBytes = floorBytes;
    this.clearDiskTail();
  }

  /** Zeros what the disk holds above its size: a file that grows again must not show it. */
  private clearDiskTail(): void {
    const keptPages = Math.ceil(this.diskBytes / PAGE_BYTES);
    for (const number of this.disk.keys()) if (number >= keptPages) this.disk.delete(number);
    const within = this.diskBytes % PAGE_BYTES;
    const last = within === 0 ? undefined : this.disk.get(keptPages - 1);
    if (last === undefined) return;
    const bytes = new Uint8Array(PAGE_BYTES);
    bytes.set(last.bytes.subarray(0, within));
    this.disk.set(keptPages - 1, { bytes, isFrozen: true });
  }

  /** The contents that each unsynced page may have, newest last. */
  private candidates(): Map<number, (Page | undefined)[]> {
    const candidates = new Map<number, (Page | undefined)[]>();
    const add = (number: number, page: Page | undefined): void => {
      const pages = candidates.get(number);
      if (pages === undefined) candidates.set(number, [page]);
      else pages.push(page);
    };
    for (const sync of this.syncs) for (const [number, page] of sync.pages) add(number, page);
    for (const number of this.dirty) add(number, this.frozen(number));
    return candidates;
  }

  /** Whole pages, or the very size, between what was durable and what was there. */
  private chooseSize(random: SimRandom): number {
    const { diskBytes, liveBytes } = this;
    const choice = random.below(4);
    if (choice === 0 || liveBytes <= diskBytes) return diskBytes;
    if (choice === 1) return liveBytes;
    const grownBytes = random.below(liveBytes - diskBytes + 1);
    const unitBytes = choice === 2 ? PAGE_BYTES : SECTOR_BYTES;
    const sizeBytes = Math.ceil((diskBytes + grownBytes) / unitBytes) * unitBytes;
    return Math.min(liveBytes, sizeBytes);
  }

  private choosePage(
    number: number,
    pages: readonly (Page | undefined)[],
    survival: number,
    random: SimRandom,
  ): void {
    const chosen = pages[random.below(pages.length)];
    const isTorn = random.chance(0.25);
    if (!isTorn) {
      if (random.chance(survival)) this.setDisk(number, chosen);
      return;
    }
    const old = this.disk.get(number);
    const bytes = new Uint8Array(PAGE_BYTES);
    for (let sector = 0; sector < SECTORS_PER_PAGE; sector++) {
      const from = random.chance(survival) ? chosen : old;
      const start = sector * SECTOR_BYTES;
      if (from !== undefined) bytes.set(from.bytes.subarray(start, start + SECTOR_BYTES), start);
    }
    this.disk.set(number, { bytes, isFrozen: true });
  }

  private startAfresh(): void {
    for (const page of this.disk.values()) page.isFrozen = true;
    this.live = new Map(this.disk);
    this.liveBytes = this.diskBytes;
    this.floorBytes = this.diskBytes;
    this.openCount = 0;
    this.dirty.clear();
    this.syncs.clear();
  }
}

function isZeroPage(bytes: Uint8Array): boolean {
  return (
    bytes.length === PAGE_BYTES && bytes[0] === 0 && Buffer.compare(bytes, ZERO_PAGE.bytes) === 0
  );
}

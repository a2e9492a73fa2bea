/**
 * The files of the journal: a ring of files of one size. A file is used once through, then waits for the checkpoint
 * that makes its entries unnecessary, then is used again from the beginning: overwriting blocks that exist syncs faster
 * than growing a file, and needs no space.
 *
 * The first pass over a file grows it by its writes. One file (`prepareSpare`) is filled with zeros ahead of need: it is
 * "solid", writing to it cannot run out of space, so a full disk never stops the journal for longer than one checkpoint.
 * Where the device had no room for one, files go on growing into what the reserve gave up, and what others give back.
 *
 * Invariant: a file is reused only after `release` was called with a position behind everything in it.
 */
import type { Env, File } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { isDiskFull } from './disk-space.ts';
import {
  BATCH_PREFIX_BYTES,
  ENTRY_BYTES,
  GROUP_HEADER_BYTES,
  SECTOR_BYTES,
} from './journal-format.ts';
import { preallocate } from './preallocate.ts';

/** Where a replay begins. */
export interface JournalPosition {
  readonly fileSequence: number;
  /** Byte in the file: where the next group is, unless it is the first group of a later file. */
  readonly position: number;
  readonly groupSequence: number;
  /** Entries before this one are not needed. */
  readonly entrySequence: number;
}

export interface JournalSlot {
  readonly file: File;
  /** Sequence of its present or last use; 0 = never used. */
  sequence: number;
  /** All its blocks are allocated. */
  isSolid: boolean;
  /** Its name would not survive a power cut. */
  isNameUnsynced: boolean;
}

export interface JournalRingOptions {
  readonly directory: string;
  readonly fileBytes: number;
  readonly totalBytesMax: number;
  /** Sequence of the file that will be used next. */
  readonly fileSequence: number;
  /** Files that exist, with the sequence of their last use. */
  readonly existing: readonly { readonly path: string; readonly sequence: number }[];
  /** A file was used up. */
  readonly onLeave: () => void;
}

export class JournalRing {
  /** Byte where the next group goes. The first group of a file goes behind the header sector. */
  position = SECTOR_BYTES;
  /** Sequence of the current file, or of the next one when none is current. */
  fileSequence: number;
  current: JournalSlot | undefined;
  readonly capacityBytes: number;
  /** Largest record batch that fits into a file. */
  readonly batchBytesMax: number;
  /** false during recovery, when no checkpoint can free a file. */
  isGrowthBounded = false;
  private readonly env: Env;
  private readonly onLeave: () => void;
  private readonly directory: string;
  private readonly totalBytesMax: number;
  /** In the order of their last use: the first was used longest ago. */
  private readonly free: JournalSlot[] = [];
  private readonly used: JournalSlot[] = [];
  private nextNumber = 0;
  private solidOnly = false;
  private isPreparing = false;
  private isClosed = false;
  private waiting: { resolve: () => void; reject: (error: unknown) => void } | undefined;
  private failure: unknown;

  constructor(env: Env, options: JournalRingOptions) {
    this.env = env;
    this.directory = options.directory;
    this.capacityBytes = options.fileBytes;
    this.totalBytesMax = options.totalBytesMax;
    this.fileSequence = options.fileSequence;
    this.onLeave = options.onLeave;
    this.batchBytesMax =
      options.fileBytes - SECTOR_BYTES * 2 - GROUP_HEADER_BYTES - ENTRY_BYTES + BATCH_PREFIX_BYTES;
    for (const { path, sequence } of options.existing) {
      const slot = this.opened(env.fs.open(path, 'write'), sequence, false);
      if (sequence === 0) this.free.push(slot);
      else this.used.push(slot);
      const number = Number.parseInt(path.slice(path.lastIndexOf('/') + 1), 10);
      this.nextNumber = Math.max(this.nextNumber, number + 1);
    }
    this.used.sort((a, b) => a.sequence - b.sequence);
  }

  /** Bytes of all files, free ones too. */
  get totalBytes(): number {
    return this.count * this.capacityBytes;
  }

  /** Bytes in files that are not free: what a replay could have to read. */
  get usedBytes(): number {
    const current = this.current === undefined ? 0 : this.position;
    return this.used.length * this.capacityBytes + current;
  }

  private get count(): number {
    const { free, used, current, isPreparing } = this;
    return free.length + used.length + (current === undefined ? 0 : 1) + (isPreparing ? 1 : 0);
  }

  /** Ends the use of the current file: it is full, as far as the next group is concerned. */
  leave(): void {
    if (this.current !== undefined) this.used.push(this.current);
    this.current = undefined;
    this.fileSequence++;
    this.position = SECTOR_BYTES;
    this.onLeave();
  }

  /** Makes a file current: a free one, else a new one, else waits for `release`, asking for it. */
  async next(askForSpace: () => void): Promise<JournalSlot> {
    for (;;) {
      const slot = this.takeFree() ?? this.create();
      if (slot !== undefined) {
        slot.sequence = this.fileSequence;
        this.current = slot;
        return slot;
      }
      // Before the asking: what is asked may answer at once.
      const room = this.room();
      askForSpace();
      await room;
    }
  }

  /** Waits for what may be room: a file that is released, space that has returned, the next look at a full device. */
  room(): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.isClosed && this.solidOnly && !this.hasSolid())
      return Promise.reject(
        new MillraceError(
          'ML_DISK_FULL',
          'the device has no room for what was being written when the log was closed; it was not acknowledged',
          { hint: 'Make room on the device' },
        ),
      );
    return new Promise<void>((resolve, reject) => {
      this.waiting = { resolve, reject };
    });
  }

  /** Frees the files that lie wholly before `position`. */
  release(position: JournalPosition): void {
    const kept = this.used.findIndex((slot) => slot.sequence >= position.fileSequence);
    const freed = this.used.splice(0, kept === -1 ? this.used.length : kept);
    // Its last use may have filled it.
    for (const slot of freed) slot.isSolid ||= slot.file.size() >= this.capacityBytes;
    this.free.push(...freed);
    if (freed.length > 0) this.wake();
  }

  /**
   * The device is full: from now on only files whose space is allocated are used, as long as there is one.
   * @returns whether the current file was left; otherwise the group that found no room is to be written there again
   */
  onDiskFull(): boolean {
    this.solidOnly = true;
    if (this.current !== undefined) this.current.isSolid = false;
    if (!this.hasSolid()) return false;
    this.leave();
    return true;
  }

  /** The device is still full, but something may have gone since. */
  onStillFull(): void {
    if (this.solidOnly) this.wake();
  }

  /** There is space again. */
  onSpaceReturned(): void {
    if (!this.solidOnly) return;
    this.solidOnly = false;
    this.wake();
  }

  /** Nothing will be released any more: ends whoever waits. */
  abandon(error: unknown): void {
    this.failure = error;
    this.waiting?.reject(error);
    this.waiting = undefined;
  }

  async syncName(slot: JournalSlot): Promise<void> {
    await this.env.fs.syncDirectory(this.directory);
    slot.isNameUnsynced = false;
  }

  /**
   * Makes sure that there is a solid file. Runs in the background, after the reserve was filled: where there is no room for both, the journal can
   * grow into that. A full disk just ends it.
   */
  async prepareSpare(): Promise<void> {
    if (this.isPreparing || this.hasSolid() || this.totalBytes >= this.totalBytesMax) return;
    this.isPreparing = true;
    try {
      const slot = this.opened(this.env.fs.open(this.newPath(), 'create'), 0, true);
      try {
        if (!(await preallocate(this.env, slot.file, this.capacityBytes, () => this.isClosed))) {
          slot.file.close();
          return;
        }
        await this.syncName(slot);
        slot.isSolid = true;
        this.free.push(slot);
      } catch (error) {
        slot.file.close();
        await this.env.fs.remove(slot.file.path);
        if (!isDiskFull(error)) throw error;
      }
    } finally {
      this.isPreparing = false;
      this.wake();
    }
  }

  /** Ends work in the background, and waiting for room that nothing will make. */
  stop(): void {
    this.isClosed = true;
    this.wake();
  }

  close(): void {
    this.stop();
    for (const slot of [...this.free, ...this.used]) slot.file.close();
    this.current?.file.close();
  }

  private get mustBeSolid(): boolean {
    return this.solidOnly && this.hasSolid();
  }

  private hasSolid(): boolean {
    return (
      this.current?.isSolid === true ||
      this.free.some((slot) => slot.isSolid) ||
      this.used.some((slot) => slot.isSolid)
    );
  }

  private wake(): void {
    this.waiting?.resolve();
    this.waiting = undefined;
  }

  private takeFree(): JournalSlot | undefined {
    const index = this.mustBeSolid ? this.free.findIndex((slot) => slot.isSolid) : 0;
    if (index === -1) return undefined;
    return this.free.splice(index, 1)[0];
  }

  private create(): JournalSlot | undefined {
    if (this.mustBeSolid) return undefined;
    if (this.isGrowthBounded && this.totalBytes >= this.totalBytesMax) return undefined;
    try {
      return this.opened(this.env.fs.open(this.newPath(), 'create'), 0, true);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.solidOnly = true;
      return undefined;
    }
  }

  private newPath(): string {
    const number = String(this.nextNumber++).padStart(8, '0');
    return `${this.directory}/${number}.journal`;
  }

  private opened(file: File, sequence: number, isNew: boolean): JournalSlot {
    const isSolid = !isNew && file.size() >= this.capacityBytes;
    return { file, sequence, isSolid, isNameUnsynced: isNew };
  }
}

/**
 * The faults of a simulated machine: which are switched on, and when the next one strikes. All are off at first
 * except what no program may rely on (unsynced bytes reach the disk in any order, at any time).
 */

import type { SimInode } from './sim-inode.ts';

interface UnreadableRange {
  readonly inode: SimInode;
  readonly start: number;
  readonly end: number;
}

export class SimFaults {
  /** A write of more than one byte takes a part only. 0 to 1, default 0. */
  shortWriteProbability = 0;
  /** A read of more than one byte returns a part only. 0 to 1, default 0. */
  shortReadProbability = 0;
  /** A read fails with EIO. 0 to 1, default 0. */
  readErrorProbability = 0;
  /** After a write the kernel stores some dirty pages of that file by itself. 0 to 1, default 0.05. */
  writeBackProbability = 0.05;
  /** A sync fails. 0 to 1, default 0. */
  syncErrorProbability = 0;
  /** A sync takes `slowSyncMs`. 0 to 1, default 0. */
  slowSyncProbability = 0;
  slowSyncMs = 2_000;
  /** Bytes that a socket sends are lost and both sides see a reset. 0 to 1 per write, default 0. */
  resetProbability = 0;
  private syncFailureStep: number | undefined;
  private unreadable: UnreadableRange[] = [];

  /** The first sync, of a file or a directory, that begins at step `step` or later fails; once. */
  failSyncAtStep(step: number): void {
    this.syncFailureStep = step;
  }

  /** Whether a sync that begins at `step` fails by `failSyncAtStep`; asking uses the failure up. */
  takesSyncFailure(step: number): boolean {
    if (this.syncFailureStep === undefined || step < this.syncFailureStep) return false;
    this.syncFailureStep = undefined;
    return true;
  }

  /** Reads that touch [start, end) of the file fail with EIO until `heal`. */
  addUnreadable(inode: SimInode, start: number, end: number): void {
    this.unreadable.push({ inode, start, end });
  }

  isUnreadable(inode: SimInode, position: number, count: number): boolean {
    if (this.unreadable.length === 0) return false;
    return this.unreadable.some(
      (range) => range.inode === inode && range.start < position + count && position < range.end,
    );
  }

  /** Switches every fault off. */
  heal(): void {
    Object.assign(this, new SimFaults());
    this.syncFailureStep = undefined;
    this.unreadable = [];
  }
}

/**
 * What happens when the device is full. A reserve, a file of zeros, is given up so that internal topics, the journal and
 * checkpoints can go on; users' appends are refused until there is room again, which is looked for once a second.
 *
 * Invariant: while `isFull`, only reserved logs append. `isFull` ends only after the reserve has been filled again.
 */
import type { Env, File, Timer } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { DISK_FULL_POLL_MS } from '../core/limits.ts';
import type { Logger } from '../core/log.ts';
import { preallocate } from './preallocate.ts';

/** Whether a call failed because the device has no room. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof MillraceError && error.code === 'ML_DISK_FULL';
}

export interface DiskSpaceOptions {
  readonly directory: string;
  readonly reserveBytes: number;
  readonly logger: Logger;
  readonly onHealed: () => void;
  /** What a full disk has stopped may go on by now. */
  readonly onStillFull: () => void;
  readonly onFailure: (error: unknown) => void;
}

export class DiskSpace {
  isFull = false;
  private readonly env: Env;
  private readonly options: DiskSpaceOptions;
  private readonly path: string;
  private hasReserve = false;
  private isPreparing = false;
  private isClosed = false;
  private timer: Timer | undefined;

  constructor(env: Env, options: DiskSpaceOptions) {
    this.env = env;
    this.options = options;
    this.path = `${options.directory}/reserve`;
    this.hasReserve = (env.fs.stat(this.path)?.sizeBytes ?? 0) >= options.reserveBytes;
  }

  /** A write found no room. Returns whether the reserve was given up now, so that trying again may help. */
  onFull(mayUseReserve: boolean): boolean {
    if (!this.isFull) {
      this.isFull = true;
      this.options.logger.error('The disk is full: appends are refused until there is space', {
        path: this.options.directory,
      });
    }
    this.timer ??= this.pollLater();
    if (!mayUseReserve || !this.hasReserve) return false;
    this.hasReserve = false;
    const file = this.env.fs.open(this.path, 'open');
    file.truncate(0);
    file.close();
    return true;
  }

  /** Fills the reserve, in the background; without room it is tried again when there is. */
  async prepare(): Promise<void> {
    if (this.hasReserve || this.isPreparing || this.options.reserveBytes === 0) return;
    this.isPreparing = true;
    try {
      const file = this.env.fs.open(this.path, 'open');
      try {
        await this.fill(file);
      } finally {
        file.close();
      }
    } finally {
      this.isPreparing = false;
    }
  }

  close(): void {
    this.isClosed = true;
    this.timer?.cancel();
  }

  private async fill(file: File): Promise<void> {
    const { reserveBytes } = this.options;
    try {
      this.hasReserve = await preallocate(this.env, file, reserveBytes, () => this.isClosed);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      file.truncate(0);
    }
  }

  private pollLater(): Timer {
    return this.env.timers.after(DISK_FULL_POLL_MS, () => {
      this.timer = undefined;
      if (this.isClosed || !this.isFull) return;
      this.poll().catch(this.options.onFailure);
    });
  }

  private async poll(): Promise<void> {
    const { directory, logger, onHealed, onStillFull, reserveBytes } = this.options;
    const freeBytes = await this.env.fs.freeBytes(directory);
    // Twice the reserve, so that the first appends afterwards do not fill the disk again at once.
    const neededBytes = reserveBytes * (this.hasReserve ? 1 : 2);
    if (freeBytes > neededBytes) await this.prepare();
    if (this.isClosed) return;
    const isHealed = freeBytes > neededBytes && (this.hasReserve || reserveBytes === 0);
    if (!isHealed) {
      this.timer ??= this.pollLater();
      onStillFull();
      return;
    }
    this.isFull = false;
    logger.info('There is space on the disk again: appends are accepted', { path: directory });
    onHealed();
  }
}

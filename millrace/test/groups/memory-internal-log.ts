/**
 * `InternalLog` in memory: appends become durable in order after a delay, and a crash loses those that are not. What is
 * durable outlives the process, as a disk does.
 */
import type { Timers } from '../../src/core/env.ts';
import type { MillraceError } from '../../src/core/errors.ts';
import type { PartitionLog } from '../../src/log/types.ts';
import type {
  InternalLog,
  InternalProducer,
  InternalRecord,
  ReplayedBatch,
} from '../../src/broker/internal-log.ts';

export interface Disk {
  /** Durable batches, in order. */
  readonly batches: ReplayedBatch[];
}

export interface MemoryInternalLogOptions {
  readonly disk: Disk;
  readonly timers: Timers;
  /** How long a write takes. */
  readonly delayMs: () => number;
  /** Says that records are durable before they are: a fault to be found. */
  readonly lies?: boolean;
}

interface Pending {
  readonly batch: ReplayedBatch;
  readonly resolve: () => void;
}

export class MemoryInternalLog implements InternalLog {
  /** Fails appends, until it is undefined again. */
  failure: MillraceError | undefined = undefined;
  appended = 0;
  private readonly disk: Disk;
  private readonly timers: Timers;
  private readonly delayMs: () => number;
  private readonly lies: boolean;
  private readonly pending: Pending[] = [];
  private syncing = false;
  private crashed = false;
  private nextOffset: number;

  constructor({ disk, timers, delayMs, lies }: MemoryInternalLogOptions) {
    this.disk = disk;
    this.timers = timers;
    this.delayMs = delayMs;
    this.lies = lies ?? false;
    this.nextOffset = disk.batches.length;
  }

  get log(): PartitionLog {
    throw new Error('a log in memory has no partition log');
  }

  append(records: readonly InternalRecord[], producer?: InternalProducer): Promise<void> {
    const copies = records.map(({ key, value }) => ({
      key: Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
    }));
    const baseOffset = this.nextOffset++;
    return this.write({ kind: 'records', baseOffset, timestampMs: 0, producer, records: copies });
  }

  appendMarker(producer: InternalProducer, committed: boolean): Promise<void> {
    return this.write({ kind: 'marker', baseOffset: this.nextOffset++, producer, committed });
  }

  replay(visit: (batch: ReplayedBatch) => void): Promise<void> {
    for (const batch of this.disk.batches) visit(batch);
    return Promise.resolve();
  }

  /** The process dies: the first `survivors` of what is not durable yet becomes so, the rest is lost. */
  crash(survivors: number): void {
    this.crashed = true;
    for (const { batch } of this.pending.slice(0, survivors)) this.disk.batches.push(batch);
  }

  get pendingCount(): number {
    return this.pending.length;
  }

  private write(batch: ReplayedBatch): Promise<void> {
    this.appended += 1;
    if (this.failure !== undefined) return Promise.reject(this.failure);
    return new Promise((resolve) => {
      this.pending.push({ batch, resolve });
      if (this.lies) this.timers.after(0, resolve);
      this.sync();
    });
  }

  /** As group commit: all that is there when the last write was done. */
  private sync(): void {
    if (this.syncing || this.pending.length === 0) return;
    this.syncing = true;
    const count = this.pending.length;
    this.timers.after(this.delayMs(), () => {
      if (this.crashed) return;
      this.syncing = false;
      for (const { batch, resolve } of this.pending.splice(0, count)) {
        this.disk.batches.push(batch);
        resolve();
      }
      this.sync();
    });
  }
}

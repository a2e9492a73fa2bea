/**
 * The state of a task with a directory of its own. The changelogs are the truth; the directory follows them, some seconds behind, so that a
 * start has little to replay. What is written is a commit with its checkpoints, in one transaction of LMDB: never anything that may be
 * undone, never a part.
 */
import type { Env } from '../../../core/env.ts';
import type { MillraceError } from '../../../core/errors.ts';
import {
  STATE_CACHE_BYTES,
  STATE_READ_ROWS,
  STATE_SAVE_ENTRIES,
  STATE_SAVE_MS,
  STATE_UNSAVED_ENTRIES_MAX,
} from '../../../core/stream-limits.ts';
import { TaskDisk } from './disk-rows.ts';
import { DiskStore } from './disk-store.ts';
import { lmdbError } from './lmdb-environment.ts';
import type { Append } from './change-writer.ts';
import type { StateStore } from './state-store.ts';
import type { StoreSpec } from './store.ts';
import { MemoryState } from './task-state.ts';

export interface DiskStateOptions {
  readonly env: Env;
  /** The directory of this task alone. */
  readonly path: string;
  /** Memory for what each store has read. */
  readonly cacheBytes?: number;
  /** What is committed is written so often at most, unless much waits. 0: after every commit. */
  readonly saveMs?: number;
  /** Rows that are read at once; a key with more is never in memory whole. */
  readonly rowsAtOnce?: number;
}

/** @throws {MillraceError} as `openTaskState` */
export async function openDiskState(options: DiskStateOptions): Promise<DiskState> {
  const rowsAtOnce = options.rowsAtOnce ?? STATE_READ_ROWS;
  return new DiskState(options, await TaskDisk.open(options.env, options.path, rowsAtOnce));
}

export class DiskState extends MemoryState {
  private readonly disk: TaskDisk;
  private readonly env: Env;
  private readonly cacheBytes: number;
  private readonly saveMs: number;
  private readonly onDisk = new Map<string, DiskStore>();
  /** As of the last commit, where that is ahead of the disk. */
  private readonly ahead = new Map<string, number>();
  /** The write that is under way. Never rejects: `failure` tells. */
  private writing: Promise<void> | undefined;
  private failure: MillraceError | undefined;
  private savedAtMs: number;
  private isAbandoned = false;
  private closing: Promise<void> | undefined;

  constructor(options: DiskStateOptions, disk: TaskDisk) {
    super(true);
    this.disk = disk;
    this.env = options.env;
    this.cacheBytes = options.cacheBytes ?? STATE_CACHE_BYTES;
    this.saveMs = options.saveMs ?? STATE_SAVE_MS;
    this.savedAtMs = this.env.clock.monotonicMs();
  }

  override checkpoint(store: string): number | undefined {
    return this.onDisk.get(store)?.checkpoint;
  }

  override async restored(store: string, checkpoint: number): Promise<void> {
    const target = this.onDisk.get(store);
    if (target === undefined) return super.restored(store, checkpoint);
    this.check();
    await this.saved();
    if (!target.isRestoring && target.checkpoint === checkpoint) return undefined;
    await this.disk.write((row) => target.writeRestored(row, checkpoint));
    target.restored(checkpoint);
    return undefined;
  }

  override flush(append: Append): void {
    this.check();
    super.flush(append);
  }

  override committed(checkpoints: ReadonlyMap<string, number>): void {
    super.committed(checkpoints);
    for (const [store, checkpoint] of checkpoints) this.ahead.set(store, checkpoint);
    this.saveInTime();
  }

  override async settled(): Promise<void> {
    this.check();
    this.saveInTime();
    while (this.unsavedEntries > STATE_UNSAVED_ENTRIES_MAX) {
      this.save();
      await this.writing;
      this.check();
    }
  }

  override async wipe(): Promise<void> {
    await this.written();
    this.failure = undefined;
    this.ahead.clear();
    await this.disk.clear();
    await super.wipe();
  }

  override close(): Promise<void> {
    this.closing ??= this.saveAndClose();
    return this.closing;
  }

  /** As a crash: what is not durable is gone. */
  async abandon(): Promise<void> {
    this.isAbandoned = true;
    await this.written();
    await this.disk.close();
  }

  protected override create<V>(spec: StoreSpec<V>): StateStore<V> {
    // What is made anew at every start has nothing to look for on a disk.
    if (spec.isLogged === false) return super.create(spec);
    const store = new DiskStore<V>(spec, true, this.disk.section(spec.name), this.cacheBytes);
    this.onDisk.set(spec.name, store as unknown as DiskStore);
    return store;
  }

  private get unsavedEntries(): number {
    let entries = 0;
    for (const store of this.onDisk.values()) entries += store.unsavedEntries;
    return entries;
  }

  private async saveAndClose(): Promise<void> {
    try {
      super.abort();
      await this.saved();
      this.check();
    } finally {
      await this.disk.close();
    }
  }

  /** Until nothing is ahead of the disk. */
  private async saved(): Promise<void> {
    await this.written();
    while (this.failure === undefined && (this.unsavedEntries > 0 || this.ahead.size > 0)) {
      this.save();
      await this.written();
    }
  }

  /** Until no write is under way: one may begin where another ends. */
  private async written(): Promise<void> {
    while (this.writing !== undefined) await this.writing;
  }

  /** Begins to write what is committed, if the last time is long ago, or much waits. */
  private saveInTime(): void {
    const waiting = this.unsavedEntries;
    if (waiting === 0 && this.ahead.size === 0) return;
    const isTime = this.env.clock.monotonicMs() - this.savedAtMs >= this.saveMs;
    if (isTime || waiting >= STATE_SAVE_ENTRIES) this.save();
  }

  /** Begins to write what is committed, unless a write is under way. */
  private save(): void {
    if (this.writing !== undefined || this.failure !== undefined || this.isAbandoned) return;
    this.savedAtMs = this.env.clock.monotonicMs();
    this.writing = this.write().then(
      () => {
        this.writing = undefined;
        // What was committed meanwhile does not wait for another commit.
        this.saveInTime();
      },
      (error: unknown) => {
        this.failure = lmdbError(error, `write the state in ${this.disk.path}`, this.disk.path);
        this.writing = undefined;
      },
    );
  }

  private async write(): Promise<void> {
    const checkpoints = new Map(this.ahead);
    this.ahead.clear();
    const kept: Buffer[] = [];
    await this.disk.write((row) => {
      for (const [name, store] of this.onDisk)
        store.writeUnsaved(row, checkpoints.get(name) ?? store.checkpoint, kept);
    });
    // LMDB has read from them until now.
    kept.length = 0;
    for (const [name, store] of this.onDisk) store.saved(checkpoints.get(name) ?? store.checkpoint);
  }

  private check(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}

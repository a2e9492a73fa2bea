/**
 * Moving the recovery point of the whole store: each log that changed is captured and its segments are synced, then the
 * names of new files, then both copies of the checkpoint are written, then the journal files that nobody needs any more
 * are freed.
 *
 * Invariants
 * - The place where a replay begins is taken BEFORE the first log is captured. So an entry may be both in a captured state
 *   and in the replay (it is skipped there by its offset), but never in neither.
 * - One checkpoint is under way at a time. A full disk lets it fail, and it is tried again; every other failure is fatal.
 */
import type { Env } from '../core/env.ts';
import { CHECKPOINT_SYNCS_MAX } from '../core/limits.ts';
import type { Logger } from '../core/log.ts';
import { type CheckpointFiles } from './checkpoint-files.ts';
import { encodeCheckpoint, encodeLogRecord } from './checkpoint-format.ts';
import { isDiskFull } from './disk-space.ts';
import { captureLog, syncLog } from './log-capture.ts';
import type { JournalRing } from './journal-ring.ts';
import type { Journal } from './journal.ts';
import type { DiskLog } from './partition-log.ts';

export interface CheckpointerOptions {
  readonly files: CheckpointFiles;
  readonly logger: Logger;
  readonly storeId: Buffer;
  readonly leaderEpoch: number;
  readonly journal: Journal;
  readonly ring: JournalRing;
  readonly logs: ReadonlyMap<string, DiskLog>;
  /** Encoded records of the last checkpoint, by log. Logs that are not open keep theirs. */
  readonly records: Map<string, Buffer>;
  readonly version: number;
  /** Wall clock of the last run of retention. */
  readonly retentionRanMs: () => number;
  /** Gives up the reserve; whether that may have helped. */
  readonly onDiskFull: () => boolean;
  readonly onFatal: (error: unknown) => void;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Checkpointer {
  /** How many have begun. */
  begun = 0;
  private readonly env: Env;
  private readonly options: CheckpointerOptions;
  private version: number;
  /** Directories with names that are not durable. */
  private readonly directories = new Set<string>();
  private namesSynced: Promise<void> = Promise.resolve();
  private waiting: Waiter[] = [];
  private running: Promise<void> | undefined;
  /** Somebody asked for a checkpoint since the last one began. */
  private isWanted = false;
  private isStarted = false;
  private isStopped = false;
  private failure: unknown;

  constructor(env: Env, options: CheckpointerOptions) {
    this.env = env;
    this.options = options;
    this.version = options.version;
  }

  /** Names in `directory` must be durable before the next checkpoint counts. */
  addDirectory(directory: string): void {
    this.directories.add(directory);
  }

  /** From now on checkpoints may be taken: every log that should be open is. */
  start(): void {
    this.isStarted = true;
  }

  /** Resolves when a checkpoint that began after this call is complete. Before `start` it only waits. */
  next(): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const done = new Promise<void>((resolve, reject) => {
      this.waiting.push({ resolve, reject });
    });
    this.request();
    return done;
  }

  /** Begins a checkpoint if none is under way, else one after it. */
  request(): void {
    if (!this.isStarted || this.isStopped || this.failure !== undefined) return;
    // One that is under way may have begun too early for who asks now.
    this.isWanted = true;
    this.running ??= this.runAll();
  }

  /** Tries again what somebody still waits for. */
  retry(): void {
    if (this.waiting.length > 0) this.request();
  }

  /** Waits for the one under way and takes the last, which says whether the store was closed in order. */
  async last(): Promise<void> {
    this.isStopped = true;
    await this.running;
    if (this.failure !== undefined) throw this.failure;
    await this.take(true);
    for (const { resolve } of this.waiting) resolve();
    this.waiting = [];
  }

  /** Nothing will be made durable any more. */
  fail(error: unknown): void {
    this.failure ??= error;
    for (const { reject } of this.waiting) reject(error);
    this.waiting = [];
  }

  /** Runs `work` while no checkpoint is under way. */
  async exclusively(work: () => Promise<void>): Promise<void> {
    while (this.running !== undefined) await this.running;
    const running = work().finally(() => {
      this.running = undefined;
      if (this.isWanted || this.waiting.length > 0) this.request();
    });
    this.running = running.catch(() => {});
    await running;
  }

  private async runAll(): Promise<void> {
    // Not in the middle of what asked for it.
    await Promise.resolve();
    do {
      const { waiting } = this;
      this.waiting = [];
      this.isWanted = false;
      try {
        await this.take(false);
        for (const { resolve } of waiting) resolve();
      } catch (error) {
        this.waiting = [...waiting, ...this.waiting];
        if (!isDiskFull(error)) {
          this.options.onFatal(error);
          // Who waits is told even when the store had failed before.
          this.fail(error);
          break;
        }
        this.options.logger.warn('The disk is too full for a checkpoint', { error });
        break;
      }
    } while ((this.isWanted || this.waiting.length > 0) && !this.isStopped);
    this.running = undefined;
  }

  private async take(isClean: boolean): Promise<void> {
    const { journal, logs, records, ring } = this.options;
    this.begun++;
    const replayFrom = journal.position();
    const dirty = [...logs.entries()].filter(([, log]) => log.isDirty);
    const captured: { log: DiskLog; base: number }[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      for (let entry = dirty[next++]; entry !== undefined; entry = dirty[next++]) {
        const [key, log] = entry;
        let isDone = false;
        try {
          const record = captureLog(log, isClean);
          const bytes = encodeLogRecord(record);
          await syncLog(log, isClean);
          isDone = true;
          if (!logs.has(key)) continue;
          records.set(key, bytes);
          captured.push({ log, base: record.segmentBaseOffset });
        } finally {
          if (!isDone) log.isDirty = true;
        }
      }
    };
    // All of them have to end, whatever becomes of one: what a straggler noted of a log would pass for news later.
    const ends = await Promise.allSettled(Array.from({ length: CHECKPOINT_SYNCS_MAX }, work));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
    await this.syncDirectories();
    // What failed elsewhere meanwhile may be what this checkpoint would vouch for.
    if (this.failure !== undefined) throw this.failure;
    const header = {
      storeId: this.options.storeId,
      version: ++this.version,
      leaderEpoch: this.options.leaderEpoch,
      isClean,
      replayFrom,
      retentionRanMs: this.options.retentionRanMs(),
    };
    await this.write(encodeCheckpoint(header, [...records.values()]));
    for (const { log, base } of captured) log.recoverySegmentBase = base;
    ring.release(replayFrom);
  }

  private async write(content: Buffer): Promise<void> {
    const { files, onDiskFull } = this.options;
    try {
      await files.write(content);
    } catch (error) {
      if (!isDiskFull(error) || !onDiskFull()) throw error;
      await files.write(content);
    }
  }

  /** One after the other: who finds no names left must know that whoever took them is done. A failure stays one. */
  private syncDirectories(): Promise<void> {
    const before = this.namesSynced;
    const names = before.then(() => this.syncDirectoriesOnce());
    this.namesSynced = names;
    return names;
  }

  private async syncDirectoriesOnce(): Promise<void> {
    const directories = [...this.directories];
    this.directories.clear();
    for (const directory of directories)
      if (this.env.fs.stat(directory) !== undefined) await this.env.fs.syncDirectory(directory);
  }

  /** For logs that are not journaled: makes new names durable now. */
  async syncNames(): Promise<void> {
    await this.syncDirectories();
  }
}

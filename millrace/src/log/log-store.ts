/**
 * A directory of partition logs behind one journal: opening, recovery, checkpoints, closing. docs/formats/ describes the
 * files. One process at a time: the directory is locked.
 *
 * Invariants
 * - Between `openLogStore` and `finishRecovery` no checkpoint is taken: the journal still holds what logs that are not open
 *   yet need.
 * - A failed fsync, wherever it happens, ends the store: `onFatal` is called once, every waiter is rejected, nothing is
 *   acknowledged any more. The owner of the process exits.
 */
import { Background } from '../core/background.ts';
import type { DirectoryLock, Env, Timer } from '../core/env.ts';
import { assert, MillraceError } from '../core/errors.ts';
import * as limits from '../core/limits.ts';
import { type Logger, silentLogger } from '../core/log.ts';
import { BackgroundSync } from './background-sync.ts';
import { decodeLogRecord, encodeCheckpoint } from './checkpoint-format.ts';
import { Checkpointer } from './checkpointer.ts';
import { Cleaner } from './cleaner.ts';
import { Compactor } from './compaction.ts';
import { Descriptors } from './descriptors.ts';
import { DiskSpace } from './disk-space.ts';
import { IndexMemory } from './index-memory.ts';
import { ENTRY_DELETED, logIdOf, logKey } from './journal-format.ts';
import type { JournalReplay } from './journal-replay.ts';
import { JournalRing } from './journal-ring.ts';
import { Journal } from './journal.ts';
import type { LogContext, LogCounters } from './log-context.ts';
import { LogRemoval } from './log-removal.ts';
import type { LogStoreOptions } from './log-store-options.ts';
import type { DiskLog } from './partition-log.ts';
import { ReadBuffers } from './read-buffers.ts';
import { Reclaimer } from './reclaim.ts';
import { recoverLog } from './recovery.ts';
import { Retention } from './retention.ts';
import { RetentionClock } from './retention-plan.ts';
import type { Segment } from './segment.ts';
import { DELETED_SUFFIX } from './segment-files.ts';
import {
  findStore,
  type FoundStore,
  journalDirectory,
  listLogs,
  logDirectory,
} from './store-start.ts';
import type {
  LiveRecords,
  LogConfig,
  LogId,
  LogStore,
  LogStoreStats,
  OpenLogOptions,
  ReclaimOptions,
  ReclaimResult,
} from './types.ts';

/**
 * Opens the store in `options.directory`, creating it when there is none. Then open every log that should live, then
 * call `finishRecovery`.
 * @throws {MillraceError} ML_DIR_LOCKED, ML_JOURNAL_DAMAGED, ML_CHECKPOINT_DAMAGED, ML_DISK_FULL, ML_IO
 */
export async function openLogStore(env: Env, options: LogStoreOptions): Promise<DiskLogStore> {
  const { directory } = options;
  env.fs.makeDirectory(directory);
  const lock = env.fs.lock(directory);
  let found: FoundStore | undefined;
  try {
    found = await findStore(env, options);
    await found.files.write(encodeCheckpoint(found.header, [...found.records.values()]));
    await env.fs.syncDirectory(directory);
    return new DiskLogStore(env, options, lock, found);
  } catch (error) {
    found?.replay?.close();
    lock.release();
    throw error;
  }
}

export class DiskLogStore implements LogStore {
  readonly leaderEpoch: number;
  readonly cleanStart: boolean;
  readonly env: Env;
  readonly logger: Logger;
  private readonly options: LogStoreOptions;
  private readonly lock: DirectoryLock;
  private readonly logs = new Map<string, DiskLog>();
  /** Encoded records of the last checkpoint. */
  private readonly records: Map<string, Buffer>;
  private readonly ring: JournalRing;
  private readonly journal: Journal;
  private readonly checkpointer: Checkpointer;
  private readonly removal: LogRemoval;
  private readonly space: DiskSpace;
  private readonly syncs: BackgroundSync;
  private readonly background: Background;
  private readonly retentionClock: RetentionClock;
  private readonly retention: Retention;
  private readonly cleaner = new Cleaner();
  private readonly compactor: Compactor;
  private readonly reclaimer = new Reclaimer(this.cleaner);
  private readonly context: LogContext;
  private readonly counters: LogCounters = { damagedRanges: 0 };
  private replay: JournalReplay | undefined;
  private readonly timers = new Map<string, Timer>();
  private isRecovering = true;
  private readonly descriptors: Descriptors;
  private failure: unknown;
  private closing: Promise<void> | undefined;

  /** Use `openLogStore`. */
  constructor(env: Env, options: LogStoreOptions, lock: DirectoryLock, found: FoundStore) {
    const { directory } = options;
    const { header, replay } = found;
    this.env = env;
    this.options = options;
    this.lock = lock;
    this.logger = options.logger ?? silentLogger;
    this.leaderEpoch = header.leaderEpoch;
    this.cleanStart = found.isClean;
    this.records = found.records;
    this.replay = replay;
    const fail = (error: unknown): void => this.fail(error);
    this.background = new Background(fail);
    this.ring = new JournalRing(env, {
      directory: journalDirectory(directory),
      fileBytes: options.journalFileBytes ?? limits.JOURNAL_FILE_BYTES,
      totalBytesMax: options.journalBytesMax ?? limits.JOURNAL_BYTES_MAX,
      fileSequence: replay?.fileSequence ?? header.replayFrom.fileSequence,
      existing: replay?.existing() ?? existingJournal(env, directory),
      onLeave: () => this.journalGrew(),
    });
    this.journal = new Journal(env, {
      ring: this.ring,
      storeId: header.storeId,
      groupSequence: replay?.groupSequence ?? header.replayFrom.groupSequence,
      entrySequence: replay?.entrySequence ?? header.replayFrom.entrySequence,
      onFatal: fail,
      onSpaceNeeded: () => this.checkpointer.request(),
      onDiskFull: () => this.space.onFull(true),
    });
    this.space = new DiskSpace(env, {
      directory,
      reserveBytes: options.reserveBytes ?? limits.RESERVE_BYTES,
      logger: this.logger,
      onHealed: () => {
        this.ring.onSpaceReturned();
        this.checkpointer.request();
      },
      onStillFull: () => {
        this.ring.onStillFull();
        this.checkpointer.retry();
      },
      onFailure: fail,
    });
    this.checkpointer = new Checkpointer(env, {
      files: found.files,
      logger: this.logger,
      storeId: header.storeId,
      leaderEpoch: header.leaderEpoch,
      journal: this.journal,
      ring: this.ring,
      logs: this.logs,
      records: this.records,
      version: header.version,
      retentionRanMs: () => this.retentionClock.lastRanMs,
      onDiskFull: () => this.space.onFull(true),
      onFatal: fail,
    });
    this.removal = new LogRemoval(env, {
      directory,
      records: this.records,
      exclusively: (work) => this.checkpointer.exclusively(work),
    });
    this.retentionClock = new RetentionClock(header.retentionRanMs);
    this.retention = new Retention(this.retentionClock);
    this.compactor = new Compactor(
      { mapBytesMax: options.compactionMapBytesMax ?? limits.COMPACTION_MAP_BYTES_MAX },
      this.cleaner,
    );
    this.syncs = new BackgroundSync(fail);
    this.descriptors = new Descriptors(env, this.logger, options.openSegmentsMax);
    this.context = this.makeContext();
  }

  get isShortOfFiles(): boolean {
    return this.descriptors.files.isCrowded;
  }

  existing(): LogId[] {
    const ids = new Map<string, LogId>();
    const add = (id: LogId): void => {
      if (!this.isDeleted(id)) ids.set(logKey(id.topicId, id.partition), id);
    };
    for (const id of listLogs(this.env, this.options.directory)) add(id);
    // A power cut may have taken the directory of a log whose batches are in the journal.
    for (const key of this.records.keys()) add(logIdOf(key));
    for (const key of this.replay?.logs.keys() ?? []) add(logIdOf(key));
    return [...ids.values()];
  }

  openLog(id: LogId, config: LogConfig, options: OpenLogOptions = {}): DiskLog {
    const key = logKey(id.topicId, id.partition);
    assert(!this.logs.has(key), `log ${key} is open`);
    if (this.failure !== undefined) throw this.closedError();
    const isDeleted = this.isDeleted(id);
    const bytes = isDeleted ? undefined : this.records.get(key);
    const record = bytes === undefined ? undefined : decodeLogRecord(bytes);
    const log = recoverLog({
      context: this.context,
      id,
      directory: logDirectory(this.options.directory, id),
      isReserved: options.reserved ?? false,
      isTransient: options.transient ?? false,
      config,
      record,
      replay: this.replay,
      logKey: key,
      isDeleted,
      isClean: this.cleanStart || !this.isRecovering,
      repair: (this.options.repair ?? false) && this.isRecovering,
    });
    log.recoverySegmentBase = record?.segmentBaseOffset ?? -1;
    this.logs.set(key, log);
    return log;
  }

  /** The log, if it is open. */
  log(id: LogId): DiskLog | undefined {
    return this.logs.get(logKey(id.topicId, id.partition));
  }

  /** All open logs. */
  openLogs(): IterableIterator<DiskLog> {
    return this.logs.values();
  }

  async deleteLog(id: LogId): Promise<void> {
    const key = logKey(id.topicId, id.partition);
    const log = this.logs.get(key);
    if (this.failure !== undefined) throw this.closedError();
    const isTransient = log?.isTransient ?? false;
    const { begun } = this.checkpointer;
    if (log !== undefined) {
      log.close();
      if (!isTransient) await log.durability.mark(ENTRY_DELETED, log.logEndOffset);
      await log.maintenance;
    }
    this.logs.delete(key);
    try {
      await this.removal.remove(id, isTransient);
      // One that has begun meanwhile knows the log, and has let go of the entry that says that it was deleted.
      const isKnown = log !== undefined && !isTransient && this.checkpointer.begun !== begun;
      if (isKnown) await this.checkpointer.next();
    } catch (error) {
      if (breaksPromise(error)) this.fail(error);
      throw error;
    }
  }

  async finishRecovery(): Promise<void> {
    assert(this.isRecovering, 'finishRecovery was called before');
    this.replay?.close();
    this.replay = undefined;
    this.isRecovering = false;
    this.ring.isGrowthBounded = true;
    this.checkpointer.start();
    this.descriptors.bound(() => this.checkpointer.request());
    for (const key of this.records.keys()) if (!this.logs.has(key)) this.records.delete(key);
    const unwanted = listLogs(this.env, this.options.directory).filter((id) => !this.log(id));
    await Promise.all(unwanted.map((id) => this.removal.remove(id, false)));
    if (!this.cleanStart) await this.checkpoint();
    else if (this.hasDirtyLogs()) this.checkpointer.request();
    if (!this.cleanStart)
      for (const log of this.logs.values()) await this.removeSetAside(log.directory);
    const prepared = this.space.prepare().then(() => this.ring.prepareSpare());
    this.background.run('reserve', prepared);
    this.startTimers();
  }

  async checkpoint(): Promise<void> {
    if (!this.isRecovering) await this.checkpointer.next();
  }

  async runRetention(): Promise<void> {
    await this.forEachLog((log) => this.retention.run(log));
  }

  async runCompaction(): Promise<void> {
    await this.forEachLog((log) => this.compactor.run(log));
  }

  stats(): LogStoreStats {
    let segments = 0;
    for (const log of this.logs.values()) segments += log.segments.length;
    const { groups, entries } = this.journal.stats;
    return {
      logs: this.logs.size,
      segments,
      journalBytes: this.ring.usedBytes,
      journalGroups: groups,
      journalEntries: entries,
      diskFull: this.space.isFull,
      damagedRanges: this.counters.damagedRanges,
    };
  }

  close(): Promise<void> {
    this.closing ??= this.closeAll();
    return this.closing;
  }

  private async closeAll(): Promise<void> {
    for (const timer of this.timers.values()) timer.cancel();
    this.cleaner.stop();
    for (const log of this.logs.values()) log.stop();
    try {
      for (const log of this.logs.values()) await log.maintenance;
      await this.syncs.close();
      this.space.close();
      this.ring.stop();
      await this.background.settled();
      if (this.failure === undefined) {
        await this.journal.settled();
        if (!this.isRecovering) await this.checkpointer.last();
      }
    } finally {
      this.checkpointer.fail(this.failure ?? this.closedError());
      for (const log of this.logs.values()) log.close();
      this.replay?.close();
      this.ring.close();
      this.lock.release();
    }
  }

  // ---- Inside -------------------------------------------------------------------------------------------------------

  /** Ends the store, once. */
  private fail(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.journal.fail(error);
    this.checkpointer.fail(error);
    this.logger.error('The log store cannot keep its promises any more and stops', { error });
    this.options.onFatal(error);
  }

  private closedError(): MillraceError {
    return new MillraceError('ML_LOG_FAILED', 'the log store is closed', { cause: this.failure });
  }

  private isDeleted({ topicId, partition }: LogId): boolean {
    return this.replay?.logs.get(logKey(topicId, partition))?.isDeleted ?? false;
  }

  private hasDirtyLogs(): boolean {
    for (const log of this.logs.values()) if (log.isDirty) return true;
    return false;
  }

  private async removeSetAside(directory: string): Promise<void> {
    for (const name of this.env.fs.list(directory))
      if (name.endsWith(DELETED_SUFFIX)) await this.env.fs.remove(`${directory}/${name}`);
  }

  private journalGrew(): void {
    const bytes = this.options.checkpointJournalBytes ?? limits.CHECKPOINT_JOURNAL_BYTES;
    if (this.ring.usedBytes >= bytes) this.checkpointer.request();
  }

  private startTimers(): void {
    const { options } = this;
    this.every(options.checkpointIntervalMs ?? limits.CHECKPOINT_INTERVAL_MS, 'checkpoint', () => {
      this.expireProducers();
      if (this.hasDirtyLogs()) this.checkpointer.request();
    });
    this.every(options.retentionIntervalMs ?? limits.RETENTION_INTERVAL_MS, 'retention', () =>
      this.runRetention(),
    );
    this.every(options.compactionIntervalMs ?? limits.COMPACTION_INTERVAL_MS, 'compaction', () =>
      this.runCompaction(),
    );
  }

  /** Runs `work` again and again, `intervalMs` after it has ended. */
  private every(intervalMs: number, name: string, work: () => Promise<void> | void): void {
    const run = async (): Promise<void> => {
      if (this.closing !== undefined || this.failure !== undefined) return;
      await work();
      this.every(intervalMs, name, work);
    };
    const timer = this.env.timers.after(intervalMs, () => this.background.run(name, run()));
    if (this.closing === undefined) this.timers.set(name, timer);
    else timer.cancel();
  }

  private async forEachLog(run: (log: DiskLog) => Promise<void>): Promise<void> {
    for (const log of this.logs.values()) await this.maintain(log, run);
  }

  /** Retention, compaction, reclaiming and deletion of one log run one at a time. */
  private async maintain(log: DiskLog, run: (log: DiskLog) => Promise<void>): Promise<void> {
    if (log.isClosed || this.failure !== undefined) return;
    const done = log.maintenance
      .then(() => run(log))
      .catch((error: unknown) => {
        this.maintenanceFailed(log, error);
      });
    log.maintenance = done;
    await done;
  }

  private async reclaim(
    id: LogId,
    live: LiveRecords,
    options: ReclaimOptions,
  ): Promise<ReclaimResult> {
    let bytesFreed = 0;
    let segmentsReplaced = 0;
    const log = this.log(id);
    if (log === undefined) return { bytesFreed, segmentsReplaced };
    await this.maintain(log, async () => {
      // The last segment may hold all that fills the disk: the log goes on in an empty one.
      const isUnwanted = log.logStartOffset === log.logEndOffset && log.sizeBytes > 0;
      if (isUnwanted && this.space.isFull) log.roll();
      const removed = await this.retention.removeBelowStart(log);
      for (const segment of removed) bytesFreed += segment.sizeBytes;
      const rewritten = await this.reclaimer.run(log, live, options);
      bytesFreed += rewritten.bytesFreed;
      segmentsReplaced = removed.length + rewritten.segmentsReplaced;
    });
    return { bytesFreed, segmentsReplaced };
  }

  /** What a run could not do is tried again by the next one, unless the disk has broken a promise. */
  private maintenanceFailed(log: DiskLog, error: unknown): void {
    if (breaksPromise(error)) this.fail(error);
    else if (this.failure === undefined)
      this.logger.error('Maintenance of a log failed', { ...log.id, error });
  }

  private expireProducers(): void {
    const ms = this.options.producerExpirationMs ?? limits.PRODUCER_EXPIRATION_MS;
    const beforeMs = this.env.clock.nowMs() - ms;
    for (const log of this.logs.values())
      if (log.producerState.expire(beforeMs) > 0) log.isDirty = true;
  }

  private async flushSegments(segments: readonly Segment[]): Promise<void> {
    try {
      for (const segment of segments) await segment.sync();
      await this.checkpointer.syncNames();
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  private makeContext(): LogContext {
    const { env, options } = this;
    const fail = (error: unknown): void => this.fail(error);
    return {
      env,
      logger: this.logger,
      journal: this.journal,
      segments: { fs: env.fs, clock: env.clock, openFiles: this.descriptors.files, fail },
      readBuffers: new ReadBuffers(limits.READ_POOL_BYTES_MAX),
      indexMemory: new IndexMemory(limits.INDEX_MEMORY_BYTES_MAX),
      counters: this.counters,
      leaderEpoch: this.leaderEpoch,
      verifyReads: options.verifyReads ?? 'cold',
      segmentUnsyncedBytesMax: options.segmentUnsyncedBytesMax ?? limits.SEGMENT_UNSYNCED_BYTES_MAX,
      batchBytesMax: this.ring.batchBytesMax,
      isDiskFull: () => this.space.isFull,
      onShortOfFiles: (error) => this.descriptors.tellRefusal(error),
      onDiskFull: (isReserved) => this.space.onFull(isReserved),
      fail,
      wantsSync: (segment) => this.syncs.add(segment),
      sync: (segments) => this.flushSegments(segments),
      flush: (segments) => this.background.run('flush', this.flushSegments(segments)),
      onNamesChanged: (directory) => this.checkpointer.addDirectory(directory),
      reclaim: (id, live, options) => this.reclaim(id, live, options),
      nextCheckpoint: () => this.checkpointer.next(),
    };
  }
}

/** After such an error nobody knows what is on the disk. */
function breaksPromise(error: unknown): boolean {
  return !(error instanceof MillraceError) || error.code === 'ML_FSYNC_FAILED';
}

/** Files of a journal that holds nothing that is needed. */
function existingJournal(env: Env, directory: string): { path: string; sequence: number }[] {
  const path = journalDirectory(directory);
  return env.fs
    .list(path)
    .filter((name) => /^\d{8}\.journal$/.test(name))
    .map((name) => ({ path: `${path}/${name}`, sequence: 0 }));
}

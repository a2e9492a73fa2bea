/**
 * Group commit. Appends of all logs queue here; while one fdatasync runs the next group collects, and when it returns
 * that group is written with one vectored write and synced. Everybody who waits for a group waits on one promise.
 *
 * Invariants
 * - One group is under way at a time: group N+1 is written only after group N was durable.
 * - `JournalLog.committed` is called only after the fdatasync that covers the log's entries (and, for a new file, the
 *   sync of the directory) has succeeded.
 * - After a failed sync or write nothing is written or confirmed again: every waiter is rejected, `onFatal` runs once.
 *   A full disk is not such a failure: the group is written again, into a file whose space is ours already if there is one.
 *
 * @hot `add` and what it calls; a group costs one async function.
 */
import type { Env } from '../core/env.ts';
import { writeManyFully, writeManyFullyAsync } from '../core/files.ts';
import { JOURNAL_SYNC_WRITE_BYTES_MAX } from '../core/limits.ts';
import { isDiskFull } from './disk-space.ts';
import type { JournalPosition, JournalRing, JournalSlot } from './journal-ring.ts';
import {
  BATCH_PREFIX_BYTES,
  ENTRY_BATCH,
  ENTRY_BYTES,
  type EntryKey,
  type EntryKind,
  GROUP_HEADER_BYTES,
  groupBytes,
  SECTOR_BYTES,
  writeBatchEntry,
  writeEntry,
  writeFileHeader,
  writeGroupHeader,
} from './journal-format.ts';

/** What the journal needs of a log. */
export interface JournalLog {
  readonly entryKey: EntryKey;
  /** The journal's own mark: the last cycle in which the log has entries. Starts at 0. */
  journalCycle: number;
  /** Everything that the log has queued so far is about to be written. */
  commitStarted(): void;
  /** …and is durable now. */
  committed(): void;
  /** Runs after `committed` of all logs of the group: tells whoever waits for new records. */
  announce(): void;
}

export interface JournalOptions {
  readonly ring: JournalRing;
  readonly storeId: Buffer;
  readonly groupSequence: number;
  readonly entrySequence: number;
  /** The process must stop: an acknowledgement can no longer be given. Called at most once. */
  readonly onFatal: (error: unknown) => void;
  /** No file is free: a checkpoint would free some. May be called again and again. */
  readonly onSpaceNeeded: () => void;
  /** The device is full. Returns whether a reserve was given up, so that trying again may help. */
  readonly onDiskFull: () => boolean;
}

interface Entry {
  readonly log: JournalLog;
  readonly kind: EntryKind;
  readonly offset: number;
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Entries that are confirmed together, and the one promise of all who wait for them. */
class Cycle {
  readonly entries: Entry[] = [];
  readonly logs: JournalLog[] = [];
  private promise: Promise<void> | undefined;
  private resolve: (() => void) | undefined;
  private reject: ((error: unknown) => void) | undefined;

  durable(): Promise<void> {
    if (this.promise === undefined) {
      this.promise = new Promise<void>((resolve, reject) => {
        this.resolve = resolve;
        this.reject = reject;
      });
      // A waiter may have gone by the time that the promise is rejected.
      this.promise.catch(() => {});
    }
    return this.promise;
  }

  settle(error: unknown): void {
    if (error === undefined) this.resolve?.();
    else this.reject?.(error);
  }
}

const NO_BYTES = Buffer.alloc(0);
const ZEROS = Buffer.alloc(SECTOR_BYTES);
/** Payloads below this are copied into one buffer: cheaper than a vector element of their own. */
const COPY_BYTES_MAX = 2048;

export interface JournalStats {
  groups: number;
  entries: number;
  bytes: number;
}

export class Journal {
  readonly stats: JournalStats = { groups: 0, entries: 0, bytes: 0 };
  private readonly env: Env;
  private readonly options: JournalOptions;
  private readonly ring: JournalRing;
  private collecting = new Cycle();
  /** The cycle that is being written, if any. */
  private flight: Cycle | undefined;
  private cycleNumber = 1;
  private isRunning = false;
  private failure: unknown;
  private queuedByteCount = 0;
  private nextEntrySequence: number;
  private nextGroupSequence: number;
  /** Entry sequence of the first entry that is not laid out yet. */
  private writtenEntrySequence: number;
  private scratch = Buffer.allocUnsafe(64 * 1024);

  constructor(env: Env, options: JournalOptions) {
    this.env = env;
    this.options = options;
    this.ring = options.ring;
    this.nextGroupSequence = options.groupSequence;
    this.nextEntrySequence = options.entrySequence;
    this.writtenEntrySequence = options.entrySequence;
  }

  /** Bytes that were added and are not durable yet. */
  get queuedBytes(): number {
    return this.queuedByteCount;
  }

  /** What ended the journal, or undefined while it works. */
  get failed(): unknown {
    return this.failure;
  }

  /** Queues a record batch, buffer[start, end), which must not change until it is durable. */
  addBatch(log: JournalLog, offset: number, buffer: Buffer, start: number, end: number): void {
    this.add({ log, kind: ENTRY_BATCH, offset, buffer, start, end });
  }

  /** Queues an entry that has no batch. */
  addMark(log: JournalLog, kind: EntryKind, offset: number): void {
    this.add({ log, kind, offset, buffer: NO_BYTES, start: 0, end: 0 });
  }

  /** The promise of the group that still collects. Add something first, or nobody will settle it. */
  collectingDurable(): Promise<void> {
    return this.failure === undefined ? this.collecting.durable() : Promise.reject(this.failure);
  }

  /** The promise of the group that is being written; undefined when none is. */
  flightDurable(): Promise<void> | undefined {
    return this.flight?.durable();
  }

  /** Resolves when everything that was added before is durable. */
  async settled(): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    if (this.collecting.entries.length > 0) await this.collecting.durable();
    else if (this.flight !== undefined) await this.flight.durable();
  }

  /** From where a replay must begin to see every entry that is added from now on. */
  position(): JournalPosition {
    return {
      fileSequence: this.ring.fileSequence,
      position: this.ring.position,
      groupSequence: this.nextGroupSequence,
      entrySequence: this.nextEntrySequence,
    };
  }

  private add(entry: Entry): void {
    const { collecting } = this;
    collecting.entries.push(entry);
    this.nextEntrySequence++;
    this.queuedByteCount += entry.end - entry.start + ENTRY_BYTES;
    const { log } = entry;
    if (log.journalCycle !== this.cycleNumber) {
      log.journalCycle = this.cycleNumber;
      collecting.logs.push(log);
    }
    if (this.isRunning) return;
    this.isRunning = true;
    // Not at once: the other requests that this turn of the event loop has read belong into the same group.
    this.env.timers.immediate(this.start);
  }

  private readonly start = (): void => {
    // `run` handles its own failures; there is nothing left that could reject.
    void this.run();
  };

  private async run(): Promise<void> {
    try {
      while (this.collecting.entries.length > 0 && this.failure === undefined) {
        const cycle = this.collecting;
        this.flight = cycle;
        this.collecting = new Cycle();
        this.cycleNumber++;
        for (const log of cycle.logs) log.commitStarted();
        await this.commit(cycle.entries);
        // Something else may have ended the store while this group was on its way.
        if (this.failure !== undefined) return;
        this.flight = undefined;
        for (const log of cycle.logs) log.committed();
        cycle.settle(undefined);
        for (const log of cycle.logs) log.announce();
      }
    } catch (error) {
      this.fail(error);
    }
    this.isRunning = false;
  }

  /** Ends the journal: nothing is confirmed any more. Idempotent. */
  fail(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.flight?.settle(error);
    this.collecting.settle(error);
    this.ring.abandon(error);
    this.options.onFatal(error);
  }

  private async commit(entries: readonly Entry[]): Promise<void> {
    let from = 0;
    while (from < entries.length) {
      const slot = this.ring.current ?? (await this.ring.next(this.options.onSpaceNeeded));
      if (this.failure !== undefined) throw this.failure;
      const end = this.fitting(entries, from, this.ring.capacityBytes - this.ring.position);
      if (end === from) {
        this.ring.leave();
        continue;
      }
      if (await this.writeGroup(slot, entries, from, end)) from = end;
    }
  }

  /** The index after the last of entries[from…] that fit as one group into `bytes`. */
  private fitting(entries: readonly Entry[], from: number, bytes: number): number {
    let payloadBytes = 0;
    let index = from;
    for (; index < entries.length; index++) {
      const { kind, start, end } = entries[index] as Entry;
      payloadBytes += kind === ENTRY_BATCH ? end - start - BATCH_PREFIX_BYTES : 0;
      if (groupBytes(index + 1 - from, payloadBytes) > bytes) break;
    }
    return index;
  }

  /** Writes and syncs entries[from, end) as one group. Returns false when the disk was full: to be done again. */
  private async writeGroup(
    slot: JournalSlot,
    entries: readonly Entry[],
    from: number,
    end: number,
  ): Promise<boolean> {
    const isFirst = this.ring.position === SECTOR_BYTES;
    const position = isFirst ? 0 : this.ring.position;
    const { buffers, bytes } = this.layOut(entries, from, end, isFirst);
    const ringPosition = this.ring.position;
    const groupSequence = this.nextGroupSequence;
    const entrySequence = this.writtenEntrySequence;
    // Advanced before the write, so that a checkpoint that begins meanwhile starts its replay behind this group.
    this.ring.position = position + bytes;
    this.nextGroupSequence++;
    this.writtenEntrySequence += end - from;
    try {
      if (bytes <= JOURNAL_SYNC_WRITE_BYTES_MAX) writeManyFully(slot.file, buffers, position);
      else await writeManyFullyAsync(slot.file, buffers, position);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.nextGroupSequence = groupSequence;
      this.writtenEntrySequence = entrySequence;
      const hasLeft = this.ring.onDiskFull();
      if (!hasLeft) this.ring.position = ringPosition;
      const mayHelp = this.options.onDiskFull();
      if (!hasLeft && !mayHelp) await this.ring.room();
      return false;
    }
    await slot.file.sync();
    if (slot.isNameUnsynced) await this.ring.syncName(slot);
    this.stats.groups++;
    this.stats.entries += end - from;
    this.stats.bytes += bytes;
    for (let index = from; index < end; index++) {
      const entry = entries[index] as Entry;
      this.queuedByteCount -= entry.end - entry.start + ENTRY_BYTES;
    }
    return true;
  }

  /** The buffers of a group in order, behind the file header when it is the first of its file. */
  private layOut(
    entries: readonly Entry[],
    from: number,
    end: number,
    isFirst: boolean,
  ): { buffers: Uint8Array[]; bytes: number } {
    const headAt = isFirst ? SECTOR_BYTES : 0;
    const tableAt = headAt + GROUP_HEADER_BYTES;
    let copiedBytes = 0;
    for (let index = from; index < end; index++) {
      const entry = entries[index] as Entry;
      const bytes = entry.end - entry.start;
      if (bytes <= COPY_BYTES_MAX) copiedBytes += bytes;
    }
    const tableEnd = tableAt + (end - from) * ENTRY_BYTES;
    const scratch = this.scratchOf(tableEnd + copiedBytes + SECTOR_BYTES);
    const buffers: Uint8Array[] = [];
    let runStart = 0;
    let at = tableEnd;
    let payloadBytes = 0;
    for (let index = from; index < end; index++) {
      const entry = entries[index] as Entry;
      const entryAt = tableAt + (index - from) * ENTRY_BYTES;
      if (entry.kind !== ENTRY_BATCH) {
        writeEntry(scratch, entryAt, entry.log.entryKey, entry.kind, entry.offset);
        continue;
      }
      const { buffer, start } = entry;
      writeBatchEntry(scratch, entryAt, entry.log.entryKey, entry.offset, buffer, start, entry.end);
      const bytes = entry.end - start - BATCH_PREFIX_BYTES;
      payloadBytes += bytes;
      if (bytes + BATCH_PREFIX_BYTES <= COPY_BYTES_MAX) {
        buffer.copy(scratch, at, start + BATCH_PREFIX_BYTES, entry.end);
        at += bytes;
        continue;
      }
      if (at > runStart) buffers.push(scratch.subarray(runStart, at));
      runStart = at;
      buffers.push(buffer.subarray(start + BATCH_PREFIX_BYTES, entry.end));
    }
    const bytes = groupBytes(end - from, payloadBytes);
    const paddingBytes = bytes - (GROUP_HEADER_BYTES + (end - from) * ENTRY_BYTES + payloadBytes);
    if (at > runStart) {
      scratch.fill(0, at, at + paddingBytes);
      buffers.push(scratch.subarray(runStart, at + paddingBytes));
    } else if (paddingBytes > 0) {
      buffers.push(ZEROS.subarray(0, paddingBytes));
    }
    const { fileSequence } = this.ring;
    if (isFirst) writeFileHeader(scratch, { fileSequence, storeId: this.options.storeId });
    writeGroupHeader(scratch, headAt, {
      groupSequence: this.nextGroupSequence,
      fileSequence,
      firstEntrySequence: this.writtenEntrySequence,
      durableGroupSequence: this.nextGroupSequence - 1,
      entryCount: end - from,
      payloadBytes,
    });
    return { buffers, bytes: headAt + bytes };
  }

  private scratchOf(bytes: number): Buffer {
    if (this.scratch.length < bytes) this.scratch = Buffer.allocUnsafe(bytes * 2);
    return this.scratch;
  }
}

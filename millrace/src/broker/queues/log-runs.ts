/**
 * What a queue has of its log in memory: runs that were just appended, in the order of the log, and runs that were read, those used last.
 * Bounded; whatever is not here is read again.
 *
 * Invariant: no run is changed or given back to anybody: what was delivered from it may still be on its way to a socket.
 */
import type { Env } from '../../core/env.ts';
import { QUEUE_RETRY_MS, QUEUE_RUNS_BYTES_MAX } from '../../core/queue-limits.ts';
import type { Logger } from '../../core/log.ts';
import type { PartitionLog, ReadResult } from '../../log/types.ts';
import { batchEnd, lastOffset } from '../../wire/kafka/records/record-batch.ts';
import type { Background } from '../../core/background.ts';
import { makeRun, type Run } from './run.ts';

/** Runs kept that were read. */
const READ_RUNS_MAX = 8;
const NO_BYTES = Buffer.alloc(0);

export interface LogRunsOptions {
  readonly env: Env;
  readonly logger: Logger;
  readonly log: PartitionLog;
  readonly background: Background;
  /** Something that was asked for has come, or can be asked for again. */
  readonly onLoaded: () => void;
}

export class LogRuns {
  readonly log: PartitionLog;
  /** Bytes of all runs. */
  bytes = 0;
  /** Ranges that the disk has lost. */
  damaged = 0;
  private readonly options: LogRunsOptions;
  /** Appended by us, each behind the one before; from `appendedFrom` on. */
  private readonly appended: (Run | undefined)[] = [];
  private appendedFrom = 0;
  /** Those used last come last. */
  private readonly read: Run[] = [];
  private readonly loading = new Set<number>();
  private isWaiting = false;
  private isClosed = false;

  constructor(options: LogRunsOptions) {
    this.options = options;
    this.log = options.log;
  }

  /** The run with everything from `offset` on, up to its end; undefined when it has to be loaded. */
  find(offset: number): Run | undefined {
    return this.findAppended(offset) ?? this.findRead(offset);
  }

  private findAppended(offset: number): Run | undefined {
    const { appended } = this;
    let low = this.appendedFrom;
    let high = appended.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((appended[middle] as Run).end <= offset) low = middle + 1;
      else high = middle;
    }
    const run = appended[low];
    return run !== undefined && run.first <= offset ? run : undefined;
  }

  private findRead(offset: number): Run | undefined {
    const { read } = this;
    for (let index = read.length - 1; index >= 0; index--) {
      const run = read[index] as Run;
      if (run.first > offset || run.end <= offset) continue;
      if (index < read.length - 1) {
        read.splice(index, 1);
        read.push(run);
      }
      return run;
    }
    return undefined;
  }

  /** Takes a batch that was just appended, unless there is no room for it. */
  add(first: number, end: number, data: Buffer): void {
    if (this.bytes + data.length > QUEUE_RUNS_BYTES_MAX) this.shrinkRead();
    if (this.bytes + data.length > QUEUE_RUNS_BYTES_MAX) return;
    this.appended.push(makeRun(first, end, data));
    this.bytes += data.length;
  }

  /** Appended runs that end at or before `offset` are wanted no more. */
  passed(offset: number): void {
    const { appended } = this;
    for (;;) {
      const run = appended[this.appendedFrom];
      if (run === undefined || run.end > offset) break;
      this.bytes -= run.data.length;
      // The place stays until many can go at once; its memory must not.
      appended[this.appendedFrom++] = undefined;
    }
    if (this.appendedFrom === appended.length) {
      appended.length = 0;
      this.appendedFrom = 0;
    } else if (this.appendedFrom > 1024 && this.appendedFrom * 2 > appended.length) {
      appended.splice(0, this.appendedFrom);
      this.appendedFrom = 0;
    }
  }

  /** Lets the oldest go until so many bytes have room. */
  makeRoom(bytes: number): void {
    while (this.bytes + bytes > QUEUE_RUNS_BYTES_MAX) {
      const oldest = this.appended[this.appendedFrom];
      if (oldest !== undefined) this.passed(oldest.end);
      else if (this.read.length > 0) this.shrinkRead();
      else return;
    }
  }

  /** Gives up all that was read, and all that was appended and is durable: it can be read again. */
  clear(): void {
    this.read.length = 0;
    const { highWatermark } = this.log;
    const kept = this.appended.filter((run) => run !== undefined && run.end > highWatermark);
    this.appended.length = 0;
    this.appended.push(...kept);
    this.appendedFrom = 0;
    this.bytes = 0;
    for (const run of kept) this.bytes += run?.data.length ?? 0;
  }

  private shrinkRead(): void {
    const run = this.read.shift();
    if (run !== undefined) this.bytes -= run.data.length;
  }

  /** Reads from `offset` on, which is below the last stable offset. `onLoaded` follows; then `find` knows it. */
  load(offset: number, maxBytes: number): void {
    if (this.isClosed || this.isWaiting || this.loading.has(offset)) return;
    this.loading.add(offset);
    const loading = this.fetch(offset, maxBytes).then(() => {
      this.loading.delete(offset);
      if (!this.isClosed && !this.isWaiting) this.options.onLoaded();
    });
    this.options.background.run('read of a queue', loading);
  }

  /** The run from `offset` on; undefined when it could not be read, and is to be asked for again after `onLoaded`. */
  async fetch(offset: number, maxBytes: number): Promise<Run | undefined> {
    // Nothing can be told of what lies behind: it may have become readable only after the read has begun.
    const limit = this.log.lastStableOffset;
    const result = await this.log.read(offset, {
      maxBytes,
      atLeastOneBatch: true,
      isolation: 'read_committed',
    });
    try {
      if (this.isClosed || offset >= limit) return undefined;
      const run = this.runOf(offset, limit, result);
      if (run === undefined) this.retryLater();
      else this.keep(run);
      return run;
    } finally {
      result.release();
    }
  }

  /** As `fetch`, and tries again as long as it takes; undefined only when this is closed. */
  async fetchPatiently(offset: number, maxBytes: number): Promise<Run | undefined> {
    for (;;) {
      const run = await this.fetch(offset, maxBytes);
      if (run !== undefined || this.isClosed) return run;
      await this.options.env.timers.sleep(QUEUE_RETRY_MS);
    }
  }

  private runOf(offset: number, limit: number, result: ReadResult): Run | undefined {
    const { log } = this;
    const { error } = result;
    if (error === 'NONE') return copyOf(offset, limit, result);
    // The log begins behind it, or (of a topic that was cut) ends before it.
    if (error === 'OFFSET_OUT_OF_RANGE')
      return makeRun(offset, Math.max(offset + 1, result.logStartOffset), NO_BYTES);
    const where = { ...log.id, offset };
    if (error === 'CORRUPT_MESSAGE') {
      this.damaged++;
      this.options.logger.error('A message of a queue is damaged on the disk and left out', where);
      return makeRun(offset, offset + 1, NO_BYTES);
    }
    this.options.logger.warn('A queue could not read its log and tries again', { ...where, error });
    return undefined;
  }

  private keep(run: Run): void {
    const { read } = this;
    while (
      read.length > 0 &&
      (read.length >= READ_RUNS_MAX || this.bytes + run.data.length > QUEUE_RUNS_BYTES_MAX)
    )
      this.shrinkRead();
    read.push(run);
    this.bytes += run.data.length;
  }

  private retryLater(): void {
    if (this.isWaiting) return;
    this.isWaiting = true;
    this.options.env.timers.after(QUEUE_RETRY_MS, () => {
      this.isWaiting = false;
      if (!this.isClosed) this.options.onLoaded();
    });
  }

  close(): void {
    this.isClosed = true;
    this.clear();
  }
}

/** A copy: the memory of a read goes back to its pool. */
function copyOf(offset: number, limit: number, result: ReadResult): Run {
  const { records } = result;
  // Nothing is there up to the end of what could be read.
  if (records.length === 0) return makeRun(offset, limit, NO_BYTES);
  let end = offset;
  for (let at = 0, next: number; (next = batchEnd(records, at, records.length)) !== -1; at = next)
    end = lastOffset(records, at) + 1;
  const data = Buffer.allocUnsafeSlow(records.length);
  records.copy(data);
  return makeRun(offset, end, data, result.abortedTransactions);
}

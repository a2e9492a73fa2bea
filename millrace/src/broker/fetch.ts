/**
 * Reading many partitions at once, with a wait: what is behind Fetch.
 *
 * Owns: the wait for `minBytes` (woken by appends and by deletions, never by polling), how the bytes of one answer are
 * shared out among partitions, and the memory that all answers together may take.
 * Invariant: every buffer read is either in the result, whose owner releases it, or has been released.
 *
 * @hot
 * Source: KIP-74 (first-batch rule and order), KIP-98 (isolation), KIP-320 and KIP-595 (epochs).
 */
import type { Env } from '../core/env.ts';
import { FETCH_ANSWER_BYTES_MIN, FETCH_WAIT_MS_MAX } from '../core/limits.ts';
import type { Isolation, PartitionLog, ReadResult } from '../log/types.ts';
import type { ErrorName } from '../wire/kafka/error-codes.ts';
import type { Topic, Topics } from './topics.ts';

/** One partition to read. */
export interface FetchTarget {
  readonly topic: Topic | undefined;
  readonly partition: number;
  /** What to answer when there is no such topic or partition. */
  readonly error: ErrorName;
  readonly fetchOffset: number;
  readonly maxBytes: number;
  /** What the reader believes to be the partition's epoch; -1: nothing. */
  readonly currentLeaderEpoch: number;
  /** Epoch of the last record that the reader has; -1: unknown. */
  readonly lastFetchedEpoch: number;
}

export interface FetchOptions {
  /** Answer when this much is there, or an error… */
  readonly minBytes: number;
  /** …or after this long, whatever there is. 0: at once. */
  readonly maxWaitMs: number;
  /** For all partitions together, except that one batch is always answered. */
  readonly maxBytes: number;
  readonly isolation: Isolation;
  /** Fires when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export interface FetchedPartition {
  readonly error: ErrorName;
  readonly records: Buffer;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  readonly abortedTransactions: ReadResult['abortedTransactions'];
  /** The reader's history ends elsewhere than ours: it has to go back to `endOffset` (KIP-595). */
  readonly diverging: { readonly leaderEpoch: number; readonly endOffset: number } | undefined;
}

export interface Fetched {
  /** One for each target, in their order. */
  readonly partitions: readonly FetchedPartition[];
  /** Bytes of all records. */
  readonly bytes: number;
  /** Gives the memory of the records back; call once, when the answer was sent or will not be. */
  readonly release: () => void;
}

const EMPTY: Buffer = Buffer.alloc(0);
const NO_ABORTED: ReadResult['abortedTransactions'] = [];

export class Fetches {
  private readonly env: Env;
  private readonly topics: Topics;
  private readonly memoryBytes: number;
  private usedBytes = 0;
  /** Ends the wait of each Fetch that waits. */
  private readonly wakes = new Set<() => void>();
  private closed = false;

  /** @param memoryBytes for all answers on their way, see `millrace.fetch.memory.bytes` */
  constructor(options: {
    readonly env: Env;
    readonly topics: Topics;
    readonly memoryBytes: number;
  }) {
    this.env = options.env;
    this.topics = options.topics;
    this.memoryBytes = options.memoryBytes;
  }

  /** Bytes of answers that were not released yet. */
  get bytesInFlight(): number {
    return this.usedBytes;
  }

  /** Answers every Fetch that waits with what there is; later ones do not wait. Idempotent. */
  close(): void {
    this.closed = true;
    for (const wake of this.wakes) wake();
  }

  /** Reads what there is, and waits for more when that is less than `minBytes`. */
  async fetch(targets: readonly FetchTarget[], options: FetchOptions): Promise<Fetched> {
    const reading = new Reading(targets, options.isolation);
    try {
      await reading.read(this.bound(options.maxBytes));
      const waitMs = Math.min(options.maxWaitMs, FETCH_WAIT_MS_MAX);
      if (waitMs > 0 && !reading.isEnough(options.minBytes)) {
        const deadlineMs = this.env.clock.monotonicMs() + waitMs;
        await this.waitAndRead(reading, options, deadlineMs);
      }
    } catch (error) {
      reading.release();
      throw error;
    }
    this.usedBytes += reading.bytes;
    let released = false;
    return {
      partitions: reading.results,
      bytes: reading.bytes,
      release: () => {
        if (released) return;
        released = true;
        this.usedBytes -= reading.bytes;
        reading.release();
      },
    };
  }

  private async waitAndRead(
    reading: Reading,
    options: FetchOptions,
    deadlineMs: number,
  ): Promise<void> {
    while (!reading.isEnough(options.minBytes) && !options.signal.aborted && !this.closed) {
      const leftMs = deadlineMs - this.env.clock.monotonicMs();
      if (leftMs <= 0) return;
      await this.wait(reading, options, leftMs);
      await reading.read(this.bound(options.maxBytes));
    }
  }

  /** Resolves when there may be enough, a topic was deleted, the time is over or nobody waits any more. */
  private wait(reading: Reading, options: FetchOptions, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const stops: (() => void)[] = [];
      const wake = (): void => {
        for (const stop of stops) stop();
        stops.length = 0;
        resolve();
      };
      this.wakes.add(wake);
      stops.push(() => this.wakes.delete(wake));
      const timer = this.env.timers.after(waitMs, wake);
      stops.push(() => timer.cancel());
      options.signal.addEventListener('abort', wake, { once: true });
      stops.push(() => options.signal.removeEventListener('abort', wake));
      stops.push(this.topics.onDeleted(wake));
      reading.onMore(options.minBytes, wake, stops);
    });
  }

  /** What one answer may carry now: less and less as memory runs short, so that slow readers cannot use it up. */
  private bound(maxBytes: number): number {
    const quarter = (this.memoryBytes - this.usedBytes) / 4;
    return Math.min(maxBytes, Math.max(FETCH_ANSWER_BYTES_MIN, quarter));
  }
}

/** The partitions of one Fetch and what has been read of them so far. */
class Reading {
  readonly results: FetchedPartition[] = [];
  bytes = 0;
  private readonly targets: readonly FetchTarget[];
  private readonly isolation: Isolation;
  private readonly releases: ((() => void) | undefined)[] = [];
  private hasError = false;

  constructor(targets: readonly FetchTarget[], isolation: Isolation) {
    this.targets = targets;
    this.isolation = isolation;
  }

  isEnough(minBytes: number): boolean {
    return this.hasError || this.bytes >= minBytes || this.targets.length === 0;
  }

  /** Reads every partition that has more than when it was last read. */
  async read(maxBytes: number): Promise<void> {
    for (let index = 0; index < this.targets.length; index++) {
      const target = this.targets[index];
      if (target === undefined || !this.isStale(index, target)) continue;
      this.drop(index);
      const answered = this.answerWithoutReading(target);
      if (answered !== undefined) {
        this.put(index, answered, undefined);
        continue;
      }
      const log = logOf(target);
      if (log === undefined) continue;
      const result = await log.read(target.fetchOffset, {
        maxBytes: Math.max(0, Math.min(target.maxBytes, maxBytes - this.bytes)),
        atLeastOneBatch: this.bytes === 0,
        isolation: this.isolation,
      });
      this.put(index, { ...result, diverging: undefined }, result.release);
    }
  }

  release(): void {
    for (let index = 0; index < this.releases.length; index++) {
      this.releases[index]?.();
      this.releases[index] = undefined;
    }
  }

  /** Calls `wake` once there may be `minBytes`; pushes onto `stops` how to stop that. */
  onMore(minBytes: number, wake: () => void, stops: (() => void)[]): void {
    // Log sizes tell how much came since the read without reading it again. They count what is not durable yet, and
    // retention takes from them: an estimate, which the read that follows corrects.
    let missing = minBytes - this.bytes;
    for (let index = 0; index < this.targets.length; index++) {
      const target = this.targets[index];
      const log = target === undefined ? undefined : logOf(target);
      if (target === undefined || log === undefined) continue;
      let sizeBytes = log.sizeBytes;
      const listener = (): void => {
        if (!this.isStale(index, target)) return;
        missing -= Math.max(0, log.sizeBytes - sizeBytes);
        sizeBytes = log.sizeBytes;
        if (missing <= 0 || minBytes <= 1) wake();
      };
      stops.push(log.onAdvance(listener));
      // It may have moved between the read and this moment.
      if (this.isStale(index, target)) {
        wake();
        return;
      }
    }
  }

  /** Whether a partition was never read, or would answer something else now. */
  private isStale(index: number, target: FetchTarget): boolean {
    const result = this.results[index];
    if (result === undefined) return true;
    if (result.error !== 'NONE') return false;
    const log = logOf(target);
    if (log === undefined) return true;
    return this.isolation === 'read_committed'
      ? log.lastStableOffset > result.lastStableOffset
      : log.highWatermark > result.highWatermark;
  }

  /** The answer when no bytes are needed for it: an error, or a reader that is at the end. */
  private answerWithoutReading(target: FetchTarget): FetchedPartition | undefined {
    const log = logOf(target);
    if (log === undefined) return failed(target.error);
    const epochFault = epochError(target.currentLeaderEpoch, log.leaderEpoch);
    if (epochFault !== undefined) return failed(epochFault);
    const { fetchOffset, lastFetchedEpoch } = target;
    const { highWatermark, lastStableOffset, logStartOffset } = log;
    if (fetchOffset < logStartOffset || fetchOffset > log.logEndOffset)
      return { ...failed('OFFSET_OUT_OF_RANGE'), highWatermark, lastStableOffset, logStartOffset };
    const known = lastFetchedEpoch < 0 ? undefined : log.endOffsetForEpoch(lastFetchedEpoch);
    const diverging =
      known !== undefined &&
      (known.leaderEpoch !== lastFetchedEpoch || known.endOffset < fetchOffset)
        ? known
        : undefined;
    const limit = this.isolation === 'read_committed' ? lastStableOffset : highWatermark;
    if (fetchOffset < limit && diverging === undefined) return undefined;
    return {
      error: 'NONE',
      records: EMPTY,
      highWatermark,
      lastStableOffset,
      logStartOffset,
      abortedTransactions: NO_ABORTED,
      diverging,
    };
  }

  private put(index: number, result: FetchedPartition, release: (() => void) | undefined): void {
    this.results[index] = result;
    this.releases[index] = release;
    this.bytes += result.records.length;
    if (result.error !== 'NONE' || result.diverging !== undefined) this.hasError = true;
  }

  private drop(index: number): void {
    this.bytes -= this.results[index]?.records.length ?? 0;
    this.releases[index]?.();
    this.releases[index] = undefined;
  }
}

function logOf(target: FetchTarget): PartitionLog | undefined {
  const { topic } = target;
  return topic === undefined || topic.deleted ? undefined : topic.partitions[target.partition];
}

/** What KIP-320 says of a request made under another epoch than the partition's; undefined when it may go on. */
export function epochError(asked: number, current: number): ErrorName | undefined {
  if (asked < 0 || asked === current) return undefined;
  return asked < current ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH';
}

function failed(error: ErrorName): FetchedPartition {
  return {
    error,
    records: EMPTY,
    highWatermark: -1,
    lastStableOffset: -1,
    logStartOffset: -1,
    abortedTransactions: NO_ABORTED,
    diverging: undefined,
  };
}

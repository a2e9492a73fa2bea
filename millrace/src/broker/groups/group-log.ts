/**
 * The way of all group state to disk: records are appended to `__consumer_offsets`, and what depends on them goes on when
 * they are durable.
 *
 * Invariant: callbacks run in the order of the calls, each exactly once and never before its call has returned.
 */
import { MillraceError } from '../../core/errors.ts';
import { GROUP_APPEND_BYTES_MAX, GROUP_APPEND_RECORDS_MAX } from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { InternalLog, InternalProducer, InternalRecord } from '../internal-log.ts';

/** NONE when everything is durable; otherwise what to tell the client, and what happened. */
export type Done = (error: ErrorName, cause: unknown) => void;

interface Write {
  readonly done: Done;
  settled: boolean;
  error: ErrorName;
  cause: unknown;
}

export class GroupLog {
  private readonly log: InternalLog;
  private readonly logger: Logger;
  /** In the order of the calls. */
  private readonly writes: Write[] = [];
  private readonly idleWaiters: (() => void)[] = [];

  constructor(log: InternalLog, logger: Logger) {
    this.log = log;
    this.logger = logger;
  }

  /** Appends the records, in batches of bounded size. When one fails, those before it may be durable. */
  append(records: readonly InternalRecord[], done: Done, producer?: InternalProducer): void {
    // All batches are handed over now: the order of the calls is the order in the log.
    const appends = inBatches(records).map(async (batch) => this.log.append(batch, producer));
    this.track(allOf(appends), done);
  }

  /** Ends the transaction that a producer has in this log. */
  marker(
    end: {
      readonly producer: InternalProducer;
      readonly committed: boolean;
      readonly coordinatorEpoch: number;
    },
    done: Done,
  ): void {
    this.track(this.log.appendMarker(end.producer, end.committed, end.coordinatorEpoch), done);
  }

  /** Resolves when every callback of the calls so far has run. */
  async settled(): Promise<void> {
    if (this.writes.length === 0) return;
    await new Promise<void>((resolve) => this.idleWaiters.push(resolve));
  }

  private track(promise: Promise<unknown>, done: Done): void {
    const write: Write = { done, settled: false, error: 'NONE', cause: undefined };
    this.writes.push(write);
    void promise.then(
      () => this.settle(write),
      (cause: unknown) => {
        write.error = this.errorOf(cause);
        write.cause = cause;
        this.settle(write);
      },
    );
  }

  private settle(write: Write): void {
    write.settled = true;
    let count = 0;
    while (this.writes[count]?.settled === true) count += 1;
    for (const { done, error, cause } of this.writes.splice(0, count)) done(error, cause);
    if (this.writes.length === 0) {
      for (const resolve of this.idleWaiters.splice(0)) resolve();
    }
  }

  private errorOf(cause: unknown): ErrorName {
    if (cause instanceof MillraceError) {
      if (cause.retriable) return 'COORDINATOR_NOT_AVAILABLE';
      // The process is about to stop: the client looks for its coordinator again.
      if (cause.code === 'ML_FSYNC_FAILED') return 'NOT_COORDINATOR';
    }
    this.logger.error('Group state could not be stored', { error: cause });
    return 'UNKNOWN_SERVER_ERROR';
  }
}

/** Rejects with the first failure, but not before every one has settled. */
async function allOf(appends: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(appends)) {
    if (result.status === 'rejected') throw result.reason;
  }
}

function inBatches(records: readonly InternalRecord[]): InternalRecord[][] {
  const batches: InternalRecord[][] = [];
  let batch: InternalRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    const size = record.key.length + (record.value?.length ?? 0);
    const full =
      batch.length >= GROUP_APPEND_RECORDS_MAX ||
      (batch.length > 0 && bytes + size > GROUP_APPEND_BYTES_MAX);
    if (full) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(record);
    bytes += size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

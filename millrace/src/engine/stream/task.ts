/**
 * A task from the side of who runs it: the worker, or the test driver. It does no I/O and never waits: it is handed what was fetched, and
 * hands out what is to be appended. Built by `task/`.
 *
 *   open → restore → ready → (add, process, tick)* → prepareCommit → offsets → committed → …
 */
import type { LogRecords, RecordBytes, RecordHeader, TopicPartition } from '../../client/log.ts';
import type { TaskState } from './state/store.ts';
import type { TaskId } from './topology.ts';

export interface StreamTask {
  readonly id: TaskId;
  /** What it has to be given; partitions of other tasks are never the same. */
  readonly inputs: readonly TopicPartition[];
  readonly state: TaskState;
  /** For each store its changelog: where it is restored from. */
  readonly changelogs: readonly (TopicPartition & { readonly store: string })[];

  /** Where it was at the last commit, before the first `add`. Inputs without an entry begin anew. */
  begin(
    committed: readonly (TopicPartition & { readonly offset: number; readonly metadata: string })[],
  ): void;
  /** Takes what was fetched from one of its inputs; keeps the bytes until they are processed. */
  add(records: LogRecords): void;
  /** Bytes that wait, of one input: who fetches pauses it above a bound. */
  bufferedBytes(input: TopicPartition): number;
  /**
   * Processes records, the lowest timestamp first. Stops at `recordsMax`; when an input that may still have earlier records is empty; when
   * an operator waits for promises.
   * @returns records processed
   * @throws {MillraceError} what stops the flow, with operator, topic, partition and offset
   */
  process(recordsMax: number): number;
  /** Wall clock: idle inputs, wall-clock timers, `emit: every`. @returns when it wants to be called next; Infinity: not */
  tick(nowMs: number): number;
  /** Every topic that it reads is taken to have had a record that makes its time `time`: for tests. Its inputs have been read to their ends. */
  raiseTime(time: number): void;
  /** T: no record before it is expected. */
  readonly watermark: number;
  /** Calls of asynchronous functions under way. */
  readonly pending: number;

  /** With `pending` 0: writes changelogs and markers. Everything of the transaction is appended when it returns. */
  prepareCommit(): void;
  /** What to commit: for each input the next offset, and as metadata its clock. Empty when nothing changed since the last commit. */
  offsets(): readonly (TopicPartition & { readonly offset: number; readonly metadata: string })[];
  /** @param nextOffset one past the last acknowledged record of a changelog; undefined: nothing was written to it */
  committed(nextOffset: (changelog: TopicPartition) => number | undefined): void;
  /** The transaction did not happen: state, clocks and positions are those of the last commit; buffered input is dropped. The inputs are to
   * be read again from `offsets` of then. */
  abort(): void;
  /** Does not commit. */
  close(): Promise<void>;
  readonly metrics: TaskMetrics;
  /** A commit is worth it: something was processed, or the next stage is to hear of time, since the last one. */
  readonly isDirty: boolean;
  /** For people: not cheap. */
  details(): TaskDetails;
}

export interface TaskDetails {
  readonly nodes: readonly {
    readonly name: string;
    /** T there. */
    readonly watermark: number;
    readonly recordsOut: number;
    readonly lateDropped: number;
    /** Records on which its function failed. */
    readonly failed: number;
  }[];
  readonly inputs: readonly (TopicPartition & {
    /** Records in the log that are not processed, about. */
    readonly lagRecords: number;
    readonly bufferedBytes: number;
  })[];
}

/** Counted since the task began. */
export interface TaskMetrics {
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly lateDropped: number;
  readonly skipped: number;
}

/** Where a task puts what it makes. */
export interface TaskOutput {
  append(
    topic: string,
    partition: number,
    timestamp: number,
    key: RecordBytes | null,
    value: RecordBytes | null,
    headers?: readonly RecordHeader[],
  ): void;
}

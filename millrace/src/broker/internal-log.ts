/**
 * An internal compacted topic as a state machine's journal: `__consumer_offsets`, `__transaction_state`, and the metadata
 * log are each one partition of one topic, replayed at start into memory and appended to before anything is answered.
 */
import type { PartitionLog } from '../log/types.ts';

export interface InternalRecord {
  readonly key: Buffer;
  /** null is a tombstone. */
  readonly value: Buffer | null;
}

/** A producer whose transaction carries the records (TxnOffsetCommit); absent for the coordinator's own records. */
export interface InternalProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

/** What replay hands over, in log order: a batch of records, or the end of a transaction. */
export type ReplayedBatch =
  | {
      readonly kind: 'records';
      readonly baseOffset: number;
      readonly timestampMs: number;
      /** undefined unless the batch belongs to a transaction. */
      readonly producer: InternalProducer | undefined;
      readonly records: readonly InternalRecord[];
    }
  | {
      readonly kind: 'marker';
      readonly baseOffset: number;
      readonly producer: InternalProducer;
      readonly committed: boolean;
    };

export interface InternalLog {
  readonly log: PartitionLog;
  /** Appends the records as one batch. Resolves when they are durable; state that answers clients changes after that.
   * Records of calls made in one order become durable, and resolve, in that order.
   * @throws {MillraceError} ML_DISK_FULL (retriable), ML_LOG_FAILED when the process is about to stop */
  append(records: readonly InternalRecord[], producer?: InternalProducer): Promise<void>;
  /** Ends a producer's transaction in this log with a commit or abort marker. Durable when it resolves. */
  appendMarker(producer: InternalProducer, committed: boolean, coordinatorEpoch: number): Promise<void>;
  /** Visits everything from the log start offset to the end, in order. */
  replay(visit: (batch: ReplayedBatch) => void): Promise<void>;
}

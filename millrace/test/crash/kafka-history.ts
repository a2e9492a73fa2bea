/**
 * A history as clients of a broker saw it: every operation is invoked and then completed, by one process at a time.
 * Judged by `kafka-checker.ts`. One event per line of JSON; the order of the lines is the order of time.
 *
 * The model is the one that Jepsen's Kafka workload made known (reliability.md section 4): values are unique per
 * partition, and an operation whose outcome is not known (a timeout, a killed broker) completes as `info`, never as
 * `fail`.
 */

/** A partition, as `topic-0`. */
export type Partition = string;

export type Op =
  /** One record. `offset` only on completion, when the broker told it. */
  | readonly ['send', partition: Partition, value: string, offset?: number]
  /** What one poll returned, in order, per partition. Only on completion. */
  | readonly [
      'poll',
      partitions: Readonly<
        Record<Partition, readonly (readonly [offset: number, value: string])[]>
      >,
    ]
  | readonly ['commit', group: string, partition: Partition, offset: number]
  /** The committed offset that was fetched; -1 for none. Only on completion. */
  | readonly ['committed', group: string, partition: Partition, offset: number]
  /** Inputs whose effect this transaction carries: for exactly-once counting. */
  | readonly ['consumed', group: string, partition: Partition, offsets: readonly number[]]
  /** The end offset that was listed. Only on completion. */
  | readonly ['end', partition: Partition, offset: number];

export interface KafkaEvent {
  readonly process: string;
  readonly timeMs: number;
  readonly type: 'invoke' | 'ok' | 'fail' | 'info';
  /** `txn`: the operations are one transaction. `assign`: the process jumps to given positions; `subscribe`: it may
   * lose and get partitions at any poll from now on. */
  readonly f: 'ops' | 'txn' | 'assign' | 'subscribe';
  readonly ops: readonly Op[];
}

export type KafkaAnomalyName =
  | 'G0'
  | 'G1a'
  | 'G1c'
  | 'G1c-ww'
  | 'G2'
  | 'G-single'
  | 'commit-phantom'
  | 'commit-regression'
  | 'duplicate'
  | 'end-went-back'
  | 'eos-double-count'
  | 'inconsistent-offsets'
  | 'int-nonmonotonic-poll'
  | 'int-nonmonotonic-send'
  | 'int-poll-skip'
  | 'int-send-skip'
  | 'lost-write'
  | 'nonmonotonic-poll'
  | 'nonmonotonic-send'
  | 'phantom'
  | 'poll-skip'
  | 'precommitted-read'
  | 'realtime'
  | 'torn-txn'
  | 'unseen';

export interface KafkaAnomaly {
  readonly name: KafkaAnomalyName;
  readonly partition: Partition;
  readonly detail: string;
}

export interface KafkaCheckOptions {
  /** The history ends with readers that went from the first offset to the end of every partition. */
  readonly drained: boolean;
  /** Producers were idempotent: a value at two offsets is a fault. Default true. */
  readonly idempotent?: boolean;
}

export interface KafkaReport {
  /** Must be empty. */
  readonly bad: readonly KafkaAnomaly[];
  /** Anomalies that Kafka's model allows: transactions interleave, subscribed readers lose and get partitions. */
  readonly allowed: readonly KafkaAnomaly[];
  readonly counts: {
    readonly operations: number;
    readonly sends: number;
    readonly acknowledged: number;
    readonly unknown: number;
    readonly polled: number;
  };
  /** The longest time between a record being acknowledged and a reader, that polls its partition, getting to it. */
  readonly lagMsMax: number;
}

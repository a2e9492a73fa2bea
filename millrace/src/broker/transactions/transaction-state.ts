/**
 * What the coordinator knows of one transactional id, and its record in `__transaction_state`.
 *
 *            add partitions            end                markers are durable
 *   Empty ──────────────────▶ Ongoing ─────▶ PrepareCommit ────────────▶ CompleteCommit ─┐
 *     ▲                         ▲   └──────▶ PrepareAbort  ────────────▶ CompleteAbort  ─┤
 *     └── init producer id ─────┴────────────── add partitions ──────────────────────────┘
 *
 * A state is a value: a transition makes a new one, which replaces the old when its record is durable.
 *
 * NOTE: persistent format, shared with Apache Kafka (TransactionLogKey v0, TransactionLogValue v1).
 * Source: KIP-98, KIP-360 (epoch bumps), KIP-890.
 */
import { MillraceError } from '../../core/errors.ts';
import {
  transactionLogKey,
  transactionLogValue,
} from '../../wire/kafka/internal/transaction-log.ts';
import { decodeVersioned, encodeVersioned } from '../../wire/kafka/versioned.ts';
import type { InternalRecord } from '../internal-log.ts';

/** Kafka's names; the position is the code in the record. NOTE: persistent, do not reorder. */
const STATUSES = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
] as const;

export type TransactionStatus = (typeof STATUSES)[number];

export function isTransactionStatus(text: string): text is TransactionStatus {
  return (STATUSES as readonly string[]).includes(text);
}

/** Partition numbers by topic name. */
export type TransactionPartitions = ReadonlyMap<string, ReadonlySet<number>>;

export interface TransactionState {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
  /** The id and epoch before the last bump, by which a repeated InitProducerId is recognised; -1 = none. */
  readonly lastProducerId: number;
  readonly lastProducerEpoch: number;
  readonly timeoutMs: number;
  readonly status: TransactionStatus;
  readonly partitions: TransactionPartitions;
  /** Wall clock; -1 unless a transaction is open or ending. */
  readonly startMs: number;
  readonly lastUpdateMs: number;
}

export const NO_PARTITIONS: TransactionPartitions = new Map();

const KEY_VERSION = 0;
const VALUE_VERSION = 1;

export function encodeTransactionKey(transactionalId: string): Buffer {
  return encodeVersioned(transactionLogKey, KEY_VERSION, { transactionalId });
}

export function encodeTransaction(state: TransactionState): InternalRecord {
  const partitions = [...state.partitions].map(([topic, partitionIds]) => ({
    topic,
    partitionIds: [...partitionIds],
  }));
  return {
    key: encodeTransactionKey(state.transactionalId),
    value: encodeVersioned(transactionLogValue, VALUE_VERSION, {
      producerId: state.producerId,
      previousProducerId: state.lastProducerId,
      producerEpoch: state.producerEpoch,
      transactionTimeoutMs: state.timeoutMs,
      transactionStatus: STATUSES.indexOf(state.status),
      // Kafka writes null where there is no transaction to speak of.
      transactionPartitions: state.status === 'Empty' ? null : partitions,
      transactionLastUpdateTimestampMs: state.lastUpdateMs,
      transactionStartTimestampMs: state.startMs,
    }),
  };
}

/** The id that a record is about, and its state; undefined for a tombstone. */
export function decodeTransaction(record: InternalRecord): {
  readonly transactionalId: string;
  readonly state: TransactionState | undefined;
} {
  const { transactionalId } = decodeVersioned(transactionLogKey, record.key).value;
  if (record.value === null) return { transactionalId, state: undefined };
  const { value } = decodeVersioned(transactionLogValue, record.value);
  const status = STATUSES[value.transactionStatus];
  if (status === undefined) {
    throw new MillraceError(
      'ML_STATE_DAMAGED',
      `transactional id ${transactionalId} has the unknown status ${value.transactionStatus}`,
      { fields: { transactionalId, status: value.transactionStatus } },
    );
  }
  const partitions = new Map(
    (value.transactionPartitions ?? []).map(({ topic, partitionIds }) => [
      topic,
      new Set(partitionIds),
    ]),
  );
  return {
    transactionalId,
    state: {
      transactionalId,
      producerId: value.producerId,
      producerEpoch: value.producerEpoch,
      lastProducerId: value.previousProducerId,
      lastProducerEpoch: -1,
      timeoutMs: value.transactionTimeoutMs,
      status,
      partitions,
      startMs: value.transactionStartTimestampMs,
      lastUpdateMs: value.transactionLastUpdateTimestampMs,
    },
  };
}

/** The partitions of both, or `undefined` when `added` brings nothing new. */
export function withPartitions(
  partitions: TransactionPartitions,
  added: readonly { readonly topic: string; readonly partition: number }[],
): TransactionPartitions | undefined {
  const fresh = added.filter(
    ({ topic, partition }) => partitions.get(topic)?.has(partition) !== true,
  );
  if (fresh.length === 0) return undefined;
  const merged = new Map([...partitions].map(([topic, some]) => [topic, new Set(some)]));
  for (const { topic, partition } of fresh) {
    const some = merged.get(topic);
    if (some === undefined) merged.set(topic, new Set([partition]));
    else some.add(partition);
  }
  return merged;
}

/** Decided, and being carried out. */
export function isPrepared(status: TransactionStatus): boolean {
  return status === 'PrepareCommit' || status === 'PrepareAbort' || status === 'PrepareEpochFence';
}

/** Nothing is open and nothing is being carried out. */
export function isAtRest(status: TransactionStatus): boolean {
  return status === 'Empty' || status === 'CompleteCommit' || status === 'CompleteAbort';
}

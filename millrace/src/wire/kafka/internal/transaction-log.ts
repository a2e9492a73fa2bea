/**
 * Transactions in `__transaction_state`: key (transactional id), value the producer and what its transaction touches.
 *
 * `transactionStatus`: 0 Empty, 1 Ongoing, 2 PrepareCommit, 3 PrepareAbort, 4 CompleteCommit, 5 CompleteAbort, 6 Dead,
 * 7 PrepareEpochFence.
 *
 * NOTE: persistent format, shared with Apache Kafka. Value v1 is flexible and has the fields of KIP-890 as tags.
 */
import {
  array,
  int16,
  int32,
  int64,
  int8,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const transactionLogKey = message({
  name: 'TransactionLogKey',
  versions: '0',
  flexible: 'none',
  fields: {
    transactionalId: string('0+'),
  },
});

export const transactionLogValue = message({
  name: 'TransactionLogValue',
  versions: '0-1',
  flexible: '1+',
  fields: {
    producerId: int64('0+'),
    previousProducerId: int64('1+', { default: -1, tag: 0 }),
    nextProducerId: int64('1+', { default: -1, tag: 1 }),
    producerEpoch: int16('0+'),
    nextProducerEpoch: int16('1+', { default: -1, tag: 3 }),
    transactionTimeoutMs: int32('0+'),
    transactionStatus: int8('0+'),
    transactionPartitions: array(
      '0+',
      {
        topic: string('0+'),
        partitionIds: array('0+', 'int32'),
      },
      { nullable: '0+' },
    ),
    transactionLastUpdateTimestampMs: int64('0+'),
    transactionStartTimestampMs: int64('0+'),
    clientTransactionVersion: int16('1+', { default: 0, tag: 2 }),
  },
});

export type TransactionLogKey = Infer<typeof transactionLogKey>;
export type TransactionLogValue = Infer<typeof transactionLogValue>;
export type TransactionLogValueInput = InferInput<typeof transactionLogValue>;

/**
 * AddPartitionsToTxn (key 24): announces the partitions that a transaction will write to.
 *
 * - v0-3 are one producer's request (the fields `v3AndBelow…`); v3 is flexible.
 * - v4 asks for many transactions, between brokers (KIP-890): clients never send it. v5 adds
 *   TRANSACTION_ABORTABLE.
 */
import {
  array,
  bool,
  int16,
  int32,
  int64,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

const addPartitionsToTxnTopic = {
  name: string('0+'),
  partitions: array('0+', 'int32'),
};

export const addPartitionsToTxnRequest = message({
  name: 'AddPartitionsToTxnRequest',
  versions: '0-5',
  flexible: '3+',
  fields: {
    transactions: array(
      '4+',
      {
        transactionalId: string('4+'),
        producerId: int64('4+'),
        producerEpoch: int16('4+'),
        verifyOnly: bool('4+', { default: false }),
        topics: array('4+', addPartitionsToTxnTopic),
      },
      { default: [] },
    ),
    v3AndBelowTransactionalId: string('0-3', { default: '' }),
    v3AndBelowProducerId: int64('0-3', { default: 0 }),
    v3AndBelowProducerEpoch: int16('0-3', { default: 0 }),
    v3AndBelowTopics: array('0-3', addPartitionsToTxnTopic, { default: [] }),
  },
});

const addPartitionsToTxnPartitionResult = {
  partitionIndex: int32('0+'),
  partitionErrorCode: int16('0+'),
};

const addPartitionsToTxnTopicResult = {
  name: string('0+'),
  resultsByPartition: array('0+', addPartitionsToTxnPartitionResult),
};

export const addPartitionsToTxnResponse = message({
  name: 'AddPartitionsToTxnResponse',
  versions: '0-5',
  flexible: '3+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('4+', { default: 0, ignorable: true }),
    resultsByTransaction: array(
      '4+',
      {
        transactionalId: string('4+'),
        topicResults: array('4+', addPartitionsToTxnTopicResult),
      },
      { default: [] },
    ),
    resultsByTopicV3AndBelow: array('0-3', addPartitionsToTxnTopicResult, { default: [] }),
  },
});

export type AddPartitionsToTxnRequest = Infer<typeof addPartitionsToTxnRequest>;
export type AddPartitionsToTxnRequestInput = InferInput<typeof addPartitionsToTxnRequest>;
export type AddPartitionsToTxnResponse = Infer<typeof addPartitionsToTxnResponse>;
export type AddPartitionsToTxnResponseInput = InferInput<typeof addPartitionsToTxnResponse>;

/**
 * TxnOffsetCommit (key 28): stores a group's offsets when the transaction commits.
 *
 * v2 carries the leader epoch; v3 is flexible and fences by generation, member and instance
 * (KIP-447); v4 and v5 are for KIP-890.
 */
import {
  array,
  int16,
  int32,
  int64,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const txnOffsetCommitRequest = message({
  name: 'TxnOffsetCommitRequest',
  versions: '0-5',
  flexible: '3+',
  fields: {
    transactionalId: string('0+'),
    groupId: string('0+'),
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    generationId: int32('3+', { default: -1 }),
    memberId: string('3+', { default: '' }),
    groupInstanceId: string('3+', { nullable: '3+', default: null }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        committedOffset: int64('0+'),
        committedLeaderEpoch: int32('2+', { default: -1, ignorable: true }),
        committedMetadata: string('0+', { nullable: '0+' }),
      }),
    }),
  },
});

export const txnOffsetCommitResponse = message({
  name: 'TxnOffsetCommitResponse',
  versions: '0-5',
  flexible: '3+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
});

export type TxnOffsetCommitRequest = Infer<typeof txnOffsetCommitRequest>;
export type TxnOffsetCommitRequestInput = InferInput<typeof txnOffsetCommitRequest>;
export type TxnOffsetCommitResponse = Infer<typeof txnOffsetCommitResponse>;
export type TxnOffsetCommitResponseInput = InferInput<typeof txnOffsetCommitResponse>;

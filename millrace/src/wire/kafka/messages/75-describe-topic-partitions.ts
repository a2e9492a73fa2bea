/**
 * DescribeTopicPartitions (key 75): topics page by page (KIP-966).
 *
 * `cursor` is where to begin, null for the start; `nextCursor` is where the next page begins, null
 * at the end.
 */
import {
  array,
  bool,
  int16,
  int32,
  message,
  string,
  struct,
  uuid,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const describeTopicPartitionsRequest = message({
  name: 'DescribeTopicPartitionsRequest',
  versions: '0',
  flexible: '0+',
  fields: {
    topics: array('0+', {
      name: string('0+'),
    }),
    responsePartitionLimit: int32('0+', { default: 2000 }),
    cursor: struct(
      '0+',
      {
        topicName: string('0+'),
        partitionIndex: int32('0+'),
      },
      { nullable: '0+', default: null },
    ),
  },
});

export const describeTopicPartitionsResponse = message({
  name: 'DescribeTopicPartitionsResponse',
  versions: '0',
  flexible: '0+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0, ignorable: true }),
    topics: array('0+', {
      errorCode: int16('0+'),
      name: string('0+', { nullable: '0+' }),
      topicId: uuid('0+', { ignorable: true }),
      isInternal: bool('0+', { default: false, ignorable: true }),
      partitions: array('0+', {
        errorCode: int16('0+'),
        partitionIndex: int32('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('0+', { default: -1, ignorable: true }),
        replicaNodes: array('0+', 'int32'),
        isrNodes: array('0+', 'int32'),
        eligibleLeaderReplicas: array('0+', 'int32', { nullable: '0+', default: null }),
        lastKnownElr: array('0+', 'int32', { nullable: '0+', default: null }),
        offlineReplicas: array('0+', 'int32', { ignorable: true }),
      }),
      topicAuthorizedOperations: int32('0+', { default: -2147483648 }),
    }),
    nextCursor: struct(
      '0+',
      {
        topicName: string('0+'),
        partitionIndex: int32('0+'),
      },
      { nullable: '0+', default: null },
    ),
  },
});

export type DescribeTopicPartitionsRequest = Infer<typeof describeTopicPartitionsRequest>;
export type DescribeTopicPartitionsRequestInput = InferInput<typeof describeTopicPartitionsRequest>;
export type DescribeTopicPartitionsResponse = Infer<typeof describeTopicPartitionsResponse>;
export type DescribeTopicPartitionsResponseInput = InferInput<
  typeof describeTopicPartitionsResponse
>;

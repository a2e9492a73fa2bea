/**
 * ListOffsets (key 2): the offset of a time, or of the start or end of a partition.
 *
 * Special timestamps: -1 latest, -2 earliest, -3 the record of the largest timestamp (v7, KIP-734),
 * -4 earliest local (v8, KIP-405), -5 latest tiered (v9, KIP-1005), -6 earliest pending upload
 * (v11, KIP-1023).
 *
 * - v2 has the isolation level (KIP-98); v4 carries leader epochs (KIP-320); v6 is flexible; v10
 *   has a timeout (KIP-1075).
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

export const listOffsetsRequest = message({
  name: 'ListOffsetsRequest',
  versions: '1-11',
  flexible: '6+',
  fields: {
    replicaId: int32('0+'),
    isolationLevel: int8('2+', { default: 0 }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        currentLeaderEpoch: int32('4+', { default: -1, ignorable: true }),
        timestamp: int64('0+'),
      }),
    }),
    timeoutMs: int32('10+', { default: 0, ignorable: true }),
  },
});

export const listOffsetsResponse = message({
  name: 'ListOffsetsResponse',
  versions: '1-11',
  flexible: '6+',
  fields: {
    throttleTimeMs: int32('2+', { default: 0, ignorable: true }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        timestamp: int64('1+', { default: -1 }),
        offset: int64('1+', { default: -1 }),
        leaderEpoch: int32('4+', { default: -1 }),
      }),
    }),
  },
});

export type ListOffsetsRequest = Infer<typeof listOffsetsRequest>;
export type ListOffsetsRequestInput = InferInput<typeof listOffsetsRequest>;
export type ListOffsetsResponse = Infer<typeof listOffsetsResponse>;
export type ListOffsetsResponseInput = InferInput<typeof listOffsetsResponse>;

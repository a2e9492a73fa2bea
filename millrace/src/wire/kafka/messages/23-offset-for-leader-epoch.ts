/**
 * OffsetForLeaderEpoch (key 23): where the log of a leader epoch ends (KIP-101, KIP-320).
 *
 * v3 tells consumers (replica id -1) from followers; v4 is flexible. An unknown epoch answers -1
 * and -1.
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

export const offsetForLeaderEpochRequest = message({
  name: 'OffsetForLeaderEpochRequest',
  versions: '2-4',
  flexible: '4+',
  fields: {
    replicaId: int32('3+', { default: -2, ignorable: true }),
    topics: array('0+', {
      topic: string('0+'),
      partitions: array('0+', {
        partition: int32('0+'),
        currentLeaderEpoch: int32('2+', { default: -1, ignorable: true }),
        leaderEpoch: int32('0+'),
      }),
    }),
  },
});

export const offsetForLeaderEpochResponse = message({
  name: 'OffsetForLeaderEpochResponse',
  versions: '2-4',
  flexible: '4+',
  fields: {
    throttleTimeMs: int32('2+', { default: 0, ignorable: true }),
    topics: array('0+', {
      topic: string('0+'),
      partitions: array('0+', {
        errorCode: int16('0+'),
        partition: int32('0+'),
        leaderEpoch: int32('1+', { default: -1, ignorable: true }),
        endOffset: int64('0+', { default: -1 }),
      }),
    }),
  },
});

export type OffsetForLeaderEpochRequest = Infer<typeof offsetForLeaderEpochRequest>;
export type OffsetForLeaderEpochRequestInput = InferInput<typeof offsetForLeaderEpochRequest>;
export type OffsetForLeaderEpochResponse = Infer<typeof offsetForLeaderEpochResponse>;
export type OffsetForLeaderEpochResponseInput = InferInput<typeof offsetForLeaderEpochResponse>;

/**
 * OffsetCommit (key 8): stores a group's offsets.
 *
 * - v2-4 carry a retention time, -1 for the broker's; v6 carries the leader epoch (KIP-320).
 * - v7 has static members (KIP-345); v8 is flexible; v9 is for the new group protocol (KIP-848)
 *   too.
 * - v10 names topics by id (KIP-516).
 *
 * A commit from outside a group's membership has generation -1 and an empty member id.
 */
import {
  ZERO_UUID,
  array,
  int16,
  int32,
  int64,
  message,
  string,
  uuid,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const offsetCommitRequest = message({
  name: 'OffsetCommitRequest',
  versions: '2-10',
  flexible: '8+',
  fields: {
    groupId: string('0+'),
    generationIdOrMemberEpoch: int32('1+', { default: -1, ignorable: true }),
    memberId: string('1+', { ignorable: true }),
    groupInstanceId: string('7+', { nullable: '7+', default: null }),
    retentionTimeMs: int64('2-4', { default: -1, ignorable: true }),
    topics: array('0+', {
      name: string('0-9', { default: '', ignorable: true }),
      topicId: uuid('10+', { default: ZERO_UUID, ignorable: true }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        committedOffset: int64('0+'),
        committedLeaderEpoch: int32('6+', { default: -1, ignorable: true }),
        committedMetadata: string('0+', { nullable: '0+' }),
      }),
    }),
  },
});

export const offsetCommitResponse = message({
  name: 'OffsetCommitResponse',
  versions: '2-10',
  flexible: '8+',
  fields: {
    throttleTimeMs: int32('3+', { default: 0, ignorable: true }),
    topics: array('0+', {
      name: string('0-9', { default: '', ignorable: true }),
      topicId: uuid('10+', { default: ZERO_UUID, ignorable: true }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
});

export type OffsetCommitRequest = Infer<typeof offsetCommitRequest>;
export type OffsetCommitRequestInput = InferInput<typeof offsetCommitRequest>;
export type OffsetCommitResponse = Infer<typeof offsetCommitResponse>;
export type OffsetCommitResponseInput = InferInput<typeof offsetCommitResponse>;

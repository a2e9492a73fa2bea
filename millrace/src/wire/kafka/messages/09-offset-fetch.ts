/**
 * OffsetFetch (key 9): reads the offsets that groups have stored.
 *
 * - v0-7 ask for one group (`groupId`, `topics`), v8 for several (`groups`, KIP-709).
 * - v2: null topics are all topics of the group; v2-7 answer one error code for the group.
 * - v5 carries the leader epoch; v6 is flexible; v7 can insist on offsets without a pending
 *   transaction (KIP-447).
 * - v9 has the member (KIP-848); v10 names topics by id (KIP-516).
 *
 * A partition without a stored offset answers -1 with no error.
 */
import {
  ZERO_UUID,
  array,
  bool,
  int16,
  int32,
  int64,
  message,
  string,
  uuid,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const offsetFetchRequest = message({
  name: 'OffsetFetchRequest',
  versions: '1-10',
  flexible: '6+',
  fields: {
    groupId: string('0-7', { default: '' }),
    topics: array(
      '0-7',
      {
        name: string('0-7'),
        partitionIndexes: array('0-7', 'int32'),
      },
      { nullable: '2-7', default: [] },
    ),
    groups: array(
      '8+',
      {
        groupId: string('8+'),
        memberId: string('9+', { nullable: '9+', default: null, ignorable: true }),
        memberEpoch: int32('9+', { default: -1, ignorable: true }),
        topics: array(
          '8+',
          {
            name: string('8-9', { default: '', ignorable: true }),
            topicId: uuid('10+', { default: ZERO_UUID, ignorable: true }),
            partitionIndexes: array('8+', 'int32'),
          },
          { nullable: '8+' },
        ),
      },
      { default: [] },
    ),
    requireStable: bool('7+', { default: false }),
  },
});

export const offsetFetchResponse = message({
  name: 'OffsetFetchResponse',
  versions: '1-10',
  flexible: '6+',
  fields: {
    throttleTimeMs: int32('3+', { default: 0, ignorable: true }),
    topics: array(
      '0-7',
      {
        name: string('0-7'),
        partitions: array('0-7', {
          partitionIndex: int32('0-7'),
          committedOffset: int64('0-7'),
          committedLeaderEpoch: int32('5-7', { default: -1, ignorable: true }),
          metadata: string('0-7', { nullable: '0-7' }),
          errorCode: int16('0-7'),
        }),
      },
      { default: [] },
    ),
    errorCode: int16('2-7', { default: 0, ignorable: true }),
    groups: array(
      '8+',
      {
        groupId: string('8+'),
        topics: array('8+', {
          name: string('8-9', { default: '', ignorable: true }),
          topicId: uuid('10+', { default: ZERO_UUID, ignorable: true }),
          partitions: array('8+', {
            partitionIndex: int32('8+'),
            committedOffset: int64('8+'),
            committedLeaderEpoch: int32('8+', { default: -1, ignorable: true }),
            metadata: string('8+', { nullable: '8+' }),
            errorCode: int16('8+'),
          }),
        }),
        errorCode: int16('8+', { default: 0 }),
      },
      { default: [] },
    ),
  },
});

export type OffsetFetchRequest = Infer<typeof offsetFetchRequest>;
export type OffsetFetchRequestInput = InferInput<typeof offsetFetchRequest>;
export type OffsetFetchResponse = Infer<typeof offsetFetchResponse>;
export type OffsetFetchResponseInput = InferInput<typeof offsetFetchResponse>;

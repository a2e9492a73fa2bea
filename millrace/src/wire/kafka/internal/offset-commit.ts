/**
 * Stored offsets in `__consumer_offsets`: key (group, topic, partition), value the offset. A null value deletes it.
 *
 * NOTE: persistent format, shared with Apache Kafka. Key versions 0 and 1 are the same bytes; 1 is written. Value v1
 * alone has an expiry time; v3 has the leader epoch; v4 is flexible and can hold the topic id.
 */
import { int32, int64, message, string, uuid, type Infer, type InferInput } from '../schema.ts';

export const offsetCommitKey = message({
  name: 'OffsetCommitKey',
  versions: '0-1',
  flexible: 'none',
  fields: {
    group: string('0+'),
    topic: string('0+'),
    partition: int32('0+'),
  },
});

export const offsetCommitValue = message({
  name: 'OffsetCommitValue',
  versions: '0-4',
  flexible: '4+',
  fields: {
    offset: int64('0+'),
    leaderEpoch: int32('3+', { default: -1, ignorable: true }),
    metadata: string('0+'),
    commitTimestamp: int64('0+'),
    expireTimestamp: int64('1', { default: -1, ignorable: true }),
    topicId: uuid('4+', { tag: 0, ignorable: true }),
  },
});

export type OffsetCommitKey = Infer<typeof offsetCommitKey>;
export type OffsetCommitValue = Infer<typeof offsetCommitValue>;
export type OffsetCommitValueInput = InferInput<typeof offsetCommitValue>;

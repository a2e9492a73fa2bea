/**
 * Classic groups in `__consumer_offsets`: key (group), value its generation and members. A null value deletes it.
 *
 * NOTE: persistent format, shared with Apache Kafka. The key's version is 2: it is what tells a group from an offset.
 * Value v1 has the rebalance timeout, v2 the time of the last change of state, v3 static members; v4 is flexible.
 */
import {
  array,
  bytes,
  int32,
  int64,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const groupMetadataKey = message({
  name: 'GroupMetadataKey',
  versions: '2',
  flexible: 'none',
  fields: {
    group: string('2'),
  },
});

export const groupMetadataValue = message({
  name: 'GroupMetadataValue',
  versions: '0-4',
  flexible: '4+',
  fields: {
    protocolType: string('0+'),
    generation: int32('0+'),
    protocol: string('0+', { nullable: '0+' }),
    leader: string('0+', { nullable: '0+' }),
    currentStateTimestamp: int64('2+', { default: -1, ignorable: true }),
    members: array('0+', {
      memberId: string('0+'),
      groupInstanceId: string('3+', { nullable: '3+', default: null, ignorable: true }),
      clientId: string('0+'),
      clientHost: string('0+'),
      rebalanceTimeout: int32('1+', { default: -1, ignorable: true }),
      sessionTimeout: int32('0+'),
      subscription: bytes('0+'),
      assignment: bytes('0+'),
    }),
  },
});

export type GroupMetadataKey = Infer<typeof groupMetadataKey>;
export type GroupMetadataValue = Infer<typeof groupMetadataValue>;
export type GroupMetadataValueInput = InferInput<typeof groupMetadataValue>;

/**
 * JoinGroup (key 11): enters a classic consumer group and waits for the rebalance.
 *
 * - v1 has its own rebalance timeout; v4 makes a member come back with the id it was given
 *   (KIP-394).
 * - v5 has static members (KIP-345); v6 is flexible; v7 answers the protocol type (KIP-559).
 * - v8 has a reason for joining (KIP-800); v9 tells a leader to skip the assignment (KIP-814).
 *
 * v2 and later answer a throttle time. `metadata` is opaque to the broker: for consumers a
 * ConsumerProtocolSubscription.
 */
import {
  array,
  bool,
  bytes,
  int16,
  int32,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const joinGroupRequest = message({
  name: 'JoinGroupRequest',
  versions: '0-9',
  flexible: '6+',
  fields: {
    groupId: string('0+'),
    sessionTimeoutMs: int32('0+'),
    rebalanceTimeoutMs: int32('1+', { default: -1, ignorable: true }),
    memberId: string('0+'),
    groupInstanceId: string('5+', { nullable: '5+', default: null }),
    protocolType: string('0+'),
    protocols: array('0+', {
      name: string('0+'),
      metadata: bytes('0+'),
    }),
    reason: string('8+', { nullable: '8+', default: null, ignorable: true }),
  },
});

export const joinGroupResponse = message({
  name: 'JoinGroupResponse',
  versions: '0-9',
  flexible: '6+',
  fields: {
    throttleTimeMs: int32('2+', { default: 0, ignorable: true }),
    errorCode: int16('0+'),
    generationId: int32('0+', { default: -1 }),
    protocolType: string('7+', { nullable: '7+', default: null, ignorable: true }),
    protocolName: string('0+', { nullable: '7+' }),
    leader: string('0+'),
    skipAssignment: bool('9+', { default: false }),
    memberId: string('0+'),
    members: array('0+', {
      memberId: string('0+'),
      groupInstanceId: string('5+', { nullable: '5+', default: null, ignorable: true }),
      metadata: bytes('0+'),
    }),
  },
});

export type JoinGroupRequest = Infer<typeof joinGroupRequest>;
export type JoinGroupRequestInput = InferInput<typeof joinGroupRequest>;
export type JoinGroupResponse = Infer<typeof joinGroupResponse>;
export type JoinGroupResponseInput = InferInput<typeof joinGroupResponse>;

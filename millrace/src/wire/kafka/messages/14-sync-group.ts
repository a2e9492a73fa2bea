/**
 * SyncGroup (key 14): the leader hands in the assignments of a generation, every member gets its
 * own.
 *
 * v3 has static members (KIP-345); v4 is flexible; v5 checks the protocol type and name (KIP-559).
 * `assignment` is opaque to the broker: for consumers a ConsumerProtocolAssignment.
 */
import {
  array,
  bytes,
  int16,
  int32,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const syncGroupRequest = message({
  name: 'SyncGroupRequest',
  versions: '0-5',
  flexible: '4+',
  fields: {
    groupId: string('0+'),
    generationId: int32('0+'),
    memberId: string('0+'),
    groupInstanceId: string('3+', { nullable: '3+', default: null }),
    protocolType: string('5+', { nullable: '5+', default: null, ignorable: true }),
    protocolName: string('5+', { nullable: '5+', default: null, ignorable: true }),
    assignments: array('0+', {
      memberId: string('0+'),
      assignment: bytes('0+'),
    }),
  },
});

export const syncGroupResponse = message({
  name: 'SyncGroupResponse',
  versions: '0-5',
  flexible: '4+',
  fields: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    errorCode: int16('0+'),
    protocolType: string('5+', { nullable: '5+', default: null, ignorable: true }),
    protocolName: string('5+', { nullable: '5+', default: null, ignorable: true }),
    assignment: bytes('0+'),
  },
});

export type SyncGroupRequest = Infer<typeof syncGroupRequest>;
export type SyncGroupRequestInput = InferInput<typeof syncGroupRequest>;
export type SyncGroupResponse = Infer<typeof syncGroupResponse>;
export type SyncGroupResponseInput = InferInput<typeof syncGroupResponse>;

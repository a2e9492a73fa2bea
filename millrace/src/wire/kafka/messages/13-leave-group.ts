/**
 * LeaveGroup (key 13): leaves a classic group.
 *
 * v0-2 name one member; v3 names several, by member id or instance id (KIP-345); v4 is flexible; v5
 * has a reason (KIP-800).
 */
import { array, int16, int32, message, string, type Infer, type InferInput } from '../schema.ts';

export const leaveGroupRequest = message({
  name: 'LeaveGroupRequest',
  versions: '0-5',
  flexible: '4+',
  fields: {
    groupId: string('0+'),
    memberId: string('0-2', { default: '' }),
    members: array(
      '3+',
      {
        memberId: string('3+'),
        groupInstanceId: string('3+', { nullable: '3+', default: null }),
        reason: string('5+', { nullable: '5+', default: null, ignorable: true }),
      },
      { default: [] },
    ),
  },
});

export const leaveGroupResponse = message({
  name: 'LeaveGroupResponse',
  versions: '0-5',
  flexible: '4+',
  fields: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    errorCode: int16('0+'),
    members: array('3+', {
      memberId: string('3+'),
      groupInstanceId: string('3+', { nullable: '3+' }),
      errorCode: int16('3+'),
    }),
  },
});

export type LeaveGroupRequest = Infer<typeof leaveGroupRequest>;
export type LeaveGroupRequestInput = InferInput<typeof leaveGroupRequest>;
export type LeaveGroupResponse = Infer<typeof leaveGroupResponse>;
export type LeaveGroupResponseInput = InferInput<typeof leaveGroupResponse>;

/**
 * LeaveGroup (key 13), versions 0-5.
 *
 * Behaviour:
 * - Removes one member (v0-2) or several (v3), by member id, or by instance id alone; each has its own error.
 * - What a member that leaves waits for is answered with UNKNOWN_MEMBER_ID. The others rebalance.
 * - When the last member leaves it is answered once the empty group is on disk.
 *
 * Deviations:
 * - None.
 *
 * Source: KIP-345, KIP-800 (reasons: they go to the log).
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  LeaveGroupRequest,
  LeaveGroupResponseInput,
} from '../../wire/kafka/messages/13-leave-group.ts';
import { defineApi, type Api } from './api.ts';

const MANY_MEMBERS_SINCE = 3;

export const leaveGroupApi: Api<LeaveGroupRequest, LeaveGroupResponseInput> = defineApi({
  key: 13,
  name: 'LeaveGroup',
  minVersion: 0,
  maxVersion: 5,
  handle: async ({ groupId, memberId, members }, { broker, apiVersion }) => {
    const many = apiVersion >= MANY_MEMBERS_SINCE;
    const leaving = many
      ? members.map((each) => ({
          memberId: each.memberId,
          instanceId: each.groupInstanceId,
          reason: each.reason,
        }))
      : [{ memberId, instanceId: null, reason: null }];
    const result = await broker.groups.leave(groupId, leaving);
    // Before v3 there is one error: the group's, or else the member's.
    const error = many || result.error !== 'NONE' ? result.error : result.members[0]?.error;
    return {
      errorCode: errorCode(error ?? 'NONE'),
      members: many
        ? result.members.map((each) => ({
            memberId: each.memberId,
            groupInstanceId: each.instanceId,
            errorCode: errorCode(each.error),
          }))
        : [],
    };
  },
});

/**
 * JoinGroup (key 11), versions 0-9.
 *
 * Behaviour:
 * - Answered when the rebalance has everybody, or its time is up (the longest rebalance timeout of the members); who
 *   has not come back by then is out. A new member waits five minutes at most.
 * - A new member is first given an id, with MEMBER_ID_REQUIRED (v4). The first rebalance of an empty group waits
 *   `group.initial.rebalance.delay.ms` for more members.
 * - The protocol is the one that most members list first among those that all of them know.
 * - A static member (v5) that comes back gets its assignment without a rebalance, unless the protocol changes; who
 *   holds its former member id is fenced (FENCED_INSTANCE_ID). Members and assignments survive a restart.
 * - A returning static leader is told to skip the assignment (v9).
 * - At most `group.max.size` members; session timeouts between `group.min.session.timeout.ms` and
 *   `group.max.session.timeout.ms`.
 *
 * Deviations:
 * - A new member of v0-3 whose connection ends while it waits is removed at once: it can never learn its id.
 * - A static member may come back to a group that is full.
 * - At most 100,000 groups (POLICY_VIOLATION) and, per group, 10,000 ids that were given and not used yet; a member's
 *   metadata has at most 4 MiB (INVALID_REQUEST).
 *
 * Source: KIP-62, KIP-134, KIP-345, KIP-389, KIP-394, KIP-559, KIP-800, KIP-814.
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  JoinGroupRequest,
  JoinGroupResponseInput,
} from '../../wire/kafka/messages/11-join-group.ts';
import { defineApi, type Api } from './api.ts';

const MEMBER_ID_REQUIRED_SINCE = 4;
const NULLABLE_PROTOCOL_SINCE = 7;
const SKIP_ASSIGNMENT_SINCE = 9;

export const joinGroupApi: Api<JoinGroupRequest, JoinGroupResponseInput> = defineApi({
  key: 11,
  name: 'JoinGroup',
  minVersion: 0,
  maxVersion: 9,
  handle: async (request, { broker, connection, apiVersion, clientId, signal }) => {
    const join = {
      memberId: request.memberId,
      instanceId: request.groupInstanceId,
      clientId: clientId ?? '',
      clientHost: `/${connection.remoteAddress}`,
      sessionTimeoutMs: request.sessionTimeoutMs,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      protocolType: request.protocolType,
      protocols: request.protocols,
      mustKnowId: apiVersion >= MEMBER_ID_REQUIRED_SINCE,
      canSkipAssignment: apiVersion >= SKIP_ASSIGNMENT_SINCE,
      reason: request.reason,
    };
    const result = await broker.groups.join(request.groupId, join, signal);
    return {
      errorCode: errorCode(result.error),
      generationId: result.generation,
      protocolType: result.protocolType,
      protocolName: result.protocolName ?? (apiVersion >= NULLABLE_PROTOCOL_SINCE ? null : ''),
      leader: result.leaderId,
      skipAssignment: result.skipAssignment,
      memberId: result.memberId,
      members: result.members.map(({ memberId, instanceId, metadata }) => ({
        memberId,
        groupInstanceId: instanceId,
        metadata,
      })),
    };
  },
});

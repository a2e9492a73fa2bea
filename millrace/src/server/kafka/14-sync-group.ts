/**
 * SyncGroup (key 14), versions 0-5.
 *
 * Behaviour:
 * - Answered when the leader's assignments are on disk; a member that the leader left out gets an empty one. In a stable
 *   group the assignment is answered at once.
 * - REBALANCE_IN_PROGRESS when another rebalance begins meanwhile.
 * - Who joined and does not sync within the rebalance timeout is removed.
 * - Protocol type and name must be said, and be the group's, since v5: INCONSISTENT_GROUP_PROTOCOL.
 *
 * Deviations:
 * - A repeated sync of a member replaces the one that waits, which gets REBALANCE_IN_PROGRESS (Kafka never answers it).
 *
 * Source: KIP-62, KIP-345, KIP-559.
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  SyncGroupRequest,
  SyncGroupResponseInput,
} from '../../wire/kafka/messages/14-sync-group.ts';
import { defineApi, type Api } from './api.ts';

const PROTOCOL_SINCE = 5;
const NO_BYTES = Buffer.alloc(0);

export const syncGroupApi: Api<SyncGroupRequest, SyncGroupResponseInput> = defineApi({
  key: 14,
  name: 'SyncGroup',
  minVersion: 0,
  maxVersion: 5,
  handle: async (request, { broker, apiVersion }) => {
    const unnamed = request.protocolType === null || request.protocolName === null;
    if (unnamed && apiVersion >= PROTOCOL_SINCE) {
      return { errorCode: errorCode('INCONSISTENT_GROUP_PROTOCOL'), assignment: NO_BYTES };
    }
    const result = await broker.groups.sync(request.groupId, {
      memberId: request.memberId,
      instanceId: request.groupInstanceId,
      generation: request.generationId,
      protocolType: request.protocolType,
      protocolName: request.protocolName,
      assignments: request.assignments,
    });
    return {
      errorCode: errorCode(result.error),
      protocolType: result.protocolType,
      protocolName: result.protocolName,
      assignment: result.assignment,
    };
  },
});

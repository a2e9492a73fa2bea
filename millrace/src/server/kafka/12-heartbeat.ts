/**
 * Heartbeat (key 12), versions 0-4.
 *
 * Behaviour:
 * - Keeps the member's session alive; REBALANCE_IN_PROGRESS tells it to join again.
 * - ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID for who is not of the current generation.
 * - Nobody is expelled because this process stood still: heartbeats that wait in sockets are heard first.
 *
 * Deviations:
 * - None.
 *
 * Source: KIP-62, KIP-345.
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  HeartbeatRequest,
  HeartbeatResponseInput,
} from '../../wire/kafka/messages/12-heartbeat.ts';
import { defineApi, type Api } from './api.ts';

export const heartbeatApi: Api<HeartbeatRequest, HeartbeatResponseInput> = defineApi({
  key: 12,
  name: 'Heartbeat',
  minVersion: 0,
  maxVersion: 4,
  handle: ({ groupId, generationId, memberId, groupInstanceId }, { broker }) => {
    const identity = { generation: generationId, memberId, instanceId: groupInstanceId };
    return { errorCode: errorCode(broker.groups.heartbeat(groupId, identity)) };
  },
});

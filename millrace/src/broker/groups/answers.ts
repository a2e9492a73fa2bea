/** Answers that say no, and what is said of a member's request when a part of it is left out. */
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { JoinRequest, JoinResult, SyncResult } from './group-types.ts';

export const NO_BYTES: Buffer = Buffer.alloc(0);

export function refusedJoin(error: ErrorName, memberId: string): JoinResult {
  return {
    error,
    memberId,
    generation: -1,
    protocolType: null,
    protocolName: null,
    leaderId: '',
    skipAssignment: false,
    members: [],
  };
}

export function refusedSync(error: ErrorName): SyncResult {
  return { error, protocolType: null, protocolName: null, assignment: NO_BYTES };
}

/** JoinGroup v0 has no rebalance timeout: the session timeout serves as one. */
export function rebalanceTimeoutOf(request: JoinRequest): number {
  return request.rebalanceTimeoutMs < 0 ? request.sessionTimeoutMs : request.rebalanceTimeoutMs;
}

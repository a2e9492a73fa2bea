/** Answers that say no, and what is said of a member's request when a part of it is left out. */
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { JoinRequest, JoinResult, SyncResult } from './group-types.ts';
export declare const NO_BYTES: Buffer;
export declare function refusedJoin(error: ErrorName, memberId: string): JoinResult;
export declare function refusedSync(error: ErrorName): SyncResult;
/** JoinGroup v0 has no rebalance timeout: the session timeout serves as one. */
export declare function rebalanceTimeoutOf(request: JoinRequest): number;

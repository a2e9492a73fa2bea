import type { Env } from '../../core/env.ts';
import type { Logger } from '../../core/log.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { InternalLog, InternalProducer } from '../internal-log.ts';
import { type PartitionKey } from './group-records.ts';
import type {
  CommitRequest,
  CommittedOffset,
  GroupDescription,
  GroupListing,
  GroupSettings,
  HeartbeatRequest,
  JoinRequest,
  JoinResult,
  LeaveResult,
  LeavingMember,
  SyncRequest,
  SyncResult,
  TopicNames,
  TransactionalCommitRequest,
} from './group-types.ts';
/** Every method answers with Kafka's error names; none throws because of what a client sent. */
export interface GroupCoordinator {
  /**
   * Resolves when the rebalance is over, at the latest after the group's rebalance timeout, or five minutes for a new
   * member. Buffers of the request are copied.
   * @param signal fires when the client's connection is gone
   */
  join(groupId: string, request: JoinRequest, signal: AbortSignal): Promise<JoinResult>;
  /** Resolves when the leader's assignments are durable, or another rebalance has begun. */
  sync(groupId: string, request: SyncRequest): Promise<SyncResult>;
  heartbeat(groupId: string, request: HeartbeatRequest): ErrorName;
  leave(groupId: string, members: readonly LeavingMember[]): Promise<LeaveResult>;
  /** One error per offset, in their order, once they are durable. The caller has checked that the topics exist. */
  commitOffsets(request: CommitRequest): Promise<readonly ErrorName[]>;
  /** As `commitOffsets`; the offsets count once the producer's transaction commits. The caller has checked the
   * producer's id, epoch and transaction in the same turn of the event loop. */
  commitTransactionalOffsets(request: TransactionalCommitRequest): Promise<readonly ErrorName[]>;
  /**
   * Writes the end of the producer's transaction to `__consumer_offsets` and makes its offsets count, or drops them.
   * Resolves when that is durable; at once when the producer has nothing open here, so it may be repeated.
   * @throws {MillraceError} as `InternalLog.appendMarker`; the transaction stays open
   */
  completeTransaction(
    producer: InternalProducer,
    committed: boolean,
    coordinatorEpoch: number,
  ): Promise<void>;
  /** Producers with offsets in an open transaction. */
  openTransactions(): InternalProducer[];
  /** The durable offset, unless its topic is gone. */
  committedOffset(groupId: string, key: PartitionKey): CommittedOffset | undefined;
  /** Whether an open transaction may still change the offset (KIP-447). */
  isUnstable(groupId: string, key: PartitionKey): boolean;
  /** Partitions that the group has an offset for. */
  partitionsWithOffsets(groupId: string): PartitionKey[];
  deleteOffsets(
    groupId: string,
    keys: readonly PartitionKey[],
  ): Promise<{
    readonly error: ErrorName;
    readonly partitions: readonly ErrorName[];
  }>;
  /** To be called when topics have been deleted; resolves when their offsets are, durably. */
  onTopicsDeleted(
    topics: readonly {
      readonly id: string;
      readonly name: string;
    }[],
  ): Promise<void>;
  /** undefined when there is no such group. */
  describe(groupId: string): GroupDescription | undefined;
  list(): GroupListing[];
  /** NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, or NONE once the group and its offsets are gone, durably. */
  deleteGroup(groupId: string): Promise<ErrorName>;
  /** Forgets the offsets that are due; also runs by itself (offsets.retention.check.interval.ms). */
  expireOffsets(): Promise<void>;
  /** Answers what waits with NOT_COORDINATOR and waits for the log. Idempotent. */
  close(): Promise<void>;
}
export interface GroupCoordinatorOptions {
  readonly env: Pick<Env, 'clock' | 'timers' | 'random'>;
  readonly logger: Logger;
  readonly settings: GroupSettings;
  /** `__consumer_offsets`. */
  readonly log: InternalLog;
  readonly topics: TopicNames;
}
/** Replays the log; the topics must be known by then. Restored members have a full session from now on. */
export declare function openGroupCoordinator(
  options: GroupCoordinatorOptions,
): Promise<GroupCoordinator>;

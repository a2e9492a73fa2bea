/**
 * The words of a consumer group that its parts share: states, requests, answers, and what is kept of it. Plain data.
 *
 * Source: Kafka's classic group protocol (KIP-62, KIP-134, KIP-345, KIP-394, KIP-559, KIP-814).
 */
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { BrokerSettings } from '../settings.ts';
export type GroupSettings = Pick<
  BrokerSettings,
  | 'groupInitialRebalanceDelayMs'
  | 'groupMaxSessionTimeoutMs'
  | 'groupMaxSize'
  | 'groupMinSessionTimeoutMs'
  | 'offsetMetadataMaxBytes'
  | 'offsetsRetentionCheckMs'
  | 'offsetsRetentionMinutes'
>;
/** What offsets need to know of topics. */
export interface TopicNames {
  /** The id of the topic that has this name now; undefined when there is none. */
  idOf(name: string): string | undefined;
}
/** NOTE: names of the protocol (DescribeGroups, ListGroups), do not rename. */
export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead';
/** One way of assigning that a member knows, with what it wants the leader to see. Opaque to the broker. */
export interface MemberProtocol {
  readonly name: string;
  readonly metadata: Buffer;
}
/** Who speaks: a member id, and for a static member its instance id. */
export interface MemberIdentity {
  /** '' = none yet. */
  readonly memberId: string;
  /** group.instance.id of a static member (KIP-345). */
  readonly instanceId: string | null;
}
export interface JoinRequest extends MemberIdentity {
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  /** How long a rebalance waits for this member; negative = as the session timeout. */
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  readonly protocols: readonly MemberProtocol[];
  /** A new dynamic member is first told its id, and joins with it (JoinGroup v4, KIP-394). */
  readonly mustKnowId: boolean;
  /** The member understands "skip the assignment" (JoinGroup v9, KIP-814). */
  readonly canSkipAssignment: boolean;
  readonly reason: string | null;
}
export interface JoinedMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly metadata: Buffer;
}
export interface JoinResult {
  readonly error: ErrorName;
  readonly memberId: string;
  readonly generation: number;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly leaderId: string;
  readonly skipAssignment: boolean;
  /** Everybody, for the leader; otherwise empty. */
  readonly members: readonly JoinedMember[];
}
export interface SyncRequest extends MemberIdentity {
  readonly generation: number;
  /** null = not said (before SyncGroup v5). */
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignments: readonly {
    readonly memberId: string;
    readonly assignment: Buffer;
  }[];
}
export interface SyncResult {
  readonly error: ErrorName;
  readonly protocolType: string | null;
  readonly protocolName: string | null;
  readonly assignment: Buffer;
}
export interface HeartbeatRequest extends MemberIdentity {
  readonly generation: number;
}
export interface LeavingMember extends MemberIdentity {
  readonly reason: string | null;
}
export interface LeaveResult {
  /** Of the group as a whole. */
  readonly error: ErrorName;
  /** In the order of the request. */
  readonly members: readonly (MemberIdentity & {
    readonly error: ErrorName;
  })[];
}
export interface MemberDescription {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** What it sent for the chosen protocol, and its assignment; empty unless the group is Stable. */
  readonly metadata: Buffer;
  readonly assignment: Buffer;
}
export interface GroupDescription {
  readonly groupId: string;
  readonly state: GroupState;
  /** 'consumer' for consumers; '' for a group that only keeps offsets. */
  readonly protocolType: string;
  /** The chosen protocol; '' unless the group is Stable. */
  readonly protocolName: string;
  readonly members: readonly MemberDescription[];
}
export interface GroupListing {
  readonly groupId: string;
  readonly protocolType: string;
  readonly state: GroupState;
  readonly type: 'classic';
}
/** What a group is stored as: the value of Kafka's GroupMetadata record. */
export interface GroupMetadata {
  readonly groupId: string;
  readonly protocolType: string;
  readonly generation: number;
  readonly protocolName: string | null;
  readonly leaderId: string | null;
  /** Wall clock of the last change of state; -1 when unknown. */
  readonly stateTimestampMs: number;
  readonly members: readonly StoredMember[];
}
export interface StoredMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  readonly subscription: Buffer;
  readonly assignment: Buffer;
}
export interface CommittedOffset {
  readonly offset: number;
  /** -1 = unknown. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  readonly commitTimestampMs: number;
  /** When the client wants it forgotten (OffsetCommit v2 to v4); -1 = as the broker's retention says. */
  readonly expireTimestampMs: number;
}
export interface OffsetToCommit {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string | null;
}
export interface CommitRequest extends MemberIdentity {
  readonly groupId: string;
  /** -1 = from outside the group's membership. */
  readonly generation: number;
  /** How long the client wants the offsets kept; negative = as the broker's retention says. */
  readonly retentionMs: number;
  readonly offsets: readonly OffsetToCommit[];
}
export interface TransactionalCommitRequest extends MemberIdentity {
  readonly groupId: string;
  readonly generation: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly offsets: readonly OffsetToCommit[];
}

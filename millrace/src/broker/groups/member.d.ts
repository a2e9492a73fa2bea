/**
 * One member of a consumer group, and the members of a group together: who leads, which instance id is whose, which
 * protocols everybody knows. Owns no timing and answers nobody; `group.ts` decides.
 *
 * Invariant: `joining` counts the members with a parked join; an instance id names a member that is there.
 */
import type { Timer } from '../../core/env.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { JoinResult, MemberIdentity, MemberProtocol, SyncResult } from './group-types.ts';
export type JoinReply = (result: JoinResult) => void;
export type SyncReply = (result: SyncResult) => void;
interface MemberOptions {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocols: readonly MemberProtocol[];
  readonly assignment?: Buffer;
}
export declare class Member {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  protocols: readonly MemberProtocol[];
  assignment: Buffer;
  /** Has not finished its first rebalance. */
  isNew: boolean;
  /** Parked JoinGroup and SyncGroup requests. Changed through `Members`, which counts the former. */
  joinReply: JoinReply | undefined;
  syncReply: SyncReply | undefined;
  /** When the session ends unless the member is heard of; monotonic. */
  deadlineMs: number;
  /** Looks at the deadline: runs at `timerMs`, which is at or before it. */
  timer: Timer | undefined;
  timerMs: number;
  constructor(options: MemberOptions);
  metadataFor(protocolName: string | null): Buffer;
  /** Whether these are the protocols it has: same names in the same order with the same bytes. */
  hasProtocols(protocols: readonly MemberProtocol[]): boolean;
}
export declare class Members {
  /** Members with a parked join. */
  joining: number;
  leaderId: string | null;
  private readonly byId;
  private readonly byInstance;
  /** How many members know a protocol. */
  private readonly support;
  get size(): number;
  get(memberId: string): Member | undefined;
  all(): Member[];
  memberIdOf(instanceId: string): string | undefined;
  /** Whether the identity is a member's (KIP-345): an instance id that has been taken over is fenced. */
  check(identity: MemberIdentity): ErrorName;
  add(member: Member): void;
  remove(member: Member): void;
  /** The same instance came back under a new member id: it stays leader if it was. */
  replace(old: Member, next: Member): void;
  setProtocols(member: Member, protocols: readonly MemberProtocol[]): void;
  /** Keeps a join request until the rebalance is over. Returns the one that was kept before, which is superseded. */
  park(member: Member, reply: JoinReply): JoinReply | undefined;
  unpark(member: Member): JoinReply | undefined;
  /** The leader must have joined: otherwise the first one that has takes over. false when nobody has. */
  electJoinedLeader(): boolean;
  /** Whether one of the protocols is known to every member. */
  shares(protocols: readonly MemberProtocol[]): boolean;
  /** Each member votes for the first on its list that everybody knows; most votes win, earlier voters break ties. */
  electProtocol(): string | undefined;
  /** The longest that a member needs to come back to a rebalance. */
  rebalanceTimeoutMs(): number;
  private firstId;
  /** A client that names a protocol twice has said nothing new. */
  private countProtocols;
}
export {};

import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  GroupDescription,
  GroupListing,
  GroupMetadata,
  GroupState,
  HeartbeatRequest,
  JoinRequest,
  LeaveResult,
  LeavingMember,
  MemberIdentity,
  SyncRequest,
} from './group-types.ts';
import { type JoinReply, type SyncReply } from './member.ts';
import { type GroupHost } from './rebalance.ts';
export declare class Group {
  private readonly rebalance;
  constructor(groupId: string, host: GroupHost);
  /** A group as it was stored. Call `resume` once everything has been replayed. */
  static restored(metadata: GroupMetadata, host: GroupHost): Group;
  get groupId(): string;
  get state(): GroupState;
  get generation(): number;
  /** null for a group that only keeps offsets. */
  get protocolType(): string | null;
  /** Wall clock of the last change of state; -1 when unknown. */
  get changedMs(): number;
  /** Nobody is in it or is known to be about to join. */
  get vacant(): boolean;
  /** Whether members consume the topic; when it cannot be known, a group of consumers counts as if they did. */
  consumes(topic: string): boolean;
  /** Gives every restored member a session from now on. */
  resume(): void;
  /**
   * Joins, or rejoins. `reply` is called exactly once, at once or when the rebalance is over. Returns the id of the
   * member whose join is parked, for `abandonJoin`; undefined when it was answered.
   */
  join(request: JoinRequest, reply: JoinReply): string | undefined;
  /**
   * The connection of a parked join is gone. A new member that was never told its id cannot come back: it is
   * removed; any other has one session timeout to do so.
   */
  abandonJoin(memberId: string, reply: JoinReply, idIsKnown: boolean): void;
  /** Asks for the assignment; the leader brings everybody's. `reply` is called exactly once. */
  sync(request: SyncRequest, reply: SyncReply): void;
  heartbeat(request: HeartbeatRequest): ErrorName;
  /** Removes members, by member id or by instance id alone. Answered once an emptied group is stored as such. */
  leave(leaving: readonly LeavingMember[], reply: (result: LeaveResult) => void): void;
  /** Whether offsets may be committed now by this identity; a member's commit is a sign of life. */
  checkCommit(
    request: MemberIdentity & {
      readonly generation: number;
    },
    transactional: boolean,
  ): ErrorName;
  /** Whether single offsets may be deleted: not while members use them that are not consumers of topics. */
  checkOffsetDelete(): ErrorName;
  describe(): GroupDescription;
  listing(): GroupListing;
  /** From Empty: its deletion is on its way to the log. `revive` takes it back when that fails. */
  retire(): void;
  revive(): void;
  /** Answers all that waits with `error` and stops every timer. */
  stop(error: ErrorName): void;
  /** While a rebalance is open those count that have joined, so that the last ones of an oversized group are refused. */
  private hasRoomFor;
  private dropOversized;
  private isCompatible;
  private joinWithoutId;
  private joinWithId;
  private addMember;
  /** A static member came back without its member id: it gets a new one, and who holds the old one is fenced. */
  private takeOver;
  /** No rebalance: the new member id has the assignment once that is durable. */
  private storeTakeOver;
  /** Whether it is a member and of this generation; if so it was heard of. */
  private checkMember;
  private checkSync;
  private removeLeaving;
}

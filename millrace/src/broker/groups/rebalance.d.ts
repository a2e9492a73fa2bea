/**
 * The state of one consumer group over time: its members and their sessions, its generations, and the rebalances that
 * lead from one to the next. `group.ts` turns requests into calls of this.
 *
 *   Empty --join--> PreparingRebalance --all joined, or time is up--> CompletingRebalance --assignments stored--> Stable
 *     ^                  |    ^                                             |                                       |
 *     +---nobody joined--+    +------- join, leave, session over -----------+---------------------------------------+
 *   Dead: being deleted, or the broker is stopping.
 *
 * Invariants
 * - Every parked join and sync is answered: by the end of the rebalance, by a timer, by who takes its place, or by `stop`.
 * - Assignments are durable before they are told. A generation is told to members before it is stored, as in Kafka:
 *   after a crash the group is in the last generation that had assignments, and later ones never had any.
 * - Callbacks that take answers only hand them on: they must not call back into the group at once.
 *
 * Source: KIP-62 (rebalance timeout), KIP-134 (initial delay), KIP-345 (static members); behaviour of Apache Kafka 4.
 */
import type { Clock, Timers } from '../../core/env.ts';
import type { Logger } from '../../core/log.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  GroupMetadata,
  GroupSettings,
  GroupState,
  JoinResult,
  SyncResult,
} from './group-types.ts';
import { Member, Members, type JoinReply } from './member.ts';
/** What a group needs of its surroundings. */
export interface GroupHost {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly settings: GroupSettings;
  /** Unpredictable: a member id is what tells members apart. */
  newUuid(): string;
  /** Makes the metadata durable, then calls back: NONE, or why it could not. Never calls back at once. */
  store(metadata: GroupMetadata, done: (error: ErrorName) => void): void;
  /** The group may have nothing left that is worth keeping in memory. */
  idle(groupId: string): void;
}
export declare class Rebalance {
  readonly groupId: string;
  readonly host: GroupHost;
  readonly members: Members;
  state: GroupState;
  generation: number;
  protocolType: string | null;
  protocolName: string | null;
  /** Wall clock of the last change of state; -1 when unknown. */
  changedMs: number;
  /** Topics that the members consume; undefined when that cannot be known. */
  topics: ReadonlySet<string> | undefined;
  /** Who waits for an emptied group to be stored; undefined when none is being stored. */
  emptied: ((error: ErrorName) => void)[] | undefined;
  private previous;
  /** Member ids that were given and not used yet, each with the timer that takes it back. */
  private readonly pending;
  /** Members of this generation that have not asked for their assignment. */
  private readonly unsynced;
  private joinTimer;
  private syncTimer;
  /** Somebody joined during the initial delay. */
  private grew;
  /** The generation whose assignments are on their way to the log; -1 = none. */
  private storing;
  constructor(groupId: string, host: GroupHost);
  /** Takes over what was stored. `resume` starts its timers. */
  restore(metadata: GroupMetadata): void;
  get pendingCount(): number;
  isPending(memberId: string): boolean;
  /** Expects a join with a member id that was just given, for as long as the session of that member would last. */
  expect(memberId: string, timeoutMs: number): void;
  /** false when the id was not pending. */
  forget(memberId: string): boolean;
  /** Parks the join of a member, new or old; one that it had parked before is superseded. */
  park(member: Member, reply: JoinReply): void;
  /** Takes a member out and answers what it waits for; the caller goes on with the rebalance. */
  drop(member: Member, error?: ErrorName): void;
  /** The same instance under a new member id takes over place, assignment and leadership; the old id is fenced. */
  replace(old: Member, next: Member): void;
  hasSynced(memberId: string): void;
  /** The member was heard of: its session lasts `timeoutMs` from now on. */
  extend(member: Member, timeoutMs?: number): void;
  private watch;
  private isAlive;
  private expire;
  private endSession;
  /** The first rebalance of an empty group, which waits a little for more members. */
  private isInitial;
  /** A new member makes an initial rebalance wait longer. */
  noteGrowth(): void;
  /** Starts a rebalance, or brings the one that is open closer to its end. */
  rebalance(reason: string): void;
  /** Something changed that matters only to a group with members. */
  goOn(reason: string): void;
  /** From any state but Dead and PreparingRebalance. */
  prepare(reason: string): void;
  private waitForMore;
  private completeJoinIfAllJoined;
  /** Ends the joining: who did not come is out, unless it is a static member, whose session decides. */
  private completeJoin;
  private nextGeneration;
  private becomeEmpty;
  private openSync;
  /** Who joined and then did not ask for an assignment has failed. */
  private expireUnsynced;
  /** Makes the leader's assignments durable, then tells everybody. Members it left out get an empty one. */
  storeAssignments(assignments: ReadonlyMap<string, Buffer>): void;
  syncedResult(member: Member): SyncResult;
  joinedResult(member: Member): JoinResult;
  /** Answers all that waits with `error` and stops every timer. */
  stop(error: ErrorName): void;
  become(state: GroupState): void;
  /** What is stored of the group; with `assignments` instead of those that the members have. */
  metadata(assignments?: ReadonlyMap<string, Buffer>): GroupMetadata;
  private answerSync;
  private consumedTopics;
  private after;
  private cancelJoinTimer;
  private cancelSyncTimer;
}

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
import type { Clock, Timer, Timers } from '../../core/env.ts';
import { assert } from '../../core/errors.ts';
import {
  GROUP_GENERATION_MAX,
  GROUP_REBALANCE_RETRY_MS_MIN,
  TIMER_DELAY_MS_MAX,
} from '../../core/limits.ts';
import type { Logger } from '../../core/log.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import { NO_BYTES, refusedJoin, refusedSync } from './answers.ts';
import type {
  GroupMetadata,
  GroupSettings,
  GroupState,
  JoinResult,
  SyncResult,
} from './group-types.ts';
import { Member, Members, type JoinReply } from './member.ts';
import { subscribedTopics } from './subscription.ts';

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

export class Rebalance {
  readonly groupId: string;
  readonly host: GroupHost;
  readonly members = new Members();
  state: GroupState = 'Empty';
  generation = 0;
  protocolType: string | null = null;
  protocolName: string | null = null;
  /** Wall clock of the last change of state; -1 when unknown. */
  changedMs = -1;
  /** Topics that the members consume; undefined when that cannot be known. */
  topics: ReadonlySet<string> | undefined = undefined;
  /** Who waits for an emptied group to be stored; undefined when none is being stored. */
  emptied: ((error: ErrorName) => void)[] | undefined = undefined;
  private previous: GroupState = 'Empty';
  /** Member ids that were given and not used yet, each with the timer that takes it back. */
  private readonly pending = new Map<string, Timer>();
  /** Members of this generation that have not asked for their assignment. */
  private readonly unsynced = new Set<string>();
  private joinTimer: Timer | undefined = undefined;
  private syncTimer: Timer | undefined = undefined;
  /** Somebody joined during the initial delay. */
  private grew = false;
  /** The generation whose assignments are on their way to the log; -1 = none. */
  private storing = -1;

  constructor(groupId: string, host: GroupHost) {
    this.groupId = groupId;
    this.host = host;
  }

  /** Takes over what was stored. `resume` starts its timers. */
  restore(metadata: GroupMetadata): void {
    for (const { subscription, ...stored } of metadata.members) {
      const protocols = [{ name: metadata.protocolName ?? '', metadata: subscription }];
      this.members.add(new Member({ ...stored, protocols }));
    }
    const leader = this.members.get(metadata.leaderId ?? '');
    if (leader !== undefined) this.members.leaderId = leader.memberId;
    this.state = metadata.members.length === 0 ? 'Empty' : 'Stable';
    this.previous = this.state;
    this.generation = metadata.generation;
    this.protocolType = metadata.protocolType === '' ? null : metadata.protocolType;
    this.protocolName = metadata.protocolName;
    this.changedMs = metadata.stateTimestampMs;
    this.topics = this.consumedTopics();
  }

  // Members ----------------------------------------------------------------------------------------------------

  get pendingCount(): number {
    return this.pending.size;
  }

  isPending(memberId: string): boolean {
    return this.pending.has(memberId);
  }

  /** Expects a join with a member id that was just given, for as long as the session of that member would last. */
  expect(memberId: string, timeoutMs: number): void {
    const timer = this.after(timeoutMs, () => {
      this.pending.delete(memberId);
      this.goOn('a member that was given an id did not join');
      this.host.idle(this.groupId);
    });
    this.pending.set(memberId, timer);
  }

  /** false when the id was not pending. */
  forget(memberId: string): boolean {
    this.pending.get(memberId)?.cancel();
    return this.pending.delete(memberId);
  }

  /** Parks the join of a member, new or old; one that it had parked before is superseded. */
  park(member: Member, reply: JoinReply): void {
    const superseded = this.members.park(member, reply);
    superseded?.(refusedJoin('REBALANCE_IN_PROGRESS', member.memberId));
  }

  /** Takes a member out and answers what it waits for; the caller goes on with the rebalance. */
  drop(member: Member, error: ErrorName = 'UNKNOWN_MEMBER_ID'): void {
    const join = this.members.unpark(member);
    this.members.remove(member);
    this.unsynced.delete(member.memberId);
    join?.(refusedJoin(error, error === 'UNKNOWN_MEMBER_ID' ? '' : member.memberId));
    this.answerSync(member, refusedSync(error));
    this.endSession(member);
  }

  /** The same instance under a new member id takes over place, assignment and leadership; the old id is fenced. */
  replace(old: Member, next: Member): void {
    const join = this.members.unpark(old);
    this.members.replace(old, next);
    this.unsynced.delete(old.memberId);
    join?.(refusedJoin('FENCED_INSTANCE_ID', old.memberId));
    this.answerSync(old, refusedSync('FENCED_INSTANCE_ID'));
    this.endSession(old);
  }

  hasSynced(memberId: string): void {
    this.unsynced.delete(memberId);
    if (this.unsynced.size === 0) this.cancelSyncTimer();
  }

  // Sessions ---------------------------------------------------------------------------------------------------

  /** The member was heard of: its session lasts `timeoutMs` from now on. */
  extend(member: Member, timeoutMs: number = member.sessionTimeoutMs): void {
    member.deadlineMs = this.host.clock.monotonicMs() + timeoutMs;
    // A timer that runs early looks at the deadline and sleeps on: a heartbeat costs no timer.
    if (member.timer === undefined || member.timerMs > member.deadlineMs) this.watch(member);
  }

  private watch(member: Member): void {
    member.timer?.cancel();
    member.timerMs = member.deadlineMs;
    const delayMs = member.deadlineMs - this.host.clock.monotonicMs();
    member.timer = this.after(delayMs, () => {
      member.timer = undefined;
      if (this.isAlive(member)) this.watch(member);
      // If this process was the one that stood still, heartbeats wait in the sockets: they are heard first.
      else this.host.timers.immediate(() => this.expire(member));
    });
  }

  private isAlive(member: Member): boolean {
    return this.host.clock.monotonicMs() < member.deadlineMs;
  }

  private expire(member: Member): void {
    if (this.state === 'Dead' || this.members.get(member.memberId) !== member) return;
    if (member.timer !== undefined) return;
    const waits = member.joinReply !== undefined || member.syncReply !== undefined;
    if (this.isAlive(member)) {
      this.watch(member);
    } else if (waits && !member.isNew) {
      // It waits for us, not we for it; the answer starts a new session.
      this.extend(member);
    } else {
      this.host.logger.info(
        'A group member has failed: nothing was heard of it for its session timeout',
        {
          groupId: this.groupId,
          memberId: member.memberId,
          sessionTimeoutMs: member.sessionTimeoutMs,
        },
      );
      this.drop(member);
      this.goOn('a session ended');
    }
  }

  private endSession(member: Member): void {
    member.timer?.cancel();
    member.timer = undefined;
  }

  // Rebalances -------------------------------------------------------------------------------------------------

  /** The first rebalance of an empty group, which waits a little for more members. */
  private isInitial(): boolean {
    return this.state === 'PreparingRebalance' && this.previous === 'Empty';
  }

  /** A new member makes an initial rebalance wait longer. */
  noteGrowth(): void {
    if (this.isInitial()) this.grew = true;
  }

  /** Starts a rebalance, or brings the one that is open closer to its end. */
  rebalance(reason: string): void {
    if (this.state === 'PreparingRebalance') this.completeJoinIfAllJoined();
    else this.prepare(reason);
  }

  /** Something changed that matters only to a group with members. */
  goOn(reason: string): void {
    if (this.state !== 'Empty' && this.state !== 'Dead') this.rebalance(reason);
  }

  /** From any state but Dead and PreparingRebalance. */
  prepare(reason: string): void {
    const initial = this.state === 'Empty';
    const syncing = this.state === 'CompletingRebalance' ? this.members.all() : [];
    this.unsynced.clear();
    this.cancelSyncTimer();
    this.become('PreparingRebalance');
    this.host.logger.debug('A group rebalances', {
      groupId: this.groupId,
      generation: this.generation,
      members: this.members.size,
      reason,
    });
    if (initial) this.waitForMore();
    else this.completeJoinIfAllJoined();
    for (const member of syncing) {
      member.assignment = NO_BYTES;
      this.answerSync(member, refusedSync('REBALANCE_IN_PROGRESS'));
    }
  }

  private waitForMore(): void {
    const delayMs = this.host.settings.groupInitialRebalanceDelayMs;
    const wait = (waitMs: number, remainingMs: number): void => {
      this.grew = false;
      this.joinTimer = this.after(waitMs, () => {
        if (this.grew && remainingMs > 0) {
          wait(Math.min(delayMs, remainingMs), Math.max(0, remainingMs - waitMs));
        } else {
          this.completeJoin();
        }
      });
    };
    wait(delayMs, Math.max(0, this.members.rebalanceTimeoutMs() - delayMs));
  }

  private completeJoinIfAllJoined(): void {
    if (this.isInitial()) return;
    if (this.members.joining === this.members.size && this.pending.size === 0) {
      this.completeJoin();
    } else {
      this.joinTimer ??= this.after(this.members.rebalanceTimeoutMs(), () => this.completeJoin());
    }
  }

  /** Ends the joining: who did not come is out, unless it is a static member, whose session decides. */
  private completeJoin(): void {
    this.cancelJoinTimer();
    for (const member of this.members.all()) {
      if (member.joinReply === undefined && member.instanceId === null) this.drop(member);
    }
    if (this.members.size === 0) {
      this.nextGeneration();
      this.becomeEmpty();
    } else if (this.members.electJoinedLeader()) {
      this.nextGeneration();
      this.openSync();
    } else {
      // Only absent static members: until one comes back, or their sessions end.
      const retryMs = Math.max(GROUP_REBALANCE_RETRY_MS_MIN, this.members.rebalanceTimeoutMs());
      this.joinTimer = this.after(retryMs, () => this.completeJoin());
    }
  }

  private nextGeneration(): void {
    this.generation = this.generation >= GROUP_GENERATION_MAX ? 1 : this.generation + 1;
    this.protocolName = this.members.electProtocol() ?? null;
    this.topics = this.consumedTopics();
  }

  private becomeEmpty(): void {
    this.become('Empty');
    const waiting: ((error: ErrorName) => void)[] = [];
    this.emptied = waiting;
    this.host.store(this.metadata(), (error) => {
      if (this.emptied === waiting) this.emptied = undefined;
      for (const answer of waiting) answer(error);
    });
  }

  private openSync(): void {
    assert(this.protocolName !== null, 'members that were let in share a protocol');
    this.become('CompletingRebalance');
    this.syncTimer = this.after(this.members.rebalanceTimeoutMs(), () => this.expireUnsynced());
    for (const member of this.members.all()) {
      this.unsynced.add(member.memberId);
      const reply = this.members.unpark(member);
      if (reply === undefined) continue;
      member.isNew = false;
      this.extend(member);
      reply(this.joinedResult(member));
    }
  }

  /** Who joined and then did not ask for an assignment has failed. */
  private expireUnsynced(): void {
    this.syncTimer = undefined;
    if (this.unsynced.size === 0) return;
    for (const memberId of this.unsynced) {
      const member = this.members.get(memberId);
      if (member !== undefined) this.drop(member);
    }
    this.goOn('members did not ask for their assignment');
  }

  /** Makes the leader's assignments durable, then tells everybody. Members it left out get an empty one. */
  storeAssignments(assignments: ReadonlyMap<string, Buffer>): void {
    const generation = this.generation;
    if (this.storing === generation) return;
    this.storing = generation;
    this.host.store(this.metadata(assignments), (error) => {
      if (this.storing === generation) this.storing = -1;
      // A rebalance that began meanwhile has sent everybody back to join.
      if (this.state !== 'CompletingRebalance' || this.generation !== generation) return;
      if (error === 'NONE') {
        this.become('Stable');
        for (const member of this.members.all()) {
          member.assignment = assignments.get(member.memberId) ?? NO_BYTES;
          this.answerSync(member, this.syncedResult(member));
        }
      } else {
        for (const member of this.members.all()) this.answerSync(member, refusedSync(error));
        this.prepare('the assignments could not be stored');
      }
    });
  }

  syncedResult(member: Member): SyncResult {
    return {
      error: 'NONE',
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      assignment: member.assignment,
    };
  }

  joinedResult(member: Member): JoinResult {
    const leads = this.members.leaderId === member.memberId;
    return {
      error: 'NONE',
      memberId: member.memberId,
      generation: this.generation,
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      leaderId: this.members.leaderId ?? '',
      skipAssignment: false,
      members: leads
        ? this.members.all().map((each) => ({
            memberId: each.memberId,
            instanceId: each.instanceId,
            metadata: each.metadataFor(this.protocolName),
          }))
        : [],
    };
  }

  // The end ----------------------------------------------------------------------------------------------------

  /** Answers all that waits with `error` and stops every timer. */
  stop(error: ErrorName): void {
    this.become('Dead');
    this.cancelJoinTimer();
    this.cancelSyncTimer();
    for (const timer of this.pending.values()) timer.cancel();
    this.pending.clear();
    for (const member of this.members.all()) {
      this.members.unpark(member)?.(refusedJoin(error, member.memberId));
      this.answerSync(member, refusedSync(error));
      this.endSession(member);
    }
  }

  become(state: GroupState): void {
    this.previous = this.state;
    this.state = state;
    this.changedMs = this.host.clock.nowMs();
  }

  /** What is stored of the group; with `assignments` instead of those that the members have. */
  metadata(assignments?: ReadonlyMap<string, Buffer>): GroupMetadata {
    return {
      groupId: this.groupId,
      protocolType: this.protocolType ?? '',
      generation: this.generation,
      protocolName: this.protocolName,
      leaderId: this.members.leaderId,
      stateTimestampMs: this.changedMs,
      members: this.members.all().map((member) => ({
        memberId: member.memberId,
        instanceId: member.instanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeoutMs: member.rebalanceTimeoutMs,
        sessionTimeoutMs: member.sessionTimeoutMs,
        subscription: member.metadataFor(this.protocolName),
        assignment:
          assignments === undefined
            ? member.assignment
            : (assignments.get(member.memberId) ?? NO_BYTES),
      })),
    };
  }

  private answerSync(member: Member, result: SyncResult): boolean {
    const reply = member.syncReply;
    if (reply === undefined) return false;
    member.syncReply = undefined;
    this.extend(member);
    reply(result);
    return true;
  }

  private consumedTopics(): ReadonlySet<string> | undefined {
    if (this.protocolType !== 'consumer') return undefined;
    const topics = new Set<string>();
    for (const member of this.members.all()) {
      const subscribed = subscribedTopics(member.metadataFor(this.protocolName));
      if (subscribed === undefined) return undefined;
      for (const topic of subscribed) topics.add(topic);
    }
    return topics;
  }

  private after(delayMs: number, callback: () => void): Timer {
    const delay = Math.min(TIMER_DELAY_MS_MAX, Math.max(0, Math.ceil(delayMs)));
    return this.host.timers.after(delay, callback);
  }

  private cancelJoinTimer(): void {
    this.joinTimer?.cancel();
    this.joinTimer = undefined;
  }

  private cancelSyncTimer(): void {
    this.syncTimer?.cancel();
    this.syncTimer = undefined;
  }
}

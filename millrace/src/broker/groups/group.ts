/**
 * One consumer group: the requests of the classic group protocol, each checked against the state of the group and turned
 * into steps of its `Rebalance`. Driven by requests and by the timers of its `Env`, it touches nothing else and answers
 * through callbacks, so that a simulation can drive it step by step.
 *
 * Invariant: a request is answered exactly once, at once or later; one that changes what must survive a crash is
 * answered after that is durable.
 *
 * Source: KIP-345 (static members), KIP-389 (group size), KIP-394 (member id required), KIP-559 (protocol checks),
 * KIP-800 (reasons), KIP-814 (skip the assignment); behaviour of Apache Kafka 4.
 */
import { assert } from '../../core/errors.ts';
import {
  GROUP_PENDING_MEMBERS_MAX,
  MEMBER_ID_PREFIX_CHARACTERS_MAX,
  NEW_MEMBER_JOIN_TIMEOUT_MS,
} from '../../core/limits.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import { NO_BYTES, rebalanceTimeoutOf, refusedJoin, refusedSync } from './answers.ts';
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
import { Member, type JoinReply, type SyncReply } from './member.ts';
import { Rebalance, type GroupHost } from './rebalance.ts';

export class Group {
  private readonly rebalance: Rebalance;

  constructor(groupId: string, host: GroupHost) {
    this.rebalance = new Rebalance(groupId, host);
  }

  /** A group as it was stored. Call `resume` once everything has been replayed. */
  static restored(metadata: GroupMetadata, host: GroupHost): Group {
    const group = new Group(metadata.groupId, host);
    group.rebalance.restore(metadata);
    return group;
  }

  get groupId(): string {
    return this.rebalance.groupId;
  }

  get state(): GroupState {
    return this.rebalance.state;
  }

  get generation(): number {
    return this.rebalance.generation;
  }

  /** null for a group that only keeps offsets. */
  get protocolType(): string | null {
    return this.rebalance.protocolType;
  }

  /** Wall clock of the last change of state; -1 when unknown. */
  get changedMs(): number {
    return this.rebalance.changedMs;
  }

  /** Nobody is in it or is known to be about to join. */
  get vacant(): boolean {
    return this.state === 'Empty' && this.rebalance.pendingCount === 0;
  }

  /** Whether members consume the topic; when it cannot be known, a group of consumers counts as if they did. */
  consumes(topic: string): boolean {
    return this.rebalance.topics?.has(topic) ?? this.protocolType === 'consumer';
  }

  /** Gives every restored member a session from now on. */
  resume(): void {
    const { members, host } = this.rebalance;
    for (const member of members.all()) this.rebalance.extend(member);
    if (members.size > host.settings.groupMaxSize) {
      this.rebalance.prepare('the group is larger than group.max.size');
    }
  }

  /**
   * Joins, or rejoins. `reply` is called exactly once, at once or when the rebalance is over. Returns the id of the
   * member whose join is parked, for `abandonJoin`; undefined when it was answered.
   */
  join(request: JoinRequest, reply: JoinReply): string | undefined {
    if (this.state === 'Dead') {
      reply(refusedJoin('COORDINATOR_NOT_AVAILABLE', request.memberId));
    } else if (!this.hasRoomFor(request)) {
      this.dropOversized(request.memberId);
      reply(refusedJoin('GROUP_MAX_SIZE_REACHED', ''));
    } else if (!this.isCompatible(request)) {
      reply(refusedJoin('INCONSISTENT_GROUP_PROTOCOL', request.memberId));
    } else if (request.memberId === '') {
      return this.joinWithoutId(request, reply);
    } else {
      return this.joinWithId(request, reply);
    }
    return undefined;
  }

  /**
   * The connection of a parked join is gone. A new member that was never told its id cannot come back: it is
   * removed; any other has one session timeout to do so.
   */
  abandonJoin(memberId: string, reply: JoinReply, idIsKnown: boolean): void {
    const member = this.rebalance.members.get(memberId);
    if (member === undefined || member.joinReply !== reply || !member.isNew) return;
    if (idIsKnown || member.instanceId !== null) {
      this.rebalance.extend(member);
    } else {
      this.rebalance.drop(member);
      this.rebalance.goOn('the connection of a new member is gone');
    }
  }

  /** Asks for the assignment; the leader brings everybody's. `reply` is called exactly once. */
  sync(request: SyncRequest, reply: SyncReply): void {
    const error = this.checkSync(request);
    const member = this.rebalance.members.get(request.memberId);
    if (error !== 'NONE' || member === undefined) {
      reply(refusedSync(error === 'NONE' ? 'UNKNOWN_MEMBER_ID' : error));
    } else if (this.state === 'CompletingRebalance') {
      const superseded = member.syncReply;
      member.syncReply = reply;
      this.rebalance.hasSynced(member.memberId);
      this.rebalance.extend(member);
      if (this.rebalance.members.leaderId === member.memberId) {
        // Copies: the bytes of a request are gone once it is answered, and a retry answers it.
        const assignments = new Map(
          request.assignments.map((each) => [each.memberId, Buffer.from(each.assignment)]),
        );
        this.rebalance.storeAssignments(assignments);
      }
      superseded?.(refusedSync('REBALANCE_IN_PROGRESS'));
    } else {
      this.rebalance.hasSynced(member.memberId);
      this.rebalance.extend(member);
      reply(this.rebalance.syncedResult(member));
    }
  }

  heartbeat(request: HeartbeatRequest): ErrorName {
    const error = this.checkMember(request);
    if (error !== 'NONE') return error;
    return this.state === 'PreparingRebalance' ? 'REBALANCE_IN_PROGRESS' : 'NONE';
  }

  /** Removes members, by member id or by instance id alone. Answered once an emptied group is stored as such. */
  leave(leaving: readonly LeavingMember[], reply: (result: LeaveResult) => void): void {
    if (this.state === 'Dead') {
      reply({ error: 'COORDINATOR_NOT_AVAILABLE', members: [] });
      return;
    }
    const wasEmpty = this.state === 'Empty';
    const members = leaving.map((identity) => ({
      memberId: identity.memberId,
      instanceId: identity.instanceId,
      error: this.removeLeaving(identity),
    }));
    if (members.some(({ error }) => error === 'NONE')) this.rebalance.goOn('members left');
    const { emptied } = this.rebalance;
    if (this.state === 'Empty' && !wasEmpty && emptied !== undefined) {
      emptied.push((error) => reply({ error, members: error === 'NONE' ? members : [] }));
    } else {
      reply({ error: 'NONE', members });
    }
    this.rebalance.host.idle(this.groupId);
  }

  /** Whether offsets may be committed now by this identity; a member's commit is a sign of life. */
  checkCommit(
    request: MemberIdentity & { readonly generation: number },
    transactional: boolean,
  ): ErrorName {
    if (this.state === 'Dead') return 'COORDINATOR_NOT_AVAILABLE';
    if (request.generation < 0 && this.state === 'Empty') return 'NONE';
    if (request.generation < 0 && request.memberId === '' && request.instanceId === null) {
      // From outside of the membership: old transactional producers cannot say who they are, others must not.
      return transactional ? 'NONE' : 'UNKNOWN_MEMBER_ID';
    }
    const error = this.checkMember(request);
    if (error !== 'NONE' || transactional) return error;
    return this.state === 'CompletingRebalance' ? 'REBALANCE_IN_PROGRESS' : 'NONE';
  }

  /** Whether single offsets may be deleted: not while members use them that are not consumers of topics. */
  checkOffsetDelete(): ErrorName {
    if (this.state === 'Dead') return 'GROUP_ID_NOT_FOUND';
    return this.state === 'Empty' || this.protocolType === 'consumer' ? 'NONE' : 'NON_EMPTY_GROUP';
  }

  describe(): GroupDescription {
    const { members, protocolName } = this.rebalance;
    const stable = this.state === 'Stable';
    return {
      groupId: this.groupId,
      state: this.state,
      protocolType: this.protocolType ?? '',
      protocolName: stable ? (protocolName ?? '') : '',
      members: members.all().map((member) => ({
        memberId: member.memberId,
        instanceId: member.instanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        metadata: stable ? member.metadataFor(protocolName) : NO_BYTES,
        assignment: stable ? member.assignment : NO_BYTES,
      })),
    };
  }

  listing(): GroupListing {
    return {
      groupId: this.groupId,
      protocolType: this.protocolType ?? '',
      state: this.state,
      type: 'classic',
    };
  }

  /** From Empty: its deletion is on its way to the log. `revive` takes it back when that fails. */
  retire(): void {
    assert(this.state === 'Empty', 'only an empty group is deleted');
    this.rebalance.stop('COORDINATOR_NOT_AVAILABLE');
  }

  revive(): void {
    assert(this.state === 'Dead', 'only a dead group is revived');
    this.rebalance.become('Empty');
  }

  /** Answers all that waits with `error` and stops every timer. */
  stop(error: ErrorName): void {
    this.rebalance.stop(error);
  }

  // Joining ----------------------------------------------------------------------------------------------------

  /** While a rebalance is open those count that have joined, so that the last ones of an oversized group are refused. */
  private hasRoomFor(request: JoinRequest): boolean {
    const { members, host } = this.rebalance;
    const memberId =
      request.memberId === '' && request.instanceId !== null
        ? members.memberIdOf(request.instanceId)
        : request.memberId;
    const member = members.get(memberId ?? '');
    const max = host.settings.groupMaxSize;
    return this.state === 'PreparingRebalance'
      ? member?.joinReply !== undefined || members.joining < max
      : member !== undefined || members.size < max;
  }

  private dropOversized(memberId: string): void {
    const member = this.rebalance.members.get(memberId);
    if (member !== undefined) this.rebalance.drop(member);
    if (member !== undefined || this.rebalance.forget(memberId)) {
      this.rebalance.goOn('the group is larger than group.max.size');
    }
  }

  private isCompatible(request: JoinRequest): boolean {
    if (request.protocolType === '' || request.protocols.length === 0) return false;
    const { members } = this.rebalance;
    if (members.size === 0) return true;
    return request.protocolType === this.protocolType && members.shares(request.protocols);
  }

  private joinWithoutId(request: JoinRequest, reply: JoinReply): string | undefined {
    const { members, host } = this.rebalance;
    const prefix = (request.instanceId ?? request.clientId).slice(
      0,
      MEMBER_ID_PREFIX_CHARACTERS_MAX,
    );
    const memberId = `${prefix}-${host.newUuid()}`;
    if (request.instanceId !== null) {
      const known = members.get(members.memberIdOf(request.instanceId) ?? '');
      if (known === undefined) return this.addMember(memberId, request, reply);
      return this.takeOver(known, memberId, { request, reply });
    }
    if (!request.mustKnowId) return this.addMember(memberId, request, reply);
    if (this.rebalance.pendingCount >= GROUP_PENDING_MEMBERS_MAX) {
      reply(refusedJoin('GROUP_MAX_SIZE_REACHED', ''));
    } else {
      this.rebalance.expect(memberId, request.sessionTimeoutMs);
      reply(refusedJoin('MEMBER_ID_REQUIRED', memberId));
    }
    return undefined;
  }

  private joinWithId(request: JoinRequest, reply: JoinReply): string | undefined {
    const { memberId } = request;
    const { members } = this.rebalance;
    if (request.instanceId === null && this.rebalance.isPending(memberId)) {
      return this.addMember(memberId, request, reply);
    }
    const error = members.check(request);
    const member = members.get(memberId);
    if (error !== 'NONE' || member === undefined) {
      reply(refusedJoin(error === 'NONE' ? 'UNKNOWN_MEMBER_ID' : error, memberId));
      return undefined;
    }
    // A member that lost the answer of this generation's join gets it again. In a stable group a leader that joins
    // wants a rebalance: what it assigns may have changed although its metadata has not.
    const repeats =
      this.state === 'CompletingRebalance' ||
      (this.state === 'Stable' && members.leaderId !== memberId);
    if (repeats && member.hasProtocols(request.protocols)) {
      this.rebalance.extend(member);
      reply(this.rebalance.joinedResult(member));
      return undefined;
    }
    members.setProtocols(member, request.protocols);
    member.sessionTimeoutMs = request.sessionTimeoutMs;
    member.rebalanceTimeoutMs = rebalanceTimeoutOf(request);
    this.rebalance.park(member, reply);
    this.rebalance.extend(
      member,
      member.isNew ? NEW_MEMBER_JOIN_TIMEOUT_MS : member.sessionTimeoutMs,
    );
    this.rebalance.rebalance(`member ${memberId} joins again: ${reasonOf(request)}`);
    return memberId;
  }

  private addMember(memberId: string, request: JoinRequest, reply: JoinReply): string {
    const { members } = this.rebalance;
    this.rebalance.forget(memberId);
    if (members.size === 0) this.rebalance.protocolType = request.protocolType;
    const member = new Member({
      ...request,
      memberId,
      rebalanceTimeoutMs: rebalanceTimeoutOf(request),
    });
    member.isNew = true;
    members.add(member);
    this.rebalance.park(member, reply);
    this.rebalance.noteGrowth();
    // It cannot send heartbeats before it has an answer, and its connection may be dead without our knowing: a join
    // that takes this long is answered with an error, and a client that is alive tries again.
    this.rebalance.extend(member, NEW_MEMBER_JOIN_TIMEOUT_MS);
    this.rebalance.rebalance(`member ${memberId} joins: ${reasonOf(request)}`);
    return memberId;
  }

  /** A static member came back without its member id: it gets a new one, and who holds the old one is fenced. */
  private takeOver(
    old: Member,
    memberId: string,
    join: { readonly request: JoinRequest; readonly reply: JoinReply },
  ): string {
    const { members, protocolName } = this.rebalance;
    const formerLeader = members.leaderId;
    const member = new Member({
      ...join.request,
      memberId,
      rebalanceTimeoutMs: rebalanceTimeoutOf(join.request),
      assignment: old.assignment,
    });
    this.rebalance.replace(old, member);
    this.rebalance.park(member, join.reply);
    this.rebalance.extend(member);
    if (this.state === 'Stable' && members.electProtocol() === protocolName) {
      this.storeTakeOver(member, { ...join, formerLeader });
    } else {
      // Also while assignments are awaited: the leader would assign to the old member id.
      this.rebalance.rebalance(`static member ${memberId} came back: ${reasonOf(join.request)}`);
    }
    return memberId;
  }

  /** No rebalance: the new member id has the assignment once that is durable. */
  private storeTakeOver(
    member: Member,
    join: {
      readonly request: JoinRequest;
      readonly reply: JoinReply;
      readonly formerLeader: string | null;
    },
  ): void {
    const { generation, members, host } = this.rebalance;
    host.store(this.rebalance.metadata(), (error) => {
      // A rebalance that began meanwhile keeps the join, or has answered it.
      if (member.joinReply !== join.reply || this.state !== 'Stable') return;
      if (this.generation !== generation) return;
      members.unpark(member);
      this.rebalance.extend(member);
      if (error !== 'NONE') {
        join.reply(refusedJoin(error, ''));
        return;
      }
      const result = this.rebalance.joinedResult(member);
      const leads = members.leaderId === member.memberId;
      // A client that cannot skip the assignment must not learn that it leads: it would assign anew, and the
      // others would not hear of it.
      join.reply(
        join.request.canSkipAssignment
          ? { ...result, skipAssignment: leads }
          : { ...result, leaderId: join.formerLeader ?? '', members: [] },
      );
    });
  }

  // Checks -----------------------------------------------------------------------------------------------------

  /** Whether it is a member and of this generation; if so it was heard of. */
  private checkMember(request: HeartbeatRequest): ErrorName {
    if (this.state === 'Dead') return 'COORDINATOR_NOT_AVAILABLE';
    const { members, generation } = this.rebalance;
    const error = members.check(request);
    if (error !== 'NONE') return error;
    if (request.generation !== generation) return 'ILLEGAL_GENERATION';
    const member = members.get(request.memberId);
    if (member !== undefined) this.rebalance.extend(member);
    return 'NONE';
  }

  private checkSync(request: SyncRequest): ErrorName {
    if (this.state === 'Dead') return 'COORDINATOR_NOT_AVAILABLE';
    const { members, generation, protocolType, protocolName } = this.rebalance;
    const error = members.check(request);
    if (error !== 'NONE') return error;
    if (request.generation !== generation) return 'ILLEGAL_GENERATION';
    if (request.protocolType !== null && request.protocolType !== protocolType) {
      return 'INCONSISTENT_GROUP_PROTOCOL';
    }
    if (request.protocolName !== null && request.protocolName !== protocolName) {
      return 'INCONSISTENT_GROUP_PROTOCOL';
    }
    return this.state === 'PreparingRebalance' ? 'REBALANCE_IN_PROGRESS' : 'NONE';
  }

  private removeLeaving(identity: LeavingMember): ErrorName {
    const { members } = this.rebalance;
    const { memberId, instanceId } = identity;
    if (memberId !== '' && this.rebalance.forget(memberId)) return 'NONE';
    if (memberId === '' && instanceId === null) return 'UNKNOWN_MEMBER_ID';
    // An administrator removes a static member by its instance id alone.
    const id = memberId === '' && instanceId !== null ? members.memberIdOf(instanceId) : memberId;
    const error = members.check({ memberId: id ?? '', instanceId });
    const member = members.get(id ?? '');
    if (error !== 'NONE' || member === undefined) return error;
    this.rebalance.host.logger.debug('A member left its group', {
      groupId: this.groupId,
      memberId: id,
      reason: identity.reason,
    });
    this.rebalance.drop(member);
    return 'NONE';
  }
}

function reasonOf(request: JoinRequest): string {
  return request.reason ?? 'no reason given';
}

/**
 * One member of a consumer group, and the members of a group together: who leads, which instance id is whose, which
 * protocols everybody knows. Owns no timing and answers nobody; `group.ts` decides.
 *
 * Invariant: `joining` counts the members with a parked join; an instance id names a member that is there.
 */
import type { Timer } from '../../core/env.ts';
import { assert } from '../../core/errors.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { JoinResult, MemberIdentity, MemberProtocol, SyncResult } from './group-types.ts';

export type JoinReply = (result: JoinResult) => void;
export type SyncReply = (result: SyncResult) => void;

const NO_BYTES = Buffer.alloc(0);

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

export class Member {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  protocols: readonly MemberProtocol[];
  assignment: Buffer;
  /** Has not finished its first rebalance. */
  isNew = false;
  /** Parked JoinGroup and SyncGroup requests. Changed through `Members`, which counts the former. */
  joinReply: JoinReply | undefined = undefined;
  syncReply: SyncReply | undefined = undefined;
  /** When the session ends unless the member is heard of; monotonic. */
  deadlineMs = 0;
  /** Looks at the deadline: runs at `timerMs`, which is at or before it. */
  timer: Timer | undefined = undefined;
  timerMs = 0;

  constructor(options: MemberOptions) {
    this.memberId = options.memberId;
    this.instanceId = options.instanceId;
    this.clientId = options.clientId;
    this.clientHost = options.clientHost;
    this.sessionTimeoutMs = options.sessionTimeoutMs;
    this.rebalanceTimeoutMs = options.rebalanceTimeoutMs;
    this.protocols = options.protocols;
    this.assignment = options.assignment ?? NO_BYTES;
  }

  metadataFor(protocolName: string | null): Buffer {
    return this.protocols.find(({ name }) => name === protocolName)?.metadata ?? NO_BYTES;
  }

  /** Whether these are the protocols it has: same names in the same order with the same bytes. */
  hasProtocols(protocols: readonly MemberProtocol[]): boolean {
    return (
      protocols.length === this.protocols.length &&
      protocols.every(({ name, metadata }, index) => {
        const mine = this.protocols[index];
        return mine !== undefined && mine.name === name && mine.metadata.equals(metadata);
      })
    );
  }
}

export class Members {
  /** Members with a parked join. */
  joining = 0;
  leaderId: string | null = null;
  private readonly byId = new Map<string, Member>();
  private readonly byInstance = new Map<string, string>();
  /** How many members know a protocol. */
  private readonly support = new Map<string, number>();

  get size(): number {
    return this.byId.size;
  }

  get(memberId: string): Member | undefined {
    return this.byId.get(memberId);
  }

  all(): Member[] {
    return [...this.byId.values()];
  }

  memberIdOf(instanceId: string): string | undefined {
    return this.byInstance.get(instanceId);
  }

  /** Whether the identity is a member's (KIP-345): an instance id that has been taken over is fenced. */
  check(identity: MemberIdentity): ErrorName {
    if (identity.instanceId !== null) {
      const memberId = this.byInstance.get(identity.instanceId);
      if (memberId === undefined) return 'UNKNOWN_MEMBER_ID';
      if (memberId !== identity.memberId) return 'FENCED_INSTANCE_ID';
    }
    return this.byId.has(identity.memberId) ? 'NONE' : 'UNKNOWN_MEMBER_ID';
  }

  add(member: Member): void {
    assert(!this.byId.has(member.memberId), 'a member id is given once');
    assert(member.joinReply === undefined, 'a member joins after it was added');
    if (member.instanceId !== null) {
      assert(!this.byInstance.has(member.instanceId), 'an instance id names one member');
      this.byInstance.set(member.instanceId, member.memberId);
    }
    this.byId.set(member.memberId, member);
    this.countProtocols(member.protocols, 1);
    this.leaderId ??= member.memberId;
  }

  remove(member: Member): void {
    assert(this.byId.get(member.memberId) === member, 'only a member is removed');
    this.unpark(member);
    this.byId.delete(member.memberId);
    if (member.instanceId !== null) this.byInstance.delete(member.instanceId);
    this.countProtocols(member.protocols, -1);
    if (this.leaderId === member.memberId) this.leaderId = this.firstId();
  }

  /** The same instance came back under a new member id: it stays leader if it was. */
  replace(old: Member, next: Member): void {
    const wasLeader = this.leaderId === old.memberId;
    this.remove(old);
    this.add(next);
    if (wasLeader) this.leaderId = next.memberId;
  }

  setProtocols(member: Member, protocols: readonly MemberProtocol[]): void {
    this.countProtocols(member.protocols, -1);
    member.protocols = protocols;
    this.countProtocols(protocols, 1);
  }

  /** Keeps a join request until the rebalance is over. Returns the one that was kept before, which is superseded. */
  park(member: Member, reply: JoinReply): JoinReply | undefined {
    const before = this.unpark(member);
    member.joinReply = reply;
    this.joining += 1;
    return before;
  }

  unpark(member: Member): JoinReply | undefined {
    const reply = member.joinReply;
    if (reply !== undefined) {
      member.joinReply = undefined;
      this.joining -= 1;
    }
    return reply;
  }

  /** The leader must have joined: otherwise the first one that has takes over. false when nobody has. */
  electJoinedLeader(): boolean {
    const leader = this.leaderId === null ? undefined : this.byId.get(this.leaderId);
    if (leader?.joinReply !== undefined) return true;
    for (const member of this.byId.values()) {
      if (member.joinReply !== undefined) {
        this.leaderId = member.memberId;
        return true;
      }
    }
    return false;
  }

  /** Whether one of the protocols is known to every member. */
  shares(protocols: readonly MemberProtocol[]): boolean {
    return protocols.some(({ name }) => this.support.get(name) === this.byId.size);
  }

  /** Each member votes for the first on its list that everybody knows; most votes win, earlier voters break ties. */
  electProtocol(): string | undefined {
    const votes = new Map<string, number>();
    for (const member of this.byId.values()) {
      const choice = member.protocols.find(({ name }) => this.support.get(name) === this.size);
      if (choice !== undefined) votes.set(choice.name, (votes.get(choice.name) ?? 0) + 1);
    }
    let best: string | undefined;
    let bestVotes = 0;
    for (const [name, count] of votes) {
      if (count > bestVotes) {
        best = name;
        bestVotes = count;
      }
    }
    return best;
  }

  /** The longest that a member needs to come back to a rebalance. */
  rebalanceTimeoutMs(): number {
    let longest = 0;
    for (const member of this.byId.values()) {
      if (member.rebalanceTimeoutMs > longest) longest = member.rebalanceTimeoutMs;
    }
    return longest;
  }

  private firstId(): string | null {
    for (const memberId of this.byId.keys()) return memberId;
    return null;
  }

  /** A client that names a protocol twice has said nothing new. */
  private countProtocols(protocols: readonly MemberProtocol[], by: 1 | -1): void {
    for (const name of new Set(protocols.map((protocol) => protocol.name))) {
      const count = (this.support.get(name) ?? 0) + by;
      if (count === 0) this.support.delete(name);
      else this.support.set(name, count);
    }
  }
}

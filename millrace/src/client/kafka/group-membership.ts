/**
 * A member of a group. Owns: joining, heartbeats, committing, leaving. How its leader deals out is up to who uses it.
 *
 *     join → commit* → rebalance → join → … → leave
 *
 * Source: Kafka protocol guide, "Group Membership API"; KIP-345 (static members), KIP-394 (a first join only gets a member id), KIP-814
 * (a static leader that comes back deals out nothing).
 */
import type { Timer } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { LOG_HEARTBEAT_MS, LOG_LEAVE_MS, LOG_REBALANCE_MS } from '../../core/limits.ts';
import { errorName, type ErrorName } from '../../wire/kafka/error-codes.ts';
import {
  consumerProtocolAssignment,
  consumerProtocolSubscription,
} from '../../wire/kafka/internal/consumer-protocol.ts';
import { messages } from '../../wire/kafka/registry.ts';
import type { Infer } from '../../wire/kafka/schema.ts';
import { decodeVersioned, encodeVersioned } from '../../wire/kafka/versioned.ts';
import type {
  GroupIdentity,
  GroupMembership,
  MemberOptions,
  TopicPartition,
  TransactionOffsets,
} from '../log.ts';
import type { Cluster } from './cluster.ts';
import { byTopic } from './partition-leaders.ts';
import { accept } from './refusal.ts';
import { commitOffsets } from './transaction-client.ts';

const PROTOCOL_TYPE = 'consumer';
const SESSION_MS = 10_000;
const HEARTBEATS_PER_SESSION = 3;
/** Version of the subscriptions and assignments that we write: what every client reads. */
const CONSUMER_PROTOCOL_VERSION = 0;
const NOTHING = Buffer.alloc(0);

/** The group has another generation by now, or will have. */
const REJOIN: ReadonlySet<ErrorName> = new Set([
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
]);

type JoinAnswer = Infer<(typeof messages)[11]['response']>;
type Joined = Awaited<ReturnType<GroupMembership['join']>>;

export class KafkaGroupMembership implements GroupMembership {
  /** For joins, which wait, and heartbeats. */
  readonly #cluster: Cluster;
  /** To commit, and to leave, while a join waits. */
  readonly #meanwhile: Cluster;
  readonly #options: MemberOptions;
  readonly #onClose: () => void;
  #memberId = '';
  #generation = -1;
  #heartbeat: Timer | undefined;
  #isRebalancing = false;
  #hasLeft = false;
  #fenced: MillraceError | undefined;

  constructor(cluster: Cluster, options: MemberOptions, onClose: () => void) {
    this.#cluster = cluster.another();
    this.#meanwhile = cluster;
    this.#options = options;
    this.#onClose = onClose;
  }

  get identity(): GroupIdentity {
    const { group, instanceId } = this.#options;
    return { group, generation: this.#generation, memberId: this.#memberId, instanceId };
  }

  get isRebalancing(): boolean {
    return this.#isRebalancing;
  }

  async join(): Promise<Joined> {
    this.#stopHeartbeats();
    return this.#cluster.retrying(async () => {
      if (this.#fenced !== undefined) throw this.#fenced;
      if (this.#hasLeft) throw new MillraceError('ML_ABORTED', 'the member has left its group');
      const node = await this.#cluster.coordinator(this.#options.group);
      const joined = await this.#joinOn(node);
      const isLeader = joined.leader === joined.memberId;
      const synced = await this.#cluster.callOn(
        node,
        messages[14],
        {
          ...this.#who(),
          protocolType: PROTOCOL_TYPE,
          protocolName: joined.protocolName,
          assignments: isLeader && !joined.skipAssignment ? await this.#assign(joined) : [],
        },
        { timeoutMs: this.#waitMs, isLong: true },
      );
      this.#accept(synced.errorCode);
      this.#isRebalancing = false;
      if (!this.#hasLeft) this.#scheduleHeartbeat(node);
      return { ...assignmentOf(synced.assignment), isLeader };
    });
  }

  commit(offsets: TransactionOffsets['offsets']): Promise<void> {
    return commitOffsets(this.#meanwhile, { group: this.identity, offsets });
  }

  async leave(how?: 'keep'): Promise<void> {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#stopHeartbeats();
    const { group, instanceId } = this.#options;
    const stays = how === 'keep' && instanceId !== undefined;
    if (this.#memberId !== '' && !stays && this.#fenced === undefined) {
      try {
        const node = await this.#meanwhile.coordinator(group);
        const member = { memberId: this.#memberId, groupInstanceId: instanceId ?? null };
        const request = { groupId: group, members: [{ ...member, reason: 'it has ended' }] };
        await this.#meanwhile.callOn(node, messages[13], request, { timeoutMs: LOG_LEAVE_MS });
      } catch {
        // The broker finds out when the session ends: no reason to fail what has succeeded.
      }
    }
    await this.#cluster.close();
    this.#onClose();
  }

  get #sessionMs(): number {
    return this.#options.sessionMs ?? SESSION_MS;
  }

  /** How long an answer may take that waits for other members. */
  get #waitMs(): number {
    return LOG_REBALANCE_MS + this.#sessionMs;
  }

  #who() {
    const { group, instanceId } = this.#options;
    return {
      groupId: group,
      generationId: this.#generation,
      memberId: this.#memberId,
      groupInstanceId: instanceId ?? null,
    };
  }

  async #joinOn(node: number): Promise<JoinAnswer> {
    const { topics, userData, protocols } = this.#options;
    for (;;) {
      const { groupId, memberId, groupInstanceId } = this.#who();
      const metadata = encodeVersioned(consumerProtocolSubscription, CONSUMER_PROTOCOL_VERSION, {
        topics: topics(),
        userData: asBuffer(userData()),
      });
      const answer = await this.#cluster.callOn(
        node,
        messages[11],
        {
          groupId,
          sessionTimeoutMs: this.#sessionMs,
          rebalanceTimeoutMs: LOG_REBALANCE_MS,
          memberId,
          groupInstanceId,
          protocolType: PROTOCOL_TYPE,
          protocols: protocols.map((name) => ({ name, metadata })),
        },
        { timeoutMs: this.#waitMs, isLong: true },
      );
      if (errorName(answer.errorCode) === 'MEMBER_ID_REQUIRED') {
        this.#memberId = answer.memberId;
        continue;
      }
      this.#accept(answer.errorCode);
      this.#memberId = answer.memberId;
      this.#generation = answer.generationId;
      return answer;
    }
  }

  /** The assignments of all members, which is the task of the member that leads the group. */
  async #assign(joined: JoinAnswer) {
    const members = joined.members.map(({ memberId, metadata }) => {
      const { value } = decodeVersioned(consumerProtocolSubscription, metadata, {
        leftover: 'ignore',
      });
      return { memberId, topics: value.topics, userData: value.userData ?? NOTHING };
    });
    const assigned = await this.#options.assign(members, joined.protocolName ?? '');
    return [...assigned].map(([memberId, { partitions, userData }]) => ({
      memberId,
      assignment: encodeVersioned(consumerProtocolAssignment, CONSUMER_PROTOCOL_VERSION, {
        assignedPartitions: [...byTopic(partitions)].map(([topic, some]) => ({
          topic,
          partitions: some.map(({ partition }) => partition),
        })),
        userData: asBuffer(userData),
      }),
    }));
  }

  /** @throws {MillraceError} ML_GROUP_FENCED; what passes when it joins anew */
  #accept(code: number): void {
    const name = errorName(code);
    if (name === 'FENCED_INSTANCE_ID') {
      const { group, instanceId = '' } = this.#options;
      this.#fenced = new MillraceError(
        'ML_GROUP_FENCED',
        `another process is member ${instanceId} of group ${group} now`,
        { fields: { group, instanceId } },
      );
      throw this.#fenced;
    }
    if (name === 'UNKNOWN_MEMBER_ID') this.#memberId = '';
    if (REJOIN.has(name)) {
      throw new MillraceError('ML_BROKER_REFUSED', `the group is in motion: ${name}`, {
        retriable: true,
        fields: { error: name, group: this.#options.group },
      });
    }
    accept(code);
  }

  #scheduleHeartbeat(node: number): void {
    const delayMs = Math.min(LOG_HEARTBEAT_MS, this.#sessionMs / HEARTBEATS_PER_SESSION);
    const timer = this.#cluster.env.timers.after(delayMs, () => {
      this.#beat(node).then(
        (coordinator) => {
          // It joins again, or has left.
          if (this.#heartbeat !== timer) return;
          if (coordinator === undefined) this.#rebalance();
          else this.#scheduleHeartbeat(coordinator);
        },
        () => {
          if (this.#heartbeat === timer) this.#rebalance();
        },
      );
    });
    this.#heartbeat = timer;
  }

  /** @returns whom to ask next; undefined: the member has to join again */
  async #beat(node: number): Promise<number | undefined> {
    const generation = this.#generation;
    let coordinator = node;
    return this.#cluster.retrying(
      async () => {
        try {
          const { errorCode } = await this.#cluster.callOn(coordinator, messages[12], this.#who());
          if (generation !== this.#generation) return coordinator;
          if (REJOIN.has(errorName(errorCode))) {
            if (errorName(errorCode) === 'UNKNOWN_MEMBER_ID') this.#memberId = '';
            return undefined;
          }
          this.#accept(errorCode);
          return coordinator;
        } catch (error) {
          if (!(error instanceof MillraceError && error.retriable)) throw error;
          coordinator = await this.#cluster.coordinator(this.#options.group);
          throw error;
        }
      },
      { forMs: this.#sessionMs },
    );
  }

  #rebalance(): void {
    this.#stopHeartbeats();
    this.#isRebalancing = true;
    this.#options.onRebalance();
  }

  #stopHeartbeats(): void {
    this.#heartbeat?.cancel();
    this.#heartbeat = undefined;
  }
}

function assignmentOf(bytes: Buffer): Omit<Joined, 'isLeader'> {
  if (bytes.length === 0) return { partitions: [], userData: NOTHING };
  const { value } = decodeVersioned(consumerProtocolAssignment, bytes, { leftover: 'ignore' });
  const partitions: TopicPartition[] = value.assignedPartitions.flatMap((each) =>
    each.partitions.map((partition) => ({ topic: each.topic, partition })),
  );
  return { partitions, userData: value.userData ?? NOTHING };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

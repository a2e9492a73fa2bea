/**
 * One member of a consumer group that reads one topic. Owns: joining, heartbeats, the assignment, committing, leaving.
 *
 *     join → (read, commit)* → rebalance → join → … → leave
 *
 * Invariant: what it commits was handed to it in the generation that commits.
 * Source: Kafka protocol guide, "Group Membership API"; KIP-394 (a first join only gets a member id).
 */
import type { Timer } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import { errorCode, errorName, type ErrorName } from '../../wire/kafka/error-codes.ts';
import {
  consumerProtocolAssignment,
  consumerProtocolSubscription,
} from '../../wire/kafka/internal/consumer-protocol.ts';
import { messages } from '../../wire/kafka/registry.ts';
import type { Infer } from '../../wire/kafka/schema.ts';
import { decodeVersioned, encodeVersioned } from '../../wire/kafka/versioned.ts';
import { ASSIGNORS, type GroupMemberTopics } from './assignors.ts';
import type { Cluster } from './cluster.ts';
import { accept, refusedWith } from './refusal.ts';

const PROTOCOL_TYPE = 'consumer';
/** A member that is killed holds up its group for this long. */
const SESSION_MS = 10_000;
const HEARTBEAT_MS = 3_000;
/** How long the others may take to come back when the group deals out partitions anew. */
const REBALANCE_MS = 30_000;
/** Leaving is a courtesy: who waits for it should not wait long. */
const LEAVE_MS = 2_000;
/** Version of the subscriptions and assignments that we write: what every client reads. */
const CONSUMER_PROTOCOL_VERSION = 0;

/** The group has another generation by now, or will have. */
const REJOIN: ReadonlySet<ErrorName> = new Set([
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
]);

type JoinAnswer = Infer<(typeof messages)[11]['response']>;

export class GroupMember {
  readonly #cluster: Cluster;
  readonly #group: string;
  readonly #topic: string;
  #memberId = '';
  #generation = -1;
  #heartbeat: Timer | undefined;
  readonly #onChange: () => void;
  #failure: unknown;
  #isRebalancing = false;

  /** @param options.onChange called when `isRebalancing` turns true, or the group cannot be reached any more */
  constructor(
    cluster: Cluster,
    options: { readonly group: string; readonly topic: string; readonly onChange: () => void },
  ) {
    this.#cluster = cluster;
    this.#onChange = options.onChange;
    this.#group = options.group;
    this.#topic = options.topic;
  }

  /**
   * Partitions are being dealt out anew: commit, then `join`.
   * @throws {MillraceError} why the group cannot be reached
   */
  get isRebalancing(): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#isRebalancing;
  }

  /**
   * Joins, or joins again, and waits for the other members.
   * @returns the partitions that are this member's now
   */
  async join(): Promise<number[]> {
    this.#stopHeartbeats();
    return this.#cluster.retrying(async () => {
      const node = await this.#cluster.coordinator(this.#group);
      const joined = await this.#joinOn(node);
      const synced = await this.#cluster.callOn(
        node,
        messages[14],
        {
          ...this.#identity(),
          protocolType: PROTOCOL_TYPE,
          protocolName: joined.protocolName,
          assignments: joined.leader === joined.memberId ? await this.#assign(joined) : [],
        },
        { timeoutMs: REBALANCE_MS + SESSION_MS },
      );
      if (this.#hasToRejoin(synced.errorCode)) throw rejoin(synced.errorCode);
      accept(synced.errorCode);
      this.#isRebalancing = false;
      this.#scheduleHeartbeat(node);
      if (synced.assignment.length === 0) return [];
      const { value } = decodeVersioned(consumerProtocolAssignment, synced.assignment, {
        leftover: 'ignore',
      });
      return [
        ...(value.assignedPartitions.find(({ topic }) => topic === this.#topic)?.partitions ?? []),
      ];
    });
  }

  /** The committed offset of each of the partitions that has one. */
  async committed(partitions: readonly number[]): Promise<Map<number, number>> {
    return this.#cluster.retrying(async () => {
      const node = await this.#cluster.coordinator(this.#group);
      const found = await this.#cluster.callOn(node, messages[9], {
        groupId: this.#group,
        topics: [{ name: this.#topic, partitionIndexes: [...partitions] }],
        // An offset that a transaction is about to commit is waited for.
        requireStable: true,
      });
      accept(found.errorCode);
      const offsets = new Map<number, number>();
      for (const each of found.topics[0]?.partitions ?? []) {
        accept(each.errorCode);
        if (each.committedOffset >= 0) offsets.set(each.partitionIndex, each.committedOffset);
      }
      return offsets;
    });
  }

  /**
   * Commits offsets of partitions that are this member's.
   * @returns false when the group has gone on without this member: others read from the offsets before
   */
  async commit(offsets: ReadonlyMap<number, number>): Promise<boolean> {
    if (offsets.size === 0) return true;
    return this.#cluster.retrying(async () => {
      const node = await this.#cluster.coordinator(this.#group);
      const { generationId, ...identity } = this.#identity();
      const answer = await this.#cluster.callOn(node, messages[8], {
        ...identity,
        generationIdOrMemberEpoch: generationId,
        topics: [
          {
            name: this.#topic,
            partitions: [...offsets].map(([partitionIndex, committedOffset]) => ({
              partitionIndex,
              committedOffset,
              committedMetadata: '',
            })),
          },
        ],
      });
      for (const each of answer.topics[0]?.partitions ?? []) {
        if (this.#hasToRejoin(each.errorCode)) return false;
        accept(each.errorCode);
      }
      return true;
    });
  }

  /** Leaves, so that the others need not wait for the session to end. Never rejects. Idempotent. */
  async leave(): Promise<void> {
    this.#stopHeartbeats();
    if (this.#memberId === '') return;
    const members = [{ memberId: this.#memberId, reason: 'the command ended' }];
    this.#memberId = '';
    try {
      const node = await this.#cluster.coordinator(this.#group);
      const request = { groupId: this.#group, members };
      await this.#cluster.callOn(node, messages[13], request, { timeoutMs: LEAVE_MS });
    } catch {
      // The broker finds out when the session ends: no reason to fail what has succeeded.
    }
  }

  async #joinOn(node: number): Promise<JoinAnswer> {
    for (;;) {
      const answer = await this.#cluster.callOn(
        node,
        messages[11],
        {
          groupId: this.#group,
          sessionTimeoutMs: SESSION_MS,
          rebalanceTimeoutMs: REBALANCE_MS,
          memberId: this.#memberId,
          protocolType: PROTOCOL_TYPE,
          protocols: Object.keys(ASSIGNORS).map((name) => ({
            name,
            metadata: encodeVersioned(consumerProtocolSubscription, CONSUMER_PROTOCOL_VERSION, {
              topics: [this.#topic],
            }),
          })),
        },
        { timeoutMs: REBALANCE_MS + SESSION_MS },
      );
      if (answer.errorCode === errorCode('MEMBER_ID_REQUIRED')) {
        this.#memberId = answer.memberId;
        continue;
      }
      if (this.#hasToRejoin(answer.errorCode)) throw rejoin(answer.errorCode);
      accept(answer.errorCode);
      this.#memberId = answer.memberId;
      this.#generation = answer.generationId;
      return answer;
    }
  }

  /** The assignments of all members, which is the task of the member that leads the group. */
  async #assign(joined: JoinAnswer) {
    const members: GroupMemberTopics[] = joined.members.map(({ memberId, metadata }) => ({
      memberId,
      topics: decodeVersioned(consumerProtocolSubscription, metadata, { leftover: 'ignore' }).value
        .topics,
    }));
    const counts = new Map<string, number>();
    for (const topic of new Set(members.flatMap(({ topics }) => topics))) {
      counts.set(topic, await this.#partitionCount(topic));
    }
    const assigned = ASSIGNORS[joined.protocolName ?? '']?.(members, counts) ?? new Map();
    return [...assigned].map(([memberId, topics]) => ({
      memberId,
      assignment: encodeVersioned(consumerProtocolAssignment, CONSUMER_PROTOCOL_VERSION, {
        assignedPartitions: [...topics].map(([topic, partitions]) => ({ topic, partitions })),
      }),
    }));
  }

  /** 0 for a topic that another member waits for and that does not exist yet. */
  async #partitionCount(topic: string): Promise<number> {
    try {
      return (await this.#cluster.topic(topic)).leaders.length;
    } catch (error) {
      if (refusedWith(error) === 'UNKNOWN_TOPIC_OR_PARTITION') return 0;
      throw error;
    }
  }

  #identity() {
    return { groupId: this.#group, generationId: this.#generation, memberId: this.#memberId };
  }

  /** True for the errors that mean: the group has another generation by now. Forgets a membership that is gone. */
  #hasToRejoin(code: number): boolean {
    const name = errorName(code);
    if (name === 'UNKNOWN_MEMBER_ID') this.#memberId = '';
    return REJOIN.has(name);
  }

  #scheduleHeartbeat(node: number): void {
    this.#heartbeat = this.#cluster.env.timers.after(HEARTBEAT_MS, () => {
      this.#beat(node).catch((error: unknown) => {
        this.#failure = error;
        this.#onChange();
      });
    });
  }

  async #beat(node: number): Promise<void> {
    const generation = this.#generation;
    let coordinator = node;
    const code = await this.#cluster.retrying(async () => {
      try {
        const { errorCode: answered } = await this.#cluster.callOn(
          coordinator,
          messages[12],
          this.#identity(),
        );
        if (!this.#hasToRejoin(answered)) accept(answered);
        return answered;
      } catch (error) {
        coordinator = await this.#cluster.coordinator(this.#group);
        throw error;
      }
    });
    // It left, or joined again, while the answer was under way.
    if (generation !== this.#generation && code === 0) return;
    if (this.#heartbeat === undefined) return;
    if (code === 0) {
      this.#scheduleHeartbeat(coordinator);
      return;
    }
    this.#isRebalancing = true;
    this.#onChange();
  }

  #stopHeartbeats(): void {
    this.#heartbeat?.cancel();
    this.#heartbeat = undefined;
  }
}

/** Passes: the next try joins anew. */
function rejoin(code: number): MillraceError {
  return new MillraceError('ML_BROKER_REFUSED', `the group is in motion: ${errorName(code)}`, {
    retriable: true,
    fields: { error: errorName(code) },
  });
}

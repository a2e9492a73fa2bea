/**
 * A member of a consumer group that reads one topic: its share of the partitions, and what it commits. The other members may be programs
 * of Millrace, its command line, or any Kafka client, and may read other topics.
 */
import { MillraceError } from '../core/errors.ts';
import { type Assignment, ASSIGNORS } from './kafka/assignors.ts';
import type {
  GroupMembership,
  Log,
  MemberAssignment,
  MemberSubscription,
  TopicPartition,
} from './log.ts';

const NOTHING = Buffer.alloc(0);

export interface ConsumerShareOptions {
  readonly group: string;
  readonly topic: string;
  /** A static member: who comes back under it, also after having been killed, has its share at once. */
  readonly instanceId?: string | undefined;
  readonly onRebalance: () => void;
}

export interface Share {
  readonly partitions: readonly number[];
  /** Of those of which the group has committed something: the offset to go on with. */
  readonly committed: ReadonlyMap<number, number>;
}

export class ConsumerShare {
  readonly #log: Log;
  readonly #options: ConsumerShareOptions;
  readonly #member: GroupMembership;
  /** Offsets that were committed last, by partition. */
  #committed = new Map<number, number>();
  #mustJoin = true;
  #isJoining = false;
  #leaving: Promise<void> | undefined;
  /** One commit at a time. */
  #committing: Promise<void> = Promise.resolve();

  constructor(log: Log, options: ConsumerShareOptions) {
    this.#log = log;
    this.#options = options;
    this.#member = log.member({
      group: options.group,
      ...(options.instanceId === undefined ? {} : { instanceId: options.instanceId }),
      protocols: Object.keys(ASSIGNORS),
      topics: () => [options.topic],
      userData: () => NOTHING,
      assign: (members, protocol) => this.#dealOut(members, protocol),
      onRebalance: options.onRebalance,
    });
  }

  /** The group deals out anew: `join` before anything else. */
  get isRebalancing(): boolean {
    return this.#mustJoin || this.#member.isRebalancing;
  }

  /** Commits what was taken of the share that it has, as far as that still counts, and gets another one. */
  async join(taken: ReadonlyMap<number, number>): Promise<Share> {
    if (!this.#mustJoin) await this.commitOrRejoin(taken);
    const { group, topic } = this.#options;
    this.#mustJoin = true;
    this.#isJoining = true;
    const joined = await this.#member.join().finally(() => {
      this.#isJoining = false;
    });
    const places = joined.partitions.filter((place) => place.topic === topic);
    const offsets = await this.#log.committed(group, places);
    this.#committed = new Map();
    for (const [index, { partition }] of places.entries()) {
      const offset = offsets[index]?.offset;
      if (offset !== undefined) this.#committed.set(partition, offset);
    }
    this.#mustJoin = false;
    const partitions = places.map(({ partition }) => partition);
    return { partitions, committed: new Map(this.#committed) };
  }

  /** @throws {MillraceError} ML_GROUP_LOST: the group has gone on without this member */
  commit(taken: ReadonlyMap<number, number>): Promise<void> {
    const done = this.#committing.then(() => this.#commit(taken));
    this.#committing = done.catch(() => {});
    return done;
  }

  /** As `commit`; when the group has gone on, this member has to join again. */
  async commitOrRejoin(taken: ReadonlyMap<number, number>): Promise<void> {
    try {
      await this.commit(taken);
    } catch (error) {
      if (!(error instanceof MillraceError && error.code === 'ML_GROUP_LOST')) throw error;
      this.#mustJoin = true;
    }
  }

  /** A wait for other members ends. */
  callOff(): void {
    if (this.#isJoining) this.#leaving ??= this.#member.leave();
  }

  /** Commits what was taken, and leaves. Idempotent. */
  async leave(taken: ReadonlyMap<number, number>): Promise<void> {
    try {
      if (!this.#mustJoin && this.#leaving === undefined) await this.commitOrRejoin(taken);
    } finally {
      this.#leaving ??= this.#member.leave();
      await this.#leaving;
    }
  }

  async #commit(taken: ReadonlyMap<number, number>): Promise<void> {
    const { topic } = this.#options;
    const news = [...taken].filter(
      ([partition, offset]) => this.#committed.get(partition) !== offset,
    );
    if (news.length === 0) return;
    await this.#member.commit(
      news.map(([partition, offset]) => ({ topic, partition, offset, metadata: '' })),
    );
    for (const [partition, offset] of news) this.#committed.set(partition, offset);
  }

  async #dealOut(
    members: readonly MemberSubscription[],
    protocol: string,
  ): Promise<ReadonlyMap<string, MemberAssignment>> {
    const found = await this.#log.topics([...new Set(members.flatMap(({ topics }) => topics))]);
    // A topic that another member waits for, and that does not exist yet, has none.
    const counts = new Map([...found].map(([topic, { partitions }]) => [topic, partitions]));
    const dealt = ASSIGNORS[protocol]?.(members, counts) ?? new Map<string, never>();
    return new Map(
      [...dealt].map(([memberId, topics]) => [
        memberId,
        { partitions: placesOf(topics), userData: NOTHING },
      ]),
    );
  }
}

function placesOf(topics: Assignment): TopicPartition[] {
  return [...topics].flatMap(([topic, partitions]) =>
    partitions.map((partition) => ({ topic, partition })),
  );
}

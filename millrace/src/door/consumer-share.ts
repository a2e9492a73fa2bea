/**
 * A member of a consumer group that reads one topic: its share of the partitions, and what it commits. Members of one group may read
 * different topics; each topic is dealt out among those that read it.
 */
import type { GroupMembership, Log, LogProducer, MemberAssignment } from '../client/log.ts';
import { MillraceError } from '../core/errors.ts';

/** NOTE: members with another protocol are refused by the broker, or refuse: how work is dealt out is part of it. */
const PROTOCOL = 'millrace-consume';
const NOTHING = Buffer.alloc(0);

export interface ConsumerShareOptions {
  readonly group: string;
  readonly topic: string;
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
  #producer: LogProducer | undefined;
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
      protocol: PROTOCOL,
      topics: () => [options.topic],
      userData: () => Buffer.from(options.topic),
      assign: (members) => this.#dealOut(members),
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
      await this.#producer?.close();
    }
  }

  async #commit(taken: ReadonlyMap<number, number>): Promise<void> {
    const { topic } = this.#options;
    const news = [...taken].filter(
      ([partition, offset]) => this.#committed.get(partition) !== offset,
    );
    if (news.length === 0) return;
    this.#producer ??= await this.#log.producer({});
    await this.#producer.commit({
      group: this.#member.identity,
      offsets: news.map(([partition, offset]) => ({ topic, partition, offset, metadata: '' })),
    });
    for (const [partition, offset] of news) this.#committed.set(partition, offset);
  }

  /** Neighbouring partitions for each, as equally many as can be. */
  async #dealOut(
    members: readonly { readonly memberId: string; readonly userData: Buffer }[],
  ): Promise<ReadonlyMap<string, MemberAssignment>> {
    const byTopic = new Map<string, string[]>();
    for (const { memberId, userData } of members) {
      const topic = userData.toString();
      byTopic.set(topic, [...(byTopic.get(topic) ?? []), memberId]);
    }
    const found = await this.#log.topics([...byTopic.keys()]);
    const dealt = new Map<string, MemberAssignment>();
    for (const [topic, ids] of byTopic) {
      const count = found.get(topic)?.partitions ?? 0;
      for (const [index, id] of ids.toSorted().entries()) {
        const from = Math.floor((index * count) / ids.length);
        const to = Math.floor(((index + 1) * count) / ids.length);
        const partitions = Array.from({ length: to - from }, (_, at) => ({
          topic,
          partition: from + at,
        }));
        dealt.set(id, { partitions, userData: NOTHING });
      }
    }
    return dealt;
  }
}

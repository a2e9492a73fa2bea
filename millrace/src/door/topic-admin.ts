/** The topics and groups of a log, for programs. */
import type { Log, TopicPartition } from '../client/log.ts';
import { topicMissing } from '../client/kafka/refusal.ts';
import type { TopicCreation } from '../connect/topics/topic.ts';

export interface TopicDetails {
  readonly name: string;
  readonly id: string;
  /** From 0. */
  readonly partitions: readonly PartitionDetails[];
  /** All settings, also those that were not changed. */
  readonly configs: Readonly<Record<string, string>>;
}

export interface PartitionDetails {
  readonly partition: number;
  /** Offset of the first record. */
  readonly beginning: number;
  /** One past the last record. */
  readonly end: number;
}

/** What is done with topics and groups as a whole. */
export interface Admin {
  /**
   * Makes a topic. Resolves when it can be written: true; or false when it was there already, as it is.
   * @throws {MillraceError} ML_BROKER_REFUSED, when the name or a setting is wrong
   * @example
   * await millrace.admin.createTopic('orders', { partitions: 4, configs: { 'cleanup.policy': 'compact' } });
   */
  createTopic(name: string, options?: TopicCreation): Promise<boolean>;
  /** Deletes a topic and all its records, at once. @throws {MillraceError} ML_TOPIC_MISSING */
  deleteTopic(name: string): Promise<void>;
  /** Names of the topics, sorted, without internal ones. */
  topics(): Promise<readonly string[]>;
  /** @throws {MillraceError} ML_TOPIC_MISSING */
  describe(name: string): Promise<TopicDetails>;
  /** All settings of a topic. @throws {MillraceError} ML_TOPIC_MISSING */
  configs(name: string): Promise<Readonly<Record<string, string>>>;
  /** What a group has committed of a topic, by partition; undefined: nothing. @throws {MillraceError} ML_TOPIC_MISSING */
  committed(group: string, topic: string): Promise<readonly (number | undefined)[]>;
  /** Forgets a group that has no members. @throws {MillraceError} ML_BROKER_REFUSED when it has some */
  deleteGroup(group: string): Promise<void>;
}

export class TopicAdmin implements Admin {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  async createTopic(
    name: string,
    { partitions, configs = {} }: TopicCreation = {},
  ): Promise<boolean> {
    const isThere = (await this.#log.topics([name])).has(name);
    if (!isThere) await this.#log.createTopics([{ name, partitions, configs }]);
    return !isThere;
  }

  deleteTopic(name: string): Promise<void> {
    return this.#log.deleteTopics([name]);
  }

  async topics(): Promise<readonly string[]> {
    return [...(await this.#log.topics()).keys()].toSorted();
  }

  async describe(name: string): Promise<TopicDetails> {
    const { id, places } = await this.#partitions(name);
    const [beginnings, ends, configs] = await Promise.all([
      this.#log.offsets(places, 'beginning'),
      this.#log.offsets(places, 'end'),
      this.configs(name),
    ]);
    return {
      name,
      id,
      partitions: places.map(({ partition }, index) => ({
        partition,
        beginning: beginnings[index] ?? 0,
        end: ends[index] ?? 0,
      })),
      configs,
    };
  }

  async configs(name: string): Promise<Readonly<Record<string, string>>> {
    return Object.fromEntries(await this.#log.topicConfig(name));
  }

  async committed(group: string, topic: string): Promise<readonly (number | undefined)[]> {
    const { places } = await this.#partitions(topic);
    const committed = await this.#log.committed(group, places);
    return committed.map((each) => each?.offset);
  }

  deleteGroup(group: string): Promise<void> {
    return this.#log.deleteGroup(group);
  }

  async #partitions(
    name: string,
  ): Promise<{ readonly id: string; readonly places: readonly TopicPartition[] }> {
    return partitionsOf(this.#log, name);
  }
}

/** @throws {MillraceError} ML_TOPIC_MISSING */
export async function partitionsOf(
  log: Log,
  name: string,
): Promise<{ readonly id: string; readonly places: readonly TopicPartition[] }> {
  const topic = (await log.topics([name])).get(name);
  if (topic === undefined) throw topicMissing(name);
  const places = Array.from({ length: topic.partitions }, (_, partition) => ({
    topic: name,
    partition,
  }));
  return { id: topic.id, places };
}

/** The topics of a log, their offsets, and the offsets of groups: what is asked for now and then, one request at a time. */
import { MillraceError } from '../../core/errors.ts';
import { LOG_REQUEST_MS, LOG_TOPIC_MISSING_MS } from '../../core/limits.ts';
import { errorCode, errorName } from '../../wire/kafka/error-codes.ts';
import { messages } from '../../wire/kafka/registry.ts';
import type { CommittedOffset, Log, TopicDescription, TopicPartition, TopicSpec } from '../log.ts';
import type { Cluster } from './cluster.ts';
import { byTopic, PartitionLeaders } from './partition-leaders.ts';
import { accept, refusal, refusedWith, topicMissing } from './refusal.ts';

type OffsetAt = Parameters<Log['offsets']>[1];
type Place = TopicPartition;

/** NOTE: of the protocol: a topic among the resources that have a configuration. */
const TOPIC_RESOURCE = 2;
/** NOTE: of the protocol: timestamps with a meaning of their own. */
const BEGINNING = -2;
const END = -1;
/** What the broker is set to do by itself (KIP-464). */
const BROKER_DEFAULT = -1;
const LEADER_NOT_AVAILABLE = errorCode('LEADER_NOT_AVAILABLE');
const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;

export class LogAdmin {
  readonly #cluster: Cluster;
  readonly #leaders: PartitionLeaders;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#leaders = new PartitionLeaders(cluster);
  }

  async topics(names?: readonly string[]): Promise<Map<string, TopicDescription>> {
    if (names?.length === 0) return new Map();
    return this.#cluster.retrying(async () => {
      const asked = names === undefined ? null : names.map((name) => ({ name }));
      const { topics } = await this.#cluster.metadata(asked, false);
      const found = new Map<string, TopicDescription>();
      for (const topic of topics) {
        if (errorName(topic.errorCode) === 'UNKNOWN_TOPIC_OR_PARTITION') continue;
        accept(topic.errorCode);
        if (topic.isInternal && names === undefined) continue;
        const name = topic.name ?? '';
        found.set(name, { name, id: topic.topicId, partitions: topic.partitions.length });
      }
      return found;
    });
  }

  async createTopics(specs: readonly TopicSpec[]): Promise<void> {
    if (specs.length === 0) return;
    await this.#cluster.retrying(async () => {
      const { topics } = await this.#cluster.call(messages[19], {
        topics: specs.map(({ name, partitions, configs }) => ({
          name,
          numPartitions: partitions ?? BROKER_DEFAULT,
          replicationFactor: BROKER_DEFAULT,
          assignments: [],
          configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
        })),
        timeoutMs: LOG_REQUEST_MS,
      });
      for (const topic of topics) {
        if (errorName(topic.errorCode) !== 'TOPIC_ALREADY_EXISTS')
          accept(topic.errorCode, `${topic.name}: ${topic.errorMessage ?? 'refused'}`);
      }
    });
    for (const { name } of specs) await this.#writable(name);
  }

  async deleteTopics(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const before = await this.topics(names);
    const { responses } = await this.#cluster.call(messages[20], {
      topicNames: [...names],
      timeoutMs: LOG_REQUEST_MS,
    });
    for (const { name, errorCode: code, errorMessage } of responses) {
      if (errorName(code) === 'UNKNOWN_TOPIC_OR_PARTITION') throw topicMissing(name ?? '');
      accept(code, errorMessage);
    }
    await this.#cluster.retrying(async () => {
      for (const [name, { id }] of await this.topics(names)) {
        // Brokers do not all hear of it at once. One with another id was made since.
        if (before.get(name)?.id === id)
          throw refusal(LEADER_NOT_AVAILABLE, `topic ${name} is still there`);
      }
    });
  }

  async topicConfig(name: string): Promise<Map<string, string>> {
    return this.#cluster.retrying(async () => {
      const { results } = await this.#cluster.call(messages[32], {
        resources: [{ resourceType: TOPIC_RESOURCE, resourceName: name, configurationKeys: null }],
      });
      const configs = new Map<string, string>();
      for (const result of results) {
        if (errorName(result.errorCode) === 'UNKNOWN_TOPIC_OR_PARTITION') throw topicMissing(name);
        accept(result.errorCode, result.errorMessage);
        for (const { name: key, value } of result.configs)
          if (value !== null) configs.set(key, value);
      }
      return configs;
    });
  }

  async deleteRecords(before: readonly (Place & { readonly offset: number })[]): Promise<void> {
    await this.#atLeaders(before, async (leader, some) => {
      const { topics } = await this.#cluster.callOn(leader, messages[21], {
        topics: [...byTopic(some)].map(([name, places]) => ({
          name,
          partitions: places.map(({ partition, offset }) => ({
            partitionIndex: partition,
            offset,
          })),
        })),
        timeoutMs: LOG_REQUEST_MS,
      });
      for (const { name, partitions } of topics)
        for (const each of partitions) accept(each.errorCode, place(name, each.partitionIndex));
    });
  }

  async offsets(places: readonly Place[], at: OffsetAt): Promise<(number | undefined)[]> {
    const timestamp = typeof at === 'object' ? at.timestamp : at === 'beginning' ? BEGINNING : END;
    const found = new Map<string, number>();
    await this.#atLeaders(places, async (leader, some) => {
      const { topics } = await this.#cluster.callOn(leader, messages[2], {
        replicaId: -1,
        isolationLevel: at === 'stable' ? READ_COMMITTED : READ_UNCOMMITTED,
        topics: [...byTopic(some)].map(([name, of]) => ({
          name,
          partitions: of.map(({ partition }) => ({ partitionIndex: partition, timestamp })),
        })),
      });
      for (const { name, partitions } of topics) {
        for (const each of partitions) {
          accept(each.errorCode, place(name, each.partitionIndex));
          found.set(place(name, each.partitionIndex), each.offset);
        }
      }
    });
    return places.map(({ topic, partition }) => {
      const offset = found.get(place(topic, partition)) ?? -1;
      return offset < 0 ? undefined : offset;
    });
  }

  async committed(
    group: string,
    places: readonly Place[],
  ): Promise<(CommittedOffset | undefined)[]> {
    if (places.length === 0) return [];
    return this.#cluster.retrying(async () => {
      const answer = await this.#cluster.callOn(
        await this.#cluster.coordinator(group),
        messages[9],
        {
          groupId: group,
          topics: [...byTopic(places)].map(([name, some]) => ({
            name,
            partitionIndexes: some.map(({ partition }) => partition),
          })),
          requireStable: true,
        },
      );
      accept(answer.errorCode);
      const found = new Map<string, CommittedOffset>();
      for (const { name, partitions } of answer.topics) {
        for (const each of partitions) {
          const at = place(name, each.partitionIndex);
          if (errorName(each.errorCode) === 'UNKNOWN_TOPIC_OR_PARTITION') continue;
          accept(each.errorCode, at);
          if (each.committedOffset >= 0)
            found.set(at, { offset: each.committedOffset, metadata: each.metadata ?? '' });
        }
      }
      return places.map(({ topic, partition }) => found.get(place(topic, partition)));
    });
  }

  async setCommitted(
    group: string,
    offsets: readonly (Place & { readonly offset: number | undefined })[],
  ): Promise<void> {
    const set: (Place & { readonly offset: number })[] = [];
    const forget: Place[] = [];
    for (const each of offsets) {
      if (each.offset === undefined) forget.push(each);
      else set.push({ ...each, offset: each.offset });
    }
    if (set.length > 0) await this.#commit(group, set);
    if (forget.length > 0) await this.#forget(group, forget);
  }

  async deleteGroup(group: string): Promise<void> {
    await this.#cluster.retrying(async () => {
      const node = await this.#cluster.coordinator(group);
      const { results } = await this.#cluster.callOn(node, messages[42], { groupsNames: [group] });
      for (const { errorCode: code } of results)
        if (errorName(code) !== 'GROUP_ID_NOT_FOUND') accept(code, `group ${group}`);
    });
  }

  async #commit(
    group: string,
    offsets: readonly (Place & { readonly offset: number })[],
  ): Promise<void> {
    await this.#cluster.retrying(async () => {
      const node = await this.#cluster.coordinator(group);
      const { topics } = await this.#cluster.callOn(node, messages[8], {
        groupId: group,
        memberId: '',
        topics: [...byTopic(offsets)].map(([name, some]) => ({
          name,
          partitions: some.map(({ partition, offset }) => ({
            partitionIndex: partition,
            committedOffset: offset,
            committedMetadata: '',
          })),
        })),
      });
      for (const { name, partitions } of topics) {
        for (const each of partitions) {
          if (errorName(each.errorCode) === 'UNKNOWN_TOPIC_OR_PARTITION')
            throw topicMissing(name, each.partitionIndex);
          accept(each.errorCode, place(name, each.partitionIndex));
        }
      }
    });
  }

  async #forget(group: string, places: readonly Place[]): Promise<void> {
    await this.#cluster.retrying(async () => {
      const node = await this.#cluster.coordinator(group);
      const answer = await this.#cluster.callOn(node, messages[47], {
        groupId: group,
        topics: [...byTopic(places)].map(([name, some]) => ({
          name,
          partitions: some.map(({ partition }) => ({ partitionIndex: partition })),
        })),
      });
      if (errorName(answer.errorCode) === 'GROUP_ID_NOT_FOUND') return;
      accept(answer.errorCode, `group ${group}`);
      for (const { name, partitions } of answer.topics) {
        for (const each of partitions) {
          if (errorName(each.errorCode) === 'UNKNOWN_TOPIC_OR_PARTITION') continue;
          accept(each.errorCode, place(name, each.partitionIndex));
        }
      }
    });
  }

  /** Until each partition of a topic that exists has a leader. */
  async #writable(name: string): Promise<void> {
    await this.#cluster.retrying(async () => {
      const missing = await this.#leaders.refresh([name]);
      // A broker that did not make it has not heard of it yet.
      if (missing.size > 0 || this.#leaders.leaderOf(name, 0) === undefined)
        throw refusal(LEADER_NOT_AVAILABLE, `topic ${name} is not there yet`);
    });
  }

  /** Asks the leaders of `places`; when they have moved, or seem not to be there, the new ones. */
  async #atLeaders<Asked extends Place>(
    places: readonly Asked[],
    ask: (leader: number, some: readonly Asked[]) => Promise<void>,
  ): Promise<void> {
    const { clock } = this.#cluster.env;
    const missingMs = clock.monotonicMs() + LOG_TOPIC_MISSING_MS;
    await this.#cluster.retrying(async () => {
      try {
        for (const [leader, some] of await this.#leaders.byLeader(places)) await ask(leader, some);
      } catch (error) {
        if (!(error instanceof MillraceError && error.retriable)) throw error;
        const missing = await this.#leaders.refresh(places.map(({ topic }) => topic));
        const [topic] = missing;
        if (topic !== undefined) throw topicMissing(topic);
        if (
          refusedWith(error) === 'UNKNOWN_TOPIC_OR_PARTITION' &&
          clock.monotonicMs() > missingMs &&
          places[0] !== undefined
        )
          throw topicMissing(places[0].topic, places[0].partition);
        throw error;
      }
    });
  }
}

function place(topic: string, partition: number): string {
  return `topic ${topic} partition ${partition}`;
}

/** Which broker leads each partition of the topics that somebody works with, as the brokers said when they were asked last. */
import { errorName } from '../../wire/kafka/error-codes.ts';
import type { TopicPartition } from '../log.ts';
import type { Cluster } from './cluster.ts';
import { accept, topicMissing } from './refusal.ts';

export class PartitionLeaders {
  readonly #cluster: Cluster;
  readonly #leaders = new Map<string, readonly number[]>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** undefined: not known; `refresh` finds out. */
  leaderOf(topic: string, partition: number): number | undefined {
    return this.#leaders.get(topic)?.[partition];
  }

  /** Asks anew before it is used again. */
  forget(topic: string): void {
    this.#leaders.delete(topic);
  }

  /** @returns those of the topics that do not exist */
  async refresh(topics: Iterable<string>): Promise<Set<string>> {
    const names = [...new Set(topics)];
    const missing = new Set<string>();
    if (names.length === 0) return missing;
    const found = await this.#cluster.metadata(
      names.map((name) => ({ name })),
      false,
    );
    for (const topic of found.topics) {
      const name = topic.name ?? '';
      this.#leaders.delete(name);
      if (errorName(topic.errorCode) === 'UNKNOWN_TOPIC_OR_PARTITION') {
        missing.add(name);
        continue;
      }
      accept(topic.errorCode);
      const leaders: number[] = [];
      for (const { partitionIndex, leaderId } of topic.partitions)
        if (leaderId >= 0) leaders[partitionIndex] = leaderId;
      this.#leaders.set(name, leaders);
    }
    return missing;
  }

  /**
   * What of `places` each broker leads.
   * @throws {MillraceError} ML_TOPIC_MISSING
   */
  async byLeader<Place extends TopicPartition>(
    places: readonly Place[],
  ): Promise<Map<number, Place[]>> {
    const unknown = places.filter(({ topic, partition }) => {
      return this.leaderOf(topic, partition) === undefined;
    });
    if (unknown.length > 0) await this.refresh(unknown.map(({ topic }) => topic));
    const byLeader = new Map<number, Place[]>();
    for (const place of places) {
      const leader = this.leaderOf(place.topic, place.partition);
      if (leader === undefined) throw topicMissing(place.topic, place.partition);
      const some = byLeader.get(leader);
      if (some === undefined) byLeader.set(leader, [place]);
      else some.push(place);
    }
    return byLeader;
  }
}

/** In the form of most requests: topics, each with its partitions. */
export function byTopic<Place extends { readonly topic: string }>(
  places: Iterable<Place>,
): Map<string, Place[]> {
  const topics = new Map<string, Place[]>();
  for (const place of places) {
    const some = topics.get(place.topic);
    if (some === undefined) topics.set(place.topic, [place]);
    else some.push(place);
  }
  return topics;
}

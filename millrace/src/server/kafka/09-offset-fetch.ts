/**
 * OffsetFetch (key 9), versions 1-10.
 *
 * Behaviour:
 * - Answers what is on disk; -1 without an error for a partition, or a group, that has no offset.
 * - Null topics (v2) are all partitions that the group has an offset for.
 * - Several groups in one request (v8). v10 names topics by id: UNKNOWN_TOPIC_ID for an id that no topic has.
 * - When stable offsets are required (v7), UNSTABLE_OFFSET_COMMIT for a partition with an open transaction.
 * - Offsets of a topic that was deleted are gone, also when a topic of that name is created again.
 *
 * Deviations:
 * - Member id and epoch (v9) are not looked at: they are for the newer group protocol.
 *
 * Source: KIP-88 (all topics), KIP-320, KIP-447 (stable offsets), KIP-709 (several groups), KIP-848, KIP-516.
 */
import type { Broker } from '../../broker/broker.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  OffsetFetchRequest,
  OffsetFetchResponseInput,
} from '../../wire/kafka/messages/09-offset-fetch.ts';
import { ZERO_UUID, type ElementOf } from '../../wire/kafka/schema.ts';
import { defineApi, type Api } from './api.ts';

type PartitionAnswer = ElementOf<
  ElementOf<ElementOf<OffsetFetchResponseInput['groups']>['topics']>['partitions']
>;

interface TopicAsked {
  readonly name: string;
  readonly topicId: string;
  readonly partitionIndexes: readonly number[];
}

interface Asked {
  readonly groupId: string;
  /** null = all. */
  readonly topics: readonly TopicAsked[] | null;
  readonly requireStable: boolean;
  readonly byId: boolean;
}

const GROUPS_SINCE = 8;
const BY_ID_SINCE = 10;
const NO_OFFSET = { committedOffset: -1, committedLeaderEpoch: -1, metadata: '' } as const;

export const offsetFetchApi: Api<OffsetFetchRequest, OffsetFetchResponseInput> = defineApi({
  key: 9,
  name: 'OffsetFetch',
  minVersion: 1,
  maxVersion: 10,
  handle: ({ groupId, topics, groups, requireStable }, { broker, apiVersion }) => {
    if (apiVersion >= GROUPS_SINCE) {
      const byId = apiVersion >= BY_ID_SINCE;
      return {
        groups: groups.map((group) => ({
          groupId: group.groupId,
          topics: answer(broker, { ...group, requireStable, byId }),
          errorCode: 0,
        })),
      };
    }
    const asked = topics?.map((topic) => ({ ...topic, topicId: ZERO_UUID })) ?? null;
    return {
      topics: answer(broker, { groupId, topics: asked, requireStable, byId: false }),
      errorCode: 0,
    };
  },
});

function answer(broker: Broker, asked: Asked): (TopicAsked & TopicAnswer)[] {
  const topics = asked.topics ?? allTopics(broker, asked.groupId);
  return topics.map((topic) => {
    const name = asked.byId ? broker.topics.byId(topic.topicId)?.name : topic.name;
    const partitions = topic.partitionIndexes.map((partitionIndex): PartitionAnswer => {
      if (name === undefined)
        return { partitionIndex, ...NO_OFFSET, ...failed('UNKNOWN_TOPIC_ID') };
      return {
        partitionIndex,
        ...offsetOf(broker, asked, { topic: name, partition: partitionIndex }),
      };
    });
    return { ...topic, partitions };
  });
}

interface TopicAnswer {
  readonly partitions: readonly PartitionAnswer[];
}

function offsetOf(
  broker: Broker,
  { groupId, requireStable }: Asked,
  key: { readonly topic: string; readonly partition: number },
): Omit<PartitionAnswer, 'partitionIndex'> {
  if (requireStable && broker.groups.isUnstable(groupId, key)) {
    return { ...NO_OFFSET, ...failed('UNSTABLE_OFFSET_COMMIT') };
  }
  const committed = broker.groups.committedOffset(groupId, key);
  if (committed === undefined) return { ...NO_OFFSET, ...failed('NONE') };
  return {
    committedOffset: committed.offset,
    committedLeaderEpoch: committed.leaderEpoch,
    metadata: committed.metadata,
    ...failed('NONE'),
  };
}

function failed(error: ErrorName): { readonly errorCode: number } {
  return { errorCode: errorCode(error) };
}

function allTopics(broker: Broker, groupId: string): TopicAsked[] {
  const byTopic = new Map<string, number[]>();
  for (const { topic, partition } of broker.groups.partitionsWithOffsets(groupId)) {
    const partitions = byTopic.get(topic);
    if (partitions === undefined) byTopic.set(topic, [partition]);
    else partitions.push(partition);
  }
  return [...byTopic].map(([name, partitionIndexes]) => ({
    name,
    topicId: broker.topics.get(name)?.id ?? ZERO_UUID,
    partitionIndexes,
  }));
}

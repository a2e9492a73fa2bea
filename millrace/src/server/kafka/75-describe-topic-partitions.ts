/**
 * DescribeTopicPartitions (key 75), version 0.
 *
 * Behaviour:
 * - Topics in the order of their names, so many partitions at a time, and a cursor for the rest.
 *
 * Deviations:
 * - Authorized operations are not told: there is no authorization.
 *
 * Source: KIP-966.
 */
import type { Topic } from '../../broker/topics.ts';
import { DESCRIBED_PARTITIONS_MAX } from '../../core/limits.ts';
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponseInput,
} from '../../wire/kafka/messages/75-describe-topic-partitions.ts';
import type { ElementOf } from '../../wire/kafka/schema.ts';
import { ZERO_UUID } from '../../wire/kafka/schema.ts';
import { defineApi, type Api, type RequestContext } from './api.ts';

type TopicAnswer = ElementOf<DescribeTopicPartitionsResponseInput['topics']>;
type NextCursor = DescribeTopicPartitionsResponseInput['nextCursor'];

export const describeTopicPartitionsApi: Api<
  DescribeTopicPartitionsRequest,
  DescribeTopicPartitionsResponseInput
> = defineApi({
  key: 75,
  name: 'DescribeTopicPartitions',
  minVersion: 0,
  maxVersion: 0,
  handle: (request, context) => {
    const { cursor } = request;
    const names = namesAsked(request, context).filter(
      (name) => cursor === null || name >= cursor.topicName,
    );
    let room = Math.min(Math.max(request.responsePartitionLimit, 1), DESCRIBED_PARTITIONS_MAX);
    const topics: TopicAnswer[] = [];
    let nextCursor: NextCursor = null;
    for (const name of names) {
      const from = cursor?.topicName === name ? Math.max(cursor.partitionIndex, 0) : 0;
      if (room === 0) {
        nextCursor = { topicName: name, partitionIndex: from };
        break;
      }
      const topic = context.broker.topics.get(name);
      if (topic === undefined) {
        topics.push(unknown(name));
        continue;
      }
      const to = Math.min(topic.partitions.length, from + room);
      topics.push(describe(topic, { from, to, nodeId: context.broker.nodeId }));
      room -= Math.max(to - from, 0);
      if (to < topic.partitions.length) {
        nextCursor = { topicName: name, partitionIndex: to };
        break;
      }
    }
    return { topics, nextCursor };
  },
});

function namesAsked(request: DescribeTopicPartitionsRequest, context: RequestContext): string[] {
  const names =
    request.topics.length === 0
      ? context.broker.topics.all().map(({ name }) => name)
      : request.topics.map(({ name }) => name);
  return [...new Set(names)].sort();
}

function describe(
  topic: Topic,
  range: { readonly from: number; readonly to: number; readonly nodeId: number },
): TopicAnswer {
  const { from, to, nodeId } = range;
  const nodes = [nodeId];
  return {
    errorCode: 0,
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.internal,
    partitions: topic.partitions.slice(from, to).map((log, index) => ({
      errorCode: 0,
      partitionIndex: from + index,
      leaderId: nodeId,
      leaderEpoch: log.leaderEpoch,
      replicaNodes: nodes,
      isrNodes: nodes,
      eligibleLeaderReplicas: [],
      lastKnownElr: [],
      offlineReplicas: [],
    })),
  };
}

function unknown(name: string): TopicAnswer {
  return {
    errorCode: errorCode('UNKNOWN_TOPIC_OR_PARTITION'),
    name,
    topicId: ZERO_UUID,
    isInternal: false,
    partitions: [],
  };
}

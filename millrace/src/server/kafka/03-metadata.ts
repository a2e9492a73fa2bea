/**
 * Metadata (key 3), versions 0-13.
 *
 * Behaviour:
 * - One broker, this one, at the address that it is advertised under; it leads every partition.
 * - A topic that is asked for by a legal name, and does not exist, is created with the broker's defaults when client
 *   and `auto.create.topics.enable` allow it, and answered at once.
 * - Topics can be asked for by id (v12).
 *
 * Deviations:
 * - Authorized operations are not told: there is no authorization.
 * - A topic that was created by the request is answered without an error (Kafka: LEADER_NOT_AVAILABLE first).
 *
 * Source: KIP-4, KIP-320, KIP-430, KIP-516.
 */
import type { Topic } from '../../broker/topics.ts';
import { topicNameFault } from '../../broker/topic-names.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  MetadataRequest,
  MetadataResponseInput,
} from '../../wire/kafka/messages/03-metadata.ts';
import { type ElementOf, ZERO_UUID } from '../../wire/kafka/schema.ts';
import { defineApi, type Api, type RequestContext } from './api.ts';

type TopicRequest = ElementOf<MetadataRequest['topics']>;
type TopicAnswer = ElementOf<MetadataResponseInput['topics']>;

const NULLABLE_NAMES_SINCE = 12;

export const metadataApi: Api<MetadataRequest, MetadataResponseInput> = defineApi({
  key: 3,
  name: 'Metadata',
  minVersion: 0,
  maxVersion: 13,
  handle: async (request, context) => {
    const { broker, connection, apiVersion } = context;
    const { topics: asked } = request;
    // Version 0 cannot say null: its empty list asks for all.
    const all = asked === null || (apiVersion === 0 && asked.length === 0);
    const mayCreate = request.allowAutoTopicCreation && broker.settings.autoCreateTopics;
    const topics = all
      ? broker.topics.all().map((topic) => topicAnswer(topic, broker.nodeId))
      : await Promise.all((asked ?? []).map((one) => answerOne(one, context, mayCreate)));
    return {
      brokers: [
        {
          nodeId: broker.nodeId,
          host: connection.advertisedHost,
          port: connection.advertisedPort,
        },
      ],
      clusterId: broker.clusterId,
      controllerId: broker.nodeId,
      topics,
      errorCode: 0,
    };
  },
});

async function answerOne(
  asked: TopicRequest,
  context: RequestContext,
  mayCreate: boolean,
): Promise<TopicAnswer> {
  const { broker, apiVersion } = context;
  const unnamed = apiVersion >= NULLABLE_NAMES_SINCE ? null : '';
  const { name, topicId } = asked;
  if (name === null || (name === '' && topicId !== ZERO_UUID)) {
    const topic = broker.topics.byId(topicId);
    return topic === undefined
      ? noTopic('UNKNOWN_TOPIC_ID', unnamed, topicId)
      : topicAnswer(topic, broker.nodeId);
  }
  const topic = broker.topics.get(name);
  if (topic !== undefined) return topicAnswer(topic, broker.nodeId);
  if (topicNameFault(name) !== undefined) return noTopic('INVALID_TOPIC_EXCEPTION', name);
  if (!mayCreate) return noTopic('UNKNOWN_TOPIC_OR_PARTITION', name);
  const created = await broker.topics.getOrCreate(name);
  return created.ok ? topicAnswer(created.value, broker.nodeId) : noTopic(created.error, name);
}

function topicAnswer(topic: Topic, nodeId: number): TopicAnswer {
  const nodes = [nodeId];
  return {
    errorCode: 0,
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.internal,
    partitions: topic.partitions.map((log, partitionIndex) => ({
      errorCode: 0,
      partitionIndex,
      leaderId: nodeId,
      leaderEpoch: log.leaderEpoch,
      replicaNodes: nodes,
      isrNodes: nodes,
      offlineReplicas: [],
    })),
  };
}

function noTopic(error: ErrorName, name: string | null, topicId: string = ZERO_UUID): TopicAnswer {
  return { errorCode: errorCode(error), name, topicId, isInternal: false, partitions: [] };
}

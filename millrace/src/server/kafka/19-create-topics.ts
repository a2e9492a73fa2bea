/**
 * CreateTopics (key 19), versions 2-7.
 *
 * Behaviour:
 * - A topic is durable when it is answered. Names, partition counts and configurations are checked as Kafka does.
 * - Partitions -1 means the broker's `num.partitions`; replication factor -1 or 1.
 * - v5 and later answer the configuration of the topic, v7 its id.
 *
 * Deviations:
 * - A replication factor above 1 is refused with INVALID_REPLICATION_FACTOR: there is one broker.
 * - Names that differ only in `.` and `_` may coexist.
 *
 * Source: KIP-4, KIP-464, KIP-516, KIP-525.
 */
import { topicConfigEntries } from './config-entries.ts';
import type { NewTopic, Outcome } from '../../broker/topics.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  CreateTopicsRequest,
  CreateTopicsResponseInput,
} from '../../wire/kafka/messages/19-create-topics.ts';
import { type ElementOf, ZERO_UUID } from '../../wire/kafka/schema.ts';
import { defineApi, type Api, type RequestContext } from './api.ts';

type Asked = ElementOf<CreateTopicsRequest['topics']>;
type Answer = ElementOf<CreateTopicsResponseInput['topics']>;

export const createTopicsApi: Api<CreateTopicsRequest, CreateTopicsResponseInput> = defineApi({
  key: 19,
  name: 'CreateTopics',
  minVersion: 2,
  maxVersion: 7,
  handle: async (request, context) => {
    const count = new Map<string, number>();
    for (const { name } of request.topics) count.set(name, (count.get(name) ?? 0) + 1);
    const topics = await Promise.all(
      [...count].map(async ([name, times]) => {
        const asked = request.topics.find((topic) => topic.name === name);
        return asked === undefined || times > 1
          ? refused(name, 'INVALID_REQUEST', 'the request names the topic more than once')
          : create(asked, request.validateOnly, context);
      }),
    );
    return { topics };
  },
});

async function create(
  asked: Asked,
  validateOnly: boolean,
  context: RequestContext,
): Promise<Answer> {
  const { topics, settings } = context.broker;
  const wanted = wantedTopic(asked, context.broker.nodeId);
  if (!wanted.ok) return refused(asked.name, wanted.error, wanted.message);
  const checked = topics.checkCreate(wanted.value);
  if (!checked.ok) return refused(asked.name, checked.error, checked.message);
  let topicId = ZERO_UUID;
  if (!validateOnly) {
    const created = await topics.create(wanted.value);
    if (!created.ok) return refused(asked.name, created.error, created.message);
    topicId = created.value.id;
  }
  const { partitions, config } = checked.value;
  return {
    name: asked.name,
    topicId,
    errorCode: 0,
    errorMessage: null,
    numPartitions: partitions,
    replicationFactor: 1,
    configs: topicConfigEntries(config, wanted.value.overrides, settings).map((entry) => ({
      name: entry.name,
      value: entry.value,
      readOnly: false,
      configSource: entry.source,
      isSensitive: false,
    })),
  };
}

/** What the request means, as far as it is about the one broker that there is. */
function wantedTopic(asked: Asked, nodeId: number): Outcome<NewTopic> {
  const { name, assignments, replicationFactor } = asked;
  const overrides: [string, string][] = [];
  for (const config of asked.configs) {
    if (config.value === null)
      return refusal('INVALID_CONFIG', `the value of ${config.name} cannot be null`);
    overrides.push([config.name, config.value]);
  }
  const wanted = { name, overrides: Object.fromEntries(overrides) };
  if (assignments.length === 0) {
    if (replicationFactor !== -1 && replicationFactor !== 1)
      return refusal(
        'INVALID_REPLICATION_FACTOR',
        `the replication factor ${replicationFactor} cannot be: there is 1 broker`,
      );
    const { numPartitions } = asked;
    if (numPartitions < -1 || numPartitions === 0)
      return refusal(
        'INVALID_PARTITIONS',
        `a topic has at least 1 partition, not ${numPartitions}`,
      );
    return { ok: true, value: { ...wanted, partitions: numPartitions } };
  }
  if (asked.numPartitions !== -1 || replicationFactor !== -1)
    return refusal(
      'INVALID_REQUEST',
      'a request that assigns replicas must leave partitions and replication factor at -1',
    );
  const indexes = new Set(assignments.map((assignment) => assignment.partitionIndex));
  const consecutive = [...indexes].every((index) => index >= 0 && index < assignments.length);
  const onlyHere = assignments.every(
    ({ brokerIds }) => brokerIds.length === 1 && brokerIds[0] === nodeId,
  );
  if (indexes.size !== assignments.length || !consecutive || !onlyHere)
    return refusal(
      'INVALID_REPLICA_ASSIGNMENT',
      `partitions are numbered from 0 without gaps, each on broker ${nodeId} alone`,
    );
  return { ok: true, value: { ...wanted, partitions: assignments.length } };
}

function refusal(error: ErrorName, message: string): Outcome<never> {
  return { ok: false, error, message };
}

function refused(name: string, error: ErrorName, message: string): Answer {
  return {
    name,
    topicId: ZERO_UUID,
    errorCode: errorCode(error),
    errorMessage: message,
    topicConfigErrorCode: 0,
    configs: null,
  };
}

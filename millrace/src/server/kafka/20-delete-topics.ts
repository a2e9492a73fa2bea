/**
 * DeleteTopics (key 20), versions 1-6.
 *
 * Behaviour:
 * - A topic, its records and its files are gone, durably, when it is answered; fetches that wait on it are answered.
 * - v6 deletes by name or by id.
 *
 * Deviations:
 * - Internal topics cannot be deleted (INVALID_TOPIC_EXCEPTION).
 *
 * Source: KIP-4, KIP-516.
 */
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  DeleteTopicsRequest,
  DeleteTopicsResponseInput,
} from '../../wire/kafka/messages/20-delete-topics.ts';
import { type ElementOf, ZERO_UUID } from '../../wire/kafka/schema.ts';
import { defineApi, type Api, type RequestContext } from './api.ts';

type Answer = ElementOf<DeleteTopicsResponseInput['responses']>;

const BY_ID_SINCE = 6;

export const deleteTopicsApi: Api<DeleteTopicsRequest, DeleteTopicsResponseInput> = defineApi({
  key: 20,
  name: 'DeleteTopics',
  minVersion: 1,
  maxVersion: 6,
  handle: async (request, context) => {
    const asked =
      context.apiVersion >= BY_ID_SINCE
        ? request.topics
        : request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }));
    return { responses: await Promise.all(asked.map((one) => remove(one, context))) };
  },
});

async function remove(
  asked: { readonly name: string | null; readonly topicId: string },
  context: RequestContext,
): Promise<Answer> {
  const { topics } = context.broker;
  const byId = asked.topicId !== ZERO_UUID;
  if (byId === (asked.name !== null))
    return answer(asked, 'INVALID_REQUEST', 'a topic is deleted by its name or by its id');
  const topic = asked.name === null ? topics.byId(asked.topicId) : topics.get(asked.name);
  if (topic === undefined)
    return answer(asked, byId ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION', null);
  const named = { name: topic.name, topicId: topic.id };
  const deleted = await topics.delete(topic);
  return deleted.ok ? answer(named, 'NONE', null) : answer(named, deleted.error, deleted.message);
}

function answer(
  topic: { readonly name: string | null; readonly topicId: string },
  error: ErrorName,
  errorMessage: string | null,
): Answer {
  return { ...topic, errorCode: errorCode(error), errorMessage };
}

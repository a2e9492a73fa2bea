/**
 * OffsetDelete (key 47), version 0.
 *
 * Behaviour:
 * - Offsets are gone, durably, when it is answered; one that does not exist is no error.
 * - GROUP_SUBSCRIBED_TO_TOPIC for topics that members of the group consume; NON_EMPTY_GROUP when its members are not
 *   consumers; GROUP_ID_NOT_FOUND; UNKNOWN_TOPIC_OR_PARTITION for a topic that does not exist.
 *
 * Deviations:
 * - None.
 *
 * Source: KIP-496.
 */
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  OffsetDeleteRequest,
  OffsetDeleteResponseInput,
} from '../../wire/kafka/messages/47-offset-delete.ts';
import { defineApi, type Api } from './api.ts';

export const offsetDeleteApi: Api<OffsetDeleteRequest, OffsetDeleteResponseInput> = defineApi({
  key: 47,
  name: 'OffsetDelete',
  minVersion: 0,
  maxVersion: 0,
  handle: async ({ groupId, topics }, { broker }) => {
    const keys = topics
      .filter(({ name }) => broker.topics.get(name) !== undefined)
      .flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex }) => ({ topic: name, partition: partitionIndex })),
      );
    const known = new Set(keys.map(({ topic }) => topic));
    const result = await broker.groups.deleteOffsets(groupId, keys);
    if (result.error !== 'NONE') return { errorCode: errorCode(result.error), topics: [] };
    let next = 0;
    return {
      errorCode: errorCode('NONE'),
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => {
          const error: ErrorName = known.has(name)
            ? (result.partitions[next++] ?? 'UNKNOWN_SERVER_ERROR')
            : 'UNKNOWN_TOPIC_OR_PARTITION';
          return { partitionIndex, errorCode: errorCode(error) };
        }),
      })),
    };
  },
});

/**
 * OffsetDelete (key 47), version 0.
 *
 * Behaviour:
 * - Offsets are gone, durably, when it is answered; one that does not exist is no error.
 * - GROUP_SUBSCRIBED_TO_TOPIC for topics that members of the group consume; NON_EMPTY_GROUP when its members are not
 *   consumers; GROUP_ID_NOT_FOUND; UNKNOWN_TOPIC_OR_PARTITION for a topic or partition that does not exist.
 *
 * Deviations:
 * - None.
 *
 * Source: KIP-496.
 */
import type { PartitionKey } from '../../broker/groups/group-records.ts';
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
    if (groupId === '') return { errorCode: errorCode('INVALID_GROUP_ID'), topics: [] };
    const keys: PartitionKey[] = [];
    const known = topics.map(({ name, partitions }) =>
      partitions.map(({ partitionIndex }) => {
        const exists = broker.topics.get(name)?.partitions[partitionIndex] !== undefined;
        if (exists) keys.push({ topic: name, partition: partitionIndex });
        return exists;
      }),
    );
    const result = await broker.groups.deleteOffsets(groupId, keys);
    if (result.error !== 'NONE') return { errorCode: errorCode(result.error), topics: [] };
    let next = 0;
    const errorOf = (isKnown: boolean): ErrorName =>
      isKnown
        ? (result.partitions[next++] ?? 'UNKNOWN_SERVER_ERROR')
        : 'UNKNOWN_TOPIC_OR_PARTITION';
    return {
      errorCode: errorCode('NONE'),
      topics: topics.map(({ name, partitions }, topicIndex) => ({
        name,
        partitions: partitions.map(({ partitionIndex }, index) => ({
          partitionIndex,
          errorCode: errorCode(errorOf(known[topicIndex]?.[index] ?? false)),
        })),
      })),
    };
  },
});

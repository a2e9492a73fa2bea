/**
 * OffsetCommit (key 8), versions 2-10.
 *
 * Behaviour:
 * - Answered when the offsets are on disk.
 * - A member commits with its generation: ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID otherwise, and
 *   REBALANCE_IN_PROGRESS between joining and assignment. Its commit keeps its session alive.
 * - Generation -1 without a member id commits for a group without members, which is created when it does not exist.
 * - Metadata up to `offset.metadata.max.bytes`; a retention time (v2-4) is kept with the offset.
 * - UNKNOWN_TOPIC_OR_PARTITION for a topic or partition that does not exist; v10 names topics by id: UNKNOWN_TOPIC_ID.
 *
 * Deviations:
 * - None.
 *
 * Source: KIP-98, KIP-211, KIP-320, KIP-345, KIP-848 (v9), KIP-516 (v10).
 */
import type { OffsetToCommit } from '../../broker/groups/group-types.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  OffsetCommitRequest,
  OffsetCommitResponseInput,
} from '../../wire/kafka/messages/08-offset-commit.ts';
import type { ElementOf } from '../../wire/kafka/schema.ts';
import { defineApi, type Api, type RequestContext } from './api.ts';

type TopicRequest = ElementOf<OffsetCommitRequest['topics']>;

const BY_ID_SINCE = 10;
/** The first version that can say that the group does not exist. */
const GROUP_NOT_FOUND_SINCE = 9;

export const offsetCommitApi: Api<OffsetCommitRequest, OffsetCommitResponseInput> = defineApi({
  key: 8,
  name: 'OffsetCommit',
  minVersion: 2,
  maxVersion: 10,
  handle: async (request, context) => {
    const offsets: OffsetToCommit[] = [];
    const refused = request.topics.map((topic) => collect(topic, context, offsets));
    const generation = request.generationIdOrMemberEpoch;
    const { groups } = context.broker;
    const unknownGroup =
      context.apiVersion >= GROUP_NOT_FOUND_SINCE &&
      generation >= 0 &&
      groups.describe(request.groupId) === undefined;
    const errors = unknownGroup
      ? offsets.map((): ErrorName => 'GROUP_ID_NOT_FOUND')
      : await groups.commitOffsets({
          groupId: request.groupId,
          generation,
          memberId: request.memberId,
          instanceId: request.groupInstanceId,
          retentionMs: request.retentionTimeMs,
          offsets,
        });
    let next = 0;
    const topics = request.topics.map((topic, topicIndex) => ({
      name: topic.name,
      topicId: topic.topicId,
      partitions: topic.partitions.map(({ partitionIndex }, index) => {
        const error = refused[topicIndex]?.[index] ?? errors[next++] ?? 'UNKNOWN_SERVER_ERROR';
        return { partitionIndex, errorCode: errorCode(error) };
      }),
    }));
    return { topics };
  },
});

/** Adds what may be committed to `offsets`; returns why not, per partition, undefined for those that may. */
function collect(
  topic: TopicRequest,
  { broker, apiVersion }: RequestContext,
  offsets: OffsetToCommit[],
): readonly (ErrorName | undefined)[] {
  const byId = apiVersion >= BY_ID_SINCE;
  const found = byId ? broker.topics.byId(topic.topicId) : broker.topics.get(topic.name);
  return topic.partitions.map((partition) => {
    if (found === undefined) return byId ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION';
    if (found.partitions[partition.partitionIndex] === undefined) {
      return 'UNKNOWN_TOPIC_OR_PARTITION';
    }
    offsets.push({
      topic: found.name,
      partition: partition.partitionIndex,
      offset: partition.committedOffset,
      leaderEpoch: partition.committedLeaderEpoch,
      metadata: partition.committedMetadata,
    });
    return undefined;
  });
}

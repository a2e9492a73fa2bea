/**
 * TxnOffsetCommit (key 28), versions 0-5.
 *
 * Behaviour:
 * - Stores offsets that count once the transaction commits; answered when they are on disk.
 * - The transaction must be open and include offsets (AddOffsetsToTxn): INVALID_TXN_STATE, INVALID_PRODUCER_EPOCH or
 *   INVALID_PRODUCER_ID_MAPPING otherwise.
 * - A member is fenced by its generation, member id and instance id (v3).
 *
 * Deviations:
 * - v5 does not add the offsets to the transaction by itself: transactions v2 are not announced.
 *
 * Source: KIP-98, KIP-447, KIP-890.
 */
import type { OffsetToCommit } from '../../broker/groups/group-types.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  TxnOffsetCommitRequest,
  TxnOffsetCommitResponseInput,
} from '../../wire/kafka/messages/28-txn-offset-commit.ts';
import { defineApi, type Api } from './api.ts';

export const txnOffsetCommitApi: Api<TxnOffsetCommitRequest, TxnOffsetCommitResponseInput> =
  defineApi({
    key: 28,
    name: 'TxnOffsetCommit',
    minVersion: 0,
    maxVersion: 5,
    handle: async (request, { broker }) => {
      const offsets: OffsetToCommit[] = [];
      // Found once: a topic may be deleted while the offsets are on their way to the disk.
      const exists = request.topics.map(({ name, partitions }) =>
        partitions.map(
          ({ partitionIndex }) => broker.topics.partition(name, partitionIndex) !== undefined,
        ),
      );
      for (const [topicAt, { name, partitions }] of request.topics.entries()) {
        for (const [at, partition] of partitions.entries()) {
          if (exists[topicAt]?.[at] !== true) continue;
          offsets.push({
            topic: name,
            partition: partition.partitionIndex,
            offset: partition.committedOffset,
            leaderEpoch: partition.committedLeaderEpoch,
            metadata: partition.committedMetadata,
          });
        }
      }
      const errors = await broker.transactions.commitOffsets(request.transactionalId, {
        groupId: request.groupId,
        generation: request.generationId,
        memberId: request.memberId,
        instanceId: request.groupInstanceId,
        producerId: request.producerId,
        producerEpoch: request.producerEpoch,
        offsets,
      });
      let next = 0;
      const topics = request.topics.map(({ name, partitions }, topicAt) => ({
        name,
        partitions: partitions.map(({ partitionIndex }, at) => {
          const error: ErrorName =
            exists[topicAt]?.[at] === true
              ? (errors[next++] ?? 'UNKNOWN_SERVER_ERROR')
              : 'UNKNOWN_TOPIC_OR_PARTITION';
          return { partitionIndex, errorCode: errorCode(error) };
        }),
      }));
      return { topics };
    },
  });

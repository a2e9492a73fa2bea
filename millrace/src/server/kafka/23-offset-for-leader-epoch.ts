/**
 * OffsetForLeaderEpoch (key 23), versions 2-4.
 *
 * Behaviour:
 * - Answers where the records of an epoch end, so that a client can tell whether what it has read is still there. The
 *   epoch of a partition rises with every start of the broker.
 *
 * Deviations:
 * - none
 *
 * Source: KIP-101, KIP-320.
 */
import { epochError } from '../../broker/fetch.ts';
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  OffsetForLeaderEpochRequest,
  OffsetForLeaderEpochResponseInput,
} from '../../wire/kafka/messages/23-offset-for-leader-epoch.ts';
import { defineApi, type Api } from './api.ts';

export const offsetForLeaderEpochApi: Api<
  OffsetForLeaderEpochRequest,
  OffsetForLeaderEpochResponseInput
> = defineApi({
  key: 23,
  name: 'OffsetForLeaderEpoch',
  minVersion: 2,
  maxVersion: 4,
  handle: (request, { broker }) => ({
    topics: request.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition, currentLeaderEpoch, leaderEpoch }) => {
        const log = broker.topics.partition(topic, partition);
        if (log === undefined)
          return { partition, errorCode: errorCode('UNKNOWN_TOPIC_OR_PARTITION') };
        const fault = epochError(currentLeaderEpoch, log.leaderEpoch);
        if (fault !== undefined) return { partition, errorCode: errorCode(fault) };
        return { partition, errorCode: 0, ...log.endOffsetForEpoch(leaderEpoch) };
      }),
    })),
  }),
});

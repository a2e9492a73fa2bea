/**
 * ElectLeaders (key 43), versions 0-2.
 *
 * Behaviour:
 * - The one broker leads every partition already: ELECTION_NOT_NEEDED for each.
 *
 * Deviations:
 * - none
 *
 * Source: KIP-183, KIP-460.
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  ElectLeadersRequest,
  ElectLeadersResponseInput,
} from '../../wire/kafka/messages/43-elect-leaders.ts';
import { defineApi, type Api } from './api.ts';

export const electLeadersApi: Api<ElectLeadersRequest, ElectLeadersResponseInput> = defineApi({
  key: 43,
  name: 'ElectLeaders',
  minVersion: 0,
  maxVersion: 2,
  // Without a list, only partitions whose leader changed would be answered: none.
  handle: (request, { broker }) => ({
    errorCode: 0,
    replicaElectionResults: (request.topicPartitions ?? []).map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => {
        const exists = broker.topics.partition(topic, partitionId) !== undefined;
        return {
          partitionId,
          errorCode: errorCode(exists ? 'ELECTION_NOT_NEEDED' : 'UNKNOWN_TOPIC_OR_PARTITION'),
          errorMessage: exists ? 'there is one broker, and it leads' : null,
        };
      }),
    })),
  }),
});

/**
 * DescribeProducers (key 61), version 0.
 *
 * Behaviour:
 * - The idempotent and transactional producers whose state a partition keeps, with where an open transaction began.
 *
 * Deviations:
 * - none
 *
 * Source: KIP-664.
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  DescribeProducersRequest,
  DescribeProducersResponseInput,
} from '../../wire/kafka/messages/61-describe-producers.ts';
import { defineApi, type Api } from './api.ts';

export const describeProducersApi: Api<DescribeProducersRequest, DescribeProducersResponseInput> =
  defineApi({
    key: 61,
    name: 'DescribeProducers',
    minVersion: 0,
    maxVersion: 0,
    handle: (request, { broker }) => ({
      topics: request.topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => {
          const log = broker.topics.partition(name, partitionIndex);
          if (log === undefined)
            return {
              partitionIndex,
              errorCode: errorCode('UNKNOWN_TOPIC_OR_PARTITION'),
              activeProducers: [],
            };
          return {
            partitionIndex,
            errorCode: 0,
            activeProducers: log.producers().map((producer) => ({
              producerId: producer.producerId,
              producerEpoch: producer.producerEpoch,
              lastSequence: producer.lastSequence,
              lastTimestamp: producer.lastTimestampMs,
              coordinatorEpoch: producer.coordinatorEpoch,
              currentTxnStartOffset: producer.currentTransactionStartOffset,
            })),
          };
        }),
      })),
    }),
  });

/**
 * DescribeTransactions (key 65), version 0.
 *
 * Behaviour:
 * - State, producer, timeout, begin and partitions of transactional ids; TRANSACTIONAL_ID_NOT_FOUND for one that is not known.
 *
 * Deviations: none.
 *
 * Source: KIP-664.
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  DescribeTransactionsRequest,
  DescribeTransactionsResponseInput,
} from '../../wire/kafka/messages/65-describe-transactions.ts';
import { defineApi, type Api } from './api.ts';

export const describeTransactionsApi: Api<
  DescribeTransactionsRequest,
  DescribeTransactionsResponseInput
> = defineApi({
  key: 65,
  name: 'DescribeTransactions',
  minVersion: 0,
  maxVersion: 0,
  handle: (request, { broker }) => ({
    transactionStates: request.transactionalIds.map((transactionalId) => {
      const state = broker.transactions.get(transactionalId);
      return {
        errorCode: errorCode(state === undefined ? 'TRANSACTIONAL_ID_NOT_FOUND' : 'NONE'),
        transactionalId,
        transactionState: state?.status ?? '',
        transactionTimeoutMs: state?.timeoutMs ?? 0,
        transactionStartTimeMs: state?.startMs ?? -1,
        producerId: state?.producerId ?? -1,
        producerEpoch: state?.producerEpoch ?? -1,
        topics: [...(state?.partitions ?? [])].map(([topic, partitions]) => ({
          topic,
          partitions: [...partitions],
        })),
      };
    }),
  }),
});

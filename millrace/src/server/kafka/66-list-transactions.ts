/**
 * ListTransactions (key 66), versions 0-1.
 *
 * Behaviour:
 * - The transactional ids that are known, filtered by state, producer id and how long the transaction is open (v1).
 * - States that do not exist are named in the answer and match nothing.
 *
 * Deviations:
 * - v2, which filters by a regular expression of the client's, is not served: matching it takes as long as the client likes.
 *
 * Source: KIP-664, KIP-994.
 */
import { isTransactionStatus } from '../../broker/transactions/transaction-state.ts';
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  ListTransactionsRequest,
  ListTransactionsResponseInput,
} from '../../wire/kafka/messages/66-list-transactions.ts';
import { defineApi, type Api } from './api.ts';

export const listTransactionsApi: Api<ListTransactionsRequest, ListTransactionsResponseInput> =
  defineApi({
    key: 66,
    name: 'ListTransactions',
    minVersion: 0,
    maxVersion: 1,
    handle: (request, { broker }) => {
      const statuses = request.stateFilters.filter(isTransactionStatus);
      const unknown = request.stateFilters.filter((name) => !isTransactionStatus(name));
      const onlyUnknown = unknown.length > 0 && statuses.length === 0;
      const states = onlyUnknown
        ? []
        : broker.transactions.list({
            statuses,
            producerIds: request.producerIdFilters,
            openLongerThanMs: request.durationFilter,
          });
      return {
        errorCode: errorCode('NONE'),
        unknownStateFilters: unknown,
        transactionStates: states.map(({ transactionalId, producerId, status }) => ({
          transactionalId,
          producerId,
          transactionState: status,
        })),
      };
    },
  });

/**
 * EndTxn (key 26), versions 0-5.
 *
 * Behaviour:
 * - Answered when the outcome is on disk and its markers are too: the next read sees all of a committed transaction.
 * - Asking again for the same outcome succeeds; for the other one is INVALID_TXN_STATE.
 * - v5 gives the producer its next epoch with the answer.
 * - When the disk has no room for the markers, the answer is given as soon as the outcome is durable; the next request of the
 *   transactional id gets CONCURRENT_TRANSACTIONS until they are written.
 *
 * Deviations:
 * - Transactions v2 (`transaction.version` 2) are not announced, so clients use v4 and below.
 *
 * Source: KIP-98, KIP-890.
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type { EndTxnRequest, EndTxnResponseInput } from '../../wire/kafka/messages/26-end-txn.ts';
import { defineApi, type Api } from './api.ts';
import { transactionError } from './transaction-errors.ts';

const BUMPS_EPOCH_SINCE = 5;

export const endTxnApi: Api<EndTxnRequest, EndTxnResponseInput> = defineApi({
  key: 26,
  name: 'EndTxn',
  minVersion: 0,
  maxVersion: 5,
  handle: async (request, { broker, apiVersion }) => {
    const { transactionalId, producerId, producerEpoch } = request;
    const ended = await broker.transactions.end(
      { transactionalId, producerId, producerEpoch },
      request.committed,
      apiVersion >= BUMPS_EPOCH_SINCE,
    );
    const { error, ...identity } = ended;
    return { errorCode: errorCode(transactionError(error, apiVersion)), ...identity };
  },
});

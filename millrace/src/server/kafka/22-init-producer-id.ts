/**
 * InitProducerId (key 22), versions 0-5.
 *
 * Behaviour:
 * - Without a transactional id: a producer id that was never given out before, with epoch 0.
 * - With one: the same producer id and the next epoch, which fences whoever had it before; what that left open is aborted first.
 * - A producer that names the id and epoch it has (v3) goes on with the next epoch; asking twice is answered the same twice.
 * - A new producer id when the epochs are used up.
 * - Timeouts above `transaction.max.timeout.ms` are refused with INVALID_TRANSACTION_TIMEOUT.
 * - A fenced producer gets PRODUCER_FENCED (v4), INVALID_PRODUCER_EPOCH before.
 *
 * Deviations:
 * - An open transaction is aborted within the one request; Kafka answers CONCURRENT_TRANSACTIONS first.
 *
 * Source: KIP-98, KIP-360, KIP-588.
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  InitProducerIdRequest,
  InitProducerIdResponseInput,
} from '../../wire/kafka/messages/22-init-producer-id.ts';
import { defineApi, type Api } from './api.ts';

const PRODUCER_FENCED_SINCE = 4;

export const initProducerIdApi: Api<InitProducerIdRequest, InitProducerIdResponseInput> = defineApi(
  {
    key: 22,
    name: 'InitProducerId',
    minVersion: 0,
    maxVersion: 5,
    handle: async (request, { broker, apiVersion }) => {
      const { error, producerId, producerEpoch } = await broker.transactions.initProducerId({
        transactionalId: request.transactionalId,
        timeoutMs: request.transactionTimeoutMs,
        producerId: request.producerId,
        producerEpoch: request.producerEpoch,
      });
      const known =
        error === 'PRODUCER_FENCED' && apiVersion < PRODUCER_FENCED_SINCE
          ? 'INVALID_PRODUCER_EPOCH'
          : error;
      return { errorCode: errorCode(known), producerId, producerEpoch };
    },
  },
);

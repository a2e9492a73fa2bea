/**
 * AddOffsetsToTxn (key 25), versions 0-4.
 *
 * Behaviour:
 * - Makes the offsets of a consumer group part of the transaction, durably before the answer; begins one when none is open.
 *
 * Deviations: none.
 *
 * Source: KIP-98.
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  AddOffsetsToTxnRequest,
  AddOffsetsToTxnResponseInput,
} from '../../wire/kafka/messages/25-add-offsets-to-txn.ts';
import { defineApi, type Api } from './api.ts';
import { transactionError } from './transaction-errors.ts';

export const addOffsetsToTxnApi: Api<AddOffsetsToTxnRequest, AddOffsetsToTxnResponseInput> =
  defineApi({
    key: 25,
    name: 'AddOffsetsToTxn',
    minVersion: 0,
    maxVersion: 4,
    handle: async (request, { broker, apiVersion }) => {
      const { transactionalId, producerId, producerEpoch } = request;
      const error =
        request.groupId === ''
          ? 'INVALID_GROUP_ID'
          : await broker.transactions.addOffsets({ transactionalId, producerId, producerEpoch });
      return { errorCode: errorCode(transactionError(error, apiVersion)) };
    },
  });

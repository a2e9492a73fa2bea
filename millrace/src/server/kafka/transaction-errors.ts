/** Errors of the transaction APIs as each version knows them. Source: KIP-588, KIP-890. */
import type { ErrorName } from '../../wire/kafka/error-codes.ts';

/** AddPartitionsToTxn, AddOffsetsToTxn and EndTxn know PRODUCER_FENCED since v2. */
const PRODUCER_FENCED_SINCE = 2;

export function transactionError(error: ErrorName, apiVersion: number): ErrorName {
  return error === 'PRODUCER_FENCED' && apiVersion < PRODUCER_FENCED_SINCE
    ? 'INVALID_PRODUCER_EPOCH'
    : error;
}

/**
 * ListTransactions (key 66): the transactions of this coordinator (KIP-664).
 *
 * Empty filters let everything pass; v1 filters by how long a transaction runs, -1 for any
 * (KIP-994); v2 filters by a regular expression over transactional ids (KIP-1152), null or empty
 * for all.
 */
import {
  array,
  int16,
  int32,
  int64,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const listTransactionsRequest = message({
  name: 'ListTransactionsRequest',
  versions: '0-2',
  flexible: '0+',
  fields: {
    stateFilters: array('0+', 'string'),
    producerIdFilters: array('0+', 'int64'),
    durationFilter: int64('1+', { default: -1 }),
    transactionalIdPattern: string('2+', { nullable: '2+', default: null }),
  },
});

export const listTransactionsResponse = message({
  name: 'ListTransactionsResponse',
  versions: '0-2',
  flexible: '0+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    unknownStateFilters: array('0+', 'string'),
    transactionStates: array('0+', {
      transactionalId: string('0+'),
      producerId: int64('0+'),
      transactionState: string('0+'),
    }),
  },
});

export type ListTransactionsRequest = Infer<typeof listTransactionsRequest>;
export type ListTransactionsRequestInput = InferInput<typeof listTransactionsRequest>;
export type ListTransactionsResponse = Infer<typeof listTransactionsResponse>;
export type ListTransactionsResponseInput = InferInput<typeof listTransactionsResponse>;

/**
 * EndTxn (key 26): commits or aborts a transaction.
 *
 * v3 is flexible; v4 may answer TRANSACTION_ABORTABLE; v5 bumps the producer's epoch and answers
 * the id and epoch to go on with (KIP-890, transactions v2).
 */
import {
  bool,
  int16,
  int32,
  int64,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const endTxnRequest = message({
  name: 'EndTxnRequest',
  versions: '0-5',
  flexible: '3+',
  fields: {
    transactionalId: string('0+'),
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    committed: bool('0+'),
  },
});

export const endTxnResponse = message({
  name: 'EndTxnResponse',
  versions: '0-5',
  flexible: '3+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    producerId: int64('5+', { default: -1, ignorable: true }),
    producerEpoch: int16('5+', { default: -1, ignorable: true }),
  },
});

export type EndTxnRequest = Infer<typeof endTxnRequest>;
export type EndTxnRequestInput = InferInput<typeof endTxnRequest>;
export type EndTxnResponse = Infer<typeof endTxnResponse>;
export type EndTxnResponseInput = InferInput<typeof endTxnResponse>;

/**
 * AddOffsetsToTxn (key 25): announces that a transaction will commit a group's offsets.
 *
 * v3 is flexible; v4 may answer TRANSACTION_ABORTABLE (KIP-890).
 */
import { int16, int32, int64, message, string, type Infer, type InferInput } from '../schema.ts';

export const addOffsetsToTxnRequest = message({
  name: 'AddOffsetsToTxnRequest',
  versions: '0-4',
  flexible: '3+',
  fields: {
    transactionalId: string('0+'),
    producerId: int64('0+'),
    producerEpoch: int16('0+'),
    groupId: string('0+'),
  },
});

export const addOffsetsToTxnResponse = message({
  name: 'AddOffsetsToTxnResponse',
  versions: '0-4',
  flexible: '3+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
  },
});

export type AddOffsetsToTxnRequest = Infer<typeof addOffsetsToTxnRequest>;
export type AddOffsetsToTxnRequestInput = InferInput<typeof addOffsetsToTxnRequest>;
export type AddOffsetsToTxnResponse = Infer<typeof addOffsetsToTxnResponse>;
export type AddOffsetsToTxnResponseInput = InferInput<typeof addOffsetsToTxnResponse>;

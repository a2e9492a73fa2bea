/**
 * InitProducerId (key 22): a producer id and epoch for an idempotent or transactional producer.
 *
 * v2 is flexible; v3 lets a producer bump the epoch of the id it has (KIP-360); v4 may answer
 * PRODUCER_FENCED (KIP-588); v5 is for transactions v2 (KIP-890).
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

export const initProducerIdRequest = message({
  name: 'InitProducerIdRequest',
  versions: '0-5',
  flexible: '2+',
  fields: {
    transactionalId: string('0+', { nullable: '0+' }),
    transactionTimeoutMs: int32('0+'),
    producerId: int64('3+', { default: -1 }),
    producerEpoch: int16('3+', { default: -1 }),
    enable2Pc: bool('6+', { default: false }),
    keepPreparedTxn: bool('6+', { default: false }),
  },
});

export const initProducerIdResponse = message({
  name: 'InitProducerIdResponse',
  versions: '0-5',
  flexible: '2+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0, ignorable: true }),
    errorCode: int16('0+'),
    producerId: int64('0+', { default: -1 }),
    producerEpoch: int16('0+'),
    ongoingTxnProducerId: int64('6+', { default: -1 }),
    ongoingTxnProducerEpoch: int16('6+', { default: -1 }),
  },
});

export type InitProducerIdRequest = Infer<typeof initProducerIdRequest>;
export type InitProducerIdRequestInput = InferInput<typeof initProducerIdRequest>;
export type InitProducerIdResponse = Infer<typeof initProducerIdResponse>;
export type InitProducerIdResponseInput = InferInput<typeof initProducerIdResponse>;

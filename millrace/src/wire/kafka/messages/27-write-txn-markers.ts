/**
 * WriteTxnMarkers (key 27): a transaction coordinator writes commit or abort markers to partitions.
 *
 * Between brokers, and for admin clients that abort a hanging transaction (KIP-664). v1 is
 * flexible.
 */
import {
  array,
  bool,
  int16,
  int32,
  int64,
  int8,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const writeTxnMarkersRequest = message({
  name: 'WriteTxnMarkersRequest',
  versions: '1',
  flexible: '1+',
  fields: {
    markers: array('0+', {
      producerId: int64('0+'),
      producerEpoch: int16('0+'),
      transactionResult: bool('0+'),
      topics: array('0+', {
        name: string('0+'),
        partitionIndexes: array('0+', 'int32'),
      }),
      coordinatorEpoch: int32('0+'),
      transactionVersion: int8('2+', { default: 0, ignorable: true }),
    }),
  },
});

export const writeTxnMarkersResponse = message({
  name: 'WriteTxnMarkersResponse',
  versions: '1',
  flexible: '1+',
  fields: {
    markers: array('0+', {
      producerId: int64('0+'),
      topics: array('0+', {
        name: string('0+'),
        partitions: array('0+', {
          partitionIndex: int32('0+'),
          errorCode: int16('0+'),
        }),
      }),
    }),
  },
});

export type WriteTxnMarkersRequest = Infer<typeof writeTxnMarkersRequest>;
export type WriteTxnMarkersRequestInput = InferInput<typeof writeTxnMarkersRequest>;
export type WriteTxnMarkersResponse = Infer<typeof writeTxnMarkersResponse>;
export type WriteTxnMarkersResponseInput = InferInput<typeof writeTxnMarkersResponse>;

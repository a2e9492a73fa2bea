/**
 * DeleteRecords (key 21): moves the log start offset of partitions forward.
 *
 * An offset of -1 means the high watermark. v2 is flexible.
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

export const deleteRecordsRequest = message({
  name: 'DeleteRecordsRequest',
  versions: '0-2',
  flexible: '2+',
  fields: {
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        offset: int64('0+'),
      }),
    }),
    timeoutMs: int32('0+'),
  },
});

export const deleteRecordsResponse = message({
  name: 'DeleteRecordsResponse',
  versions: '0-2',
  flexible: '2+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        lowWatermark: int64('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
});

export type DeleteRecordsRequest = Infer<typeof deleteRecordsRequest>;
export type DeleteRecordsRequestInput = InferInput<typeof deleteRecordsRequest>;
export type DeleteRecordsResponse = Infer<typeof deleteRecordsResponse>;
export type DeleteRecordsResponseInput = InferInput<typeof deleteRecordsResponse>;

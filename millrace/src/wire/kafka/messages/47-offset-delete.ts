/**
 * OffsetDelete (key 47): deletes stored offsets of a group's partitions (KIP-496). Never flexible.
 */
import { array, int16, int32, message, string, type Infer, type InferInput } from '../schema.ts';

export const offsetDeleteRequest = message({
  name: 'OffsetDeleteRequest',
  versions: '0',
  flexible: 'none',
  fields: {
    groupId: string('0+'),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
      }),
    }),
  },
});

export const offsetDeleteResponse = message({
  name: 'OffsetDeleteResponse',
  versions: '0',
  flexible: 'none',
  fields: {
    errorCode: int16('0+'),
    throttleTimeMs: int32('0+', { default: 0, ignorable: true }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
      }),
    }),
  },
});

export type OffsetDeleteRequest = Infer<typeof offsetDeleteRequest>;
export type OffsetDeleteRequestInput = InferInput<typeof offsetDeleteRequest>;
export type OffsetDeleteResponse = Infer<typeof offsetDeleteResponse>;
export type OffsetDeleteResponseInput = InferInput<typeof offsetDeleteResponse>;

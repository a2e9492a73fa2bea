/**
 * CreatePartitions (key 37): raises the partition count of topics.
 *
 * v2 is flexible; v3 may answer THROTTLING_QUOTA_EXCEEDED.
 */
import {
  array,
  bool,
  int16,
  int32,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const createPartitionsRequest = message({
  name: 'CreatePartitionsRequest',
  versions: '0-3',
  flexible: '2+',
  fields: {
    topics: array('0+', {
      name: string('0+'),
      count: int32('0+'),
      assignments: array(
        '0+',
        {
          brokerIds: array('0+', 'int32'),
        },
        { nullable: '0+' },
      ),
    }),
    timeoutMs: int32('0+'),
    validateOnly: bool('0+'),
  },
});

export const createPartitionsResponse = message({
  name: 'CreatePartitionsResponse',
  versions: '0-3',
  flexible: '2+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    results: array('0+', {
      name: string('0+'),
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+', default: null }),
    }),
  },
});

export type CreatePartitionsRequest = Infer<typeof createPartitionsRequest>;
export type CreatePartitionsRequestInput = InferInput<typeof createPartitionsRequest>;
export type CreatePartitionsResponse = Infer<typeof createPartitionsResponse>;
export type CreatePartitionsResponseInput = InferInput<typeof createPartitionsResponse>;

/**
 * ListPartitionReassignments (key 46): the moves that are under way (KIP-455). Null topics are all.
 */
import { array, int16, int32, message, string, type Infer, type InferInput } from '../schema.ts';

export const listPartitionReassignmentsRequest = message({
  name: 'ListPartitionReassignmentsRequest',
  versions: '0',
  flexible: '0+',
  fields: {
    timeoutMs: int32('0+', { default: 60000 }),
    topics: array(
      '0+',
      {
        name: string('0+'),
        partitionIndexes: array('0+', 'int32'),
      },
      { nullable: '0+', default: null },
    ),
  },
});

export const listPartitionReassignmentsResponse = message({
  name: 'ListPartitionReassignmentsResponse',
  versions: '0',
  flexible: '0+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        replicas: array('0+', 'int32'),
        addingReplicas: array('0+', 'int32'),
        removingReplicas: array('0+', 'int32'),
      }),
    }),
  },
});

export type ListPartitionReassignmentsRequest = Infer<typeof listPartitionReassignmentsRequest>;
export type ListPartitionReassignmentsRequestInput = InferInput<
  typeof listPartitionReassignmentsRequest
>;
export type ListPartitionReassignmentsResponse = Infer<typeof listPartitionReassignmentsResponse>;
export type ListPartitionReassignmentsResponseInput = InferInput<
  typeof listPartitionReassignmentsResponse
>;

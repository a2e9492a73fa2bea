/**
 * AlterPartitionReassignments (key 45): moves partitions to other brokers (KIP-455). Null replicas
 * cancel a move.
 *
 * v1 can forbid a change of the replication factor (KIP-860).
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

export const alterPartitionReassignmentsRequest = message({
  name: 'AlterPartitionReassignmentsRequest',
  versions: '0-1',
  flexible: '0+',
  fields: {
    timeoutMs: int32('0+', { default: 60000 }),
    allowReplicationFactorChange: bool('1+', { default: true }),
    topics: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        replicas: array('0+', 'int32', { nullable: '0+', default: null }),
      }),
    }),
  },
});

export const alterPartitionReassignmentsResponse = message({
  name: 'AlterPartitionReassignmentsResponse',
  versions: '0-1',
  flexible: '0+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    allowReplicationFactorChange: bool('1+', { default: true, ignorable: true }),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+' }),
    responses: array('0+', {
      name: string('0+'),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: string('0+', { nullable: '0+' }),
      }),
    }),
  },
});

export type AlterPartitionReassignmentsRequest = Infer<typeof alterPartitionReassignmentsRequest>;
export type AlterPartitionReassignmentsRequestInput = InferInput<
  typeof alterPartitionReassignmentsRequest
>;
export type AlterPartitionReassignmentsResponse = Infer<typeof alterPartitionReassignmentsResponse>;
export type AlterPartitionReassignmentsResponseInput = InferInput<
  typeof alterPartitionReassignmentsResponse
>;

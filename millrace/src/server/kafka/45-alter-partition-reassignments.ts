/**
 * AlterPartitionReassignments (key 45), versions 0-1.
 *
 * Behaviour:
 * - Assigning a partition to the one broker is what it is already; any other assignment is
 *   INVALID_REPLICA_ASSIGNMENT, cancelling is NO_REASSIGNMENT_IN_PROGRESS.
 *
 * Deviations:
 * - none
 *
 * Source: KIP-455.
 */
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponseInput,
} from '../../wire/kafka/messages/45-alter-partition-reassignments.ts';
import { defineApi, type Api } from './api.ts';

export const alterPartitionReassignmentsApi: Api<
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponseInput
> = defineApi({
  key: 45,
  name: 'AlterPartitionReassignments',
  minVersion: 0,
  maxVersion: 1,
  handle: (request, { broker }) => ({
    errorCode: 0,
    errorMessage: null,
    allowReplicationFactorChange: request.allowReplicationFactorChange,
    responses: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, replicas }) => {
        const exists = broker.topics.partition(name, partitionIndex) !== undefined;
        const error = exists ? verdict(replicas, broker.nodeId) : 'UNKNOWN_TOPIC_OR_PARTITION';
        return { partitionIndex, errorCode: errorCode(error), errorMessage: null };
      }),
    })),
  }),
});

function verdict(replicas: readonly number[] | null, nodeId: number): ErrorName {
  if (replicas === null) return 'NO_REASSIGNMENT_IN_PROGRESS';
  return replicas.length === 1 && replicas[0] === nodeId ? 'NONE' : 'INVALID_REPLICA_ASSIGNMENT';
}

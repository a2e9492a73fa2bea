/**
 * ListPartitionReassignments (key 46), version 0.
 *
 * Behaviour:
 * - There is one broker, so no partition is ever being moved: the list is empty.
 *
 * Deviations:
 * - none
 *
 * Source: KIP-455.
 */
import type {
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponseInput,
} from '../../wire/kafka/messages/46-list-partition-reassignments.ts';
import { defineApi, type Api } from './api.ts';

export const listPartitionReassignmentsApi: Api<
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponseInput
> = defineApi({
  key: 46,
  name: 'ListPartitionReassignments',
  minVersion: 0,
  maxVersion: 0,
  handle: () => ({ errorCode: 0, errorMessage: null, topics: [] }),
});

/**
 * All APIs by key: the table from which frames, the server and the clients find a request's codec.
 */
import { API_KEYS, type ApiName } from './api-keys.ts';
import { produceRequest, produceResponse } from './messages/00-produce.ts';
import { fetchRequest, fetchResponse } from './messages/01-fetch.ts';
import { listOffsetsRequest, listOffsetsResponse } from './messages/02-list-offsets.ts';
import { metadataRequest, metadataResponse } from './messages/03-metadata.ts';
import { offsetCommitRequest, offsetCommitResponse } from './messages/08-offset-commit.ts';
import { offsetFetchRequest, offsetFetchResponse } from './messages/09-offset-fetch.ts';
import { findCoordinatorRequest, findCoordinatorResponse } from './messages/10-find-coordinator.ts';
import { joinGroupRequest, joinGroupResponse } from './messages/11-join-group.ts';
import { heartbeatRequest, heartbeatResponse } from './messages/12-heartbeat.ts';
import { leaveGroupRequest, leaveGroupResponse } from './messages/13-leave-group.ts';
import { syncGroupRequest, syncGroupResponse } from './messages/14-sync-group.ts';
import { describeGroupsRequest, describeGroupsResponse } from './messages/15-describe-groups.ts';
import { listGroupsRequest, listGroupsResponse } from './messages/16-list-groups.ts';
import { saslHandshakeRequest, saslHandshakeResponse } from './messages/17-sasl-handshake.ts';
import { apiVersionsRequest, apiVersionsResponse } from './messages/18-api-versions.ts';
import { createTopicsRequest, createTopicsResponse } from './messages/19-create-topics.ts';
import { deleteTopicsRequest, deleteTopicsResponse } from './messages/20-delete-topics.ts';
import { deleteRecordsRequest, deleteRecordsResponse } from './messages/21-delete-records.ts';
import { initProducerIdRequest, initProducerIdResponse } from './messages/22-init-producer-id.ts';
import {
  offsetForLeaderEpochRequest,
  offsetForLeaderEpochResponse,
} from './messages/23-offset-for-leader-epoch.ts';
import {
  addPartitionsToTxnRequest,
  addPartitionsToTxnResponse,
} from './messages/24-add-partitions-to-txn.ts';
import {
  addOffsetsToTxnRequest,
  addOffsetsToTxnResponse,
} from './messages/25-add-offsets-to-txn.ts';
import { endTxnRequest, endTxnResponse } from './messages/26-end-txn.ts';
import {
  writeTxnMarkersRequest,
  writeTxnMarkersResponse,
} from './messages/27-write-txn-markers.ts';
import {
  txnOffsetCommitRequest,
  txnOffsetCommitResponse,
} from './messages/28-txn-offset-commit.ts';
import { describeConfigsRequest, describeConfigsResponse } from './messages/32-describe-configs.ts';
import { alterConfigsRequest, alterConfigsResponse } from './messages/33-alter-configs.ts';
import {
  describeLogDirsRequest,
  describeLogDirsResponse,
} from './messages/35-describe-log-dirs.ts';
import {
  saslAuthenticateRequest,
  saslAuthenticateResponse,
} from './messages/36-sasl-authenticate.ts';
import {
  createPartitionsRequest,
  createPartitionsResponse,
} from './messages/37-create-partitions.ts';
import { deleteGroupsRequest, deleteGroupsResponse } from './messages/42-delete-groups.ts';
import { electLeadersRequest, electLeadersResponse } from './messages/43-elect-leaders.ts';
import {
  incrementalAlterConfigsRequest,
  incrementalAlterConfigsResponse,
} from './messages/44-incremental-alter-configs.ts';
import {
  alterPartitionReassignmentsRequest,
  alterPartitionReassignmentsResponse,
} from './messages/45-alter-partition-reassignments.ts';
import {
  listPartitionReassignmentsRequest,
  listPartitionReassignmentsResponse,
} from './messages/46-list-partition-reassignments.ts';
import { offsetDeleteRequest, offsetDeleteResponse } from './messages/47-offset-delete.ts';
import { describeClusterRequest, describeClusterResponse } from './messages/60-describe-cluster.ts';
import {
  describeProducersRequest,
  describeProducersResponse,
} from './messages/61-describe-producers.ts';
import {
  describeTransactionsRequest,
  describeTransactionsResponse,
} from './messages/65-describe-transactions.ts';
import {
  listTransactionsRequest,
  listTransactionsResponse,
} from './messages/66-list-transactions.ts';
import {
  listConfigResourcesRequest,
  listConfigResourcesResponse,
} from './messages/74-list-config-resources.ts';
import {
  describeTopicPartitionsRequest,
  describeTopicPartitionsResponse,
} from './messages/75-describe-topic-partitions.ts';
import type { Message } from './schema.ts';

export interface ApiMessages<
  Request extends Message = Message,
  Response extends Message = Message,
> {
  /** Kafka's name: `OffsetCommit`. */
  readonly name: ApiName;
  readonly key: number;
  readonly request: Request;
  readonly response: Response;
  /** The versions that can be decoded and encoded. */
  readonly validVersions: { readonly min: number; readonly max: number };
  /** The first flexible version, of request and response alike; Infinity when there is none. */
  readonly flexibleSince: number;
}

function api<Request extends Message, Response extends Message>(
  name: ApiName,
  request: Request,
  response: Response,
): ApiMessages<Request, Response> {
  return {
    name,
    key: API_KEYS[name],
    request,
    response,
    validVersions: { min: request.minVersion, max: request.maxVersion },
    flexibleSince: request.flexibleSince,
  };
}

/** `messages[3].request` is the definition of MetadataRequest. */
export const messages = {
  0: api('Produce', produceRequest, produceResponse),
  1: api('Fetch', fetchRequest, fetchResponse),
  2: api('ListOffsets', listOffsetsRequest, listOffsetsResponse),
  3: api('Metadata', metadataRequest, metadataResponse),
  8: api('OffsetCommit', offsetCommitRequest, offsetCommitResponse),
  9: api('OffsetFetch', offsetFetchRequest, offsetFetchResponse),
  10: api('FindCoordinator', findCoordinatorRequest, findCoordinatorResponse),
  11: api('JoinGroup', joinGroupRequest, joinGroupResponse),
  12: api('Heartbeat', heartbeatRequest, heartbeatResponse),
  13: api('LeaveGroup', leaveGroupRequest, leaveGroupResponse),
  14: api('SyncGroup', syncGroupRequest, syncGroupResponse),
  15: api('DescribeGroups', describeGroupsRequest, describeGroupsResponse),
  16: api('ListGroups', listGroupsRequest, listGroupsResponse),
  17: api('SaslHandshake', saslHandshakeRequest, saslHandshakeResponse),
  18: api('ApiVersions', apiVersionsRequest, apiVersionsResponse),
  19: api('CreateTopics', createTopicsRequest, createTopicsResponse),
  20: api('DeleteTopics', deleteTopicsRequest, deleteTopicsResponse),
  21: api('DeleteRecords', deleteRecordsRequest, deleteRecordsResponse),
  22: api('InitProducerId', initProducerIdRequest, initProducerIdResponse),
  23: api('OffsetForLeaderEpoch', offsetForLeaderEpochRequest, offsetForLeaderEpochResponse),
  24: api('AddPartitionsToTxn', addPartitionsToTxnRequest, addPartitionsToTxnResponse),
  25: api('AddOffsetsToTxn', addOffsetsToTxnRequest, addOffsetsToTxnResponse),
  26: api('EndTxn', endTxnRequest, endTxnResponse),
  27: api('WriteTxnMarkers', writeTxnMarkersRequest, writeTxnMarkersResponse),
  28: api('TxnOffsetCommit', txnOffsetCommitRequest, txnOffsetCommitResponse),
  32: api('DescribeConfigs', describeConfigsRequest, describeConfigsResponse),
  33: api('AlterConfigs', alterConfigsRequest, alterConfigsResponse),
  35: api('DescribeLogDirs', describeLogDirsRequest, describeLogDirsResponse),
  36: api('SaslAuthenticate', saslAuthenticateRequest, saslAuthenticateResponse),
  37: api('CreatePartitions', createPartitionsRequest, createPartitionsResponse),
  42: api('DeleteGroups', deleteGroupsRequest, deleteGroupsResponse),
  43: api('ElectLeaders', electLeadersRequest, electLeadersResponse),
  44: api(
    'IncrementalAlterConfigs',
    incrementalAlterConfigsRequest,
    incrementalAlterConfigsResponse,
  ),
  45: api(
    'AlterPartitionReassignments',
    alterPartitionReassignmentsRequest,
    alterPartitionReassignmentsResponse,
  ),
  46: api(
    'ListPartitionReassignments',
    listPartitionReassignmentsRequest,
    listPartitionReassignmentsResponse,
  ),
  47: api('OffsetDelete', offsetDeleteRequest, offsetDeleteResponse),
  60: api('DescribeCluster', describeClusterRequest, describeClusterResponse),
  61: api('DescribeProducers', describeProducersRequest, describeProducersResponse),
  65: api('DescribeTransactions', describeTransactionsRequest, describeTransactionsResponse),
  66: api('ListTransactions', listTransactionsRequest, listTransactionsResponse),
  74: api('ListConfigResources', listConfigResourcesRequest, listConfigResourcesResponse),
  75: api(
    'DescribeTopicPartitions',
    describeTopicPartitionsRequest,
    describeTopicPartitionsResponse,
  ),
} as const;

const BY_KEY: ReadonlyMap<number, ApiMessages> = new Map(
  Object.values(messages).map((entry) => [entry.key, entry]),
);

/** The API of a key that comes from the wire, or undefined when Millrace does not know it. */
export function apiMessages(key: number): ApiMessages | undefined {
  return BY_KEY.get(key);
}

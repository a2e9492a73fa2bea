/** Every API that is served, by key: what ApiVersions advertises, and what the reference page is made of. */
import { decodeMessage } from '../../wire/kafka/codec.ts';
import {
  decodeFetchRequest,
  encodeFetchResponse,
  type FetchBody,
} from '../../wire/kafka/fetch-codec.ts';
import { encodeResponse } from '../../wire/kafka/frames.ts';
import { messages } from '../../wire/kafka/registry.ts';
import {
  decodeProduceRequest,
  encodeProduceResponse,
  type FlatProduceRequest,
} from '../../wire/kafka/produce-codec.ts';
import { apiMessages } from '../../wire/kafka/registry.ts';
import { assert } from '../../core/errors.ts';
import { type ProduceAnswer, produceApi } from './00-produce.ts';
import { fetchApi } from './01-fetch.ts';
import { listOffsetsApi } from './02-list-offsets.ts';
import { metadataApi } from './03-metadata.ts';
import { offsetCommitApi } from './08-offset-commit.ts';
import { offsetFetchApi } from './09-offset-fetch.ts';
import { findCoordinatorApi } from './10-find-coordinator.ts';
import { joinGroupApi } from './11-join-group.ts';
import { heartbeatApi } from './12-heartbeat.ts';
import { leaveGroupApi } from './13-leave-group.ts';
import { syncGroupApi } from './14-sync-group.ts';
import { describeGroupsApi } from './15-describe-groups.ts';
import { listGroupsApi } from './16-list-groups.ts';
import { apiVersionsApi } from './18-api-versions.ts';
import { createTopicsApi } from './19-create-topics.ts';
import { deleteTopicsApi } from './20-delete-topics.ts';
import { deleteRecordsApi } from './21-delete-records.ts';
import { initProducerIdApi } from './22-init-producer-id.ts';
import { addPartitionsToTxnApi } from './24-add-partitions-to-txn.ts';
import { addOffsetsToTxnApi } from './25-add-offsets-to-txn.ts';
import { endTxnApi } from './26-end-txn.ts';
import { writeTxnMarkersApi } from './27-write-txn-markers.ts';
import { txnOffsetCommitApi } from './28-txn-offset-commit.ts';
import { describeTransactionsApi } from './65-describe-transactions.ts';
import { listTransactionsApi } from './66-list-transactions.ts';
import { offsetForLeaderEpochApi } from './23-offset-for-leader-epoch.ts';
import { describeConfigsApi } from './32-describe-configs.ts';
import { alterConfigsApi } from './33-alter-configs.ts';
import { describeLogDirsApi } from './35-describe-log-dirs.ts';
import { createPartitionsApi } from './37-create-partitions.ts';
import { deleteGroupsApi } from './42-delete-groups.ts';
import { electLeadersApi } from './43-elect-leaders.ts';
import { incrementalAlterConfigsApi } from './44-incremental-alter-configs.ts';
import { alterPartitionReassignmentsApi } from './45-alter-partition-reassignments.ts';
import { listPartitionReassignmentsApi } from './46-list-partition-reassignments.ts';
import { offsetDeleteApi } from './47-offset-delete.ts';
import { describeClusterApi } from './60-describe-cluster.ts';
import { describeProducersApi } from './61-describe-producers.ts';
import { listConfigResourcesApi } from './74-list-config-resources.ts';
import { describeTopicPartitionsApi } from './75-describe-topic-partitions.ts';
import type { Api, RequestContext } from './api.ts';

/** An API with its codec. */
export interface ServedApi {
  readonly api: Api<unknown, unknown>;
  decode(frame: Buffer, bodyStart: number, apiVersion: number): unknown;
  /** A whole response frame, in chunks. */
  encode(response: unknown, context: RequestContext): readonly Uint8Array[];
}

export interface AdvertisedVersion {
  readonly apiKey: number;
  readonly minVersion: number;
  readonly maxVersion: number;
}

const SERVED: readonly ServedApi[] = [
  serveProduce(),
  serveFetch(),
  serve(listOffsetsApi),
  serve(metadataApi),
  serve(offsetCommitApi),
  serve(offsetFetchApi),
  serve(findCoordinatorApi),
  serve(joinGroupApi),
  serve(heartbeatApi),
  serve(leaveGroupApi),
  serve(syncGroupApi),
  serve(describeGroupsApi),
  serve(listGroupsApi),
  serve(apiVersionsApi(advertisedVersions)),
  serve(createTopicsApi),
  serve(deleteTopicsApi),
  serve(deleteRecordsApi),
  serve(offsetForLeaderEpochApi),
  serve(describeConfigsApi),
  serve(alterConfigsApi),
  serve(describeLogDirsApi),
  serve(createPartitionsApi),
  serve(deleteGroupsApi),
  serve(electLeadersApi),
  serve(incrementalAlterConfigsApi),
  serve(alterPartitionReassignmentsApi),
  serve(listPartitionReassignmentsApi),
  serve(offsetDeleteApi),
  serve(initProducerIdApi),
  serve(addPartitionsToTxnApi),
  serve(addOffsetsToTxnApi),
  serve(endTxnApi),
  serve(writeTxnMarkersApi),
  serve(txnOffsetCommitApi),
  serve(describeTransactionsApi),
  serve(listTransactionsApi),
  serve(describeClusterApi),
  serve(describeProducersApi),
  serve(listConfigResourcesApi),
  serve(describeTopicPartitionsApi),
];

const BY_KEY: ReadonlyMap<number, ServedApi> = new Map(
  SERVED.map((served) => [served.api.key, served]),
);

/** All of them, by ascending key. */
export function servedApis(): readonly Api<unknown, unknown>[] {
  return SERVED.map(({ api }) => api).sort((a, b) => a.key - b.key);
}

export function servedApi(apiKey: number): ServedApi | undefined {
  return BY_KEY.get(apiKey);
}

let advertised: readonly AdvertisedVersion[] | undefined;

/** What ApiVersions says. */
export function advertisedVersions(): readonly AdvertisedVersion[] {
  advertised ??= servedApis().map((api) => ({
    apiKey: api.key,
    minVersion: api.advertisedMinVersion ?? api.minVersion,
    maxVersion: api.maxVersion,
  }));
  return advertised;
}

/** An API whose codec is the table of its messages. */
function serve<Request, Response>(api: Api<Request, Response>): ServedApi {
  const definition = apiMessages(api.key);
  assert(definition?.name === api.name, `the messages of ${api.name} (key ${api.key}) are known`);
  return {
    api,
    decode: (frame, bodyStart, apiVersion) =>
      // Kafka looks at no more than the message either.
      decodeMessage(definition.request, apiVersion, frame, {
        start: bodyStart,
        leftover: 'ignore',
      }),
    encode: (response, context) => [
      encodeResponse(definition, context, response as Record<string, unknown>),
    ],
  };
}

function serveProduce(): ServedApi {
  return {
    api: produceApi,
    decode: (frame, bodyStart, apiVersion): FlatProduceRequest =>
      decodeProduceRequest(frame, apiVersion, bodyStart),
    encode: (response, { apiVersion, correlationId }) => {
      const { request, results } = response as ProduceAnswer;
      const { topics, partitions } = request;
      const throttleTimeMs = 0;
      return [
        encodeProduceResponse({
          apiVersion,
          correlationId,
          throttleTimeMs,
          topics,
          partitions,
          results,
        }),
      ];
    },
  };
}

function serveFetch(): ServedApi {
  return {
    api: fetchApi,
    decode: (frame, bodyStart, apiVersion) => decodeFetchRequest(frame, apiVersion, bodyStart),
    encode: (response, context) => {
      const body = response as FetchBody & { readonly diverging: boolean };
      // Diverging epochs are rare, and what the hand-written codec leaves out.
      return body.diverging
        ? [encodeResponse(messages[1], context, body)]
        : encodeFetchResponse(context, body).buffers;
    },
  };
}

/**
 * Kafka's error codes by name. Handlers use the names; numbers exist only on the wire.
 *
 * NOTE: numbers of the protocol, do not change. `retriable` is what Kafka's own client does with the code.
 * Source: Kafka protocol guide, "Error Codes" (Kafka 4.3).
 */

const TABLE = {
  UNKNOWN_SERVER_ERROR: [-1, false, 'The broker failed in a way that it has no code for'],
  NONE: [0, false, 'No error'],
  OFFSET_OUT_OF_RANGE: [1, false, 'The offset is outside what the partition holds'],
  CORRUPT_MESSAGE: [2, true, 'The record batch is damaged: its checksum, size or content is wrong'],
  UNKNOWN_TOPIC_OR_PARTITION: [3, true, 'The topic or partition does not exist here'],
  INVALID_FETCH_SIZE: [4, false, 'The fetch size is not acceptable'],
  LEADER_NOT_AVAILABLE: [5, true, 'The partition has no leader at the moment'],
  NOT_LEADER_OR_FOLLOWER: [6, true, 'This broker does not lead the partition'],
  REQUEST_TIMED_OUT: [7, true, 'The request took longer than its timeout'],
  BROKER_NOT_AVAILABLE: [8, false, 'The broker is not there'],
  REPLICA_NOT_AVAILABLE: [9, true, 'The replica is not there'],
  MESSAGE_TOO_LARGE: [10, false, 'The record batch is larger than the topic allows'],
  STALE_CONTROLLER_EPOCH: [11, false, 'The controller has changed since'],
  OFFSET_METADATA_TOO_LARGE: [12, false, 'The metadata of an offset commit is too long'],
  NETWORK_EXCEPTION: [13, true, 'The connection was lost before an answer came'],
  COORDINATOR_LOAD_IN_PROGRESS: [14, true, 'The coordinator is still loading its state'],
  COORDINATOR_NOT_AVAILABLE: [15, true, 'There is no coordinator at the moment'],
  NOT_COORDINATOR: [16, true, 'This broker is not the coordinator'],
  INVALID_TOPIC_EXCEPTION: [17, false, 'The topic name is not allowed'],
  RECORD_LIST_TOO_LARGE: [18, false, 'The record batch does not fit into a segment'],
  NOT_ENOUGH_REPLICAS: [19, true, 'Too few replicas are in sync to accept the write'],
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: [20, true, 'The write was stored on too few replicas'],
  INVALID_REQUIRED_ACKS: [21, false, 'The acks value is not -1, 0 or 1'],
  ILLEGAL_GENERATION: [22, false, "The group's generation has moved on"],
  INCONSISTENT_GROUP_PROTOCOL: [23, false, 'The member has no protocol in common with the group'],
  INVALID_GROUP_ID: [24, false, 'The group id is not acceptable'],
  UNKNOWN_MEMBER_ID: [25, false, 'The group does not know this member'],
  INVALID_SESSION_TIMEOUT: [26, false, "The session timeout is outside the broker's limits"],
  REBALANCE_IN_PROGRESS: [27, false, 'The group is rebalancing: the member has to join again'],
  INVALID_COMMIT_OFFSET_SIZE: [28, false, 'The committed offsets take too much space'],
  TOPIC_AUTHORIZATION_FAILED: [29, false, 'The principal may not do this to the topic'],
  GROUP_AUTHORIZATION_FAILED: [30, false, 'The principal may not do this to the group'],
  CLUSTER_AUTHORIZATION_FAILED: [31, false, 'The principal may not do this to the cluster'],
  INVALID_TIMESTAMP: [32, false, "A record's timestamp is out of range"],
  UNSUPPORTED_SASL_MECHANISM: [33, false, 'The SASL mechanism is not offered'],
  ILLEGAL_SASL_STATE: [34, false, 'The request does not fit the state of the SASL exchange'],
  UNSUPPORTED_VERSION: [35, false, 'The version of the request is not served'],
  TOPIC_ALREADY_EXISTS: [36, false, 'A topic of this name exists already'],
  INVALID_PARTITIONS: [37, false, 'The partition count is not acceptable'],
  INVALID_REPLICATION_FACTOR: [
    38,
    false,
    'The replication factor is below 1 or above the number of brokers',
  ],
  INVALID_REPLICA_ASSIGNMENT: [39, false, 'The replica assignment is not acceptable'],
  INVALID_CONFIG: [40, false, 'A configuration value is not acceptable'],
  NOT_CONTROLLER: [41, true, 'This broker is not the controller'],
  INVALID_REQUEST: [42, false, 'The request contradicts itself or the protocol'],
  UNSUPPORTED_FOR_MESSAGE_FORMAT: [
    43,
    false,
    'The message format of the topic does not allow the request',
  ],
  POLICY_VIOLATION: [44, false, 'A policy of the broker forbids the request'],
  OUT_OF_ORDER_SEQUENCE_NUMBER: [
    45,
    false,
    "A batch's sequence number does not follow the last one",
  ],
  DUPLICATE_SEQUENCE_NUMBER: [46, false, 'A batch with this sequence number was stored before'],
  INVALID_PRODUCER_EPOCH: [47, false, "The producer's epoch is out of date"],
  INVALID_TXN_STATE: [48, false, 'The transaction is in a state that does not allow this'],
  INVALID_PRODUCER_ID_MAPPING: [
    49,
    false,
    'The producer id does not belong to the transactional id',
  ],
  INVALID_TRANSACTION_TIMEOUT: [50, false, "The transaction timeout is above the broker's limit"],
  CONCURRENT_TRANSACTIONS: [51, true, 'The last operation on the transaction is still under way'],
  TRANSACTION_COORDINATOR_FENCED: [
    52,
    false,
    'The transaction coordinator that sent the marker has been replaced',
  ],
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: [
    53,
    false,
    'The principal may not use the transactional id',
  ],
  SECURITY_DISABLED: [54, false, 'Security is switched off on the broker'],
  OPERATION_NOT_ATTEMPTED: [55, false, 'The operation was not tried because another one failed'],
  KAFKA_STORAGE_ERROR: [56, true, 'The disk failed'],
  LOG_DIR_NOT_FOUND: [57, false, "The log directory is not one of the broker's"],
  SASL_AUTHENTICATION_FAILED: [58, false, 'The SASL exchange failed'],
  UNKNOWN_PRODUCER_ID: [59, false, 'The broker no longer knows the producer id'],
  REASSIGNMENT_IN_PROGRESS: [60, false, 'The partition is being moved'],
  DELEGATION_TOKEN_AUTH_DISABLED: [61, false, 'Delegation tokens are switched off'],
  DELEGATION_TOKEN_NOT_FOUND: [62, false, 'The delegation token does not exist'],
  DELEGATION_TOKEN_OWNER_MISMATCH: [
    63,
    false,
    'The principal neither owns nor may renew the delegation token',
  ],
  DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: [
    64,
    false,
    'Delegation tokens may not be asked for on this connection',
  ],
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: [
    65,
    false,
    'The principal may not do this to delegation tokens',
  ],
  DELEGATION_TOKEN_EXPIRED: [66, false, 'The delegation token has expired'],
  INVALID_PRINCIPAL_TYPE: [67, false, 'The type of principal is not known'],
  NON_EMPTY_GROUP: [68, false, 'The group still has members'],
  GROUP_ID_NOT_FOUND: [69, false, 'The group does not exist'],
  FETCH_SESSION_ID_NOT_FOUND: [70, true, 'The fetch session does not exist'],
  INVALID_FETCH_SESSION_EPOCH: [71, true, "The fetch session's epoch is not the next one"],
  LISTENER_NOT_FOUND: [72, true, 'The leader has no listener of the name that was used'],
  TOPIC_DELETION_DISABLED: [73, false, 'Topics may not be deleted here'],
  FENCED_LEADER_EPOCH: [74, true, 'The leader epoch of the request is out of date'],
  UNKNOWN_LEADER_EPOCH: [75, true, "The leader epoch of the request is newer than the broker's"],
  UNSUPPORTED_COMPRESSION_TYPE: [
    76,
    false,
    'The client does not support the compression of the records',
  ],
  STALE_BROKER_EPOCH: [77, false, 'The broker has registered again since'],
  OFFSET_NOT_AVAILABLE: [78, true, 'The high watermark is not known yet after an election'],
  MEMBER_ID_REQUIRED: [79, false, 'The member has to join again with the id it was given'],
  PREFERRED_LEADER_NOT_AVAILABLE: [80, true, 'The preferred leader cannot lead'],
  GROUP_MAX_SIZE_REACHED: [81, false, 'The group is full'],
  FENCED_INSTANCE_ID: [82, false, 'Another member has taken over the group instance id'],
  ELIGIBLE_LEADERS_NOT_AVAILABLE: [83, true, 'No replica may be elected leader'],
  ELECTION_NOT_NEEDED: [84, true, 'The partition already has the leader that was asked for'],
  NO_REASSIGNMENT_IN_PROGRESS: [85, false, 'The partition is not being moved'],
  GROUP_SUBSCRIBED_TO_TOPIC: [
    86,
    false,
    'The group is subscribed to the topic whose offsets were to be deleted',
  ],
  INVALID_RECORD: [87, false, "The broker refused a record's content"],
  UNSTABLE_OFFSET_COMMIT: [88, true, 'Offsets of an open transaction are still pending'],
  THROTTLING_QUOTA_EXCEEDED: [89, true, 'A quota is exceeded: try again later'],
  PRODUCER_FENCED: [90, false, 'A newer producer has taken over the transactional id'],
  RESOURCE_NOT_FOUND: [91, false, 'The resource does not exist'],
  DUPLICATE_RESOURCE: [92, false, 'The request names a resource twice'],
  UNACCEPTABLE_CREDENTIAL: [93, false, 'The credential is not acceptable'],
  INCONSISTENT_VOTER_SET: [94, false, 'The peer is not one of the expected voters'],
  INVALID_UPDATE_VERSION: [95, false, "The update's version is not acceptable"],
  FEATURE_UPDATE_FAILED: [96, false, 'The feature could not be updated'],
  PRINCIPAL_DESERIALIZATION_FAILURE: [97, false, 'A forwarded principal could not be read'],
  SNAPSHOT_NOT_FOUND: [98, false, 'The snapshot does not exist'],
  POSITION_OUT_OF_RANGE: [99, false, 'The position is outside the snapshot'],
  UNKNOWN_TOPIC_ID: [100, true, 'The topic id does not exist here'],
  DUPLICATE_BROKER_REGISTRATION: [101, false, 'The broker id is in use'],
  BROKER_ID_NOT_REGISTERED: [102, false, 'The broker id is not registered'],
  INCONSISTENT_TOPIC_ID: [103, true, 'The topic id is not the one of the log'],
  INCONSISTENT_CLUSTER_ID: [104, false, 'The cluster id is another one'],
  TRANSACTIONAL_ID_NOT_FOUND: [105, false, 'The transactional id does not exist'],
  FETCH_SESSION_TOPIC_ID_ERROR: [106, true, 'The fetch session mixes topic names and ids'],
  INELIGIBLE_REPLICA: [107, false, 'A replica may not be in the in-sync set'],
  NEW_LEADER_ELECTED: [108, false, 'The change was made, but the leader has changed'],
  OFFSET_MOVED_TO_TIERED_STORAGE: [109, false, 'The offset is in tiered storage now'],
  FENCED_MEMBER_EPOCH: [
    110,
    false,
    "The member's epoch is fenced: it has to give up its partitions and join again",
  ],
  UNRELEASED_INSTANCE_ID: [111, false, 'The group instance id is still held by another member'],
  UNSUPPORTED_ASSIGNOR: [112, false, 'The group does not support the assignor'],
  STALE_MEMBER_EPOCH: [
    113,
    false,
    "The member's epoch is out of date: it has to wait for its heartbeat's answer",
  ],
  MISMATCHED_ENDPOINT_TYPE: [114, false, 'The request does not belong on this kind of endpoint'],
  UNSUPPORTED_ENDPOINT_TYPE: [115, false, 'The kind of endpoint is not supported'],
  UNKNOWN_CONTROLLER_ID: [116, false, 'The controller id is not known'],
  UNKNOWN_SUBSCRIPTION_ID: [117, false, 'The telemetry subscription is unknown or out of date'],
  TELEMETRY_TOO_LARGE: [118, false, 'The telemetry is larger than the broker accepts'],
  INVALID_REGISTRATION: [119, false, "The broker's registration is not acceptable"],
  TRANSACTION_ABORTABLE: [
    120,
    false,
    'The transaction has to be aborted before the producer can go on',
  ],
  INVALID_RECORD_STATE: [121, false, 'The record is not in a state that can be acknowledged'],
  SHARE_SESSION_NOT_FOUND: [122, true, 'The share session does not exist'],
  INVALID_SHARE_SESSION_EPOCH: [123, true, "The share session's epoch is not the next one"],
  FENCED_STATE_EPOCH: [124, false, "The share group's state epoch is another one"],
  INVALID_VOTER_KEY: [125, false, "The voter's key is another one"],
  DUPLICATE_VOTER: [126, false, 'The voter is one already'],
  VOTER_NOT_FOUND: [127, false, 'The voter does not exist'],
  INVALID_REGULAR_EXPRESSION: [128, false, 'The regular expression is not valid'],
  REBOOTSTRAP_REQUIRED: [129, false, 'The client has to start again from its bootstrap servers'],
  STREAMS_INVALID_TOPOLOGY: [130, false, 'The streams topology is not valid'],
  STREAMS_INVALID_TOPOLOGY_EPOCH: [131, false, "The streams topology's epoch is not valid"],
  STREAMS_TOPOLOGY_FENCED: [132, false, "The streams topology's epoch is out of date"],
  SHARE_SESSION_LIMIT_REACHED: [133, true, 'There are too many share sessions'],
} as const satisfies Record<string, readonly [code: number, retriable: boolean, summary: string]>;

/** Kafka's name of an error: `UNKNOWN_TOPIC_OR_PARTITION`. */
export type ErrorName = keyof typeof TABLE;

export interface KafkaError {
  readonly name: ErrorName;
  readonly code: number;
  /** Whether a client may expect the same request to succeed later. */
  readonly retriable: boolean;
  /** What the code means, in one sentence without a final period. */
  readonly summary: string;
}

/** Every error, by ascending code. */
export const KAFKA_ERRORS: readonly KafkaError[] = Object.entries(TABLE).map(
  ([name, [code, retriable, summary]]) => ({ name: name as ErrorName, code, retriable, summary }),
);

const BY_CODE: ReadonlyMap<number, KafkaError> = new Map(
  KAFKA_ERRORS.map((error) => [error.code, error]),
);

export function errorCode(name: ErrorName): number {
  return TABLE[name][0];
}

/** The name of a code; a code that no version of Kafka has told us of is an UNKNOWN_SERVER_ERROR, as for Kafka's clients. */
export function errorName(code: number): ErrorName {
  return BY_CODE.get(code)?.name ?? 'UNKNOWN_SERVER_ERROR';
}

export function isRetriable(name: ErrorName): boolean {
  return TABLE[name][1];
}

/** What the error means, in one sentence without a final period. */
export function errorSummary(name: ErrorName): string {
  return TABLE[name][2];
}

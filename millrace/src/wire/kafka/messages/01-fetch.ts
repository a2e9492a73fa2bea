/**
 * Fetch (key 1): reads record batches from partitions, waiting until enough is there.
 *
 * - v4 is the first with an isolation level; v5 knows the log start offset; v7 has incremental
 *   sessions (KIP-227).
 * - v9 carries the leader epoch (KIP-320); v10 allows zstd; v11 has the client's rack (KIP-392).
 * - v12 is flexible and answers diverging epochs (KIP-595); v13 names topics by id (KIP-516).
 * - v15 moves a follower's identity to a tagged field (KIP-903); v16 answers the leaders' addresses
 *   (KIP-951).
 * - v17 and v18 add tagged fields that only replicas send.
 *
 * `fetchResponse.responses[].partitions[].records` is any number of whole batches; the last one may
 * be cut.
 *
 * Source: Kafka protocol guide and the KIPs above. Hot path: fetch-codec.ts.
 */
import {
  ZERO_UUID,
  array,
  int16,
  int32,
  int64,
  int8,
  message,
  records,
  string,
  struct,
  uuid,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const fetchRequest = message({
  name: 'FetchRequest',
  versions: '4-18',
  flexible: '12+',
  fields: {
    clusterId: string('12+', { nullable: '12+', default: null, tag: 0, ignorable: true }),
    replicaId: int32('0-14', { default: -1 }),
    replicaState: struct(
      '15+',
      {
        replicaId: int32('15+', { default: -1 }),
        replicaEpoch: int64('15+', { default: -1 }),
      },
      { tag: 1 },
    ),
    maxWaitMs: int32('0+'),
    minBytes: int32('0+'),
    maxBytes: int32('3+', { default: 2147483647, ignorable: true }),
    isolationLevel: int8('4+', { default: 0, ignorable: true }),
    sessionId: int32('7+', { default: 0, ignorable: true }),
    sessionEpoch: int32('7+', { default: -1, ignorable: true }),
    topics: array('0+', {
      topic: string('0-12', { default: '', ignorable: true }),
      topicId: uuid('13+', { default: ZERO_UUID, ignorable: true }),
      partitions: array('0+', {
        partition: int32('0+'),
        currentLeaderEpoch: int32('9+', { default: -1, ignorable: true }),
        fetchOffset: int64('0+'),
        lastFetchedEpoch: int32('12+', { default: -1 }),
        logStartOffset: int64('5+', { default: -1, ignorable: true }),
        partitionMaxBytes: int32('0+'),
        replicaDirectoryId: uuid('17+', { tag: 0, ignorable: true }),
        // Kafka's default is 2^63-1, which no number holds; only replicas send anything else.
        highWatermark: int64('18+', { default: Number.MAX_SAFE_INTEGER, tag: 1, ignorable: true }),
      }),
    }),
    forgottenTopicsData: array(
      '7+',
      {
        topic: string('7-12', { default: '', ignorable: true }),
        topicId: uuid('13+', { default: ZERO_UUID, ignorable: true }),
        partitions: array('7+', 'int32'),
      },
      { default: [] },
    ),
    rackId: string('11+', { default: '', ignorable: true }),
  },
});

export const fetchResponse = message({
  name: 'FetchResponse',
  versions: '4-18',
  flexible: '12+',
  fields: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    errorCode: int16('7+', { ignorable: true }),
    sessionId: int32('7+', { default: 0 }),
    responses: array('0+', {
      topic: string('0-12', { default: '', ignorable: true }),
      topicId: uuid('13+', { default: ZERO_UUID, ignorable: true }),
      partitions: array('0+', {
        partitionIndex: int32('0+'),
        errorCode: int16('0+'),
        highWatermark: int64('0+'),
        lastStableOffset: int64('4+', { default: -1, ignorable: true }),
        logStartOffset: int64('5+', { default: -1, ignorable: true }),
        divergingEpoch: struct(
          '12+',
          {
            epoch: int32('12+', { default: -1 }),
            endOffset: int64('12+', { default: -1 }),
          },
          { tag: 0 },
        ),
        currentLeader: struct(
          '12+',
          {
            leaderId: int32('12+', { default: -1 }),
            leaderEpoch: int32('12+', { default: -1 }),
          },
          { tag: 1 },
        ),
        snapshotId: struct(
          '12+',
          {
            endOffset: int64('0+', { default: -1 }),
            epoch: int32('0+', { default: -1 }),
          },
          { tag: 2 },
        ),
        abortedTransactions: array(
          '4+',
          {
            producerId: int64('4+'),
            firstOffset: int64('4+'),
          },
          { nullable: '4+', ignorable: true },
        ),
        preferredReadReplica: int32('11+', { default: -1 }),
        records: records('0+', { nullable: '0+' }),
      }),
    }),
    nodeEndpoints: array(
      '16+',
      {
        nodeId: int32('16+'),
        host: string('16+'),
        port: int32('16+'),
        rack: string('16+', { nullable: '16+', default: null }),
      },
      { tag: 0 },
    ),
  },
});

export type FetchRequest = Infer<typeof fetchRequest>;
export type FetchRequestInput = InferInput<typeof fetchRequest>;
export type FetchResponse = Infer<typeof fetchResponse>;
export type FetchResponseInput = InferInput<typeof fetchResponse>;

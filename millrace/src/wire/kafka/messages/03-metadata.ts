/**
 * Metadata (key 3): brokers, and topics with their partitions and leaders.
 *
 * - v0 has no null for `topics`: the empty list asks for all. From v1 null is all and empty is
 *   none.
 * - v1 adds the controller, racks and internal topics; v2 the cluster id; v4 auto-creation on
 *   request.
 * - v5 offline replicas; v7 leader epochs; v8-10 authorized operations; v9 is flexible.
 * - v10 adds topic ids, v12 lets requests name topics by id (the name is then null); v13 has an
 *   error code for all.
 *
 * An authorized-operations field of -2147483648 means that it was not asked for.
 *
 * Source: Kafka protocol guide; KIP-4, KIP-320, KIP-430, KIP-516, KIP-700, KIP-1102.
 */
import {
  ZERO_UUID,
  array,
  bool,
  int16,
  int32,
  message,
  string,
  uuid,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const metadataRequest = message({
  name: 'MetadataRequest',
  versions: '0-13',
  flexible: '9+',
  fields: {
    topics: array(
      '0+',
      {
        topicId: uuid('10+', { default: ZERO_UUID, ignorable: true }),
        name: string('0+', { nullable: '10+' }),
      },
      { nullable: '1+' },
    ),
    allowAutoTopicCreation: bool('4+', { default: true }),
    includeClusterAuthorizedOperations: bool('8-10', { default: false }),
    includeTopicAuthorizedOperations: bool('8+', { default: false }),
  },
});

export const metadataResponse = message({
  name: 'MetadataResponse',
  versions: '0-13',
  flexible: '9+',
  fields: {
    throttleTimeMs: int32('3+', { default: 0, ignorable: true }),
    brokers: array('0+', {
      nodeId: int32('0+'),
      host: string('0+'),
      port: int32('0+'),
      rack: string('1+', { nullable: '1+', default: null, ignorable: true }),
    }),
    clusterId: string('2+', { nullable: '2+', default: null, ignorable: true }),
    controllerId: int32('1+', { default: -1, ignorable: true }),
    topics: array('0+', {
      errorCode: int16('0+'),
      name: string('0+', { nullable: '12+' }),
      topicId: uuid('10+', { ignorable: true }),
      isInternal: bool('1+', { default: false, ignorable: true }),
      partitions: array('0+', {
        errorCode: int16('0+'),
        partitionIndex: int32('0+'),
        leaderId: int32('0+'),
        leaderEpoch: int32('7+', { default: -1, ignorable: true }),
        replicaNodes: array('0+', 'int32'),
        isrNodes: array('0+', 'int32'),
        offlineReplicas: array('5+', 'int32', { ignorable: true }),
      }),
      topicAuthorizedOperations: int32('8+', { default: -2147483648 }),
    }),
    clusterAuthorizedOperations: int32('8-10', { default: -2147483648 }),
    errorCode: int16('13+', { default: 0, ignorable: true }),
  },
});

export type MetadataRequest = Infer<typeof metadataRequest>;
export type MetadataRequestInput = InferInput<typeof metadataRequest>;
export type MetadataResponse = Infer<typeof metadataResponse>;
export type MetadataResponseInput = InferInput<typeof metadataResponse>;

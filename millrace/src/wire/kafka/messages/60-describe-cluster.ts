/**
 * DescribeCluster (key 60): the brokers and the controller (KIP-700).
 *
 * v1 asks for brokers (endpoint type 1) or controllers (2, KIP-919); v2 can include fenced brokers
 * (KIP-1073).
 */
import {
  array,
  bool,
  int16,
  int32,
  int8,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const describeClusterRequest = message({
  name: 'DescribeClusterRequest',
  versions: '0-2',
  flexible: '0+',
  fields: {
    includeClusterAuthorizedOperations: bool('0+'),
    endpointType: int8('1+', { default: 1 }),
    includeFencedBrokers: bool('2+', { default: false }),
  },
});

export const describeClusterResponse = message({
  name: 'DescribeClusterResponse',
  versions: '0-2',
  flexible: '0+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    errorMessage: string('0+', { nullable: '0+', default: null }),
    endpointType: int8('1+', { default: 1 }),
    clusterId: string('0+'),
    controllerId: int32('0+', { default: -1 }),
    brokers: array('0+', {
      brokerId: int32('0+'),
      host: string('0+'),
      port: int32('0+'),
      rack: string('0+', { nullable: '0+', default: null }),
      isFenced: bool('2+'),
    }),
    clusterAuthorizedOperations: int32('0+', { default: -2147483648 }),
  },
});

export type DescribeClusterRequest = Infer<typeof describeClusterRequest>;
export type DescribeClusterRequestInput = InferInput<typeof describeClusterRequest>;
export type DescribeClusterResponse = Infer<typeof describeClusterResponse>;
export type DescribeClusterResponseInput = InferInput<typeof describeClusterResponse>;

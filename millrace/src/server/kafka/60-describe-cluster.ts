/**
 * DescribeCluster (key 60), versions 0-2.
 *
 * Behaviour:
 * - The cluster is this broker, which is also the controller, at the address that it is advertised under.
 *
 * Deviations:
 * - Authorized operations are not told: there is no authorization.
 * - Asking for controllers (v1) is UNSUPPORTED_ENDPOINT_TYPE: there is no controller apart from the broker.
 *
 * Source: KIP-700, KIP-919, KIP-1073.
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  DescribeClusterRequest,
  DescribeClusterResponseInput,
} from '../../wire/kafka/messages/60-describe-cluster.ts';
import { defineApi, type Api } from './api.ts';

const ENDPOINT_BROKERS = 1;

export const describeClusterApi: Api<DescribeClusterRequest, DescribeClusterResponseInput> =
  defineApi({
    key: 60,
    name: 'DescribeCluster',
    minVersion: 0,
    maxVersion: 2,
    handle: (request, { broker, connection }) => {
      const { clusterId, nodeId } = broker;
      const { advertisedHost: host, advertisedPort: port } = connection;
      if (request.endpointType !== ENDPOINT_BROKERS)
        return {
          errorCode: errorCode('UNSUPPORTED_ENDPOINT_TYPE'),
          errorMessage: 'only brokers can be asked for',
          endpointType: ENDPOINT_BROKERS,
          clusterId,
          brokers: [],
        };
      return {
        errorCode: 0,
        endpointType: ENDPOINT_BROKERS,
        clusterId,
        controllerId: nodeId,
        brokers: [{ brokerId: nodeId, host, port, isFenced: false }],
      };
    },
  });

/**
 * FindCoordinator (key 10), versions 0-6.
 *
 * Behaviour:
 * - Groups (key type 0) and transactional ids (1) are all kept by this broker, at the address that the client reached
 *   it under. Several keys in one request (v4).
 * - Another key type is INVALID_REQUEST.
 *
 * Deviations:
 * - Share groups (key type 2) are not served: INVALID_REQUEST.
 *
 * Source: KIP-98 (key types), KIP-699 (several keys), KIP-932 (share groups).
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  FindCoordinatorRequest,
  FindCoordinatorResponseInput,
} from '../../wire/kafka/messages/10-find-coordinator.ts';
import { defineApi, type Api, type RequestContext } from './api.ts';

const GROUP = 0;
const TRANSACTION = 1;
const SHARE = 2;
const MANY_KEYS_SINCE = 4;

export const findCoordinatorApi: Api<FindCoordinatorRequest, FindCoordinatorResponseInput> =
  defineApi({
    key: 10,
    name: 'FindCoordinator',
    minVersion: 0,
    maxVersion: 6,
    handle: ({ keyType, coordinatorKeys }, context) =>
      context.apiVersion >= MANY_KEYS_SINCE
        ? {
            coordinators: coordinatorKeys.map((each) => ({
              key: each,
              ...coordinatorOf(keyType, context),
            })),
          }
        : coordinatorOf(keyType, context),
  });

function coordinatorOf(keyType: number, { broker, connection }: RequestContext) {
  const errorMessage = faultOf(keyType);
  if (errorMessage !== null) {
    return {
      errorCode: errorCode('INVALID_REQUEST'),
      errorMessage,
      nodeId: -1,
      host: '',
      port: -1,
    };
  }
  return {
    errorCode: errorCode('NONE'),
    errorMessage: null,
    nodeId: broker.nodeId,
    host: connection.advertisedHost,
    port: connection.advertisedPort,
  };
}

function faultOf(keyType: number): string | null {
  if (keyType === GROUP || keyType === TRANSACTION) return null;
  if (keyType === SHARE) return 'share groups are not served';
  return `there is no coordinator for keys of type ${keyType}`;
}

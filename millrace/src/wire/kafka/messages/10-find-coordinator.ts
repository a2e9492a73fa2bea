/**
 * FindCoordinator (key 10): which broker keeps a group (key type 0), a transactional id (1), or a
 * share group's state (2).
 *
 * - v0-3 ask for one key; v4 asks for several (KIP-699), with answers in `coordinators`.
 * - v1 has the key type; v3 is flexible; v5 adds a retriable error of KIP-890; v6 the share groups
 *   of KIP-932.
 */
import {
  array,
  int16,
  int32,
  int8,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const findCoordinatorRequest = message({
  name: 'FindCoordinatorRequest',
  versions: '0-6',
  flexible: '3+',
  fields: {
    key: string('0-3', { default: '' }),
    keyType: int8('1+', { default: 0 }),
    coordinatorKeys: array('4+', 'string', { default: [] }),
  },
});

export const findCoordinatorResponse = message({
  name: 'FindCoordinatorResponse',
  versions: '0-6',
  flexible: '3+',
  fields: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    errorCode: int16('0-3', { default: 0 }),
    errorMessage: string('1-3', { nullable: '1-3', default: '', ignorable: true }),
    nodeId: int32('0-3', { default: 0 }),
    host: string('0-3', { default: '' }),
    port: int32('0-3', { default: 0 }),
    coordinators: array(
      '4+',
      {
        key: string('4+'),
        nodeId: int32('4+'),
        host: string('4+'),
        port: int32('4+'),
        errorCode: int16('4+'),
        errorMessage: string('4+', { nullable: '4+', ignorable: true }),
      },
      { default: [] },
    ),
  },
});

export type FindCoordinatorRequest = Infer<typeof findCoordinatorRequest>;
export type FindCoordinatorRequestInput = InferInput<typeof findCoordinatorRequest>;
export type FindCoordinatorResponse = Infer<typeof findCoordinatorResponse>;
export type FindCoordinatorResponseInput = InferInput<typeof findCoordinatorResponse>;

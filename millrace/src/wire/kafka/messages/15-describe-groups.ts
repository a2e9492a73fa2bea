/**
 * DescribeGroups (key 15): state and members of classic groups.
 *
 * v3 can ask for authorized operations (KIP-430; -2147483648 when not asked); v4 has static
 * members; v5 is flexible; v6 answers GROUP_ID_NOT_FOUND with a message (KIP-1043).
 */
import {
  array,
  bool,
  bytes,
  int16,
  int32,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const describeGroupsRequest = message({
  name: 'DescribeGroupsRequest',
  versions: '0-6',
  flexible: '5+',
  fields: {
    groups: array('0+', 'string'),
    includeAuthorizedOperations: bool('3+', { default: false }),
  },
});

export const describeGroupsResponse = message({
  name: 'DescribeGroupsResponse',
  versions: '0-6',
  flexible: '5+',
  fields: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    groups: array('0+', {
      errorCode: int16('0+'),
      errorMessage: string('6+', { nullable: '6+', default: null }),
      groupId: string('0+'),
      groupState: string('0+'),
      protocolType: string('0+'),
      protocolData: string('0+'),
      members: array('0+', {
        memberId: string('0+'),
        groupInstanceId: string('4+', { nullable: '4+', default: null, ignorable: true }),
        clientId: string('0+'),
        clientHost: string('0+'),
        memberMetadata: bytes('0+'),
        memberAssignment: bytes('0+'),
      }),
      authorizedOperations: int32('3+', { default: -2147483648 }),
    }),
  },
});

export type DescribeGroupsRequest = Infer<typeof describeGroupsRequest>;
export type DescribeGroupsRequestInput = InferInput<typeof describeGroupsRequest>;
export type DescribeGroupsResponse = Infer<typeof describeGroupsResponse>;
export type DescribeGroupsResponseInput = InferInput<typeof describeGroupsResponse>;

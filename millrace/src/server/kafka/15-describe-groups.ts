/**
 * DescribeGroups (key 15), versions 0-6.
 *
 * Behaviour:
 * - State, protocol and members; what a member sent, and its assignment, while the group is Stable.
 * - A group that does not exist is Dead without an error (v0-5), or GROUP_ID_NOT_FOUND (v6).
 * - Asked for authorized operations (v3), all of them: there is no authorization.
 *
 * Deviations:
 * - None.
 *
 * Source: KIP-345 (instance ids), KIP-430 (authorized operations), KIP-1043 (group not found).
 */
import type { GroupDescription } from '../../broker/groups/group-types.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  DescribeGroupsRequest,
  DescribeGroupsResponseInput,
} from '../../wire/kafka/messages/15-describe-groups.ts';
import type { ElementOf } from '../../wire/kafka/schema.ts';
import { defineApi, type Api } from './api.ts';

type Answer = ElementOf<DescribeGroupsResponseInput['groups']>;

const NOT_FOUND_SINCE = 6;
const OPERATIONS_NOT_ASKED = -2147483648;
/** Read, delete, describe, describe configs, alter configs: a bit each, as ACL operations are numbered. */
const ALL_OPERATIONS = (1 << 3) | (1 << 6) | (1 << 8) | (1 << 10) | (1 << 11);

export const describeGroupsApi: Api<DescribeGroupsRequest, DescribeGroupsResponseInput> = defineApi(
  {
    key: 15,
    name: 'DescribeGroups',
    minVersion: 0,
    maxVersion: 6,
    handle: ({ groups, includeAuthorizedOperations }, { broker, apiVersion }) => ({
      groups: groups.map((groupId) => ({
        ...describe(groupId, broker.groups.describe(groupId), apiVersion),
        authorizedOperations: includeAuthorizedOperations ? ALL_OPERATIONS : OPERATIONS_NOT_ASKED,
      })),
    }),
  },
);

function describe(
  groupId: string,
  group: GroupDescription | undefined,
  apiVersion: number,
): Answer {
  const missing = group === undefined && apiVersion >= NOT_FOUND_SINCE;
  const error: ErrorName = missing ? 'GROUP_ID_NOT_FOUND' : 'NONE';
  return {
    errorCode: errorCode(error),
    errorMessage: missing ? `Group ${groupId} not found.` : null,
    groupId,
    groupState: group?.state ?? 'Dead',
    protocolType: group?.protocolType ?? '',
    protocolData: group?.protocolName ?? '',
    members: (group?.members ?? []).map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: member.metadata,
      memberAssignment: member.assignment,
    })),
  };
}

/**
 * DeleteGroups (key 42), versions 0-2.
 *
 * Behaviour:
 * - A group without members is gone with its offsets, durably, when it is answered.
 * - NON_EMPTY_GROUP while it has members, GROUP_ID_NOT_FOUND when there is none.
 *
 * Deviations:
 * - None.
 *
 * Source: KIP-229.
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  DeleteGroupsRequest,
  DeleteGroupsResponseInput,
} from '../../wire/kafka/messages/42-delete-groups.ts';
import { defineApi, type Api } from './api.ts';

export const deleteGroupsApi: Api<DeleteGroupsRequest, DeleteGroupsResponseInput> = defineApi({
  key: 42,
  name: 'DeleteGroups',
  minVersion: 0,
  maxVersion: 2,
  handle: async ({ groupsNames }, { broker }) => {
    const results = groupsNames.map(async (groupId) => ({
      groupId,
      errorCode: errorCode(await broker.groups.deleteGroup(groupId)),
    }));
    return { results: await Promise.all(results) };
  },
});

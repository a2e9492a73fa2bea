/**
 * ListGroups (key 16), versions 0-5.
 *
 * Behaviour:
 * - All groups, also those that only keep offsets (protocol type '').
 * - Filters by state (v4) and by type (v5), in any case; an empty filter lets all through, an unknown word none.
 * - Every group is of type `classic`.
 *
 * Deviations:
 * - None.
 *
 * Source: KIP-518 (states), KIP-848 (types).
 */
import { errorCode } from '../../wire/kafka/error-codes.ts';
import type {
  ListGroupsRequest,
  ListGroupsResponseInput,
} from '../../wire/kafka/messages/16-list-groups.ts';
import { defineApi, type Api } from './api.ts';

export const listGroupsApi: Api<ListGroupsRequest, ListGroupsResponseInput> = defineApi({
  key: 16,
  name: 'ListGroups',
  minVersion: 0,
  maxVersion: 5,
  handle: ({ statesFilter, typesFilter }, { broker }) => ({
    errorCode: errorCode('NONE'),
    groups: broker.groups
      .list()
      .filter(({ state, type }) => passes(statesFilter, state) && passes(typesFilter, type))
      .map(({ groupId, protocolType, state, type }) => ({
        groupId,
        protocolType,
        groupState: state,
        groupType: type,
      })),
  }),
});

function passes(filter: readonly string[], word: string): boolean {
  return (
    filter.length === 0 || filter.some((wanted) => wanted.toLowerCase() === word.toLowerCase())
  );
}

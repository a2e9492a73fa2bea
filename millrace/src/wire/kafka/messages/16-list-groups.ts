/**
 * ListGroups (key 16): the groups of this broker.
 *
 * v3 is flexible; v4 filters by state and answers it (KIP-518); v5 filters by group type and
 * answers it (KIP-848).
 */
import { array, int16, int32, message, string, type Infer, type InferInput } from '../schema.ts';

export const listGroupsRequest = message({
  name: 'ListGroupsRequest',
  versions: '0-5',
  flexible: '3+',
  fields: {
    statesFilter: array('4+', 'string', { default: [] }),
    typesFilter: array('5+', 'string', { default: [] }),
  },
});

export const listGroupsResponse = message({
  name: 'ListGroupsResponse',
  versions: '0-5',
  flexible: '3+',
  fields: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    errorCode: int16('0+'),
    groups: array('0+', {
      groupId: string('0+'),
      protocolType: string('0+'),
      groupState: string('4+', { ignorable: true }),
      groupType: string('5+', { ignorable: true }),
    }),
  },
});

export type ListGroupsRequest = Infer<typeof listGroupsRequest>;
export type ListGroupsRequestInput = InferInput<typeof listGroupsRequest>;
export type ListGroupsResponse = Infer<typeof listGroupsResponse>;
export type ListGroupsResponseInput = InferInput<typeof listGroupsResponse>;

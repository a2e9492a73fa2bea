/**
 * DeleteGroups (key 42): deletes empty groups with their offsets.
 *
 * v2 is flexible.
 */
import { array, int16, int32, message, string, type Infer, type InferInput } from '../schema.ts';

export const deleteGroupsRequest = message({
  name: 'DeleteGroupsRequest',
  versions: '0-2',
  flexible: '2+',
  fields: {
    groupsNames: array('0+', 'string'),
  },
});

export const deleteGroupsResponse = message({
  name: 'DeleteGroupsResponse',
  versions: '0-2',
  flexible: '2+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    results: array('0+', {
      groupId: string('0+'),
      errorCode: int16('0+'),
    }),
  },
});

export type DeleteGroupsRequest = Infer<typeof deleteGroupsRequest>;
export type DeleteGroupsRequestInput = InferInput<typeof deleteGroupsRequest>;
export type DeleteGroupsResponse = Infer<typeof deleteGroupsResponse>;
export type DeleteGroupsResponseInput = InferInput<typeof deleteGroupsResponse>;

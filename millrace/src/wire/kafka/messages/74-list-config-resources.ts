/**
 * ListConfigResources (key 74): the names of the resources that have a configuration.
 *
 * v0 lists client metrics resources only (KIP-714); v1 asks for resource types (KIP-1142), none
 * meaning all.
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

export const listConfigResourcesRequest = message({
  name: 'ListConfigResourcesRequest',
  versions: '0-1',
  flexible: '0+',
  fields: {
    resourceTypes: array('1+', 'int8', { default: [] }),
  },
});

export const listConfigResourcesResponse = message({
  name: 'ListConfigResourcesResponse',
  versions: '0-1',
  flexible: '0+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('0+'),
    configResources: array('0+', {
      resourceName: string('0+'),
      resourceType: int8('1+', { default: 16, ignorable: true }),
    }),
  },
});

export type ListConfigResourcesRequest = Infer<typeof listConfigResourcesRequest>;
export type ListConfigResourcesRequestInput = InferInput<typeof listConfigResourcesRequest>;
export type ListConfigResourcesResponse = Infer<typeof listConfigResourcesResponse>;
export type ListConfigResourcesResponseInput = InferInput<typeof listConfigResourcesResponse>;

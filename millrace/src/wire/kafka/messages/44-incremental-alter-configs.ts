/**
 * IncrementalAlterConfigs (key 44): changes single settings of a resource (KIP-339).
 *
 * Operations: 0 set, 1 delete, 2 append to a list, 3 remove from a list. v1 is flexible.
 */
import {
  array,
  bool,
  int16,
  int32,
  int8,
  message,
  string,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const incrementalAlterConfigsRequest = message({
  name: 'IncrementalAlterConfigsRequest',
  versions: '0-1',
  flexible: '1+',
  fields: {
    resources: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        configOperation: int8('0+'),
        value: string('0+', { nullable: '0+' }),
      }),
    }),
    validateOnly: bool('0+'),
  },
});

export const incrementalAlterConfigsResponse = message({
  name: 'IncrementalAlterConfigsResponse',
  versions: '0-1',
  flexible: '1+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    responses: array('0+', {
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
      resourceType: int8('0+'),
      resourceName: string('0+'),
    }),
  },
});

export type IncrementalAlterConfigsRequest = Infer<typeof incrementalAlterConfigsRequest>;
export type IncrementalAlterConfigsRequestInput = InferInput<typeof incrementalAlterConfigsRequest>;
export type IncrementalAlterConfigsResponse = Infer<typeof incrementalAlterConfigsResponse>;
export type IncrementalAlterConfigsResponseInput = InferInput<
  typeof incrementalAlterConfigsResponse
>;

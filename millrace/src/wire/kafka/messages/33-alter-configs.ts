/**
 * AlterConfigs (key 33): replaces the whole configuration of a resource. Superseded by
 * IncrementalAlterConfigs.
 *
 * v2 is flexible.
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

export const alterConfigsRequest = message({
  name: 'AlterConfigsRequest',
  versions: '0-2',
  flexible: '2+',
  fields: {
    resources: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
      }),
    }),
    validateOnly: bool('0+'),
  },
});

export const alterConfigsResponse = message({
  name: 'AlterConfigsResponse',
  versions: '0-2',
  flexible: '2+',
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

export type AlterConfigsRequest = Infer<typeof alterConfigsRequest>;
export type AlterConfigsRequestInput = InferInput<typeof alterConfigsRequest>;
export type AlterConfigsResponse = Infer<typeof alterConfigsResponse>;
export type AlterConfigsResponseInput = InferInput<typeof alterConfigsResponse>;

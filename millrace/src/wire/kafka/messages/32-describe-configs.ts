/**
 * DescribeConfigs (key 32): the configuration of topics (resource type 2), brokers (4), loggers
 * (8), groups (32).
 *
 * v1 answers synonyms and the source of each value (KIP-226); v3 types and documentation (KIP-569);
 * v4 is flexible.
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

export const describeConfigsRequest = message({
  name: 'DescribeConfigsRequest',
  versions: '1-4',
  flexible: '4+',
  fields: {
    resources: array('0+', {
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configurationKeys: array('0+', 'string', { nullable: '0+' }),
    }),
    includeSynonyms: bool('1+', { default: false }),
    includeDocumentation: bool('3+', { default: false }),
  },
});

export const describeConfigsResponse = message({
  name: 'DescribeConfigsResponse',
  versions: '1-4',
  flexible: '4+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    results: array('0+', {
      errorCode: int16('0+'),
      errorMessage: string('0+', { nullable: '0+' }),
      resourceType: int8('0+'),
      resourceName: string('0+'),
      configs: array('0+', {
        name: string('0+'),
        value: string('0+', { nullable: '0+' }),
        readOnly: bool('0+'),
        configSource: int8('1+', { default: -1, ignorable: true }),
        isSensitive: bool('0+'),
        synonyms: array(
          '1+',
          {
            name: string('1+'),
            value: string('1+', { nullable: '0+' }),
            source: int8('1+'),
          },
          { ignorable: true },
        ),
        configType: int8('3+', { default: 0, ignorable: true }),
        documentation: string('3+', { nullable: '0+', ignorable: true }),
      }),
    }),
  },
});

export type DescribeConfigsRequest = Infer<typeof describeConfigsRequest>;
export type DescribeConfigsRequestInput = InferInput<typeof describeConfigsRequest>;
export type DescribeConfigsResponse = Infer<typeof describeConfigsResponse>;
export type DescribeConfigsResponseInput = InferInput<typeof describeConfigsResponse>;

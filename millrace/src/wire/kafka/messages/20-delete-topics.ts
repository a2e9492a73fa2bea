/**
 * DeleteTopics (key 20).
 *
 * v1-5 list names in `topicNames`; v4 is flexible; v5 answers error messages; v6 lists `topics`, by
 * name or by id (KIP-516).
 */
import {
  array,
  int16,
  int32,
  message,
  string,
  uuid,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const deleteTopicsRequest = message({
  name: 'DeleteTopicsRequest',
  versions: '1-6',
  flexible: '4+',
  fields: {
    topics: array(
      '6+',
      {
        name: string('6+', { nullable: '6+', default: null }),
        topicId: uuid('6+'),
      },
      { default: [] },
    ),
    topicNames: array('0-5', 'string', { default: [], ignorable: true }),
    timeoutMs: int32('0+'),
  },
});

export const deleteTopicsResponse = message({
  name: 'DeleteTopicsResponse',
  versions: '1-6',
  flexible: '4+',
  fields: {
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    responses: array('0+', {
      name: string('0+', { nullable: '6+' }),
      topicId: uuid('6+', { ignorable: true }),
      errorCode: int16('0+'),
      errorMessage: string('5+', { nullable: '5+', default: null, ignorable: true }),
    }),
  },
});

export type DeleteTopicsRequest = Infer<typeof deleteTopicsRequest>;
export type DeleteTopicsRequestInput = InferInput<typeof deleteTopicsRequest>;
export type DeleteTopicsResponse = Infer<typeof deleteTopicsResponse>;
export type DeleteTopicsResponseInput = InferInput<typeof deleteTopicsResponse>;

/**
 * ElectLeaders (key 43): elects the preferred leaders (type 0) or unclean ones (1) of partitions;
 * null is all partitions.
 *
 * v1 has the election type and an error for all (KIP-460); v2 is flexible.
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

export const electLeadersRequest = message({
  name: 'ElectLeadersRequest',
  versions: '0-2',
  flexible: '2+',
  fields: {
    electionType: int8('1+', { default: 0 }),
    topicPartitions: array(
      '0+',
      {
        topic: string('0+'),
        partitions: array('0+', 'int32'),
      },
      { nullable: '0+' },
    ),
    timeoutMs: int32('0+', { default: 60000 }),
  },
});

export const electLeadersResponse = message({
  name: 'ElectLeadersResponse',
  versions: '0-2',
  flexible: '2+',
  fields: {
    throttleTimeMs: int32('0+', { default: 0 }),
    errorCode: int16('1+'),
    replicaElectionResults: array('0+', {
      topic: string('0+'),
      partitionResult: array('0+', {
        partitionId: int32('0+'),
        errorCode: int16('0+'),
        errorMessage: string('0+', { nullable: '0+' }),
      }),
    }),
  },
});

export type ElectLeadersRequest = Infer<typeof electLeadersRequest>;
export type ElectLeadersRequestInput = InferInput<typeof electLeadersRequest>;
export type ElectLeadersResponse = Infer<typeof electLeadersResponse>;
export type ElectLeadersResponseInput = InferInput<typeof electLeadersResponse>;

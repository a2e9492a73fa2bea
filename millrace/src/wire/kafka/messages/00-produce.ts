/**
 * Produce (key 0): appends record batches to partitions.
 *
 * - v3 is the first with record batches v2 and the first that is served; v0-2 are defined because
 *   librdkafka needs them advertised (KAFKA-18659).
 * - v5 answers the log start offset; v7 allows zstd; v8 names the records that were refused
 *   (KIP-467); v9 is flexible.
 * - v10 may answer the current leader in tagged fields (KIP-951).
 * - v11 and v12 are unchanged; a v12 producer relies on transactions v2 (KIP-890).
 * - v13 names topics by id instead of by name (KIP-516).
 *
 * Source: Kafka protocol guide; KIP-98, KIP-467, KIP-516, KIP-890, KIP-951. Hot path:
 * produce-codec.ts.
 */
import {
  ZERO_UUID,
  array,
  int16,
  int32,
  int64,
  message,
  records,
  string,
  struct,
  uuid,
  type Infer,
  type InferInput,
} from '../schema.ts';

export const produceRequest = message({
  name: 'ProduceRequest',
  versions: '0-13',
  flexible: '9+',
  fields: {
    transactionalId: string('3+', { nullable: '3+', default: null }),
    acks: int16('0+'),
    timeoutMs: int32('0+'),
    topicData: array('0+', {
      name: string('0-12', { default: '', ignorable: true }),
      topicId: uuid('13+', { default: ZERO_UUID, ignorable: true }),
      partitionData: array('0+', {
        index: int32('0+'),
        records: records('0+', { nullable: '0+' }),
      }),
    }),
  },
});

export const produceResponse = message({
  name: 'ProduceResponse',
  versions: '0-13',
  flexible: '9+',
  fields: {
    responses: array('0+', {
      name: string('0-12', { default: '', ignorable: true }),
      topicId: uuid('13+', { default: ZERO_UUID, ignorable: true }),
      partitionResponses: array('0+', {
        index: int32('0+'),
        errorCode: int16('0+'),
        baseOffset: int64('0+'),
        logAppendTimeMs: int64('2+', { default: -1, ignorable: true }),
        logStartOffset: int64('5+', { default: -1, ignorable: true }),
        recordErrors: array(
          '8+',
          {
            batchIndex: int32('8+'),
            batchIndexErrorMessage: string('8+', { nullable: '8+', default: null }),
          },
          { default: [], ignorable: true },
        ),
        errorMessage: string('8+', { nullable: '8+', default: null, ignorable: true }),
        currentLeader: struct(
          '10+',
          {
            leaderId: int32('10+', { default: -1 }),
            leaderEpoch: int32('10+', { default: -1 }),
          },
          { tag: 0 },
        ),
      }),
    }),
    throttleTimeMs: int32('1+', { default: 0, ignorable: true }),
    nodeEndpoints: array(
      '10+',
      {
        nodeId: int32('10+'),
        host: string('10+'),
        port: int32('10+'),
        rack: string('10+', { nullable: '10+', default: null }),
      },
      { tag: 0 },
    ),
  },
});

export type ProduceRequest = Infer<typeof produceRequest>;
export type ProduceRequestInput = InferInput<typeof produceRequest>;
export type ProduceResponse = Infer<typeof produceResponse>;
export type ProduceResponseInput = InferInput<typeof produceResponse>;

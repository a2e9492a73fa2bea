/**
 * Produce (key 0), versions 3-13; advertised from 0.
 *
 * Behaviour:
 * - An answer means that the records are on disk (fdatasync, in groups), with acks=1 as with acks=-1; topics with
 *   `millrace.flush` other than `commit` are answered as that says.
 * - acks=0 is not answered; an error then closes the connection, so that the client notices.
 * - Exactly one record batch for each partition, in format 2; its CRC, size, counts, timestamps, producer id, epoch and
 *   sequence are checked. Batches are stored as they came unless the topic has a `compression.type` of its own.
 * - Duplicates of an idempotent producer get the offsets of the batch that is there already.
 * - Records of a transaction are taken only while the transaction is open and the partition is part of it (KIP-890).
 * - Records without a key are refused on compacted topics, each named with its index (v8).
 *
 * Deviations:
 * - Versions 0 to 2 are advertised, because clients built on librdkafka before 2.11 stop compressing otherwise
 *   (KAFKA-18659), but not served.
 * - The timestamp of the newest record is taken from the header of the batch instead of being recomputed.
 * - A batch above 32 MiB does not fit into the journal and is refused, whatever `max.message.bytes` says.
 * - The request's timeout is not looked at: there are no replicas to wait for.
 *
 * Source: KIP-98, KIP-467, KIP-516.
 */
import {
  produce,
  type ProduceRules,
  type Produced,
  transactionalProducer,
} from '../../broker/produce.ts';
import type { Topic } from '../../broker/topics.ts';
import { MillraceError } from '../../core/errors.ts';
import { errorCode, type ErrorName } from '../../wire/kafka/error-codes.ts';
import type {
  FlatProduceRequest,
  ProducePartition,
  ProduceResult,
} from '../../wire/kafka/produce-codec.ts';
import { defineApi, type Api, type RequestContext } from './api.ts';

/** The hand-written codec puts topics and partitions of the request around the results. */
export interface ProduceAnswer {
  readonly request: FlatProduceRequest;
  /** One for each of the request's partitions, in their order. */
  readonly results: readonly ProduceResult[];
}

const TOPIC_IDS_SINCE = 13;
const ZSTD_SINCE = 7;
const NO_RECORD_ERRORS: ProduceResult['recordErrors'] = [];

export const produceApi: Api<FlatProduceRequest, ProduceAnswer> = defineApi({
  key: 0,
  name: 'Produce',
  minVersion: 3,
  maxVersion: 13,
  advertisedMinVersion: 0,
  handle: (request, context) => {
    const waits: Promise<void>[] = [];
    const results: ProduceResult[] = [];
    let failed: ErrorName | undefined;
    const rules = {
      allowZstd: context.apiVersion >= ZSTD_SINCE,
      nowMs: context.broker.env.clock.nowMs(),
    };
    for (const part of request.partitions) {
      const produced = appendOne(part, request, context, rules);
      if (produced.ok) waits.push(produced.log.whenDurable(produced.endOffset));
      else failed ??= produced.error;
      results.push(resultOf(produced));
    }
    if (request.acks === 0) return unanswered(waits, failed);
    return whenAll(waits, { request, results });
  },
});

function appendOne(
  part: ProducePartition,
  request: FlatProduceRequest,
  context: RequestContext,
  rules: ProduceRules,
): Produced {
  if (request.acks < -1 || request.acks > 1)
    return refusal('INVALID_REQUIRED_ACKS', `acks is -1, 0 or 1, not ${request.acks}`);
  const topic = findTopic(part, request, context);
  if (typeof topic === 'string') return refusal(topic, 'there is no such topic');
  const records =
    part.recordsStart < 0 ? null : request.frame.subarray(part.recordsStart, part.recordsEnd);
  const producer = transactionalProducer(records);
  const verdict =
    producer === undefined
      ? 'NONE'
      : context.broker.transactions.mayWrite(producer, topic.name, part.index);
  return verdict === 'NONE'
    ? produce(topic, part.index, records, rules)
    : refusal(verdict, `the producer has no open transaction on ${topic.name}-${part.index}`);
}

function findTopic(
  part: ProducePartition,
  request: FlatProduceRequest,
  context: RequestContext,
): Topic | ErrorName {
  const { topics } = context.broker;
  const asked = request.topics[part.topic];
  if (context.apiVersion >= TOPIC_IDS_SINCE)
    return topics.byId(asked?.topicId ?? '') ?? 'UNKNOWN_TOPIC_ID';
  return topics.get(asked?.name ?? '') ?? 'UNKNOWN_TOPIC_OR_PARTITION';
}

/** One wait, the usual case, costs one promise. */
function whenAll<Value>(waits: readonly Promise<void>[], value: Value): Value | Promise<Value> {
  const [first] = waits;
  if (first === undefined) return value;
  const all: Promise<unknown> = waits.length === 1 ? first : Promise.all(waits);
  return all.then(() => value);
}

/** acks=0: the request's memory is used again after this, so what was appended must be durable. */
async function unanswered(
  waits: readonly Promise<void>[],
  failed: ErrorName | undefined,
): Promise<undefined> {
  await Promise.all(waits);
  if (failed === undefined) return;
  throw new MillraceError(
    'ML_REQUEST_REFUSED',
    `a Produce with acks=0 failed with ${failed}, which only the end of the connection can tell`,
    { fields: { error: failed } },
  );
}

function resultOf(produced: Produced): ProduceResult {
  if (produced.ok)
    return {
      errorCode: 0,
      baseOffset: produced.baseOffset,
      logAppendTimeMs: produced.appendTimeMs,
      logStartOffset: produced.logStartOffset,
      recordErrors: NO_RECORD_ERRORS,
      errorMessage: null,
    };
  return {
    errorCode: errorCode(produced.error),
    baseOffset: -1,
    logAppendTimeMs: -1,
    logStartOffset: -1,
    recordErrors: produced.recordErrors.map(({ batchIndex, message }) => ({
      batchIndex,
      batchIndexErrorMessage: message,
    })),
    errorMessage: produced.message,
  };
}

function refusal(error: ErrorName, message: string): Produced {
  return { ok: false, error, message, recordErrors: [] };
}

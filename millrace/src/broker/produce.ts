/**
 * What a batch of a producer must be before it is appended, and the appending.
 *
 * Owns: the rules that are about the topic and the protocol; structure, CRC, producer ids and sequences are the log's.
 * Invariant: everything happens in the call, so that batches are appended in the order in which requests arrive; what
 * remains to wait for is durability. Records are decoded only where a topic asks for it: compacted ones (keys),
 * `compression.type` other than the batch's, and `message.timestamp.before.max.ms`.
 *
 * @hot
 * Source: KIP-98, KIP-467 (record errors), KIP-937 (timestamps), KIP-110 (zstd); Kafka's LogValidator for the order of
 * the rules.
 */
import { MillraceError } from '../core/errors.ts';
import { RECORD_ERRORS_MAX } from '../core/limits.ts';
import type { PartitionLog } from '../log/types.ts';
import type { ErrorName } from '../wire/kafka/error-codes.ts';
import { COMPRESSIONS, type Compression } from '../wire/kafka/records/compression.ts';
import {
  ATTRIBUTES_AT,
  attributes,
  BATCH_INCOMPLETE,
  BATCH_OK,
  baseOffset,
  baseSequence,
  batchBytes,
  batchCheckText,
  checkBatchFrame,
  compressionOf,
  isControl,
  isTransactional,
  lastOffsetDelta,
  maxTimestamp,
  NO_PRODUCER_ID,
  NO_TIMESTAMP,
  producerEpoch,
  producerId,
  recordCount,
  storedCrc,
} from '../wire/kafka/records/record-batch.ts';
import { crc32c } from '../core/crc32c.ts';
import { RecordBatchBuilder } from '../wire/kafka/records/record-batch-builder.ts';
import { RecordReader } from '../wire/kafka/records/record-reader.ts';
import { UNLIMITED } from './config-table.ts';
import type { TopicConfig } from './topic-config.ts';
import type { Topic } from './topics.ts';

/** Why one record of a batch was refused. */
export interface RecordError {
  /** Position of the record in its batch. */
  readonly batchIndex: number;
  readonly message: string;
}

export type Produced =
  | {
      readonly ok: true;
      readonly log: PartitionLog;
      readonly baseOffset: number;
      readonly appendTimeMs: number;
      readonly logStartOffset: number;
      /** Wait until the log is durable up to here before acknowledging. */
      readonly endOffset: number;
    }
  | {
      readonly ok: false;
      readonly error: ErrorName;
      readonly message: string;
      readonly recordErrors: readonly RecordError[];
    };

export interface ProduceRules {
  /** The client knows zstd (Produce v7 and later). */
  readonly allowZstd: boolean;
  readonly nowMs: number;
}

/**
 * Appends what a producer sent for one partition: exactly one batch. On success the memory of `records` is the log's
 * until it is durable up to `endOffset`.
 */
export function produce(
  topic: Topic,
  partition: number,
  records: Buffer | null,
  rules: ProduceRules,
): Produced {
  const log = topic.partitions[partition];
  if (log === undefined)
    return refused(
      'UNKNOWN_TOPIC_OR_PARTITION',
      `topic ${topic.name} has no partition ${partition}`,
    );
  if (topic.internal)
    return refused('INVALID_TOPIC_EXCEPTION', `only the broker writes to ${topic.name}`);
  if (records === null || records.length === 0)
    return refused('INVALID_RECORD', 'a partition needs exactly one record batch, there is none');
  const fault = batchFault(records, topic.config, rules);
  if (fault !== undefined) return honest(records, fault);
  const stored = storedForm(records, topic.config, rules.nowMs);
  if (!Buffer.isBuffer(stored)) return stored;
  const appended = log.append(stored, { origin: 'client' });
  if (!appended.ok) return refused(appended.error, appended.message);
  return {
    ok: true,
    log,
    baseOffset: appended.baseOffset,
    appendTimeMs: appended.appendTimeMs,
    logStartOffset: appended.logStartOffset,
    endOffset: appended.lastOffset + 1,
  };
}

/** Producer id and epoch of a batch that passed the rules; undefined when it is not of a transaction. */
export function transactionalProducer(
  records: Buffer | null,
): { readonly producerId: number; readonly producerEpoch: number } | undefined {
  if (records === null || checkBatchFrame(records, 0, records.length) !== BATCH_OK)
    return undefined;
  if (!isTransactional(attributes(records, 0))) return undefined;
  return { producerId: producerId(records, 0), producerEpoch: producerEpoch(records, 0) };
}

type Refusal = Extract<Produced, { readonly ok: false }>;

/** The rules that the header alone answers. */
function batchFault(
  records: Buffer,
  config: TopicConfig,
  rules: ProduceRules,
): Refusal | undefined {
  const check = checkBatchFrame(records, 0, records.length);
  if (check === BATCH_INCOMPLETE) return refused('CORRUPT_MESSAGE', batchCheckText(check));
  if (check !== BATCH_OK) return refused('INVALID_RECORD', batchCheckText(check));
  const bytes = batchBytes(records, 0);
  if (bytes !== records.length)
    return refused('INVALID_RECORD', 'a partition needs exactly one record batch, there are more');
  const flags = attributes(records, 0);
  if (COMPRESSIONS[compressionOf(flags)] === 'zstd' && !rules.allowZstd)
    return refused('UNSUPPORTED_COMPRESSION_TYPE', 'zstd needs Produce version 7 or later');
  if (bytes > config.maxMessageBytes)
    return refused(
      'MESSAGE_TOO_LARGE',
      `the batch has ${bytes} bytes, max.message.bytes is ${config.maxMessageBytes}`,
    );
  if (baseOffset(records, 0) !== 0)
    return refused('INVALID_RECORD', 'the base offset of a produced batch must be 0');
  if (isControl(flags)) return refused('INVALID_RECORD', 'clients cannot write control records');
  const count = recordCount(records, 0);
  if (count < 1 || count !== lastOffsetDelta(records, 0) + 1)
    return refused(
      'INVALID_RECORD',
      `the batch says it has ${count} records and ${lastOffsetDelta(records, 0) + 1} offsets`,
    );
  const hasProducer = producerId(records, 0) !== NO_PRODUCER_ID;
  if (hasProducer && baseSequence(records, 0) < 0)
    return refused('INVALID_RECORD', 'a batch with a producer id needs a sequence number');
  if (!hasProducer && isTransactional(flags))
    return refused('INVALID_RECORD', 'a transactional batch needs a producer id');
  return timestampFault(maxTimestamp(records, 0), config, rules.nowMs);
}

function timestampFault(newestMs: number, config: TopicConfig, nowMs: number): Refusal | undefined {
  if (config.timestampType === 'LogAppendTime') return undefined;
  if (newestMs === NO_TIMESTAMP || newestMs - nowMs <= config.timestampAfterMaxMs) return undefined;
  return refused(
    'INVALID_TIMESTAMP',
    `the timestamp ${newestMs} is further than message.timestamp.after.max.ms (${config.timestampAfterMaxMs}) after the time of the broker, ${nowMs}`,
  );
}

/** A fault of a batch that was damaged on its way is the damage: the client may send it again. */
function honest(records: Buffer, fault: Refusal): Refusal {
  if (checkBatchFrame(records, 0, records.length) !== BATCH_OK) return fault;
  const sound = crc32c(records, ATTRIBUTES_AT, batchBytes(records, 0)) === storedCrc(records, 0);
  return sound ? fault : refused('CORRUPT_MESSAGE', 'record batch whose CRC does not match');
}

/** The batch as the topic wants it stored: most often the very bytes that came. */
function storedForm(records: Buffer, config: TopicConfig, nowMs: number): Buffer | Refusal {
  const target = targetCompression(records, config.compressionType);
  const looksAtKeys = config.cleanupPolicy.includes('compact');
  const looksAtTimes =
    config.timestampBeforeMaxMs !== UNLIMITED && config.timestampType === 'CreateTime';
  if (target === undefined && !looksAtKeys && !looksAtTimes) return records;
  // From here on records are decoded: the bytes must be the ones that were sent.
  if (crc32c(records, ATTRIBUTES_AT, records.length) !== storedCrc(records, 0))
    return refused('CORRUPT_MESSAGE', 'record batch whose CRC does not match');
  try {
    const oldestMs = looksAtTimes ? nowMs - config.timestampBeforeMaxMs : -Infinity;
    const faults = recordFaults(records, { looksAtKeys, oldestMs });
    if (faults !== undefined) return faults;
    return target === undefined ? records : recompress(records, target);
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'ML_RECORDS_MALFORMED')
      return refused('CORRUPT_MESSAGE', error.message);
    if (error instanceof MillraceError && error.code === 'ML_RECORDS_TOO_LARGE')
      return refused('MESSAGE_TOO_LARGE', error.message);
    throw error;
  }
}

/** The codec that the batch must be brought to; undefined when it may stay. */
function targetCompression(
  records: Buffer,
  wanted: TopicConfig['compressionType'],
): Compression | undefined {
  if (wanted === 'producer') return undefined;
  const target = wanted === 'uncompressed' ? 'none' : wanted;
  return COMPRESSIONS[compressionOf(attributes(records, 0))] === target ? undefined : target;
}

function recordFaults(
  records: Buffer,
  rules: { readonly looksAtKeys: boolean; readonly oldestMs: number },
): Refusal | undefined {
  const reader = new RecordReader();
  reader.open(records, 0, records.length);
  const errors: RecordError[] = [];
  let error: ErrorName = 'INVALID_RECORD';
  for (let index = 0; errors.length < RECORD_ERRORS_MAX && reader.next(); index++) {
    if (rules.looksAtKeys && reader.keyStart < 0) {
      errors.push({
        batchIndex: index,
        message: 'a compacted topic takes no record without a key',
      });
    } else if (reader.timestamp !== NO_TIMESTAMP && reader.timestamp < rules.oldestMs) {
      error = 'INVALID_TIMESTAMP';
      errors.push({
        batchIndex: index,
        message: `the timestamp ${reader.timestamp} is further than message.timestamp.before.max.ms before the time of the broker`,
      });
    }
  }
  const first = errors[0];
  return first === undefined
    ? undefined
    : { ok: false, error, message: first.message, recordErrors: errors };
}

/** The same records and the same producer's numbers in another codec. */
function recompress(records: Buffer, compression: Compression): Buffer {
  const reader = new RecordReader();
  reader.open(records, 0, records.length);
  const builder = new RecordBatchBuilder(
    {
      compression,
      producerId: producerId(records, 0),
      producerEpoch: producerEpoch(records, 0),
      baseSequence: baseSequence(records, 0),
      transactional: isTransactional(attributes(records, 0)),
    },
    reader.data.length + records.length,
  );
  while (reader.next())
    builder.appendEncoded(reader.timestamp, reader.data, reader.tailStart, reader.headersEnd);
  return builder.finish();
}

function refused(error: ErrorName, message: string): Refusal {
  return { ok: false, error, message, recordErrors: [] };
}

/**
 * @hot The Produce codec by hand: a request as flat lists with byte ranges instead of views, a response as one buffer
 * of exactly the right size. Reads and writes the same bytes as the definition in messages/00-produce.ts, which stays
 * the authority: a request that looks wrong here is decoded again by the table, for the error with the field's path.
 *
 * Invariant: accepts a request if and only if the table does (produce-codec.test.ts).
 */
import { MillraceError, assert } from '../../core/errors.ts';
import { WIRE_ELEMENTS_MAX } from '../../core/limits.ts';
import { asUnrepresentable, decodeMessage } from './codec.ts';
import { SIZE_BYTES } from './frames.ts';
import { produceRequest, produceResponse } from './messages/00-produce.ts';
import { countBytes, stringBytes } from './primitives.ts';
import { Reader, WireFault } from './reader.ts';
import { ZERO_UUID } from './schema.ts';
import { Writer } from './writer.ts';

const VERSION_MIN = 3;
const VERSION_MAX = 13;
const FLEXIBLE_SINCE = 9;
const TOPIC_IDS_SINCE = 13;

/** A topic of a request: its partitions are `partitions[firstPartition]` and the `partitionCount - 1` after it. */
export interface ProduceTopic {
  /** '' from v13 on. */
  readonly name: string;
  /** The zero uuid below v13. */
  readonly topicId: string;
  readonly firstPartition: number;
  readonly partitionCount: number;
}

export interface ProducePartition {
  /** Index into `topics`. */
  readonly topic: number;
  /** The partition's number in its topic. */
  readonly index: number;
  /** The record batches are the bytes [recordsStart, recordsEnd) of `frame`; recordsStart is -1 for null. */
  readonly recordsStart: number;
  readonly recordsEnd: number;
}

export interface FlatProduceRequest {
  /** The buffer that was decoded; nothing of it was copied except strings. */
  readonly frame: Buffer;
  readonly transactionalId: string | null;
  readonly acks: number;
  readonly timeoutMs: number;
  readonly topics: readonly ProduceTopic[];
  /** In the request's order: all of the first topic, then all of the second, and so on. */
  readonly partitions: readonly ProducePartition[];
}

/** The answer for one partition; `-1` and `null` where there is nothing to say. */
export interface ProduceResult {
  readonly errorCode: number;
  readonly baseOffset: number;
  /** Milliseconds; -1 unless the topic stamps append time. */
  readonly logAppendTimeMs: number;
  readonly logStartOffset: number;
  /** Records that were refused, by their index in the batch (v8). */
  readonly recordErrors: readonly ProduceRecordError[];
  /** v8. */
  readonly errorMessage: string | null;
}

export interface ProduceRecordError {
  readonly batchIndex: number;
  readonly batchIndexErrorMessage: string | null;
}

export interface ProduceResponseParts {
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly throttleTimeMs: number;
  /** The two lists of the request that is answered. */
  readonly topics: readonly ProduceTopic[];
  readonly partitions: readonly ProducePartition[];
  /** `results[i]` is the answer for `partitions[i]`. */
  readonly results: readonly ProduceResult[];
}

/**
 * Decodes the body of a Produce request of version 3 to 13 that starts at `bodyStart` of `frame`. Bytes after the body
 * are ignored, as Kafka does.
 * @throws ML_WIRE_MALFORMED
 */
export function decodeProduceRequest(
  frame: Buffer,
  apiVersion: number,
  bodyStart: number,
): FlatProduceRequest {
  assert(
    apiVersion >= VERSION_MIN && apiVersion <= VERSION_MAX,
    `Produce v${apiVersion} has no fast path`,
  );
  const reader = new Reader(frame, {
    start: bodyStart,
    end: frame.length,
    elementsMax: WIRE_ELEMENTS_MAX,
  });
  try {
    return apiVersion >= FLEXIBLE_SINCE
      ? readFlexible(reader, apiVersion >= TOPIC_IDS_SINCE)
      : readClassic(reader);
  } catch (error) {
    if (!(error instanceof WireFault)) throw error;
    decodeMessage(produceRequest, apiVersion, frame, { start: bodyStart, leftover: 'ignore' });
    throw new MillraceError('ML_ASSERT', `the Produce codecs disagree: ${error.message}`, {
      cause: error,
    });
  }
}

function readClassic(reader: Reader): FlatProduceRequest {
  const idLength = reader.stringLength();
  const transactionalId = idLength < 0 ? null : reader.text(idLength);
  const acks = reader.int16();
  const timeoutMs = reader.int32();
  const topics: ProduceTopic[] = [];
  const partitions: ProducePartition[] = [];
  const topicCount = nonNull(reader, reader.int32());
  reader.checkCount(topicCount, 6);
  for (let topic = 0; topic < topicCount; topic++) {
    const name = reader.text(nonNull(reader, reader.stringLength()));
    const partitionCount = nonNull(reader, reader.int32());
    reader.checkCount(partitionCount, 8);
    topics.push({
      name,
      topicId: ZERO_UUID,
      firstPartition: partitions.length,
      partitionCount,
    });
    for (let remaining = partitionCount; remaining > 0; remaining--) {
      const index = reader.int32();
      const length = reader.bytesLength();
      const recordsStart = length < 0 ? -1 : reader.take(length);
      partitions.push({
        topic,
        index,
        recordsStart,
        recordsEnd: recordsStart + Math.max(0, length),
      });
    }
  }
  return { frame: reader.buffer, transactionalId, acks, timeoutMs, topics, partitions };
}

function readFlexible(reader: Reader, byId: boolean): FlatProduceRequest {
  const idLength = reader.compactStringLength();
  const transactionalId = idLength < 0 ? null : reader.text(idLength);
  const acks = reader.int16();
  const timeoutMs = reader.int32();
  const topics: ProduceTopic[] = [];
  const partitions: ProducePartition[] = [];
  const topicCount = nonNull(reader, reader.unsignedVarint() - 1);
  reader.checkCount(topicCount, byId ? 18 : 3);
  for (let topic = 0; topic < topicCount; topic++) {
    const topicId = byId ? reader.uuid() : ZERO_UUID;
    const name = byId ? '' : reader.text(nonNull(reader, reader.compactStringLength()));
    const partitionCount = nonNull(reader, reader.unsignedVarint() - 1);
    reader.checkCount(partitionCount, 6);
    topics.push({ name, topicId, firstPartition: partitions.length, partitionCount });
    for (let remaining = partitionCount; remaining > 0; remaining--) {
      const index = reader.int32();
      const length = reader.compactBytesLength();
      const recordsStart = length < 0 ? -1 : reader.take(length);
      reader.skipTaggedFields();
      partitions.push({
        topic,
        index,
        recordsStart,
        recordsEnd: recordsStart + Math.max(0, length),
      });
    }
    reader.skipTaggedFields();
  }
  reader.skipTaggedFields();
  return { frame: reader.buffer, transactionalId, acks, timeoutMs, topics, partitions };
}

function nonNull(reader: Reader, length: number): number {
  if (length === -1) reader.fail('null is not allowed');
  return length;
}

/**
 * The whole response frame, size prefix and header included. It never names other leaders (KIP-951): Millrace has one node.
 * @throws ML_ASSERT when `results` does not match the request
 * @throws ML_WIRE_UNREPRESENTABLE when a value does not fit its field
 */
export function encodeProduceResponse(response: ProduceResponseParts): Buffer {
  const { apiVersion, partitions, results } = response;
  assert(
    apiVersion >= VERSION_MIN && apiVersion <= VERSION_MAX,
    `Produce v${apiVersion} has no fast path`,
  );
  assert(
    results.length === partitions.length,
    `${results.length} results for ${partitions.length} partitions`,
  );
  const bytes = frameBytes(response);
  const writer = new Writer(bytes);
  try {
    writer.int32(bytes - SIZE_BYTES);
    writer.int32(response.correlationId);
    if (apiVersion >= FLEXIBLE_SINCE) writer.unsignedVarint(0);
    writeBody(writer, response);
  } catch (error) {
    throw asUnrepresentable(error, produceResponse.name, apiVersion);
  }
  assert(
    writer.position === bytes,
    `a Produce response of ${writer.position} bytes instead of ${bytes}`,
  );
  return writer.finish();
}

function frameBytes({ apiVersion, topics, results }: ProduceResponseParts): number {
  const flexible = apiVersion >= FLEXIBLE_SINCE;
  // Size, correlation id, throttle time, and in flexible versions the tags of header and body.
  let bytes = SIZE_BYTES + 8 + countBytes(flexible, topics.length) + (flexible ? 2 : 0);
  for (let topic = 0; topic < topics.length; topic++) {
    const { name, firstPartition, partitionCount } = topics[topic] as ProduceTopic;
    bytes += apiVersion >= TOPIC_IDS_SINCE ? 16 : stringBytes(flexible, name);
    bytes += countBytes(flexible, partitionCount) + (flexible ? 1 : 0);
    for (let i = firstPartition; i < firstPartition + partitionCount; i++) {
      bytes += resultBytes(apiVersion, flexible, results[i] as ProduceResult);
    }
  }
  return bytes;
}

function resultBytes(apiVersion: number, flexible: boolean, result: ProduceResult): number {
  // Index, error code, base offset, append time; then the log start offset, the errors of v8, and tags.
  let bytes = 22 + (apiVersion >= 5 ? 8 : 0) + (flexible ? 1 : 0);
  if (apiVersion < 8) return bytes;
  bytes += countBytes(flexible, result.recordErrors.length);
  bytes += stringBytes(flexible, result.errorMessage);
  for (const { batchIndexErrorMessage } of result.recordErrors) {
    bytes += 4 + stringBytes(flexible, batchIndexErrorMessage) + (flexible ? 1 : 0);
  }
  return bytes;
}

function writeBody(writer: Writer, response: ProduceResponseParts): void {
  const { apiVersion, topics, partitions, results } = response;
  const flexible = apiVersion >= FLEXIBLE_SINCE;
  writer.count(flexible, topics.length);
  for (let topic = 0; topic < topics.length; topic++) {
    const { name, topicId, firstPartition, partitionCount } = topics[topic] as ProduceTopic;
    if (apiVersion >= TOPIC_IDS_SINCE) writer.uuid(topicId);
    else writer.nullableString(flexible, name);
    writer.count(flexible, partitionCount);
    for (let i = firstPartition; i < firstPartition + partitionCount; i++) {
      writer.int32((partitions[i] as ProducePartition).index);
      writeResult(writer, apiVersion, results[i] as ProduceResult);
    }
    if (flexible) writer.unsignedVarint(0);
  }
  writer.int32(response.throttleTimeMs);
  if (flexible) writer.unsignedVarint(0);
}

function writeResult(writer: Writer, apiVersion: number, result: ProduceResult): void {
  const flexible = apiVersion >= FLEXIBLE_SINCE;
  writer.int16(result.errorCode);
  writer.int64(result.baseOffset);
  writer.int64(result.logAppendTimeMs);
  if (apiVersion >= 5) writer.int64(result.logStartOffset);
  if (apiVersion >= 8) {
    writer.count(flexible, result.recordErrors.length);
    for (const { batchIndex, batchIndexErrorMessage } of result.recordErrors) {
      writer.int32(batchIndex);
      writer.nullableString(flexible, batchIndexErrorMessage);
      if (flexible) writer.unsignedVarint(0);
    }
    writer.nullableString(flexible, result.errorMessage);
  }
  if (flexible) writer.unsignedVarint(0);
}

/**
 * @hot The Fetch codec by hand: a request as the same object that the table gives, faster; a response as a list of buffers
 * in which the records are the very buffers that were given, so that a socket can write them without a copy.
 * Reads and writes the same bytes as the definition in messages/01-fetch.ts, which stays the authority: a request with
 * tagged fields (only replicas send them), or one that looks wrong here, is decoded by the table.
 *
 *   chunks   [ size, header, body up to the first records ] [ records ] [ body up to the next ] [ records ] … [ rest ]
 *
 * Invariant: accepts a request if and only if the table does (fetch-codec.test.ts).
 */
import { assert } from '../../core/errors.ts';
import { WIRE_ELEMENTS_MAX } from '../../core/limits.ts';
import { asUnrepresentable, decodeMessage } from './codec.ts';
import { SIZE_BYTES } from './frames.ts';
import {
  fetchRequest,
  fetchResponse,
  type FetchRequest,
  type FetchResponseInput,
} from './messages/01-fetch.ts';
import { countBytes, stringBytes } from './primitives.ts';
import { Reader, WireFault } from './reader.ts';
import { ZERO_UUID, type ElementOf } from './schema.ts';
import { Writer } from './writer.ts';

const VERSION_MIN = 4;
const VERSION_MAX = 18;
const FLEXIBLE_SINCE = 12;
const TOPIC_IDS_SINCE = 13;
const REPLICA_STATE_SINCE = 15;

type RequestTopic = ElementOf<FetchRequest['topics']>;
type RequestPartition = ElementOf<RequestTopic['partitions']>;
type ForgottenTopic = ElementOf<FetchRequest['forgottenTopicsData']>;

type TableTopic = ElementOf<FetchResponseInput['responses']>;
type TablePartition = ElementOf<TableTopic['partitions']>;

/** A partition of a FetchResponse without the fields by which replicas learn of other leaders. */
export type FetchPartition = Omit<
  TablePartition,
  'divergingEpoch' | 'currentLeader' | 'snapshotId'
>;
export type FetchTopic = Omit<TableTopic, 'partitions'> & {
  readonly partitions: readonly FetchPartition[];
};
export type FetchBody = Omit<FetchResponseInput, 'responses' | 'nodeEndpoints'> & {
  readonly responses: readonly FetchTopic[];
};

export interface Chunks {
  /** Together the frame, in order. */
  readonly buffers: readonly Buffer[];
  readonly bytes: number;
}

const NO_REPLICA: FetchRequest['replicaState'] = Object.freeze({ replicaId: -1, replicaEpoch: -1 });

/**
 * Decodes the body of a Fetch request of version 4 to 18 that starts at `bodyStart` of `frame`. Bytes after the body are
 * ignored, as Kafka does.
 * @throws ML_WIRE_MALFORMED
 */
export function decodeFetchRequest(
  frame: Buffer,
  apiVersion: number,
  bodyStart: number,
): FetchRequest {
  assert(
    apiVersion >= VERSION_MIN && apiVersion <= VERSION_MAX,
    `Fetch v${apiVersion} has no fast path`,
  );
  const reader = new Reader(frame, {
    start: bodyStart,
    end: frame.length,
    elementsMax: WIRE_ELEMENTS_MAX,
  });
  let fault: WireFault | undefined;
  try {
    const request = readRequest(reader, apiVersion);
    if (request !== undefined) return request;
  } catch (error) {
    if (!(error instanceof WireFault)) throw error;
    fault = error;
  }
  const request = decodeMessage(fetchRequest, apiVersion, frame, {
    start: bodyStart,
    leftover: 'ignore',
  });
  assert(fault === undefined, `the Fetch codecs disagree: ${fault?.message}`);
  return request;
}

/** Undefined when the request has tagged fields. */
function readRequest(reader: Reader, version: number): FetchRequest | undefined {
  const flexible = version >= FLEXIBLE_SINCE;
  const replicaId = version < REPLICA_STATE_SINCE ? reader.int32() : -1;
  const maxWaitMs = reader.int32();
  const minBytes = reader.int32();
  const maxBytes = reader.int32();
  const isolationLevel = reader.int8();
  const sessionId = version >= 7 ? reader.int32() : 0;
  const sessionEpoch = version >= 7 ? reader.int32() : -1;
  const topics = readTopics(reader, version);
  if (topics === undefined) return undefined;
  const forgottenTopicsData = version >= 7 ? readForgotten(reader, version) : [];
  if (forgottenTopicsData === undefined) return undefined;
  const rackId = version >= 11 ? readString(reader, flexible) : '';
  if (flexible && reader.unsignedVarint() !== 0) return undefined;
  return {
    clusterId: null,
    replicaId,
    replicaState: NO_REPLICA,
    maxWaitMs,
    minBytes,
    maxBytes,
    isolationLevel,
    sessionId,
    sessionEpoch,
    topics,
    forgottenTopicsData,
    rackId,
  };
}

function readTopics(reader: Reader, version: number): RequestTopic[] | undefined {
  const flexible = version >= FLEXIBLE_SINCE;
  const byId = version >= TOPIC_IDS_SINCE;
  const topics: RequestTopic[] = [];
  for (let left = readCount(reader, flexible, topicBytesMin(version)); left > 0; left--) {
    const topicId = byId ? reader.uuid() : ZERO_UUID;
    const topic = byId ? '' : readString(reader, flexible);
    const partitions: RequestPartition[] = [];
    for (let more = readCount(reader, flexible, partitionBytesMin(version)); more > 0; more--) {
      partitions.push(readPartition(reader, version));
      if (flexible && reader.unsignedVarint() !== 0) return undefined;
    }
    topics.push({ topic, topicId, partitions });
    if (flexible) reader.skipTaggedFields();
  }
  return topics;
}

function readPartition(reader: Reader, version: number): RequestPartition {
  const partition = reader.int32();
  const currentLeaderEpoch = version >= 9 ? reader.int32() : -1;
  const fetchOffset = reader.int64();
  const lastFetchedEpoch = version >= 12 ? reader.int32() : -1;
  const logStartOffset = version >= 5 ? reader.int64() : -1;
  const partitionMaxBytes = reader.int32();
  return {
    partition,
    currentLeaderEpoch,
    fetchOffset,
    lastFetchedEpoch,
    logStartOffset,
    partitionMaxBytes,
    replicaDirectoryId: ZERO_UUID,
    highWatermark: Number.MAX_SAFE_INTEGER,
  };
}

function readForgotten(reader: Reader, version: number): ForgottenTopic[] {
  const flexible = version >= FLEXIBLE_SINCE;
  const byId = version >= TOPIC_IDS_SINCE;
  const topics: ForgottenTopic[] = [];
  for (let left = readCount(reader, flexible, topicBytesMin(version)); left > 0; left--) {
    const topicId = byId ? reader.uuid() : ZERO_UUID;
    const topic = byId ? '' : readString(reader, flexible);
    const partitions: number[] = [];
    for (let more = readCount(reader, flexible, 4); more > 0; more--) {
      partitions.push(reader.int32());
    }
    topics.push({ topic, topicId, partitions });
    if (flexible) reader.skipTaggedFields();
  }
  return topics;
}

/** A topic with no partition: name or id, count, and in flexible versions the tags. */
function topicBytesMin(version: number): number {
  if (version < FLEXIBLE_SINCE) return 6;
  return version >= TOPIC_IDS_SINCE ? 18 : 3;
}

function partitionBytesMin(version: number): number {
  let bytes = 16;
  if (version >= 5) bytes += 8;
  if (version >= 9) bytes += 4;
  if (version >= FLEXIBLE_SINCE) bytes += 5;
  return bytes;
}

function readCount(reader: Reader, flexible: boolean, elementBytesMin: number): number {
  const count = flexible ? reader.unsignedVarint() - 1 : reader.int32();
  if (count < 0) reader.fail('a count below 0');
  return reader.checkCount(count, elementBytesMin);
}

function readString(reader: Reader, flexible: boolean): string {
  const length = flexible ? reader.compactStringLength() : reader.stringLength();
  if (length < 0) reader.fail('null is not allowed');
  return reader.text(length);
}

/**
 * The whole response frame, size prefix and header included, with the records passed through by reference: do not change
 * or release them before the frame is written.
 * @throws ML_WIRE_UNREPRESENTABLE when a value does not fit its field
 */
export function encodeFetchResponse(
  header: { readonly apiVersion: number; readonly correlationId: number },
  body: FetchBody,
): Chunks {
  const { apiVersion } = header;
  assert(
    apiVersion >= VERSION_MIN && apiVersion <= VERSION_MAX,
    `Fetch v${apiVersion} has no fast path`,
  );
  const { otherBytes, recordsBytes } = measure(apiVersion, body);
  const bytes = otherBytes + recordsBytes;
  // One buffer for everything that is not records; the chunks between records are views of it.
  const out: ChunkWriter = { writer: new Writer(otherBytes), buffers: [], flushed: 0 };
  const { writer } = out;
  try {
    writer.int32(bytes - SIZE_BYTES);
    writer.int32(header.correlationId);
    if (apiVersion >= FLEXIBLE_SINCE) writer.unsignedVarint(0);
    writeBody(out, apiVersion, body);
  } catch (error) {
    throw asUnrepresentable(error, fetchResponse.name, apiVersion);
  }
  assert(
    writer.position === otherBytes,
    `a Fetch response of ${writer.position} bytes instead of ${otherBytes}`,
  );
  return { buffers: out.buffers, bytes };
}

function measure(
  version: number,
  { responses }: FetchBody,
): { otherBytes: number; recordsBytes: number } {
  const flexible = version >= FLEXIBLE_SINCE;
  const tags = flexible ? 1 : 0;
  let recordsBytes = 0;
  // Size, correlation id, throttle time; error code and session id; the tags of header and body.
  let otherBytes = SIZE_BYTES + 8 + (version >= 7 ? 6 : 0) + 2 * tags;
  otherBytes += countBytes(flexible, responses.length);
  // Index, error code, high watermark, last stable offset; log start offset; preferred replica.
  const fixedBytes = 22 + (version >= 5 ? 8 : 0) + (version >= 11 ? 4 : 0) + tags;
  for (const { topic, partitions } of responses) {
    otherBytes += version >= TOPIC_IDS_SINCE ? 16 : stringBytes(flexible, topic ?? '');
    otherBytes += countBytes(flexible, partitions.length) + tags;
    for (const { abortedTransactions, records } of partitions) {
      const recordsLength = records?.length ?? -1;
      const aborted = abortedTransactions?.length ?? -1;
      otherBytes += fixedBytes + countBytes(flexible, aborted);
      if (aborted > 0) otherBytes += aborted * (16 + tags);
      otherBytes += countBytes(flexible, recordsLength);
      if (recordsLength > 0) recordsBytes += recordsLength;
    }
  }
  return { otherBytes, recordsBytes };
}

interface ChunkWriter {
  readonly writer: Writer;
  readonly buffers: Buffer[];
  /** Up to where what `writer` has is in `buffers`. */
  flushed: number;
}

function flush(out: ChunkWriter): void {
  if (out.writer.position === out.flushed) return;
  out.buffers.push(out.writer.since(out.flushed));
  out.flushed = out.writer.position;
}

function writeBody(out: ChunkWriter, version: number, body: FetchBody): void {
  const { writer } = out;
  const flexible = version >= FLEXIBLE_SINCE;
  writer.int32(body.throttleTimeMs ?? 0);
  if (version >= 7) {
    writer.int16(body.errorCode);
    writer.int32(body.sessionId ?? 0);
  }
  writer.count(flexible, body.responses.length);
  for (const { topic, topicId, partitions } of body.responses) {
    if (version >= TOPIC_IDS_SINCE) writer.uuid(topicId ?? ZERO_UUID);
    else writer.nullableString(flexible, topic ?? '');
    writer.count(flexible, partitions.length);
    for (const partition of partitions) writePartition(out, version, partition);
    if (flexible) writer.unsignedVarint(0);
  }
  if (flexible) writer.unsignedVarint(0);
  flush(out);
}

function writePartition(out: ChunkWriter, version: number, partition: FetchPartition): void {
  const { writer } = out;
  const { records } = partition;
  const flexible = version >= FLEXIBLE_SINCE;
  writer.int32(partition.partitionIndex);
  writer.int16(partition.errorCode);
  writer.int64(partition.highWatermark);
  writer.int64(partition.lastStableOffset ?? -1);
  if (version >= 5) writer.int64(partition.logStartOffset ?? -1);
  writeAborted(writer, flexible, partition.abortedTransactions);
  if (version >= 11) writer.int32(partition.preferredReadReplica ?? -1);
  writer.count(flexible, records?.length ?? -1);
  if (records !== null && records.length > 0) {
    flush(out);
    out.buffers.push(records);
  }
  if (flexible) writer.unsignedVarint(0);
}

function writeAborted(
  writer: Writer,
  flexible: boolean,
  aborted: FetchPartition['abortedTransactions'],
): void {
  writer.count(flexible, aborted?.length ?? -1);
  if (aborted === null) return;
  for (const { producerId, firstOffset } of aborted) {
    writer.int64(producerId);
    writer.int64(firstOffset);
    if (flexible) writer.unsignedVarint(0);
  }
}

/**
 * The requests of the benchmark's own client, one function each, in the oldest version that both brokers serve and
 * that has what is needed.
 *
 * Source: https://kafka.apache.org/protocol
 */
import { ANSWER_BODY_AT, type WireConnection } from './wire-connection.ts';
import { WireReader, WireWriter } from './wire-codec.ts';

const CLIENT_ID = 'millrace-bench';

/** Key and version of the requests in use. NOTE: wire constants, do not renumber. */
const PRODUCE = { key: 0, version: 7 };
const FETCH = { key: 1, version: 4 };
const LIST_OFFSETS = { key: 2, version: 1 };
const OFFSET_FETCH = { key: 9, version: 1 };
const API_VERSIONS = { key: 18, version: 0 };
const CREATE_TOPICS = { key: 19, version: 2 };
const DELETE_TOPICS = { key: 20, version: 1 };

const ADMIN_TIMEOUT_MS = 30_000;
const PRODUCE_TIMEOUT_MS = 30_000;

/** An error code of the protocol in an answer. */
export class WireError extends Error {
  override readonly name = 'WireError';
  readonly code: number;

  constructor(request: string, code: number, detail = '') {
    super(`${request} was answered with Kafka error ${code}${detail === '' ? '' : `: ${detail}`}`);
    this.code = code;
  }
}

interface ApiVersion {
  readonly key: number;
  readonly version: number;
}

/** The frame of a request up to its body; `bodyBytes` is what follows. */
export function requestHeader(api: ApiVersion, correlationId: number, bodyBytes: number): Buffer {
  const header = new WireWriter()
    .int32(0)
    .int16(api.key)
    .int16(api.version)
    .int32(correlationId)
    .string(CLIENT_ID)
    .finish();
  header.writeInt32BE(header.length - 4 + bodyBytes, 0);
  return header;
}

async function call(
  connection: WireConnection,
  api: ApiVersion,
  body: Buffer,
): Promise<WireReader> {
  const header = requestHeader(api, connection.nextCorrelationId(), body.length);
  return new WireReader(await connection.send([header, body]), ANSWER_BODY_AT);
}

function check(request: string, code: number, detail?: string | null): void {
  if (code !== 0) throw new WireError(request, code, detail ?? '');
}

/** Asks what the broker serves: key → highest version. */
export async function apiVersions(
  connection: WireConnection,
): Promise<ReadonlyMap<number, number>> {
  const reader = await call(connection, API_VERSIONS, Buffer.alloc(0));
  check('ApiVersions', reader.int16());
  const pairs = reader.array((): readonly [number, number] => {
    const key = reader.int16();
    reader.int16();
    return [key, reader.int16()];
  });
  return new Map(pairs);
}

export interface TopicToCreate {
  readonly name: string;
  readonly partitionCount: number;
  readonly config: Readonly<Record<string, string>>;
}

export async function createTopic(connection: WireConnection, topic: TopicToCreate): Promise<void> {
  const body = new WireWriter();
  body.array([topic], (item) => {
    body.string(item.name).int32(item.partitionCount).int16(1).int32(0);
    body.array(Object.entries(item.config), ([key, value]) => body.string(key).string(value));
  });
  const request = body.int32(ADMIN_TIMEOUT_MS).int8(0).finish();
  const reader = await call(connection, CREATE_TOPICS, request);
  reader.int32();
  reader.array(() => {
    reader.string();
    const code = reader.int16();
    check('CreateTopics', code, reader.string());
  });
}

export async function deleteTopic(connection: WireConnection, name: string): Promise<void> {
  const body = new WireWriter();
  body.array([name], (item) => body.string(item));
  const reader = await call(connection, DELETE_TOPICS, body.int32(ADMIN_TIMEOUT_MS).finish());
  reader.int32();
  reader.array(() => {
    reader.string();
    check('DeleteTopics', reader.int16());
  });
}

/** The offset after the last record (`'end'`) or of the first one (`'start'`), by partition. */
export async function listOffsets(
  connection: WireConnection,
  topic: { readonly name: string; readonly partitionCount: number },
  which: 'start' | 'end',
): Promise<number[]> {
  const partitions = Array.from({ length: topic.partitionCount }, (_, index) => index);
  const body = new WireWriter().int32(-1);
  body.array([topic.name], (name) => {
    body.string(name);
    body.array(partitions, (index) => body.int32(index).int64(which === 'end' ? -1 : -2));
  });
  const reader = await call(connection, LIST_OFFSETS, body.finish());
  const offsets: number[] = partitions.map(() => 0);
  reader.array(() => {
    reader.string();
    reader.array(() => {
      const index = reader.int32();
      check('ListOffsets', reader.int16());
      reader.int64();
      offsets[index] = reader.int64();
    });
  });
  return offsets;
}

/** It is loaded, is not available, or is another one: before the first member of a group has asked for it. */
const NO_COORDINATOR_YET: ReadonlySet<number> = new Set([14, 15, 16]);

/** What a group has committed, by partition; 0 where it has not. */
export async function committedOffsets(
  connection: WireConnection,
  group: string,
  topic: { readonly name: string; readonly partitionCount: number },
): Promise<number[]> {
  const partitions = Array.from({ length: topic.partitionCount }, (_, index) => index);
  const body = new WireWriter().string(group);
  body.array([topic.name], (name) => {
    body.string(name).array(partitions, (index) => body.int32(index));
  });
  const reader = await call(connection, OFFSET_FETCH, body.finish());
  const offsets: number[] = partitions.map(() => 0);
  reader.array(() => {
    reader.string();
    reader.array(() => {
      const index = reader.int32();
      offsets[index] = Math.max(0, reader.int64());
      reader.string();
      const code = reader.int16();
      if (!NO_COORDINATOR_YET.has(code)) check('OffsetFetch', code);
    });
  });
  return offsets;
}

export interface PartitionBatch {
  readonly partition: number;
  readonly batch: Buffer;
}

/** The body of a Produce request with acks=all that carries one batch for each of some partitions of a topic. */
export function produceBody(topic: string, batches: readonly PartitionBatch[]): Buffer {
  const body = new WireWriter().string(null).int16(-1).int32(PRODUCE_TIMEOUT_MS);
  body.array([topic], (name) => {
    body.string(name);
    body.array(batches, ({ partition, batch }) =>
      body.int32(partition).int32(batch.length).raw(batch),
    );
  });
  return body.finish();
}

/** Sends a body made by `produceBody`; resolves when the broker has acknowledged all of it. */
export async function produce(connection: WireConnection, body: Buffer): Promise<void> {
  const reader = await call(connection, PRODUCE, body);
  reader.array(() => {
    reader.string();
    reader.array(() => {
      reader.int32();
      check('Produce', reader.int16());
      reader.position += 24;
    });
  });
}

export interface FetchRequest {
  readonly topic: string;
  readonly partitions: readonly { readonly partition: number; readonly offset: number }[];
  readonly waitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly partitionMaxBytes: number;
  /** Only what is before the first open transaction. What was aborted is there, too. Default false. */
  readonly committed?: boolean;
}

export interface FetchedPartition {
  readonly partition: number;
  readonly highWatermark: number;
  /** Record batches; the last one may be cut. A view into the answer. */
  readonly records: Buffer;
}

export async function fetchRecords(
  connection: WireConnection,
  request: FetchRequest,
): Promise<FetchedPartition[]> {
  const body = new WireWriter()
    .int32(-1)
    .int32(request.waitMs)
    .int32(request.minBytes)
    .int32(request.maxBytes)
    .int8(request.committed === true ? 1 : 0);
  body.array([request.topic], (name) => {
    body.string(name);
    body.array(request.partitions, ({ partition, offset }) =>
      body.int32(partition).int64(offset).int32(request.partitionMaxBytes),
    );
  });
  const reader = await call(connection, FETCH, body.finish());
  reader.int32();
  return reader
    .array(() => {
      reader.string();
      return reader.array((): FetchedPartition => {
        const partition = reader.int32();
        check('Fetch', reader.int16());
        const highWatermark = reader.int64();
        reader.int64();
        const abortedCount = reader.int32();
        reader.position += Math.max(0, abortedCount) * 16;
        return { partition, highWatermark, records: reader.raw(Math.max(0, reader.int32())) };
      });
    })
    .flat();
}

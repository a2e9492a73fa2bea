/**
 * The benchmark's own load: record batches made beforehand, sent and fetched over one connection as the Kafka
 * clients do it (16 KiB batches, five requests in flight, one batch per partition and request), without the cost of
 * making or reading records. On a machine of few cores this is what leaves the cores to the broker.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Content,
  emptyContent,
  encodeBatch,
  readBatches,
  skipBatches,
} from './record-batch.ts';
import type { Rate } from './rate.ts';
import type { Address } from './receiving-socket.ts';
import { WireConnection } from './wire-connection.ts';
import {
  createTopic,
  deleteTopic,
  fetchRecords,
  listOffsets,
  type PartitionBatch,
  produce,
  produceBody,
  type TopicToCreate,
  WireError,
} from './wire-requests.ts';

/** Of the Java producer: `batch.size`, `max.in.flight.requests.per.connection`, `max.request.size`. */
const BATCH_BYTES = 16 * 1024;
const IN_FLIGHT = 5;
const REQUEST_BYTES_MAX = 1 << 20;
/** What one record adds to its key and value, about, and what a batch does. */
const RECORD_OVERHEAD_BYTES = 8;
const BATCH_OVERHEAD_BYTES = 61;
/** Different batches, so that nothing profits from seeing the same bytes again and again. */
const DISTINCT_BATCHES = 64;
/** Of the Java consumer: `max.partition.fetch.bytes`, `fetch.max.bytes`. */
const FETCH_PARTITION_BYTES = 1 << 20;
const FETCH_BYTES = 50 << 20;
const TOPIC_READY_TIMEOUT_MS = 30_000;
const LINES_BYTES = 1 << 20;
const TOUCH_RECORD_BYTES = 1000;
const TIMER_SLACK_MS = 5;

export interface TopicShape {
  readonly name: string;
  readonly partitionCount: number;
}

/** A pseudo-random sequence (xorshift32): the same bytes in every run, on both sides. */
export function randomBytes(seed: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = seed | 1;
  for (let index = 0; index < length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[index] = state & 0xff;
  }
  return bytes;
}

/** About a megabyte of lines of exactly `recordBytes` characters each. */
export function makeLines(recordBytes: number): Buffer {
  const count = Math.max(1, Math.floor(LINES_BYTES / (recordBytes + 1)));
  const lines = Array.from({ length: count }, (_, index) =>
    randomBytes(index + 1, recordBytes)
      .toString('base64')
      .slice(0, recordBytes),
  );
  return Buffer.from(`${lines.join('\n')}\n`, 'latin1');
}

/** How many records of a size the Java producer would put in one batch. */
function recordsPerBatch(recordBytes: number): number {
  const room = BATCH_BYTES - BATCH_OVERHEAD_BYTES;
  return Math.max(1, Math.floor(room / (recordBytes + RECORD_OVERHEAD_BYTES)));
}

/** Creates a topic and waits until every partition of it answers. */
export async function makeTopic(address: Address, topic: TopicToCreate): Promise<void> {
  await withConnection(address, async (connection) => {
    await createTopic(connection, topic);
    const deadlineMs = performance.now() + TOPIC_READY_TIMEOUT_MS;
    for (;;) {
      try {
        await listOffsets(connection, topic, 'end');
        return;
      } catch (error) {
        if (!(error instanceof WireError) || performance.now() > deadlineMs) throw error;
        await sleep(10);
      }
    }
  });
}

export async function dropTopic(address: Address, name: string): Promise<void> {
  await withConnection(address, (connection) => deleteTopic(connection, name));
}

/** What `wireProduce` sends over and over: the bodies of requests and the records in each. */
interface Load {
  readonly bodies: readonly Buffer[];
  readonly recordsPerBody: number;
}

function makeLoad(topic: TopicShape, recordBytes: number): Load {
  // Older ones would be deleted by a broker's retention.
  const timestampMs = Date.now();
  const perBatch = recordsPerBatch(recordBytes);
  const batches = Array.from({ length: DISTINCT_BATCHES }, (_, batchIndex) =>
    encodeBatch(
      Array.from({ length: perBatch }, (_unused, index) =>
        randomBytes(1 + batchIndex * perBatch + index, recordBytes),
      ),
      timestampMs,
    ),
  );
  const perRequest = Math.min(
    topic.partitionCount,
    Math.floor(REQUEST_BYTES_MAX / BATCH_BYTES) - 2,
  );
  const bodyCount = Math.ceil(topic.partitionCount / perRequest) * 8;
  let partition = 0;
  let batchIndex = 0;
  const bodies = Array.from({ length: bodyCount }, () => {
    const parts: PartitionBatch[] = [];
    for (let index = 0; index < perRequest; index++) {
      const batch = batches[batchIndex++ % batches.length];
      if (batch !== undefined) parts.push({ partition, batch });
      partition = (partition + 1) % topic.partitionCount;
    }
    return produceBody(topic.name, parts);
  });
  return { bodies, recordsPerBody: perRequest * perBatch };
}

export interface WireProduceOptions {
  readonly address: Address;
  readonly topic: TopicShape;
  readonly recordBytes: number;
  readonly warmupMs: number;
  readonly measureMs: number;
  readonly onWindow?: (edge: 'begin' | 'end') => void;
}

/** Produces with acks=all as fast as the broker acknowledges, and counts what was acknowledged in the window. */
export async function wireProduce(options: WireProduceOptions): Promise<Rate> {
  const load = makeLoad(options.topic, options.recordBytes);
  return withConnection(options.address, async (connection) => {
    const beginMs = performance.now() + options.warmupMs;
    const endMs = beginMs + options.measureMs;
    const timers = [
      setTimeout(() => options.onWindow?.('begin'), options.warmupMs),
      setTimeout(() => options.onWindow?.('end'), options.warmupMs + options.measureMs),
    ];
    let records = 0;
    let late = 0;
    let next = 0;
    const lane = async (): Promise<void> => {
      while (performance.now() < endMs) {
        await produce(connection, load.bodies[next++ % load.bodies.length] ?? Buffer.alloc(0));
        const nowMs = performance.now();
        if (nowMs >= beginMs && nowMs <= endMs) records += load.recordsPerBody;
        if (nowMs > endMs) late += load.recordsPerBody;
      }
    };
    try {
      await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
      // When the last answers were quick, the window may still be open by the timer's clock.
      while (performance.now() < endMs + TIMER_SLACK_MS) await sleep(TIMER_SLACK_MS);
    } finally {
      for (const timer of timers) clearTimeout(timer);
    }
    if (records > 0) return { records, seconds: options.measureMs / 1000 };
    // So slow that no request ended in the window: those that were under way tell how slow.
    return { records: late, seconds: (performance.now() - beginMs) / 1000 };
  });
}

/**
 * Sends one batch to every partition: brokers make files at the first append, and Kafka takes seconds to do so for
 * hundreds of partitions.
 */
export async function touchPartitions(address: Address, topic: TopicShape): Promise<void> {
  const recordCount = topic.partitionCount * recordsPerBatch(TOUCH_RECORD_BYTES);
  await preload(address, topic, { recordBytes: TOUCH_RECORD_BYTES, recordCount });
}

/** Fills a topic with at least `recordCount` records, and returns what it then holds. */
export async function preload(
  address: Address,
  topic: TopicShape,
  options: { readonly recordBytes: number; readonly recordCount: number },
): Promise<number> {
  const load = makeLoad(topic, options.recordBytes);
  const requestCount = Math.ceil(options.recordCount / load.recordsPerBody);
  await withConnection(address, async (connection) => {
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < requestCount) {
        await produce(connection, load.bodies[next++ % load.bodies.length] ?? Buffer.alloc(0));
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  });
  return requestCount * load.recordsPerBody;
}

/** Reads a whole topic, checks every batch, and says what was in it. */
export async function readContent(address: Address, topic: TopicShape): Promise<Content> {
  const content = emptyContent();
  await readAll(address, topic, (records, fromOffset) => readBatches(records, fromOffset, content));
  return content;
}

/** Reads a whole topic as fast as the broker delivers, looking at batch headers only. */
export async function wireConsume(address: Address, topic: TopicShape): Promise<Rate> {
  const startedMs = performance.now();
  const records = await readAll(address, topic, skipBatches);
  return {
    records,
    seconds: (performance.now() - startedMs) / 1000,
  };
}

/** Fetches until the end offsets of the moment of the call; `take` returns the next offset. Returns the record count. */
async function readAll(
  address: Address,
  topic: TopicShape,
  take: (records: Buffer, fromOffset: number) => number,
): Promise<number> {
  return withConnection(address, async (connection) => {
    const first = await listOffsets(connection, topic, 'start');
    const ends = await listOffsets(connection, topic, 'end');
    const offsets = [...first];
    let open = offsets.map((_, partition) => partition);
    for (;;) {
      open = open.filter((partition) => (offsets[partition] ?? 0) < (ends[partition] ?? 0));
      if (open.length === 0) break;
      const fetched = await fetchRecords(connection, {
        topic: topic.name,
        partitions: open.map((partition) => ({ partition, offset: offsets[partition] ?? 0 })),
        waitMs: 500,
        minBytes: 1,
        maxBytes: FETCH_BYTES,
        partitionMaxBytes: FETCH_PARTITION_BYTES,
      });
      for (const { partition, records } of fetched) {
        if (records.length > 0) offsets[partition] = take(records, offsets[partition] ?? 0);
      }
      // As clients do: the partitions that were just served go to the end of the next request.
      const served = new Set(
        fetched.filter(({ records }) => records.length > 0).map(({ partition }) => partition),
      );
      open = [...open.filter((partition) => !served.has(partition)), ...served];
    }
    return ends.reduce((sum, end, partition) => sum + end - (first[partition] ?? 0), 0);
  });
}

async function withConnection<T>(
  address: Address,
  use: (connection: WireConnection) => Promise<T>,
): Promise<T> {
  const connection = await WireConnection.open(address);
  try {
    return await use(connection);
  } finally {
    connection.close();
  }
}

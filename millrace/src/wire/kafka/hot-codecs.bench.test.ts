/**
 * How much faster the hand-made Produce and Fetch codecs are than the table. Tiny in a test run; BENCH=1 measures and
 * prints. The checksum of what was read must be the same on both sides, so that a speed-up cannot change the meaning.
 */
import { expect, test } from 'vitest';
import { decodeMessage, encodeMessage } from './codec.ts';
import { decodeFetchRequest, encodeFetchResponse, type FetchBody } from './fetch-codec.ts';
import { encodeResponse } from './frames.ts';
import { produceRequest } from './messages/00-produce.ts';
import { fetchRequest } from './messages/01-fetch.ts';
import { decodeProduceRequest, encodeProduceResponse } from './produce-codec.ts';
import { messages } from './registry.ts';

const LARGE = process.env['BENCH'] === '1';
const OPERATIONS = LARGE ? 30_000 : 20;
const ROUNDS = LARGE ? 5 : 1;
const PARTITIONS = 10;
const VERSION = 9;
const FETCH_VERSION = 12;
const RECORDS = Buffer.alloc(1024, 7);

interface Side {
  readonly name: string;
  /** Returns a number that depends on everything that was read or written. */
  readonly once: () => number;
}

interface Checksums {
  readonly table: number | undefined;
  readonly byHand: number | undefined;
}

/** Best of a few interleaved rounds, in nanoseconds of processor time: others may use the machine. */
function measure(what: string, sides: readonly [Side, Side]): Checksums {
  const best = [Infinity, Infinity];
  const sums = [0, 0];
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, { once }] of sides.entries()) {
      let sum = 0;
      const started = process.cpuUsage();
      for (let count = 0; count < OPERATIONS; count++) sum += once();
      const nanoseconds = (process.cpuUsage(started).user * 1000) / OPERATIONS;
      best[index] = Math.min(best[index] ?? Infinity, nanoseconds);
      sums[index] = sum;
    }
  }
  const [table = 0, hand = 0] = best;
  const checksums = { table: sums[0], byHand: sums[1] };
  if (!LARGE) return checksums;
  process.stdout.write(
    `${what}: ${sides[0].name} ${table.toFixed(0)} ns, ${sides[1].name} ${hand.toFixed(0)} ns, ` +
      `${(table / hand).toFixed(1)}x (checksum ${sums[0]})\n`,
  );
  return checksums;
}

const indexes = Array.from({ length: PARTITIONS }, (_, index) => index);

test('Produce requests of 10 partitions', () => {
  const body = encodeMessage(produceRequest, VERSION, {
    acks: -1,
    timeoutMs: 30_000,
    topicData: [
      { name: 'orders', partitionData: indexes.map((index) => ({ index, records: RECORDS })) },
    ],
  });
  const { table, byHand } = measure('decode Produce v9, 10 partitions', [
    {
      name: 'table',
      once: () => {
        const request = decodeMessage(produceRequest, VERSION, body);
        let sum = request.timeoutMs;
        for (const { name, partitionData } of request.topicData) {
          for (const { index, records } of partitionData) {
            sum += index + (records?.length ?? 0) + name.length;
          }
        }
        return sum;
      },
    },
    {
      name: 'by hand',
      once: () => {
        const request = decodeProduceRequest(body, VERSION, 0);
        let sum = request.timeoutMs;
        for (const { topic, index, recordsStart, recordsEnd } of request.partitions) {
          sum += index + recordsEnd - recordsStart + (request.topics[topic]?.name.length ?? 0);
        }
        return sum;
      },
    },
  ]);
  expect(byHand).toBe(table);
});

test('Produce responses of 10 partitions', () => {
  const answer = {
    errorCode: 0,
    baseOffset: 123_456_789_012,
    logAppendTimeMs: -1,
    logStartOffset: 0,
    recordErrors: [],
    errorMessage: null,
  };
  const header = { apiVersion: VERSION, correlationId: 42 };
  const partitions = indexes.map((index) => ({ topic: 0, index, recordsStart: 0, recordsEnd: 1 }));
  const topics = [{ name: 'orders', topicId: '', firstPartition: 0, partitionCount: PARTITIONS }];
  const { table, byHand } = measure('encode Produce v9 response, 10 partitions', [
    {
      name: 'table',
      once: () =>
        encodeResponse(messages[0], header, {
          responses: [
            {
              name: 'orders',
              partitionResponses: indexes.map((index) => ({ index, ...answer })),
            },
          ],
        }).length,
    },
    {
      name: 'by hand',
      once: () =>
        encodeProduceResponse({
          ...header,
          throttleTimeMs: 0,
          topics,
          partitions,
          results: indexes.map(() => answer),
        }).length,
    },
  ]);
  expect(byHand).toBe(table);
});

test('Fetch requests of 10 partitions', () => {
  const body = encodeMessage(fetchRequest, FETCH_VERSION, {
    maxWaitMs: 500,
    minBytes: 1,
    topics: [
      {
        topic: 'orders',
        partitions: indexes.map((partition) => ({
          partition,
          fetchOffset: 123_456_789_012,
          partitionMaxBytes: 1 << 20,
        })),
      },
    ],
  });
  const sumOf = (request: ReturnType<typeof decodeFetchRequest>): number => {
    let sum = request.maxWaitMs;
    for (const { partitions } of request.topics) {
      for (const { partition, fetchOffset } of partitions) sum += partition + fetchOffset;
    }
    return sum;
  };
  const { table, byHand } = measure('decode Fetch v12, 10 partitions', [
    { name: 'table', once: () => sumOf(decodeMessage(fetchRequest, FETCH_VERSION, body)) },
    { name: 'by hand', once: () => sumOf(decodeFetchRequest(body, FETCH_VERSION, 0)) },
  ]);
  expect(byHand).toBe(table);
});

test('Fetch responses of 10 partitions of 1 KiB', () => {
  const header = { apiVersion: FETCH_VERSION, correlationId: 42 };
  const body: FetchBody = {
    errorCode: 0,
    responses: [
      {
        topic: 'orders',
        partitions: indexes.map((partitionIndex) => ({
          partitionIndex,
          errorCode: 0,
          highWatermark: 123_456_789_012,
          lastStableOffset: 123_456_789_012,
          logStartOffset: 0,
          abortedTransactions: null,
          records: RECORDS,
        })),
      },
    ],
  };
  const operations = { table: () => encodeResponse(messages[1], header, body).length };
  const { table, byHand } = measure('encode Fetch v12 response, 10 partitions of 1 KiB', [
    { name: 'table (copies records)', once: operations.table },
    { name: 'by hand (passes them)', once: () => encodeFetchResponse(header, body).bytes },
  ]);
  expect(byHand).toBe(table);
});

/** Whatever comes in on the port: an error of the protocol or the end of that one connection, and nothing else. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type RawClient } from '../../../test/kafka/raw-client.ts';
import { type TestBroker, testBroker } from '../../../test/kafka/test-broker.ts';
import { errorName } from '../../wire/kafka/error-codes.ts';
import { encodeRequest } from '../../wire/kafka/frames.ts';
import { encodeBatch } from '../../wire/kafka/records/record-batch-builder.ts';
import { setCrc } from '../../wire/kafka/records/record-batch.ts';
import { messages } from '../../wire/kafka/registry.ts';

const ALL_TOPICS = { topics: null, includeTopicAuthorizedOperations: false };

/** The broker still serves others, and itself. */
async function isAlive(under: TestBroker): Promise<boolean> {
  const client = await under.connect();
  const { brokers } = await client.call(messages[3], 12, ALL_TOPICS);
  client.close();
  return brokers.length === 1;
}

function lastWarning(under: TestBroker): string {
  return under.logger.lines.findLast((line) => line.level === 'warn')?.message ?? '';
}

function produceBody(records: Buffer | null, topic = 'orders') {
  return {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1_000,
    topicData: [{ name: topic, partitionData: [{ index: 0, records }] }],
  };
}

async function produceError(client: RawClient, records: Buffer | null, version = 9) {
  const { responses } = await client.call(messages[0], version, produceBody(records));
  const part = responses[0]?.partitionResponses[0];
  return { error: errorName(part?.errorCode ?? -1), part };
}

async function createOrders(client: RawClient, configs: Readonly<Record<string, string>> = {}) {
  const { topics } = await client.call(messages[19], 7, {
    topics: [
      {
        name: 'orders',
        numPartitions: 1,
        replicationFactor: -1,
        assignments: [],
        configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
      },
    ],
  });
  expect(topics[0]?.errorCode).toBe(0);
}

const good = (): Buffer => encodeBatch([{ timestamp: Date.now(), key: 'k', value: 'v' }]);

test('HTTP on the port closes the connection and says so in the log', async () => {
  const under = await testBroker();
  const client = await under.connect();
  client.write(Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'));
  await client.closed();
  expect(lastWarning(under)).toContain('HTTP');
  expect(await isAlive(under)).toBe(true);
});

test('a TLS handshake closes the connection and says so in the log', async () => {
  const under = await testBroker();
  const client = await under.connect();
  client.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]));
  await client.closed();
  expect(lastWarning(under)).toContain('TLS');
});

test.each([
  ['a gibibyte', 2 ** 30],
  ['a negative size', -5],
  ['the largest size', 2 ** 31 - 1],
  ['nothing', 0],
])('a size prefix of %s closes the connection', async (_, size) => {
  const under = await testBroker();
  const client = await under.connect();
  const prefix = Buffer.alloc(4);
  prefix.writeInt32BE(size, 0);
  client.write(prefix);
  await client.closed();
  expect(lastWarning(under)).toContain(String(size));
  expect(await isAlive(under)).toBe(true);
});

test('a first request that is large, and is no Produce, is not received', async () => {
  const under = await testBroker();
  const client = await under.connect();
  const start = Buffer.alloc(8);
  start.writeInt32BE(600 * 1024, 0);
  start.writeInt16BE(3, 4);
  client.write(start);
  await client.closed();
  expect(lastWarning(under)).toContain('first request');
});

test('random bytes never do more than close their connection', async () => {
  const under = await testBroker();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
      const client = await under.connect();
      client.write(bytes);
      client.socket.end();
      await client.closed();
    }),
    { numRuns: 50 },
  );
  expect(await isAlive(under)).toBe(true);
});

test('every valid request with bytes changed gets an answer or the end of its connection', async () => {
  const under = await testBroker();
  const requests = [
    encodeRequest(messages[3], { apiVersion: 12, correlationId: 1, clientId: 'x' }, ALL_TOPICS),
    encodeRequest(
      messages[0],
      { apiVersion: 9, correlationId: 1, clientId: 'x' },
      produceBody(good()),
    ),
    encodeRequest(
      messages[1],
      { apiVersion: 12, correlationId: 1, clientId: 'x' },
      {
        maxWaitMs: 0,
        minBytes: 1,
        sessionId: 0,
        sessionEpoch: -1,
        topics: [
          {
            topic: 'orders',
            partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1e6 }],
          },
        ],
        forgottenTopicsData: [],
      },
    ),
    encodeRequest(
      messages[18],
      { apiVersion: 3, correlationId: 1, clientId: 'x' },
      { clientSoftwareName: 'x', clientSoftwareVersion: '1' },
    ),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...requests),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      async (request, changes) => {
        const bytes = Buffer.from(request);
        // The size stays: otherwise the broker rightly waits for the rest.
        for (const [at, value] of changes) bytes[4 + (at % (bytes.length - 4))] = value;
        const client = await under.connect();
        client.write(bytes);
        client.socket.end();
        await client.closed();
      },
    ),
    { numRuns: 200 },
  );
  expect(await isAlive(under)).toBe(true);
  expect(under.logger.lines.filter((line) => line.level === 'error')).toEqual([]);
});

test('nothing after a broken request is carried out', async () => {
  const under = await testBroker();
  const other = await under.connect();
  await createOrders(other);
  const header = { apiVersion: 9, correlationId: 1, clientId: 'x' };
  const produce = encodeRequest(messages[0], header, produceBody(good()));
  const broken = Buffer.from(produce);
  // The number of topics.
  broken[4 + 12 + 1 + 7] = 0x7f;
  const client = await under.connect();
  client.write(Buffer.concat([produce, broken, produce, produce]));
  await client.closed();
  expect(lastWarning(under)).toContain('malformed ProduceRequest');
  // Of the three, one was appended.
  expect((await produceError(other, good())).part?.baseOffset).toBe(1);
});

test('a truncated request waits, and its end without the rest harms nobody', async () => {
  const under = await testBroker();
  const client = await under.connect();
  const whole = encodeRequest(
    messages[3],
    { apiVersion: 12, correlationId: 1, clientId: 'x' },
    ALL_TOPICS,
  );
  client.write(whole.subarray(0, whole.length - 3));
  client.socket.end();
  await client.closed();
  expect(await isAlive(under)).toBe(true);
});

test('an unknown API closes the connection', async () => {
  const under = await testBroker();
  const client = await under.connect();
  const request = Buffer.alloc(14);
  request.writeInt32BE(10, 0);
  request.writeInt16BE(9_999, 4);
  client.write(request);
  await client.closed();
  expect(lastWarning(under)).toContain('9999');
});

test('a version that is not served closes the connection, but for ApiVersions', async () => {
  const under = await testBroker();
  const client = await under.connect();
  const header = Buffer.alloc(18);
  header.writeInt32BE(14, 0);
  header.writeInt16BE(18, 4);
  header.writeInt16BE(99, 6);
  header.writeInt32BE(77, 8);
  header.writeInt16BE(4, 12);
  header.write('test', 14);
  client.write(header);
  const frame = await client.frame();
  expect(frame?.readInt32BE(0)).toBe(77);
  expect(errorName(frame?.readInt16BE(4) ?? 0)).toBe('UNSUPPORTED_VERSION');
  expect(frame?.readInt32BE(6)).toBeGreaterThan(30);
  header.writeInt16BE(3, 4);
  client.write(header);
  await client.closed();
  expect(lastWarning(under)).toContain('version 99 of Metadata');
});

test('a batch that is not what it says is refused, and nothing of it is kept', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await createOrders(client);
  const flipped = good();
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;
  expect((await produceError(client, flipped)).error).toBe('CORRUPT_MESSAGE');
  const counts = good();
  counts.writeInt32BE(5, 57);
  expect((await produceError(client, counts)).error).toBe('CORRUPT_MESSAGE');
  setCrc(counts, 0);
  expect((await produceError(client, counts)).error).toBe('INVALID_RECORD');
  const magic = good();
  magic[16] = 1;
  expect((await produceError(client, magic)).error).toBe('INVALID_RECORD');
  const cut = good();
  expect((await produceError(client, cut.subarray(0, cut.length - 2))).error).toBe(
    'CORRUPT_MESSAGE',
  );
  expect((await produceError(client, Buffer.concat([good(), good()]))).error).toBe(
    'INVALID_RECORD',
  );
  expect((await produceError(client, Buffer.alloc(0))).error).toBe('INVALID_RECORD');
  expect((await produceError(client, null)).error).toBe('INVALID_RECORD');
  const control = encodeBatch([{ timestamp: 1, key: 'k', value: 'v' }], { control: true });
  expect((await produceError(client, control)).error).toBe('INVALID_RECORD');
  const based = encodeBatch([{ timestamp: 1, key: 'k', value: 'v' }], { baseOffset: 4 });
  expect((await produceError(client, based)).error).toBe('INVALID_RECORD');
  const late = encodeBatch([{ timestamp: Date.now() + 7_200_000, key: 'k', value: 'v' }]);
  expect((await produceError(client, late)).error).toBe('INVALID_TIMESTAMP');
  const big = encodeBatch([{ timestamp: Date.now(), key: 'k', value: Buffer.alloc(1_100_000) }]);
  expect((await produceError(client, big)).error).toBe('MESSAGE_TOO_LARGE');
  const zstd = encodeBatch([{ timestamp: Date.now(), key: 'k', value: 'v' }], {
    compression: 'zstd',
  });
  expect((await produceError(client, zstd, 6)).error).toBe('UNSUPPORTED_COMPRESSION_TYPE');
  expect((await produceError(client, good())).part?.baseOffset).toBe(0);
});

test('a decompression bomb is refused where the broker has to decompress', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await createOrders(client, { 'cleanup.policy': 'compact', 'compression.type': 'lz4' });
  const value = Buffer.alloc(64 * 1024 * 1024);
  const bomb = encodeBatch([{ timestamp: Date.now(), key: 'k', value }], { compression: 'gzip' });
  expect(bomb.length).toBeLessThan(200_000);
  expect((await produceError(client, bomb)).error).toBe('MESSAGE_TOO_LARGE');
  expect(await isAlive(under)).toBe(true);
});

test('records without a key are refused on a compacted topic, each by its index', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await createOrders(client, { 'cleanup.policy': 'compact' });
  const timestamp = Date.now();
  const mixed = encodeBatch([
    { timestamp, key: 'k', value: 'v' },
    { timestamp, key: null, value: 'v' },
    { timestamp, key: 'k', value: null },
    { timestamp, key: null, value: 'v' },
  ]);
  const { error, part } = await produceError(client, mixed);
  expect(error).toBe('INVALID_RECORD');
  expect(part?.recordErrors.map(({ batchIndex }) => batchIndex)).toEqual([1, 3]);
});

test('acks that do not exist are refused, and an error with acks=0 ends the connection', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await createOrders(client);
  const wrong = await client.call(messages[0], 9, { ...produceBody(good()), acks: 2 });
  expect(errorName(wrong.responses[0]?.partitionResponses[0]?.errorCode ?? 0)).toBe(
    'INVALID_REQUIRED_ACKS',
  );
  client.send(messages[0], 9, { ...produceBody(good()), acks: 0 });
  const { partitions } = await endOffset(client);
  expect(partitions).toEqual([1]);
  client.send(messages[0], 9, { ...produceBody(good(), 'no-such-topic'), acks: 0 });
  await client.closed();
  expect(lastWarning(under)).toContain('UNKNOWN_TOPIC_OR_PARTITION');
});

async function endOffset(client: RawClient): Promise<{ readonly partitions: readonly number[] }> {
  const { topics } = await client.call(messages[2], 5, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
  });
  return { partitions: topics.flatMap((topic) => topic.partitions.map((part) => part.offset)) };
}

test.each(['..', '.', '', '../../etc', 'a/b', 'a b', 'ä', 'x'.repeat(250)])(
  'the topic name %j is refused by CreateTopics and Metadata',
  async (name) => {
    const under = await testBroker();
    const client = await under.connect();
    const { topics } = await client.call(messages[19], 5, {
      topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    });
    expect(errorName(topics[0]?.errorCode ?? 0)).toBe('INVALID_TOPIC_EXCEPTION');
    const found = await client.call(messages[3], 9, {
      ...ALL_TOPICS,
      topics: [{ topicId: '00000000-0000-0000-0000-000000000000', name }],
    });
    expect(errorName(found.topics[0]?.errorCode ?? 0)).toBe('INVALID_TOPIC_EXCEPTION');
  },
);

test('clients cannot write to the topics of the broker, nor delete them', async () => {
  const under = await testBroker();
  const client = await under.connect();
  const { responses } = await client.call(
    messages[0],
    9,
    produceBody(good(), '__consumer_offsets'),
  );
  expect(errorName(responses[0]?.partitionResponses[0]?.errorCode ?? 0)).toBe(
    'INVALID_TOPIC_EXCEPTION',
  );
  const deleted = await client.call(messages[20], 5, {
    topicNames: ['__consumer_offsets'],
    timeoutMs: 1_000,
  });
  expect(errorName(deleted.responses[0]?.errorCode ?? 0)).toBe('INVALID_TOPIC_EXCEPTION');
});

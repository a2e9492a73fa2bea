/** The order of answers, and what one connection may occupy. */
import { expect, test } from 'vitest';
import type { RawClient } from '../../../test/kafka/raw-client.ts';
import { testBroker } from '../../../test/kafka/test-broker.ts';
import { decodeResponse, encodeRequest } from '../../wire/kafka/frames.ts';
import { encodeBatch } from '../../wire/kafka/records/record-batch-builder.ts';
import { messages } from '../../wire/kafka/registry.ts';

const ALL_TOPICS = { topics: null, includeTopicAuthorizedOperations: false };

function produceBody(value: string | Buffer) {
  const records = encodeBatch([{ timestamp: Date.now(), key: null, value }]);
  return {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1_000,
    topicData: [{ name: 'orders', partitionData: [{ index: 0, records }] }],
  };
}

function fetchBody(fetchOffset: number, maxWaitMs: number) {
  return {
    maxWaitMs,
    minBytes: 1,
    maxBytes: 50_000_000,
    sessionId: 0,
    sessionEpoch: -1,
    topics: [
      {
        topic: 'orders',
        partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 50_000_000 }],
      },
    ],
    forgottenTopicsData: [],
  };
}

async function createOrders(client: RawClient): Promise<void> {
  await client.call(messages[19], 5, {
    topics: [
      { name: 'orders', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
    ],
  });
}

test('requests that are sent without waiting are answered in their order', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await createOrders(client);
  const sent: number[] = [];
  const offsets: number[] = [];
  for (let round = 0; round < 100; round++) {
    sent.push(client.send(messages[0], 9, produceBody(`value ${round}`)));
    if (round % 7 === 0) sent.push(client.send(messages[3], 12, ALL_TOPICS));
    if (round % 11 === 0) sent.push(client.send(messages[1], 12, fetchBody(0, 0)));
  }
  const answered: number[] = [];
  for (let index = 0; index < sent.length; index++) {
    const frame = await client.frame();
    if (frame === undefined) break;
    answered.push(frame.readInt32BE(0));
    const isProduce = frame.length < 100 && frame.includes('orders');
    if (isProduce) {
      const { responses } = decodeResponse(messages[0], 9, frame);
      offsets.push(responses[0]?.partitionResponses[0]?.baseOffset ?? -1);
    }
  }
  expect(answered).toEqual(sent);
  expect(offsets).toEqual(Array.from({ length: 100 }, (_, index) => index));
});

test('a fetch sees what was produced before it on the same connection', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await createOrders(client);
  for (let round = 0; round < 20; round++) {
    client.send(messages[0], 9, produceBody(`value ${round}`));
    client.send(messages[1], 12, fetchBody(round, 0));
    await client.frame();
    const frame = await client.frame();
    const { responses } = decodeResponse(messages[1], 12, frame ?? Buffer.alloc(0));
    const records = responses[0]?.partitions[0]?.records ?? Buffer.alloc(0);
    expect(records.includes(`value ${round}`)).toBe(true);
  }
});

test('a fetch that waits is answered by an append, by the end of its wait, and by the end of its topic', async () => {
  const under = await testBroker();
  const reader = await under.connect();
  const writer = await under.connect();
  await createOrders(writer);
  reader.send(messages[1], 12, fetchBody(0, 30_000));
  await writer.call(messages[0], 9, produceBody('woken'));
  const woken = decodeResponse(messages[1], 12, (await reader.frame()) ?? Buffer.alloc(0));
  expect(woken.responses[0]?.partitions[0]?.records?.includes('woken')).toBe(true);
  const waited = await reader.call(messages[1], 12, fetchBody(1, 50));
  expect(waited.responses[0]?.partitions[0]?.records?.length).toBe(0);
  reader.send(messages[1], 12, fetchBody(1, 30_000));
  await writer.call(messages[20], 5, { topicNames: ['orders'], timeoutMs: 1_000 });
  const gone = decodeResponse(messages[1], 12, (await reader.frame()) ?? Buffer.alloc(0));
  expect(gone.responses[0]?.partitions[0]?.errorCode).toBe(3);
});

test('a client that never reads stops itself and nobody else', async () => {
  const under = await testBroker();
  const stuck = await under.connect();
  const other = await under.connect();
  await createOrders(other);
  await other.call(messages[0], 9, produceBody(Buffer.alloc(1_000_000, 1)));
  // It asks for a megabyte again and again and takes none of it.
  stuck.socket.pause();
  const request = encodeRequest(
    messages[1],
    { apiVersion: 12, correlationId: 1, clientId: 'stuck' },
    fetchBody(0, 0),
  );
  let accepted = 0;
  let blocked = false;
  stuck.socket.on('drain', () => {
    blocked = false;
  });
  const many = Buffer.concat(Array.from({ length: 500 }, () => request));
  for (let round = 0; round < 200 && !blocked; round++) {
    blocked = !stuck.socket.write(many);
    accepted += 500;
    await other.call(messages[3], 12, ALL_TOPICS);
  }
  // The socket filled up: the broker stopped reading from it.
  expect(blocked).toBe(true);
  expect(accepted).toBeGreaterThan(0);
  const { memoryUsage } = process;
  expect(memoryUsage().rss).toBeLessThan(1_500_000_000);
  // What it had asked for still comes once it reads.
  stuck.socket.resume();
  for (let round = 0; round < 50; round++)
    expect((await stuck.frame())?.length).toBeGreaterThan(1e6);
});

test('a thousand idle connections are held, and the next client is served', async () => {
  const under = await testBroker();
  const idle = await Promise.all(Array.from({ length: 1_000 }, () => under.connect()));
  const client = await under.connect();
  const { brokers } = await client.call(messages[3], 12, ALL_TOPICS);
  expect(brokers[0]?.port).toBe(under.broker.port);
  expect(idle.filter(({ ended }) => ended)).toHaveLength(0);
});

test('connections above the limits are refused', async () => {
  const under = await testBroker({ 'max.connections.per.ip': 3 });
  const first = await Promise.all([under.connect(), under.connect(), under.connect()]);
  await first[0]?.call(messages[3], 12, ALL_TOPICS);
  const fourth = await under.connect();
  await fourth.closed();
  expect(under.logger.lines.some(({ message }) => message.includes('max.connections.per.ip'))).toBe(
    true,
  );
  first[1]?.close();
  await first[1]?.closed();
  await first[0]?.call(messages[3], 12, ALL_TOPICS);
  const fifth = await under.connect();
  await fifth.call(messages[3], 12, ALL_TOPICS);
});

test('a connection on which nothing is asked is closed in time', async () => {
  const under = await testBroker({ 'millrace.handshake.timeout.ms': 100 });
  const silent = await under.connect();
  await silent.closed();
  expect(under.logger.lines.some((line) => line.message.includes('no request came in time'))).toBe(
    true,
  );
});

test('a client that sends its last requests and half-closes gets all its answers', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await createOrders(client);
  for (let round = 0; round < 10; round++) client.send(messages[0], 9, produceBody('last'));
  client.socket.end();
  let answers = 0;
  while ((await client.frame()) !== undefined) answers++;
  expect(answers).toBe(10);
});

test('a stop answers fetches that wait, and does not wait for them', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await createOrders(client);
  client.send(messages[1], 12, fetchBody(0, 200_000));
  const other = await under.connect();
  await other.call(messages[3], 12, ALL_TOPICS);
  await under.broker.close();
  const frame = await client.frame();
  const { responses } = decodeResponse(messages[1], 12, frame ?? Buffer.alloc(0));
  expect(responses[0]?.partitions[0]).toMatchObject({ errorCode: 0, highWatermark: 0 });
  await client.closed();
});

test('a stop answers what was asked before it', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await createOrders(client);
  client.send(messages[0], 9, produceBody('before the stop'));
  const frame = client.frame();
  await client.call(messages[3], 12, ALL_TOPICS).catch(() => {});
  await under.restart();
  expect(await frame).toBeDefined();
  const again = await under.connect();
  const fetched = await again.call(messages[1], 12, fetchBody(0, 0));
  expect(fetched.responses[0]?.partitions[0]?.records?.includes('before the stop')).toBe(true);
});

test('a batch of thirty megabytes goes in and comes out where the topic allows it', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await client.call(messages[19], 5, {
    topics: [
      {
        name: 'orders',
        numPartitions: 1,
        replicationFactor: 1,
        assignments: [],
        configs: [{ name: 'max.message.bytes', value: '60000000' }],
      },
    ],
  });
  const value = Buffer.alloc(30_000_000, 'x');
  value.write('the end', value.length - 7);
  const { responses } = await client.call(messages[0], 9, produceBody(value));
  expect(responses[0]?.partitionResponses[0]?.errorCode).toBe(0);
  const fetched = await client.call(messages[1], 12, fetchBody(0, 0));
  const records = fetched.responses[0]?.partitions[0]?.records ?? Buffer.alloc(0);
  expect(records.length).toBeGreaterThan(30_000_000);
  expect(records.subarray(-8, -1).toString()).toBe('the end');
});

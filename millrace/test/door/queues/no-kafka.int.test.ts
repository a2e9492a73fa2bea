/** Who says only where queues are needs no port of Kafka, until topics are used. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { startBroker } from '../../../src/broker.ts';
import { connectKafka } from '../../../src/client/kafka/kafka-log.ts';
import { realEnv } from '../../../src/core/real-env.ts';
import { connectMillrace, openMillrace } from '../../../src/index.ts';

const dir = mkdtempSync(join(tmpdir(), 'millrace-no-kafka-'));

afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => {
    server.once('listening', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return typeof address === 'object' && address !== null ? address.port : 0;
}

test('queues are used where AMQP is all there is; what needs topics says that no broker answers', async () => {
  await using served = await openMillrace({ dir: join(dir, 'queues'), amqp: {} });
  const amqp = served.amqp ?? '';
  await using millrace = await connectMillrace({ amqp });
  // Where AMQP is, not at a default of its own.
  expect(millrace.kafka).toBe('127.0.0.1:9092');
  await using elsewhere = await connectMillrace({ amqp: 'amqp://shop:pw@[::1]:5673/shop' });
  expect(elsewhere).toMatchObject({ kafka: '[::1]:9092', amqp: '[::1]:5673' });

  const jobs = millrace.queue('jobs');
  await jobs.enqueue('one');
  expect(await jobs.size()).toBe(1);

  const brokers = `127.0.0.1:${await freePort()}`;
  const failed = { code: 'ML_CONNECT_FAILED', message: expect.stringContaining(brokers) };
  await expect(connectMillrace({ brokers, amqp })).rejects.toMatchObject(failed);
});

test('topics of a log that is connected to when it is asked', async () => {
  const env = realEnv();
  const port = await freePort();
  const log = await connectKafka(env, { brokers: `127.0.0.1:${port}`, whenAsked: true });
  const failed = { code: 'ML_CONNECT_FAILED', message: expect.stringContaining(String(port)) };
  await expect(log.topics()).rejects.toMatchObject(failed);
  await expect(log.producer({})).rejects.toMatchObject(failed);
  const reader = log.reader({ uncommitted: false });
  reader.assign([{ topic: 't', partition: 0, offset: 0 }]);
  await expect(reader.poll(10_000)).rejects.toMatchObject(failed);

  // Once somebody is there the same log is what it is otherwise.
  const broker = await startBroker({ data: join(dir, 'kafka'), kafka: { port } });
  await log.createTopics([{ name: 't', partitions: 1, configs: {} }]);
  const producer = await log.producer({});
  producer.append('t', 0, 1, null, 'value');
  await producer.flush();
  expect(await log.offsets([{ topic: 't', partition: 0 }], 'end')).toEqual([1]);
  await log.close();
  await broker.close();
});

/**
 * The client and a whole broker, over TCP: a Millrace of its own, or with MILLRACE_TEST_AMQP=host:port what answers there, as a RabbitMQ.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type AmqpUnderTest,
  startAmqpUnderTest,
  uniqueName,
} from '../../../test/amqp/amqp-under-test.ts';
import { realEnv } from '../../core/real-env.ts';
import type { AmqpChannel } from './channel.ts';
import { type AmqpClient, connectAmqp } from './client.ts';
import type { AmqpDelivery } from './delivery.ts';

const env = realEnv();
const PERSISTENT = { deliveryMode: 2 };
let broker: AmqpUnderTest;
let client: AmqpClient;

beforeAll(async () => {
  broker = await startAmqpUnderTest();
  client = await connectAmqp(env, { host: broker.host, port: broker.port, label: 'tests' });
});
afterAll(async () => {
  await client.close();
  await broker.stop();
});

/** A channel and a durable queue of its own. */
async function withQueue(
  run: (channel: AmqpChannel, queue: string) => Promise<void>,
  declared: Readonly<Record<string, number | string>> = {},
): Promise<void> {
  const channel = await client.channel();
  const queue = uniqueName('client');
  await channel.declareQueue({ queue, durable: true, arguments: declared });
  try {
    await run(channel, queue);
  } finally {
    const last = await client.channel();
    await last.deleteQueue(queue);
    await last.close();
    await channel.close();
  }
}

test('messages of all sizes come back as they were published, in their order', async () => {
  await withQueue(async (channel, queue) => {
    const sizes = [0, 1, 4_088, 8_192, 8_193, 131_064, 131_065, 1_000_000];
    const outcomes = sizes.map((size, at) =>
      channel.publish({
        routingKey: queue,
        properties: { ...PERSISTENT, messageId: String(at), headers: { size } },
        body: Buffer.alloc(size, at),
      }),
    );
    expect(new Set(await Promise.all(outcomes))).toEqual(new Set(['confirmed']));
    const deliveries = await take(channel, queue, sizes.length);
    expect(deliveries.map(({ body }) => body.length)).toEqual(sizes);
    for (const [at, { body, properties, redelivered }] of deliveries.entries()) {
      expect(body.equals(Buffer.alloc(sizes[at] ?? 0, at))).toBe(true);
      expect(properties).toEqual({
        ...PERSISTENT,
        messageId: String(at),
        headers: { size: sizes[at] },
      });
      expect(redelivered).toBe(false);
    }
  });
});

/** Consumes and acknowledges so many. */
async function take(channel: AmqpChannel, queue: string, count: number): Promise<AmqpDelivery[]> {
  const deliveries: AmqpDelivery[] = [];
  const all = new Promise<void>((resolve) => {
    void channel.consume({ queue, prefetch: 5 }, (delivery) => {
      deliveries.push(delivery);
      delivery.ack();
      if (deliveries.length === count) resolve();
    });
  });
  await all;
  return deliveries;
}

test('thousands of messages are confirmed together, and returned ones are told', async () => {
  await withQueue(async (channel, queue) => {
    const body = Buffer.alloc(200);
    for (let count = 0; count < 3_000; count++) {
      channel.send({ routingKey: queue, body, mandatory: true });
      const wait = channel.ready();
      if (wait !== undefined) await wait;
    }
    await channel.confirmed();
    expect((await channel.declareQueue({ queue, passive: true })).messages).toBe(3_000);
    const nowhere = { routingKey: uniqueName('nowhere'), body, mandatory: true };
    expect(await channel.publish(nowhere)).toBe('returned');
    expect(await channel.publish({ ...nowhere, mandatory: false })).toBe('confirmed');
    channel.send(nowhere);
    await expect(channel.confirmed()).rejects.toMatchObject({ fields: { reply: 'NO_ROUTE' } });
    expect(await channel.purgeQueue(queue)).toBe(3_000);
  });
});

test('a full queue refuses', async () => {
  await withQueue(
    async (channel, queue) => {
      const outcomes: string[] = [];
      for (let count = 0; count < 4; count++) {
        outcomes.push(await channel.publish({ routingKey: queue, body: Buffer.from('x') }));
      }
      expect(outcomes).toEqual(['confirmed', 'confirmed', 'refused', 'refused']);
    },
    { 'x-max-length': 2, 'x-overflow': 'reject-publish' },
  );
});

test('a message that was released comes again, and a consumer hears that its queue is gone', async () => {
  await withQueue(async (channel, queue) => {
    await channel.publish({ routingKey: queue, body: Buffer.from('once more') });
    const first = await channel.get(queue);
    first?.release(client.hasRelease ? 20 : 0);
    const [again] = await take(channel, queue, 1);
    expect(again).toMatchObject({ redelivered: true });
    const other = await client.channel();
    const subscription = await other.consume({ queue }, () => {});
    await channel.deleteQueue(queue);
    expect(await subscription.ended).toMatchObject({ fields: { reply: 'NOT_FOUND' } });
    await other.close();
  });
});

test('refusals have the code and the words of the broker', async () => {
  const channel = await client.channel();
  await expect(
    channel.declareQueue({ queue: uniqueName('missing'), passive: true }),
  ).rejects.toMatchObject({
    code: 'ML_AMQP_REFUSED',
    fields: { replyCode: 404, reply: 'NOT_FOUND' },
    message: expect.stringContaining('no queue') as string,
  });
  const login = { host: broker.host, port: broker.port };
  await expect(connectAmqp(env, { ...login, password: 'wrong' })).rejects.toMatchObject({
    fields: { reply: 'ACCESS_REFUSED' },
  });
  await expect(connectAmqp(env, { ...login, vhost: 'none' })).rejects.toMatchObject({
    fields: { reply: 'NOT_ALLOWED' },
  });
});

test('only a Millrace answers questions about its queues', async () => {
  await withQueue(async (_, queue) => {
    const asked = client.request({ op: 'queue', name: queue });
    if (broker.kind === 'millrace') expect(await asked).toMatchObject({ name: queue, ready: 0 });
    else await expect(asked).rejects.toMatchObject({ code: 'ML_AMQP_REFUSED' });
  });
});

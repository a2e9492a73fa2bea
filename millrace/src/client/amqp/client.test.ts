/** What the client makes of brokers that do as they should, and of those that do not. */
import { expect, test } from 'vitest';
import { FakeBroker, type FakeOptions } from '../../../test/client-amqp/fake-broker.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { AMQP_CLIENT_UNSENT_BYTES_MAX, AMQP_HANDSHAKE_MS } from '../../core/queue-limits.ts';
import { decodeProperties, encodeProperties } from '../../wire/amqp/properties.ts';
import { type AmqpClient, type AmqpOptions, connectAmqp } from './client.ts';
import type { AmqpDelivery } from './delivery.ts';

interface Connected {
  readonly broker: FakeBroker;
  readonly client: AmqpClient;
}

async function connected(options: FakeOptions = {}, login: AmqpOptions = {}): Promise<Connected> {
  const broker = new FakeBroker(options);
  const client = await connectAmqp(broker.env, { ...login, connect: broker.connect });
  return { broker, client };
}

const body = Buffer.from('body');

test('logs in with what it was told, and agrees to what is offered', async () => {
  const { broker, client } = await connected(
    { tune: { channelMax: 10, frameMax: 8_192, heartbeat: 20 } },
    { user: 'ann', password: 's3cret', vhost: 'shop', label: 'billing', heartbeatSeconds: 30 },
  );
  expect(broker.received[0]?.body).toEqual(Buffer.from('AMQP\0\0\x09\x01'));
  expect(broker.all('connection.start-ok')[0]?.method).toMatchObject({
    mechanism: 'PLAIN',
    response: Buffer.from('\0ann\0s3cret'),
    clientProperties: {
      connection_name: 'billing',
      capabilities: { 'basic.nack': true, consumer_cancel_notify: true },
    },
  });
  expect(broker.all('connection.tune-ok')[0]?.method).toMatchObject({
    channelMax: 10,
    frameMax: 8_192,
    heartbeat: 20,
  });
  expect(broker.all('connection.open')[0]?.method).toMatchObject({ virtualHost: 'shop' });
  expect(client.serverProperties['product']).toBe('Fake');
  expect(client.hasRelease).toBe(false);
  await client.close();
  expect(await client.closed).toBeUndefined();
  await broker.until(() => broker.isClosed);
});

test('a broker that wants no heartbeat gets what the client wants, and the other way round', async () => {
  const offered = await connected({ tune: { heartbeat: 0 } }, { heartbeatSeconds: 7 });
  expect(offered.broker.all('connection.tune-ok')[0]?.method.heartbeat).toBe(7);
  const none = await connected({ tune: { heartbeat: 60 } }, { heartbeatSeconds: 0 });
  expect(none.broker.all('connection.tune-ok')[0]?.method.heartbeat).toBe(0);
  for (const { client } of [offered, none]) await client.close();
});

test('a login that is refused is said with the words of the broker', async () => {
  const login = connected({
    on: ({ method }, broker) => {
      if (method.name !== 'connection.start-ok') return false;
      broker.send(0, {
        name: 'connection.close',
        replyCode: 403,
        replyText: 'ACCESS_REFUSED - login refused',
      });
      return true;
    },
  });
  await expect(login).rejects.toMatchObject({
    code: 'ML_AMQP_REFUSED',
    message: 'the connection to in-process was refused with 403: ACCESS_REFUSED - login refused',
    fields: { replyCode: 403, reply: 'ACCESS_REFUSED' },
  });
});

test.each([
  ['hangs up', (broker: FakeBroker) => broker.hangUp(), 'was closed by the broker'],
  [
    'speaks another protocol',
    (broker: FakeBroker) => broker.sendBytes(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
    'does not speak AMQP 0-9-1',
  ],
  [
    'wants another version',
    (broker: FakeBroker) => broker.sendBytes(Buffer.from('AMQP\0\x01\0\0')),
    'does not speak AMQP 0-9-1',
  ],
  [
    'answers something else',
    (broker: FakeBroker) => broker.send(0, { name: 'connection.open-ok' }),
    'sent connection.open-ok out of order',
  ],
])('one that %s is no broker', async (_, act, message) => {
  const login = connected({
    on: ({ method }, broker) => {
      if (method.name !== 'connection.start-ok') return false;
      act(broker);
      return true;
    },
  });
  await expect(login).rejects.toMatchObject({
    code: 'ML_CONNECTION_LOST',
    message: expect.stringContaining(message) as string,
  });
});

test('one that says nothing is given up on', async () => {
  const clock = new ManualClock(0);
  const broker = new FakeBroker({ timers: clock, on: () => true });
  const login = connectAmqp(broker.env, { connect: broker.connect });
  await broker.until(() => broker.all('connection.start-ok').length === 1);
  clock.advance(AMQP_HANDSHAKE_MS);
  await expect(login).rejects.toMatchObject({
    code: 'ML_CONNECTION_LOST',
    message: expect.stringContaining('was not opened within 10000 ms') as string,
  });
});

test('an answer to the closing of a channel that was closed already is none for the next one of its number', async () => {
  const { broker, client } = await connected({
    on: ({ method, channel }, fake) => {
      if (method.name !== 'channel.close') return false;
      // Both close at the same time.
      fake.send(channel, { name: 'channel.close', replyCode: 406, replyText: 'timeout' });
      return true;
    },
  });
  const first = await client.channel();
  await first.close();
  const second = await client.channel();
  broker.send(1, { name: 'channel.close-ok' });
  await broker.turn();
  expect(second.isOpen).toBe(true);
  expect(await second.declareQueue({ queue: 'q' })).toMatchObject({ queue: 'q' });
});

test('signs of life are sent when nothing else is, and missed after a while', async () => {
  const clock = new ManualClock(0);
  const { broker, client } = await connected({ timers: clock }, { heartbeatSeconds: 10 });
  for (let half = 1; half <= 8; half++) {
    clock.advance(5_000);
    broker.heartbeat();
    await broker.turn();
    // The handshake was written in the first half.
    expect(broker.heartbeats).toBe(half - 1);
  }
  expect(client.isOpen).toBe(true);
  for (let half = 0; half < 5; half++) clock.advance(5_000);
  expect(await client.closed).toMatchObject({
    code: 'ML_CONNECTION_LOST',
    message: expect.stringContaining('was silent for 20 seconds') as string,
  });
});

test('what was published is confirmed, refused or comes back', async () => {
  const { broker, client } = await connected();
  const channel = await client.channel();
  expect(broker.all('confirm.select')).toHaveLength(1);
  const properties = { messageId: 'm1', deliveryMode: 2 };
  const taken = channel.publish({ exchange: 'shop', routingKey: 'a', properties, body });
  const refused = channel.publish({ routingKey: 'full', body });
  const returned = channel.publish({ routingKey: 'nowhere', body, mandatory: true });
  await broker.until(() => broker.all('basic.publish').length === 3);
  const [first, , third] = broker.all('basic.publish');
  expect(first).toMatchObject({ method: { exchange: 'shop', routingKey: 'a', mandatory: false } });
  expect(first?.body).toEqual(body);
  expect(decodeProperties(first?.properties ?? body)).toEqual(properties);
  expect(third?.method).toMatchObject({ exchange: '', routingKey: 'nowhere', mandatory: true });
  broker.send(1, { name: 'basic.nack', deliveryTag: 2 });
  broker.sendContent(
    1,
    { name: 'basic.return', replyCode: 312, replyText: 'NO_ROUTE', routingKey: 'nowhere' },
    body,
  );
  broker.send(1, { name: 'basic.ack', deliveryTag: 3, multiple: true });
  expect(await Promise.all([taken, refused, returned])).toEqual([
    'confirmed',
    'refused',
    'returned',
  ]);
  await client.close();
});

test('messages that nobody waits for one by one are waited for together', async () => {
  const { broker, client } = await connected();
  const channel = await client.channel();
  for (let count = 0; count < 5; count++) channel.send({ routingKey: 'q', body });
  const all = channel.confirmed();
  await broker.until(() => broker.all('basic.publish').length === 5);
  broker.send(1, { name: 'basic.ack', deliveryTag: 3, multiple: true });
  broker.send(1, { name: 'basic.nack', deliveryTag: 4, multiple: false });
  broker.send(1, { name: 'basic.nack', deliveryTag: 5, multiple: false });
  await expect(all).rejects.toMatchObject({
    code: 'ML_AMQP_REFUSED',
    retriable: true,
    message: expect.stringContaining('and so were 1 more') as string,
  });
  // That was said, and is not said again.
  await channel.confirmed();
  channel.send({ routingKey: 'nowhere', body, mandatory: true });
  const returned = { replyCode: 312, replyText: 'NO_ROUTE', routingKey: 'nowhere' };
  broker.sendContent(1, { name: 'basic.return', ...returned }, body);
  broker.send(1, { name: 'basic.ack', deliveryTag: 6 });
  await expect(channel.confirmed()).rejects.toMatchObject({ fields: { reply: 'NO_ROUTE' } });
  await client.close();
});

test('a channel without confirms publishes without being told', async () => {
  const { broker, client } = await connected();
  const channel = await client.channel({ confirms: false });
  expect(await channel.publish({ routingKey: 'q', body })).toBe('confirmed');
  channel.send({ routingKey: 'q', body });
  await channel.confirmed();
  await channel.close();
  expect(broker.all('basic.publish')).toHaveLength(2);
  expect(broker.all('confirm.select')).toHaveLength(0);
  await client.close();
});

test('publishers wait while the broker is blocked, or reads nothing', async () => {
  const { broker, client } = await connected();
  const channel = await client.channel();
  expect(channel.ready()).toBeUndefined();
  broker.send(0, { name: 'connection.blocked', reason: 'low on disk' });
  await broker.until(() => client.blockedReason === 'low on disk');
  const unblocked = channel.ready();
  expect(unblocked).toBeDefined();
  broker.send(0, { name: 'connection.unblocked' });
  await unblocked;
  broker.pause(true);
  const large = Buffer.alloc(AMQP_CLIENT_UNSENT_BYTES_MAX / 4);
  let sent = 0;
  while (channel.ready() === undefined) {
    channel.send({ routingKey: 'q', body: large });
    sent++;
  }
  expect(sent).toBe(4);
  const drained = channel.ready();
  broker.pause(false);
  await drained;
  await client.close();
});

test('publishers wait when too much is not confirmed', async () => {
  const { broker, client } = await connected();
  const channel = await client.channel();
  let sent = 0;
  while (channel.ready() === undefined) {
    channel.send({ routingKey: 'q', body });
    sent++;
  }
  expect(sent).toBe(10_000);
  const ready = channel.ready();
  await broker.until(() => broker.all('basic.publish').length === sent);
  broker.send(1, { name: 'basic.ack', deliveryTag: 5_001, multiple: true });
  await ready;
  expect(channel.ready()).toBeUndefined();
  await client.close();
});

test('a connection that is lost rejects all that waits', async () => {
  const { broker, client } = await connected({
    on: ({ method }) => method.name === 'queue.declare',
  });
  const channel = await client.channel();
  const published = channel.publish({ routingKey: 'q', body });
  channel.send({ routingKey: 'q', body });
  const confirmed = channel.confirmed();
  const declared = channel.declareQueue({ queue: 'q' });
  broker.send(0, { name: 'connection.blocked', reason: 'full' });
  await broker.until(() => client.blockedReason !== undefined);
  const ready = channel.ready();
  broker.hangUp();
  const lost = { code: 'ML_CONNECTION_LOST' };
  for (const each of [published, confirmed, ready, declared]) {
    await expect(each).rejects.toMatchObject(lost);
  }
  expect(await channel.closed).toMatchObject(lost);
  expect(await client.closed).toMatchObject(lost);
  await expect(channel.get('q')).rejects.toMatchObject(lost);
  await expect(client.channel()).rejects.toMatchObject(lost);
  expect(() => channel.send({ routingKey: 'q', body })).toThrow(/was closed by the broker/);
  await client.close();
});

test('a connection that the broker closes is closed with its words', async () => {
  const { broker, client } = await connected();
  const channel = await client.channel();
  const got = channel.get('q');
  await got;
  broker.send(0, { name: 'connection.close', replyCode: 320, replyText: 'shutdown' });
  expect(await client.closed).toMatchObject({
    code: 'ML_AMQP_REFUSED',
    retriable: true,
    fields: { reply: 'CONNECTION_FORCED' },
  });
  expect(await channel.closed).toMatchObject({ fields: { reply: 'CONNECTION_FORCED' } });
  await broker.until(() => broker.all('connection.close-ok').length === 1);
});

test('a blocked connection is closed without asking', async () => {
  const { broker, client } = await connected();
  broker.send(0, { name: 'connection.blocked', reason: 'full' });
  await broker.until(() => client.blockedReason !== undefined);
  broker.pause(true);
  await client.close();
  expect(await client.closed).toBeUndefined();
});

test('a refusal closes its channel, and no other; its number is used again', async () => {
  const { broker, client } = await connected({
    on: ({ channel, method }, fake) => {
      if (method.name !== 'queue.declare' || method.queue !== 'missing') return false;
      const replyText = "NOT_FOUND - no queue 'missing'";
      fake.send(channel, {
        name: 'channel.close',
        replyCode: 404,
        replyText,
        classId: 50,
        methodId: 10,
      });
      return true;
    },
  });
  const [first, second] = [await client.channel(), await client.channel()];
  const subscription = await first.consume({ queue: 'q' }, () => {});
  const lost = first.publish({ routingKey: 'q', body });
  const refused = { code: 'ML_AMQP_REFUSED', fields: { reply: 'NOT_FOUND' } };
  await expect(first.declareQueue({ queue: 'missing', passive: true })).rejects.toMatchObject(
    refused,
  );
  await expect(lost).rejects.toMatchObject(refused);
  expect(await first.closed).toMatchObject(refused);
  expect(await subscription.ended).toMatchObject(refused);
  await expect(first.purgeQueue('q')).rejects.toMatchObject(refused);
  expect(second.isOpen).toBe(true);
  expect(await second.purgeQueue('q')).toBe(0);
  const third = await client.channel();
  expect(broker.all('channel.open').map(({ channel }) => channel)).toEqual([1, 2, 1]);
  expect(broker.all('channel.close-ok')).toHaveLength(1);
  await third.close();
  expect(await third.closed).toBeUndefined();
  await expect(third.get('q')).rejects.toMatchObject({ code: 'ML_CONNECTION_LOST' });
  await client.close();
});

test('no more channels are opened than were agreed upon', async () => {
  const { client } = await connected({ tune: { channelMax: 2 } });
  await Promise.all([client.channel(), client.channel()]);
  await expect(client.channel()).rejects.toMatchObject({ fields: { reply: 'NOT_ALLOWED' } });
  await client.close();
});

async function consuming(capabilities = {}): Promise<
  Connected & {
    readonly deliveries: AmqpDelivery[];
    readonly deliver: (tag: number) => Promise<AmqpDelivery>;
  }
> {
  const { broker, client } = await connected({ capabilities });
  const channel = await client.channel();
  const deliveries: AmqpDelivery[] = [];
  await channel.consume(
    { queue: 'q', prefetch: 7, priority: 3, consumerTag: 'me', arguments: { a: 1 } },
    (delivery) => deliveries.push(delivery),
  );
  const deliver = async (deliveryTag: number): Promise<AmqpDelivery> => {
    const before = deliveries.length;
    broker.sendContent(
      1,
      { name: 'basic.deliver', consumerTag: 'me', deliveryTag, routingKey: 'q', redelivered: true },
      Buffer.from(`message ${deliveryTag}`),
      encodeProperties({ headers: { n: deliveryTag } }),
    );
    await broker.until(() => deliveries.length > before);
    return deliveries[before] as AmqpDelivery;
  };
  return { broker, client, deliveries, deliver };
}

test('messages come with what is said of them, and are settled once', async () => {
  const { broker, client, deliver } = await consuming();
  expect(broker.all('basic.qos')[0]?.method).toMatchObject({ prefetchCount: 7, global: false });
  expect(broker.all('basic.consume')[0]?.method).toMatchObject({
    queue: 'q',
    noAck: false,
    arguments: { a: 1, 'x-priority': 3 },
  });
  const first = await deliver(1);
  const second = await deliver(2);
  expect(first).toMatchObject({ routingKey: 'q', exchange: '', redelivered: true });
  expect(first.body.toString()).toBe('message 1');
  expect(first.properties).toEqual({ headers: { n: 1 } });
  first.ack();
  first.ack();
  first.reject();
  second.reject();
  (await deliver(3)).reject({ requeue: true });
  (await deliver(4)).release(500);
  await client.close();
  expect(broker.all('basic.ack').map(({ method }) => method.deliveryTag)).toEqual([1]);
  expect(
    broker.all('basic.reject').map(({ method }) => [method.deliveryTag, method.requeue]),
  ).toEqual([
    [2, false],
    [3, true],
  ]);
  // This broker cannot wait.
  expect(broker.all('basic.nack')[0]?.method).toMatchObject({ deliveryTag: 4, requeue: true });
});

test('a broker that can wait is asked to', async () => {
  const { broker, client, deliver } = await consuming({ 'millrace.release': true });
  expect(client.hasRelease).toBe(true);
  (await deliver(1)).release(1_500.2);
  (await deliver(2)).release();
  await client.close();
  expect(broker.all('basic.release')[0]?.method).toMatchObject({ deliveryTag: 1, delay: 1_501 });
  expect(broker.all('basic.nack')[0]?.method).toMatchObject({ deliveryTag: 2, requeue: true });
});

test('what is said of a message whose channel is closed goes nowhere', async () => {
  const { broker, client, deliver } = await consuming();
  const delivery = await deliver(1);
  broker.send(1, { name: 'channel.close', replyCode: 406, replyText: 'timeout' });
  await broker.until(() => broker.all('channel.close-ok').length === 1);
  const next = await client.channel();
  delivery.ack();
  await next.close();
  await client.close();
  expect(broker.all('basic.ack')).toEqual([]);
});

test('a consumer hears of its end, from whichever side', async () => {
  const { broker, client } = await connected();
  const channel = await client.channel();
  const [first, second] = [
    await channel.consume({ queue: 'q' }, () => {}),
    await channel.consume({ queue: 'q' }, () => {}),
  ];
  expect(first.consumerTag).not.toBe(second.consumerTag);
  broker.send(1, { name: 'basic.cancel', consumerTag: first.consumerTag, noWait: true });
  expect(await first.ended).toMatchObject({ fields: { reply: 'NOT_FOUND' } });
  await first.cancel();
  await second.cancel();
  await second.cancel();
  expect(await second.ended).toBeUndefined();
  expect(broker.all('basic.cancel')).toHaveLength(1);
  const third = await channel.consume({ queue: 'q' }, () => {});
  await channel.close();
  expect(await third.ended).toBeUndefined();
  await client.close();
});

test('a message is taken by itself, or there is none', async () => {
  const { broker, client } = await connected({
    on: ({ channel, method }, fake) => {
      if (method.name !== 'basic.get' || method.queue !== 'full') return false;
      fake.sendContent(channel, { name: 'basic.get-ok', deliveryTag: 9, messageCount: 4 }, body);
      return true;
    },
  });
  const channel = await client.channel();
  expect(await channel.get('empty')).toBeUndefined();
  const message = await channel.get('full');
  expect(message?.body).toEqual(body);
  message?.ack();
  (await channel.get('full', { noAck: true }))?.ack();
  await client.close();
  expect(broker.all('basic.ack').map(({ method }) => method.deliveryTag)).toEqual([9]);
});

test('queues and exchanges are declared, bound and deleted', async () => {
  const { broker, client } = await connected();
  const channel = await client.channel();
  expect(await channel.declareQueue({ queue: '', exclusive: true })).toEqual({
    queue: 'amq.gen-1',
    messages: 3,
    consumers: 1,
  });
  await channel.declareExchange({ exchange: 'x', type: 'topic', durable: true });
  await channel.bindQueue({ queue: 'q', exchange: 'x', routingKey: '#' });
  await channel.unbindQueue({ queue: 'q', exchange: 'x', routingKey: '#' });
  await channel.bindExchange({ destination: 'y', source: 'x' });
  await channel.unbindExchange({ destination: 'y', source: 'x' });
  await channel.deleteExchange('x', { ifUnused: true });
  expect(await channel.deleteQueue('q', { ifEmpty: true })).toBe(0);
  await client.close();
  expect(broker.all('exchange.declare')[0]?.method).toMatchObject({ type: 'topic', durable: true });
  expect(broker.all('exchange.delete')[0]?.method).toMatchObject({ ifUnused: true });
  expect(broker.all('queue.delete')[0]?.method).toMatchObject({ ifEmpty: true, ifUnused: false });
});

test('an answer that nobody waits for ends the connection', async () => {
  const { broker, client } = await connected();
  await client.channel();
  broker.send(1, { name: 'queue.purge-ok' });
  expect(await client.closed).toMatchObject({
    message: expect.stringContaining('sent queue.purge-ok out of order') as string,
  });
});

test('a consumer that throws ends the connection with what it has thrown', async () => {
  const { broker, client } = await connected();
  const channel = await client.channel();
  const thrown = new Error('a bug');
  await channel.consume({ queue: 'q', consumerTag: 'me' }, () => {
    throw thrown;
  });
  broker.sendContent(1, { name: 'basic.deliver', consumerTag: 'me', deliveryTag: 1 }, body);
  expect(await client.closed).toMatchObject({ code: 'ML_CONNECTION_LOST', cause: thrown });
});

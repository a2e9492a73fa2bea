/** amqplib against the broker: logging in, channels and connections in numbers, and what concerns a connection as a whole. */
import { once } from 'node:events';
import { type Channel, connect, credentials, type ChannelModel } from 'amqplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { uniqueName } from './amqp-under-test.ts';
import { AmqplibKit, drain, failureOf, Inbox, quiet, text } from './amqplib-kit.ts';
import { encodeMethod, HEARTBEAT, PROTOCOL_HEADER, RawAmqp } from './raw-amqp.ts';

// The tests mostly wait, and run beside each other.
const kit = new AmqplibKit();
beforeAll(() => kit.start());
afterAll(() => kit.stop());

const LOGIN = {
  clientProperties: {},
  mechanism: 'PLAIN',
  response: Buffer.from('\0guest\0guest'),
  locale: 'en_US',
};

test.concurrent('the server says what it can do', async () => {
  const model = await kit.connection();
  const properties = model.connection.serverProperties as unknown as Record<string, unknown>;
  expect(properties['version']).toMatch(/^\d+\.\d+\.\d+/);
  expect(properties['product']).toEqual(expect.any(String));
  expect(properties['capabilities']).toMatchObject({
    publisher_confirms: true,
    exchange_exchange_bindings: true,
    'basic.nack': true,
    consumer_cancel_notify: true,
    'connection.blocked': true,
    consumer_priorities: true,
    authentication_failure_close: true,
    per_consumer_qos: true,
    direct_reply_to: true,
  });
});

test.concurrent('it offers PLAIN and AMQPLAIN, and the limits of RabbitMQ', async () => {
  const client = await RawAmqp.open(kit.under);
  expect(String(client.start['mechanisms']).split(' ').sort()).toEqual(['AMQPLAIN', 'PLAIN']);
  expect(client.tune).toEqual({ channelMax: 2047, frameMax: 131_072, heartbeat: 60 });
  await client.close();
});

test.concurrent('AMQPLAIN logs in, too', async () => {
  const model = await connect(`amqp://${kit.under.host}:${kit.under.port}`, {
    credentials: credentials.amqplain('guest', 'guest'),
  });
  const channel = await model.createChannel();
  expect(await channel.assertQueue('', { exclusive: true })).toMatchObject({ messageCount: 0 });
  await model.close();
});

test.concurrent.each([
  ['a wrong password', 'guest:wrong', ''],
  ['an unknown user', 'nobody:guest', ''],
])('%s is refused', async (_name, login, vhost) => {
  const { host, port } = kit.under;
  await expect(connect(`amqp://${login}@${host}:${port}${vhost}`)).rejects.toThrow(
    /403 \(ACCESS-REFUSED\)/,
  );
});

test.concurrent('who has not said that it knows closes after a refused login sees the socket end', async () => {
  const client = await RawAmqp.connect(kit.under.host, kit.under.port);
  const login = { password: 'wrong', capabilities: {} };
  await expect(client.logIn(login)).rejects.toThrow(/ended/);
  await client.untilEnded();
});

test.concurrent('a virtual host that is not there is refused', async () => {
  const vhost = uniqueName('missing');
  await expect(connect(`${kit.under.url}/${vhost}`)).rejects.toThrow();
  const client = await RawAmqp.connect(kit.under.host, kit.under.port);
  await expect(client.logIn({ vhost })).rejects.toThrow(/"replyCode":530/);
  client.send(0, 'ConnectionCloseOk');
  await client.untilEnded();
});

test.concurrent('tune-ok and open may come in one piece, and the first methods with them', async () => {
  const client = await RawAmqp.connect(kit.under.host, kit.under.port);
  client.bytes(PROTOCOL_HEADER);
  await client.expect(0, 'ConnectionStart');
  client.send(0, 'ConnectionStartOk', LOGIN);
  await client.expect(0, 'ConnectionTune');
  client.bytes(
    Buffer.concat([
      encodeMethod(0, 'ConnectionTuneOk', { channelMax: 10, frameMax: 4096 }),
      encodeMethod(0, 'ConnectionOpen', { virtualHost: '/' }),
      encodeMethod(1, 'ChannelOpen'),
      encodeMethod(1, 'QueueDeclare', { queue: '', exclusive: true }),
      encodeMethod(1, 'BasicQos', { prefetchCount: 1 }),
      encodeMethod(1, 'QueuePurge', { queue: '' }),
    ]),
  );
  await client.until(() => client.events.length === 5, 'five answers');
  expect(client.events.map(({ method }) => method)).toEqual([
    'ConnectionOpenOk',
    'ChannelOpenOk',
    'QueueDeclareOk',
    'BasicQosOk',
    'QueuePurgeOk',
  ]);
  await client.close();
});

test.concurrent('frames of the smallest size carry large messages', async () => {
  const model = await kit.connection({ url: `${kit.under.url}?frameMax=4096` });
  const channel = await model.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const content = Buffer.alloc(100_000, 'abcdefg');
  channel.sendToQueue(queue, content, { headers: { long: 'x'.repeat(3_000) } });
  const inbox = await Inbox.of(channel, queue, { noAck: true });
  expect((await inbox.next()).content.equals(content)).toBe(true);
});

test.concurrent('a hundred channels of one connection work next to each other', async () => {
  const model = await kit.connection();
  const queue = uniqueName('channels');
  const first = await model.createChannel();
  await first.assertQueue(queue);
  const channels = await Promise.all([...Array(100)].map(() => model.createChannel()));
  const boxes = await Promise.all(
    channels.map(async (channel) => {
      await channel.prefetch(1);
      return Inbox.of(channel, queue);
    }),
  );
  for (let n = 0; n < 100; n++) first.sendToQueue(queue, Buffer.from(String(n)));
  const messages = await Promise.all(boxes.map((inbox) => inbox.next()));
  expect(messages.map((message) => Number(text(message))).sort((a, b) => a - b)).toEqual([
    ...Array(100).keys(),
  ]);
  messages.forEach((message, index) => channels[index]?.ack(message));
  await first.deleteQueue(queue);
});

test.concurrent('numbers of channels are free again at once', async () => {
  const model = await kit.connection({ url: `${kit.under.url}?channelMax=1` });
  for (let round = 0; round < 50; round++) {
    const channel: Channel = quiet(await model.createChannel());
    if (round % 2 === 0) await channel.close();
    else expect(await failureOf(channel, () => channel.checkQueue('missing'))).toBe('404 50.10');
  }
  const last = await model.createChannel();
  await expect(model.createChannel()).rejects.toThrow(/No channels left/);
  await last.close();
});

test.concurrent('two hundred connections at a time', async () => {
  const queue = uniqueName('connections');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  const models: ChannelModel[] = await Promise.all(
    [...Array(200)].map(() => connect(kit.under.url)),
  );
  await Promise.all(
    models.map(async (model, index) => {
      const sender = await model.createConfirmChannel();
      sender.sendToQueue(queue, Buffer.from(String(index)));
      await sender.waitForConfirms();
    }),
  );
  await Promise.all(models.map((model) => model.close()));
  const got = (await drain(channel, queue)).map((message) => Number(text(message)));
  expect(got.sort((a, b) => a - b)).toEqual([...Array(200).keys()]);
  await channel.deleteQueue(queue);
});

test.concurrent('a connection that ends without a word leaves nothing behind', async () => {
  const client = await RawAmqp.open(kit.under);
  const { queue } = await client.call(1, 'QueueDeclare', { queue: '', exclusive: true });
  const shared = uniqueName('left');
  const channel = await kit.channel();
  await channel.assertQueue(shared);
  channel.sendToQueue(shared, Buffer.from('x'));
  client.send(1, 'BasicConsume', { queue: shared });
  await client.expect(1, 'BasicDeliver');
  client.socket.destroy();
  const inbox = await Inbox.of(channel, shared, { noAck: true });
  expect((await inbox.next()).fields.redelivered).toBe(true);
  const other = await kit.channel();
  expect(await failureOf(other, () => other.checkQueue(String(queue)))).toMatch(/^40[45] 50.10$/);
  await channel.deleteQueue(shared);
});

test.concurrent('a new secret is taken', async () => {
  const model = await kit.connection();
  await model.updateSecret(Buffer.from('guest'), 'rotation');
  const channel = await model.createChannel();
  expect(await channel.assertQueue('', { exclusive: true })).toMatchObject({ messageCount: 0 });
});

test.concurrent('heartbeats are sent as agreed, and missed ones end the connection', async () => {
  const client = await RawAmqp.connect(kit.under.host, kit.under.port);
  client.bytes(PROTOCOL_HEADER);
  await client.expect(0, 'ConnectionStart');
  client.send(0, 'ConnectionStartOk', LOGIN);
  await client.expect(0, 'ConnectionTune');
  client.send(0, 'ConnectionTuneOk', { channelMax: 10, frameMax: 4096, heartbeat: 1 });
  client.send(0, 'ConnectionOpen', { virtualHost: '/' });
  await client.expect(0, 'ConnectionOpenOk');
  client.bytes(HEARTBEAT);
  await client.until(() => client.heartbeats >= 2, 'two heartbeats');
  // From here on it is silent.
  await client.untilEnded();
  expect(client.events).toEqual([]);
});

test.concurrent('a request is answered over a direct reply', async () => {
  const requests = uniqueName('requests');
  const server = await kit.channel();
  await server.assertQueue(requests);
  await server.consume(
    requests,
    (message) => {
      if (message === null) return;
      const { replyTo, correlationId } = message.properties;
      const answer = Buffer.from(`answer to ${text(message)}`);
      server.sendToQueue(replyTo as string, answer, { correlationId: correlationId as string });
    },
    { noAck: true },
  );
  const client = await kit.channel();
  const inbox = await Inbox.of(client, 'amq.rabbitmq.reply-to', { noAck: true });
  for (const n of [1, 2, 3])
    client.sendToQueue(requests, Buffer.from(String(n)), {
      replyTo: 'amq.rabbitmq.reply-to',
      correlationId: `c-${n}`,
    });
  const answers = await inbox.count(3);
  expect(answers.map((one) => [text(one), one.properties.correlationId])).toEqual([
    ['answer to 1', 'c-1'],
    ['answer to 2', 'c-2'],
    ['answer to 3', 'c-3'],
  ]);
  expect(answers[0]?.fields).toMatchObject({ exchange: '', redelivered: false });
  expect(answers[0]?.fields.routingKey).toMatch(/^amq\.rabbitmq\.reply-to\./);
  await server.deleteQueue(requests);
});

test.concurrent('a direct reply is for who consumes it without acknowledgements', async () => {
  const channel = await kit.channel();
  const acking = failureOf(channel, () => channel.consume('amq.rabbitmq.reply-to', () => {}));
  expect(await acking).toBe('406 60.20');
  const other = await kit.channel();
  // Nobody consumes: a request that asks for a direct reply is refused.
  const asked = failureOf(other, () =>
    other.sendToQueue('x', Buffer.from('x'), { replyTo: 'amq.rabbitmq.reply-to' }),
  );
  expect(await asked).toBe('406 60.40');
});

test.concurrent('whether somebody waits for a direct reply can be asked', async () => {
  const client = await kit.channel();
  const inbox = await Inbox.of(client, 'amq.rabbitmq.reply-to', { noAck: true });
  const server = await kit.channel();
  const { queue } = await server.assertQueue('', { exclusive: true });
  const requests = await Inbox.of(server, queue, { noAck: true });
  client.sendToQueue(queue, Buffer.from('x'), { replyTo: 'amq.rabbitmq.reply-to' });
  const address = (await requests.next()).properties.replyTo as string;
  await server.checkQueue(address);
  await client.cancel(inbox.tag);
  expect(await failureOf(server, () => server.checkQueue(address))).toBe('404 50.10');
});

test.concurrent('a connection that is closed by its client ends all that it has', async () => {
  const model = await kit.connection();
  const channel = await model.createChannel();
  const ended = Promise.all([once(channel, 'close'), once(model, 'close')]);
  await model.close();
  expect(await ended).toHaveLength(2);
});

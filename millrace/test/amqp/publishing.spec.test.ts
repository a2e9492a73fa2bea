/** amqplib against the broker: what is published, what is said about it, and that it arrives as it was. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Message } from 'amqplib';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { uniqueName } from './amqp-under-test.ts';
import { AmqplibKit, drain, failureOf, Inbox, text } from './amqplib-kit.ts';

const kit = new AmqplibKit();
beforeAll(() => kit.start());
afterEach(() => kit.closeAll());
afterAll(() => kit.stop());

test('everything is confirmed, and several at once', async () => {
  const queue = uniqueName('confirms');
  const channel = await kit.confirmChannel();
  await channel.assertQueue(queue, { durable: true });
  let confirmed = 0;
  let withMultiple = 0;
  channel.on('ack', ({ multiple }) => {
    if (multiple) withMultiple++;
  });
  for (let n = 0; n < 500; n++) {
    channel.sendToQueue(queue, Buffer.from(String(n)), { persistent: true }, (error) => {
      if (error === null) confirmed++;
    });
  }
  await channel.waitForConfirms();
  expect(confirmed).toBe(500);
  expect(withMultiple).toBeGreaterThan(0);
  expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 500 });
  await channel.deleteQueue(queue);
});

test('what goes nowhere is confirmed, too', async () => {
  const channel = await kit.confirmChannel();
  channel.publish('amq.fanout', '', Buffer.from('nobody'));
  let confirmed = 0;
  channel.publish('', uniqueName('missing'), Buffer.from('nobody'), {}, () => confirmed++);
  await channel.waitForConfirms();
  expect(confirmed).toBe(1);
});

test('a mandatory message that goes nowhere comes back before it is confirmed', async () => {
  const channel = await kit.confirmChannel();
  const seen: string[] = [];
  const returned = once(channel, 'return') as Promise<[Message]>;
  channel.on('return', () => seen.push('return'));
  const key = uniqueName('missing');
  const confirmed = new Promise<void>((resolve) => {
    const options = { mandatory: true, headers: { a: 1 }, messageId: 'm-1' };
    channel.publish('', key, Buffer.from('back'), options, () => {
      seen.push('confirm');
      resolve();
    });
  });
  const [message] = await returned;
  await confirmed;
  expect(seen).toEqual(['return', 'confirm']);
  expect(message.fields).toMatchObject({
    replyCode: 312,
    replyText: 'NO_ROUTE',
    exchange: '',
    routingKey: key,
  });
  expect(message.properties).toMatchObject({ headers: { a: 1 }, messageId: 'm-1' });
  expect(text(message)).toBe('back');
});

test('a mandatory message that is routed does not come back', async () => {
  const queue = uniqueName('mandatory');
  const channel = await kit.confirmChannel();
  await channel.assertQueue(queue, { exclusive: true });
  channel.on('return', () => expect.fail('it was returned'));
  channel.sendToQueue(queue, Buffer.from('x'), { mandatory: true });
  await channel.waitForConfirms();
  expect(await drain(channel, queue)).toHaveLength(1);
});

test('properties arrive as they were published', async () => {
  const queue = uniqueName('properties');
  const channel = await kit.channel();
  await channel.assertQueue(queue, { exclusive: true });
  const properties = {
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    headers: {
      text: 'grün',
      whole: 42,
      negative: -7,
      large: 2 ** 40,
      fraction: 1.5,
      yes: true,
      no: false,
      nothing: null,
      list: [1, 'two', [3]],
      table: { inner: { deep: 'x' } },
      bytes: Buffer.of(0, 255),
      when: { '!': 'timestamp', value: 1_700_000_000 },
      small: { '!': 'byte', value: -3 },
      single: { '!': 'float', value: 0.5 },
      decimal: { '!': 'decimal', value: { digits: 314, places: 2 } },
    },
    deliveryMode: 2,
    priority: 7,
    correlationId: 'c-1',
    replyTo: 'answers',
    expiration: '600000',
    messageId: 'm-1',
    timestamp: 1_700_000_000,
    type: 'greeting',
    appId: 'suite',
  };
  channel.sendToQueue(queue, Buffer.from('{}'), { ...properties, persistent: true });
  const message = await channel.get(queue, { noAck: true });
  if (message === false) throw new Error('no message');
  expect(message.properties).toMatchObject({
    ...properties,
    headers: { ...properties.headers, small: -3, single: 0.5 },
  });
});

test('sizes from nothing to ten million bytes arrive whole', async () => {
  const queue = uniqueName('sizes');
  const channel = await kit.confirmChannel();
  await channel.assertQueue(queue, { durable: true });
  const sizes = [0, 1, 131_063, 131_064, 131_065, 1 << 20, 10 * 1024 * 1024];
  const bodies = sizes.map((size, index) => Buffer.alloc(size, `${index}-some text to fill it `));
  for (const content of bodies) channel.sendToQueue(queue, content, { persistent: true });
  await channel.waitForConfirms();
  const inbox = await Inbox.of(channel, queue);
  const messages = await inbox.count(sizes.length);
  const hash = (bytes: Buffer): string => createHash('sha1').update(bytes).digest('hex');
  expect(messages.map(({ content }) => `${content.length} ${hash(content)}`)).toEqual(
    bodies.map((content) => `${content.length} ${hash(content)}`),
  );
  channel.ackAll();
  await channel.deleteQueue(queue);
});

test('CC and BCC are further routing keys; BCC is not shown', async () => {
  const [to, cc, bcc] = [uniqueName('to'), uniqueName('cc'), uniqueName('bcc')];
  const channel = await kit.confirmChannel();
  for (const queue of [to, cc, bcc]) await channel.assertQueue(queue, { exclusive: true });
  channel.sendToQueue(to, Buffer.from('all'), { CC: [cc, to], BCC: bcc, mandatory: true });
  await channel.waitForConfirms();
  for (const queue of [to, cc, bcc]) {
    const messages = await drain(channel, queue);
    expect(messages.map(text)).toEqual(['all']);
    const headers = messages[0]?.properties.headers ?? {};
    expect(headers['CC']).toEqual([cc, to]);
    expect(headers['BCC']).toBeUndefined();
  }
});

test('publishing to an exchange that is not there closes the channel', async () => {
  const channel = await kit.confirmChannel();
  const failed = await failureOf(channel, () => channel.publish('missing', 'x', Buffer.from('x')));
  expect(failed).toBe('404 60.40');
});

test('a large header table arrives', async () => {
  const queue = uniqueName('headers');
  const channel = await kit.channel();
  await channel.assertQueue(queue, { exclusive: true });
  const headers = Object.fromEntries([...Array(500).keys()].map((n) => [`key-${n}`, `value ${n}`]));
  channel.sendToQueue(queue, Buffer.from('x'), { headers });
  const message = await channel.get(queue);
  expect(message === false ? {} : message.properties.headers).toEqual(headers);
});

test('confirms go on over twenty thousand small messages', async () => {
  const queue = uniqueName('flood');
  const channel = await kit.confirmChannel();
  await channel.assertQueue(queue, { durable: true });
  const payload = Buffer.from('small');
  const count = 20_000;
  let confirmed = 0;
  for (let n = 0; n < count; n++) {
    const goesOn = channel.sendToQueue(queue, payload, { persistent: true }, (error) => {
      if (error === null) confirmed++;
    });
    if (!goesOn) await once(channel, 'drain');
  }
  await channel.waitForConfirms();
  expect(confirmed).toBe(count);
  expect(await channel.deleteQueue(queue)).toEqual({ messageCount: count });
});

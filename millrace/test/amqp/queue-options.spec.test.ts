/** amqplib against the broker: what queues may be declared to do. */
import type { Message } from 'amqplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { uniqueName } from './amqp-under-test.ts';
import { AmqplibKit, drain, failureOf, Inbox, text, untilCount } from './amqplib-kit.ts';

// The tests mostly wait, and run beside each other.
const kit = new AmqplibKit();
beforeAll(() => kit.start());
afterAll(() => kit.stop());

type Death = Readonly<Record<string, unknown>>;
const deaths = (message: Message | undefined): Death[] =>
  (message?.properties.headers?.['x-death'] ?? []) as unknown as Death[];

test.concurrent('a server-named queue is exclusive to its connection, and goes with it', async () => {
  const channel = await kit.channel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  expect(queue).toMatch(/^amq\.gen-/);
  const other = await kit.channel();
  expect(await failureOf(other, () => other.checkQueue(queue))).toBe('405 50.10');
  const model = await kit.connection();
  const mine = await model.createChannel();
  const gone = (await mine.assertQueue('', { exclusive: true })).queue;
  await model.close();
  const third = await kit.channel();
  expect(await failureOf(third, () => third.checkQueue(gone))).toBe('404 50.10');
});

test.concurrent('a queue that deletes itself goes with its last consumer', async () => {
  const queue = uniqueName('auto');
  const channel = await kit.channel();
  await channel.assertQueue(queue, { autoDelete: true });
  const first = await Inbox.of(channel, queue);
  const second = await Inbox.of(channel, queue);
  await channel.cancel(first.tag);
  expect(await channel.checkQueue(queue)).toMatchObject({ consumerCount: 1 });
  await channel.cancel(second.tag);
  expect(await failureOf(channel, () => channel.checkQueue(queue))).toBe('404 50.10');
});

test.concurrent('a queue that is not durable works as any other', async () => {
  const queue = uniqueName('transient');
  const channel = await kit.confirmChannel();
  await channel.assertQueue(queue, { durable: false });
  channel.sendToQueue(queue, Buffer.from('x'));
  await channel.waitForConfirms();
  expect((await drain(channel, queue)).map(text)).toEqual(['x']);
  await channel.deleteQueue(queue);
});

test.concurrent('the counts of a declaration are those of now', async () => {
  const queue = uniqueName('counts');
  const channel = await kit.confirmChannel();
  expect(await channel.assertQueue(queue)).toEqual({ queue, messageCount: 0, consumerCount: 0 });
  for (let n = 0; n < 4; n++) channel.sendToQueue(queue, Buffer.from('x'));
  await channel.waitForConfirms();
  expect(await channel.assertQueue(queue)).toEqual({ queue, messageCount: 4, consumerCount: 0 });
  await channel.deleteQueue(queue);
});

test.concurrent('what is rejected goes to the dead letter exchange, with its story', async () => {
  const [queue, dead] = [uniqueName('source'), uniqueName('dead')];
  const channel = await kit.confirmChannel();
  await channel.assertQueue(dead, { durable: true });
  await channel.assertQueue(queue, {
    durable: true,
    deadLetterExchange: '',
    deadLetterRoutingKey: dead,
  });
  channel.sendToQueue(queue, Buffer.from('bad'), { headers: { kept: 'yes' }, messageId: 'm' });
  await channel.waitForConfirms();
  const message = await channel.get(queue);
  if (message === false) throw new Error('no message');
  channel.nack(message, false, false);
  await untilCount(channel, dead, 1);
  const [letter] = await drain(channel, dead);
  expect(letter?.fields).toMatchObject({ exchange: '', routingKey: dead, redelivered: false });
  expect(letter?.properties).toMatchObject({
    messageId: 'm',
    headers: {
      kept: 'yes',
      'x-first-death-exchange': '',
      'x-first-death-queue': queue,
      'x-first-death-reason': 'rejected',
    },
  });
  expect(deaths(letter)).toMatchObject([
    { count: 1, exchange: '', queue, reason: 'rejected', 'routing-keys': [queue] },
  ]);
  expect(deaths(letter)[0]?.['time']).toMatchObject({ '!': 'timestamp' });
  for (const name of [queue, dead]) await channel.deleteQueue(name);
});

test.concurrent('a message that dies again and again in the same place counts up', async () => {
  const [work, wait] = [uniqueName('work'), uniqueName('wait')];
  const channel = await kit.confirmChannel();
  await channel.assertQueue(work, { deadLetterExchange: '', deadLetterRoutingKey: wait });
  await channel.assertQueue(wait, {
    deadLetterExchange: '',
    deadLetterRoutingKey: work,
    messageTtl: 10,
  });
  channel.sendToQueue(work, Buffer.from('again'));
  const inbox = await Inbox.of(channel, work);
  for (let round = 0; round < 3; round++) channel.nack(await inbox.next(), false, false);
  const message = await inbox.next();
  channel.ack(message);
  const story = deaths(message);
  expect(story.map(({ queue, reason, count }) => [queue, reason, count])).toEqual([
    [wait, 'expired', 3],
    [work, 'rejected', 3],
  ]);
  expect(message.properties.headers).toMatchObject({
    'x-first-death-queue': work,
    'x-first-death-reason': 'rejected',
  });
  for (const name of [work, wait]) await channel.deleteQueue(name);
});

test.concurrent('a dead letter exchange routes by the key of the message', async () => {
  const channel = await kit.confirmChannel();
  const [exchange, queue] = [uniqueName('dlx'), uniqueName('source')];
  await channel.assertExchange(exchange, 'topic', { durable: false });
  const { queue: dead } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(dead, exchange, '#');
  await channel.assertQueue(queue, { exclusive: true, deadLetterExchange: exchange });
  await channel.bindQueue(queue, 'amq.topic', `${queue}.*`);
  channel.publish('amq.topic', `${queue}.x`, Buffer.from('1'));
  await channel.waitForConfirms();
  const message = await channel.get(queue);
  if (message === false) throw new Error('no message');
  channel.reject(message, false);
  await untilCount(channel, dead, 1);
  const [letter] = await drain(channel, dead);
  expect(letter?.fields).toMatchObject({ exchange, routingKey: `${queue}.x` });
  expect(deaths(letter)).toMatchObject([
    { exchange: 'amq.topic', 'routing-keys': [`${queue}.x`], queue },
  ]);
});

test.concurrent('dead letters that nobody takes are gone', async () => {
  const queue = uniqueName('nowhere');
  const channel = await kit.confirmChannel();
  await channel.assertQueue(queue, { exclusive: true, deadLetterExchange: uniqueName('missing') });
  channel.sendToQueue(queue, Buffer.from('x'));
  await channel.waitForConfirms();
  const message = await channel.get(queue);
  if (message === false) throw new Error('no message');
  channel.reject(message, false);
  expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 0 });
});

test.concurrent('messages expire: by the queue, and by what they say', async () => {
  const [queue, dead] = [uniqueName('ttl'), uniqueName('expired')];
  const channel = await kit.confirmChannel();
  await channel.assertQueue(dead);
  await channel.assertQueue(queue, {
    messageTtl: 60_000,
    deadLetterExchange: '',
    deadLetterRoutingKey: dead,
  });
  channel.sendToQueue(queue, Buffer.from('short'), { expiration: '20' });
  await channel.waitForConfirms();
  await untilCount(channel, dead, 1);
  const [letter] = await drain(channel, dead);
  expect(text(letter as Message)).toBe('short');
  expect(letter?.properties.expiration).toBeUndefined();
  expect(deaths(letter)).toMatchObject([{ reason: 'expired', 'original-expiration': '20' }]);
  for (const name of [queue, dead]) await channel.deleteQueue(name);
});

test.concurrent('a time to live of zero is for consumers that wait', async () => {
  const queue = uniqueName('at-once');
  const channel = await kit.confirmChannel();
  await channel.assertQueue(queue, { exclusive: true, messageTtl: 0 });
  channel.sendToQueue(queue, Buffer.from('nobody waits'));
  await channel.waitForConfirms();
  await untilCount(channel, queue, 0);
  const inbox = await Inbox.of(channel, queue, { noAck: true });
  channel.sendToQueue(queue, Buffer.from('somebody waits'));
  expect(text(await inbox.next())).toBe('somebody waits');
});

test.concurrent('a full queue drops its oldest messages', async () => {
  const [queue, dead] = [uniqueName('max'), uniqueName('overflow')];
  const channel = await kit.confirmChannel();
  await channel.assertQueue(dead);
  await channel.assertQueue(queue, {
    maxLength: 3,
    deadLetterExchange: '',
    deadLetterRoutingKey: dead,
  });
  for (let n = 0; n < 8; n++) channel.sendToQueue(queue, Buffer.from(String(n)));
  await channel.waitForConfirms();
  await untilCount(channel, dead, 5);
  expect((await drain(channel, queue)).map(text)).toEqual(['5', '6', '7']);
  const letters = await drain(channel, dead);
  expect(letters.map(text)).toEqual(['0', '1', '2', '3', '4']);
  expect(deaths(letters[0])).toMatchObject([{ reason: 'maxlen' }]);
  for (const name of [queue, dead]) await channel.deleteQueue(name);
});

test.concurrent('a queue that is full of bytes drops its oldest messages', async () => {
  const queue = uniqueName('max-bytes');
  const channel = await kit.confirmChannel();
  await channel.assertQueue(queue, { exclusive: true, arguments: { 'x-max-length-bytes': 100 } });
  for (let n = 0; n < 5; n++) channel.sendToQueue(queue, Buffer.alloc(40, String(n)));
  await channel.waitForConfirms();
  expect((await drain(channel, queue)).map((message) => text(message)[0])).toEqual(['3', '4']);
});

test.concurrent('a full queue may refuse what is published', async () => {
  const queue = uniqueName('reject');
  const channel = await kit.confirmChannel();
  await channel.assertQueue(queue, { exclusive: true, maxLength: 2, overflow: 'reject-publish' });
  const outcomes: string[] = [];
  // One after the other: how far ahead of the limit a burst gets is the broker's affair.
  for (let n = 0; n < 4; n++) {
    await new Promise<void>((resolve) => {
      channel.sendToQueue(queue, Buffer.from(String(n)), {}, (error) => {
        outcomes.push(error === null ? 'ack' : 'nack');
        resolve();
      });
    });
  }
  expect(outcomes).toEqual(['ack', 'ack', 'nack', 'nack']);
  expect((await drain(channel, queue)).map(text)).toEqual(['0', '1']);
});

test.concurrent('what was refused may become a dead letter', async () => {
  const [queue, dead] = [uniqueName('reject-dlx'), uniqueName('refused')];
  const channel = await kit.confirmChannel();
  await channel.assertQueue(dead);
  await channel.assertQueue(queue, {
    maxLength: 1,
    overflow: 'reject-publish-dlx',
    deadLetterExchange: '',
    deadLetterRoutingKey: dead,
  });
  for (let n = 0; n < 3; n++) {
    channel.sendToQueue(queue, Buffer.from(String(n)));
    await channel.waitForConfirms().catch(() => {});
  }
  await untilCount(channel, dead, 2);
  expect((await drain(channel, queue)).map(text)).toEqual(['0']);
  const letters = await drain(channel, dead);
  expect(letters.map(text)).toEqual(['1', '2']);
  expect(deaths(letters[0])).toMatchObject([{ reason: 'maxlen', queue }]);
  for (const name of [queue, dead]) await channel.deleteQueue(name);
});

test.concurrent('a queue with priorities gives the higher first, in order within', async () => {
  const queue = uniqueName('priorities');
  const channel = await kit.confirmChannel();
  await channel.assertQueue(queue, { maxPriority: 5 });
  const priorities = [0, 5, 1, undefined, 5, 9, 3];
  priorities.forEach((priority, index) => {
    const options = priority === undefined ? {} : { priority };
    channel.sendToQueue(queue, Buffer.from(`${index}:${priority ?? '-'}`), options);
  });
  await channel.waitForConfirms();
  expect((await drain(channel, queue)).map(text)).toEqual([
    '1:5',
    '4:5',
    '5:9',
    '6:3',
    '2:1',
    '0:0',
    '3:-',
  ]);
  await channel.deleteQueue(queue);
});

test.concurrent('a queue expires when it is not used, and consuming is using', async () => {
  const [used, unused] = [uniqueName('used'), uniqueName('unused')];
  const channel = await kit.confirmChannel();
  await channel.assertQueue(used, { expires: 1_000 });
  await Inbox.of(channel, used, { noAck: true });
  await channel.assertQueue(unused, { expires: 300 });
  // Publishing is no use: what comes back tells that the queue is gone.
  const gone = new Set<string>();
  channel.on('return', (message) => gone.add(message.fields.routingKey));
  await channel.assertQueue(`${unused}-later`, { expires: 1_500 });
  while (!gone.has(`${unused}-later`)) {
    for (const queue of [used, unused, `${unused}-later`])
      channel.sendToQueue(queue, Buffer.from('x'), { mandatory: true });
    await channel.waitForConfirms();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect([...gone].sort()).toEqual([unused, `${unused}-later`].sort());
  await channel.deleteQueue(used);
});

test.concurrent('a quorum queue counts deliveries, and gives up at its limit', async () => {
  const [queue, dead] = [uniqueName('quorum'), uniqueName('poison')];
  const channel = await kit.confirmChannel();
  await channel.assertQueue(dead);
  await channel.assertQueue(queue, {
    durable: true,
    arguments: {
      'x-queue-type': 'quorum',
      'x-delivery-limit': 2,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': dead,
    },
  });
  channel.sendToQueue(queue, Buffer.from('poison'));
  const inbox = await Inbox.of(channel, queue);
  const counts: unknown[] = [];
  for (let round = 0; round < 3; round++) {
    const message = await inbox.next();
    counts.push(message.properties.headers?.['x-delivery-count'] ?? 0);
    channel.reject(message, true);
  }
  await untilCount(channel, dead, 1);
  expect(counts).toEqual([0, 1, 2]);
  const [letter] = await drain(channel, dead);
  expect(deaths(letter)).toMatchObject([{ reason: 'delivery_limit', queue }]);
  for (const name of [queue, dead]) await channel.deleteQueue(name);
});

test.concurrent('an exclusive queue is of its connection alone', async () => {
  const queue = uniqueName('mine');
  const model = await kit.connection();
  const channel = await model.createChannel();
  await channel.assertQueue(queue, { exclusive: true });
  const sibling = await model.createChannel();
  await sibling.checkQueue(queue);
  const other = await kit.channel();
  expect(await failureOf(other, () => other.assertQueue(queue, { exclusive: true }))).toBe(
    '405 50.10',
  );
  const third = await kit.channel();
  expect(await failureOf(third, () => third.consume(queue, () => {}))).toBe('405 60.20');
  // Publishing to it is free to everybody.
  const sender = await kit.confirmChannel();
  sender.sendToQueue(queue, Buffer.from('from outside'));
  await sender.waitForConfirms();
  expect((await drain(channel, queue)).map(text)).toEqual(['from outside']);
});

test.concurrent('a queue that is used, or not empty, is not deleted when that was asked', async () => {
  const queue = uniqueName('if');
  const channel = await kit.confirmChannel();
  await channel.assertQueue(queue);
  channel.sendToQueue(queue, Buffer.from('x'));
  await channel.waitForConfirms();
  expect(await failureOf(channel, () => channel.deleteQueue(queue, { ifEmpty: true }))).toBe(
    '406 50.40',
  );
  const second = await kit.channel();
  await Inbox.of(second, queue, { noAck: true });
  const third = await kit.channel();
  expect(await failureOf(third, () => third.deleteQueue(queue, { ifUnused: true }))).toBe(
    '406 50.40',
  );
  await second.deleteQueue(queue);
  // What is not there can be deleted.
  expect(await second.deleteQueue(queue)).toEqual({ messageCount: 0 });
});

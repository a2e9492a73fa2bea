/** amqplib against the broker: consumers, what they settle and what they give back. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { uniqueName } from './amqp-under-test.ts';
import { AmqplibKit, drain, failureOf, Inbox, text, untilCount } from './amqplib-kit.ts';
import { RawAmqp } from './raw-amqp.ts';

const kit = new AmqplibKit();
beforeAll(() => kit.start());
afterEach(() => kit.closeAll());
afterAll(() => kit.stop());

const body = (value: number | string): Buffer => Buffer.from(String(value));

test('a work queue gives every task to one worker, and forgets what was acknowledged', async () => {
  const queue = uniqueName('tasks');
  const sender = await kit.confirmChannel();
  await sender.assertQueue(queue, { durable: true });
  const workers = await Promise.all([kit.channel(), kit.channel()]);
  const boxes: Inbox[] = [];
  for (const worker of workers) {
    await worker.prefetch(1);
    const inbox = await Inbox.of(worker, queue);
    boxes.push(inbox);
  }
  for (let task = 0; task < 40; task++) sender.sendToQueue(queue, body(task), { persistent: true });
  await sender.waitForConfirms();
  const done: string[] = [];
  await Promise.all(
    boxes.map(async (inbox, index) => {
      while (done.length < 40) {
        const message = await Promise.race([inbox.next(), everythingDone(done, 40)]);
        if (message === undefined) return;
        done.push(text(message));
        workers[index]?.ack(message);
      }
    }),
  );
  expect(done.map(Number).sort((a, b) => a - b)).toEqual([...Array(40).keys()]);
  await untilCount(sender, queue, 0);
  expect(await sender.deleteQueue(queue)).toEqual({ messageCount: 0 });
});

async function everythingDone(done: readonly string[], count: number): Promise<undefined> {
  while (done.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
  return undefined;
}

test('messages come in the order in which they were published', async () => {
  const queue = uniqueName('order');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  for (let n = 0; n < 2_000; n++) channel.sendToQueue(queue, body(n));
  const inbox = await Inbox.of(channel, queue, { noAck: true });
  await inbox.count(2_000);
  expect(inbox.bodies.map(Number)).toEqual([...Array(2_000).keys()]);
  expect(inbox.messages.every(({ fields }) => !fields.redelivered)).toBe(true);
  const tags = inbox.messages.map(({ fields }) => fields.deliveryTag);
  expect(tags).toEqual([...Array(2_000).keys()].map((n) => n + 1));
  await channel.deleteQueue(queue);
});

test('a prefetch bounds what a consumer has unsettled', async () => {
  const queue = uniqueName('prefetch');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  for (let n = 0; n < 20; n++) channel.sendToQueue(queue, body(n));
  await channel.prefetch(5);
  const inbox = await Inbox.of(channel, queue);
  const five = await inbox.count(5);
  expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 15, consumerCount: 1 });
  expect(inbox.messages).toHaveLength(5);
  channel.ack(five[1] as (typeof five)[0], true);
  await inbox.count(7);
  await untilCount(channel, queue, 13);
  expect(inbox.bodies).toEqual(['0', '1', '2', '3', '4', '5', '6']);
  channel.ackAll();
  await inbox.count(12);
  await channel.deleteQueue(queue);
});

test('a new prefetch is that of consumers to come', async () => {
  const queue = uniqueName('per-consumer');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  await channel.prefetch(2);
  const first = await Inbox.of(channel, queue);
  await channel.prefetch(3);
  const second = await Inbox.of(channel, queue);
  for (let n = 0; n < 20; n++) channel.sendToQueue(queue, body(n));
  await first.count(2);
  await second.count(3);
  await untilCount(channel, queue, 15);
  expect([first.messages.length, second.messages.length]).toEqual([2, 3]);
  await channel.deleteQueue(queue);
});

test('what is unsettled goes back when its channel closes, in its old place and flagged', async () => {
  const queue = uniqueName('back');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  for (let n = 0; n < 6; n++) channel.sendToQueue(queue, body(n));
  const other = await kit.channel();
  const inbox = await Inbox.of(other, queue);
  const [first] = await inbox.count(6);
  other.ack(first as (typeof inbox.messages)[0]);
  await other.close();
  await untilCount(channel, queue, 5);
  const messages = await drain(channel, queue);
  expect(messages.map(text)).toEqual(['1', '2', '3', '4', '5']);
  expect(messages.every(({ fields }) => fields.redelivered)).toBe(true);
  await channel.deleteQueue(queue);
});

test('nack and reject put back at the old place, or away', async () => {
  const queue = uniqueName('nack');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  for (let n = 0; n < 5; n++) channel.sendToQueue(queue, body(n));
  await channel.prefetch(3);
  const got = [await channel.get(queue), await channel.get(queue), await channel.get(queue)];
  const [zero, one, two] = got.map((message) => {
    if (message === false) throw new Error('no message');
    return message;
  }) as [never, never, never];
  channel.nack(zero, false, true);
  channel.reject(one, false);
  channel.nack(two, false, false);
  await untilCount(channel, queue, 3);
  const rest = await drain(channel, queue);
  expect(rest.map((message) => [text(message), message.fields.redelivered])).toEqual([
    ['0', true],
    ['3', false],
    ['4', false],
  ]);
  await channel.deleteQueue(queue);
});

test('nackAll gives everything back to another consumer', async () => {
  const queue = uniqueName('nack-all');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  for (let n = 0; n < 10; n++) channel.sendToQueue(queue, body(n));
  const inbox = await Inbox.of(channel, queue);
  await inbox.count(10);
  await channel.cancel(inbox.tag);
  channel.nackAll(true);
  await untilCount(channel, queue, 10);
  const again = await drain(channel, queue);
  expect(again.map(text)).toEqual([...Array(10).keys()].map(String));
  expect(again.every(({ fields }) => fields.redelivered)).toBe(true);
  await channel.deleteQueue(queue);
});

test('recover gives unsettled messages again', async () => {
  const queue = uniqueName('recover');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  for (let n = 0; n < 3; n++) channel.sendToQueue(queue, body(n));
  const inbox = await Inbox.of(channel, queue);
  await inbox.count(3);
  await channel.recover();
  const all = await inbox.count(6);
  expect(all.slice(3).map((message) => [text(message), message.fields.redelivered])).toEqual([
    ['0', true],
    ['1', true],
    ['2', true],
  ]);
  await channel.deleteQueue(queue);
});

test('a global prefetch is one for all consumers of a channel, and changes at once', async () => {
  const queues = [uniqueName('global'), uniqueName('global')];
  const channel = await kit.channel();
  await channel.prefetch(2, true);
  const inboxes: Inbox[] = [];
  for (const queue of queues) {
    await channel.assertQueue(queue);
    for (let n = 0; n < 5; n++) channel.sendToQueue(queue, body(n));
    inboxes.push(await Inbox.of(channel, queue));
  }
  let asked = 0;
  /** Waits until so many came, and looks whether the others are where they were. */
  const came = async (count: number): Promise<void> => {
    const all = () => inboxes.flatMap(({ messages }) => messages).length;
    await expect.poll(all, { timeout: 20_000 }).toBe(count);
    let ready = 0;
    for (const queue of queues) ready += (await channel.checkQueue(queue)).messageCount;
    expect(ready).toBe(10 - asked - count);
  };
  await came(2);
  const [first] = inboxes.flatMap(({ messages }) => messages);
  if (first !== undefined) channel.ack(first);
  await came(3);
  await channel.prefetch(4, true);
  await came(5);
  // Who asks for a message gets it, and it counts for nothing.
  const tries = await Promise.all(queues.map((queue) => channel.get(queue)));
  const got = tries.filter((message) => message !== false);
  asked = got.length;
  expect(asked).toBeGreaterThan(0);
  for (const message of got) channel.ack(message);
  await came(5);
  // What one consumer may have holds beside it, and for consumers that come after it.
  await channel.prefetch(1);
  channel.ackAll();
  await came(Math.min(9, 10 - asked));
  await channel.prefetch(0, true);
  await came(10 - asked);
  for (const queue of queues) await channel.deleteQueue(queue);
});

test('a cancelled consumer gets nothing more, and may settle what it has', async () => {
  const queue = uniqueName('cancel');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  await channel.prefetch(2);
  for (let n = 0; n < 5; n++) channel.sendToQueue(queue, body(n));
  const inbox = await Inbox.of(channel, queue);
  await inbox.count(2);
  await channel.cancel(inbox.tag);
  channel.ackAll();
  await channel.prefetch(0);
  expect(await channel.checkQueue(queue)).toMatchObject({ messageCount: 3, consumerCount: 0 });
  expect(inbox.messages).toHaveLength(2);
  expect((await drain(channel, queue)).map(text)).toEqual(['2', '3', '4']);
  await channel.deleteQueue(queue);
});

test('deleting a queue tells its consumers', async () => {
  const queue = uniqueName('notify');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  const other = await kit.channel();
  const inbox = await Inbox.of(other, queue);
  await channel.deleteQueue(queue);
  await inbox.cancelled();
  // The channel goes on.
  expect(await other.assertQueue(queue, { exclusive: true })).toMatchObject({ queue });
});

test('who deletes the queue of its own consumers is answered before they are told', async () => {
  const queue = uniqueName('own-consumer');
  const client = await RawAmqp.open(kit.under);
  await client.call(1, 'QueueDeclare', { queue });
  await client.call(1, 'BasicConsume', { queue, consumerTag: 'own' });
  client.send(1, 'QueueDelete', { queue });
  const first = await client.expect(1, 'QueueDeleteOk', 'BasicCancel');
  expect(first.method).toBe('QueueDeleteOk');
  expect((await client.expect(1, 'BasicCancel')).fields).toMatchObject({ consumerTag: 'own' });
  // Without an answer they are told all the same.
  await client.call(1, 'QueueDeclare', { queue });
  await client.call(1, 'BasicConsume', { queue, consumerTag: 'again' });
  client.send(1, 'QueueDelete', { queue, nowait: true });
  expect((await client.expect(1, 'BasicCancel')).fields).toMatchObject({ consumerTag: 'again' });
  await client.close();
});

test('an exclusive consumer is alone', async () => {
  const queue = uniqueName('exclusive-consumer');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  const inbox = await Inbox.of(channel, queue, { exclusive: true });
  const other = await kit.channel();
  expect(await failureOf(other, () => other.consume(queue, () => {}))).toBe('403 60.20');
  await channel.cancel(inbox.tag);
  const third = await kit.channel();
  await Inbox.of(third, queue);
  const fourth = await kit.channel();
  const refused = failureOf(fourth, () => fourth.consume(queue, () => {}, { exclusive: true }));
  expect(await refused).toBe('403 60.20');
  await channel.deleteQueue(queue);
});

test('consumers with a higher priority come first', async () => {
  const queue = uniqueName('consumer-priority');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  await channel.prefetch(10);
  const low = await Inbox.of(channel, queue);
  const high = await Inbox.of(channel, queue, { priority: 10 });
  for (let n = 0; n < 15; n++) channel.sendToQueue(queue, body(n));
  await high.count(10);
  await low.count(5);
  expect(high.bodies.map(Number)).toEqual([...Array(10).keys()]);
  await channel.deleteQueue(queue);
});

test('a single active consumer is followed by the next when it leaves', async () => {
  const queue = uniqueName('single-active');
  const channel = await kit.channel();
  await channel.assertQueue(queue, { arguments: { 'x-single-active-consumer': true } });
  const first = await Inbox.of(channel, queue, { noAck: true });
  const second = await Inbox.of(channel, queue, { noAck: true });
  for (let n = 0; n < 10; n++) channel.sendToQueue(queue, body(n));
  await first.count(10);
  expect(second.messages).toHaveLength(0);
  await channel.cancel(first.tag);
  for (let n = 10; n < 20; n++) channel.sendToQueue(queue, body(n));
  await second.count(10);
  expect(first.messages).toHaveLength(10);
  await channel.deleteQueue(queue);
});

test('get takes one message, and says how many are left', async () => {
  const queue = uniqueName('get');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  expect(await channel.get(queue)).toBe(false);
  for (let n = 0; n < 3; n++) channel.sendToQueue(queue, body(n));
  const first = await channel.get(queue);
  if (first === false) throw new Error('no message');
  expect(first.fields).toMatchObject({
    deliveryTag: 1,
    redelivered: false,
    exchange: '',
    routingKey: queue,
    messageCount: 2,
  });
  const second = await channel.get(queue, { noAck: true });
  expect(second === false ? '' : text(second)).toBe('1');
  channel.nack(first);
  await untilCount(channel, queue, 2);
  expect((await drain(channel, queue)).map(text)).toEqual(['0', '2']);
  await channel.deleteQueue(queue);
});

test('purge takes what is ready, not what is with somebody', async () => {
  const queue = uniqueName('purge');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  for (let n = 0; n < 10; n++) channel.sendToQueue(queue, body(n));
  const first = await channel.get(queue);
  if (first === false) throw new Error('no message');
  expect(await channel.purgeQueue(queue)).toEqual({ messageCount: 9 });
  channel.nack(first);
  await untilCount(channel, queue, 1);
  expect((await drain(channel, queue)).map(text)).toEqual(['0']);
  await channel.deleteQueue(queue);
});

test('messages of ten consumers on one channel are settled one by one', async () => {
  const queue = uniqueName('many-consumers');
  const channel = await kit.channel();
  await channel.assertQueue(queue);
  const boxes: Inbox[] = [];
  const seen: string[] = [];
  for (let index = 0; index < 10; index++) {
    const inbox = new Inbox();
    boxes.push(inbox);
    await channel.consume(queue, (message) => {
      if (message === null) return;
      seen.push(text(message));
      channel.ack(message);
      inbox.take(message);
    });
  }
  for (let n = 0; n < 500; n++) channel.sendToQueue(queue, body(n));
  await expect.poll(() => seen.length, { timeout: 20_000 }).toBe(500);
  expect(new Set(seen).size).toBe(500);
  // Everybody had some of it.
  expect(Math.min(...boxes.map(({ messages }) => messages.length))).toBeGreaterThan(10);
  await untilCount(channel, queue, 0);
  await channel.deleteQueue(queue);
});

/** amqplib against the broker: exchanges of all kinds, and what is bound to what. */
import type { Channel } from 'amqplib';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { uniqueName } from './amqp-under-test.ts';
import { AmqplibKit, drain, failureOf, text } from './amqplib-kit.ts';

const kit = new AmqplibKit();
beforeAll(() => kit.start());
afterEach(() => kit.closeAll());
afterAll(() => kit.stop());

/** An exchange, and queues of this connection bound to it by their keys. */
async function bound(
  channel: Channel,
  type: string,
  bindings: readonly { readonly key?: string; readonly args?: object }[],
): Promise<{ readonly exchange: string; readonly queues: readonly string[] }> {
  const exchange = uniqueName(type);
  await channel.assertExchange(exchange, type, { durable: false });
  const queues: string[] = [];
  for (const { key = '', args } of bindings) {
    const { queue } = await channel.assertQueue('', { exclusive: true });
    await channel.bindQueue(queue, exchange, key, args);
    queues.push(queue);
  }
  return { exchange, queues };
}

/** Publishes each key once, and says per queue what it got. */
async function routed(
  channel: Channel,
  to: { readonly exchange: string; readonly queues: readonly string[] },
  keys: readonly string[],
): Promise<string[][]> {
  for (const key of keys) channel.publish(to.exchange, key, Buffer.from(key));
  const got: string[][] = [];
  for (const queue of to.queues) got.push((await drain(channel, queue)).map(text));
  return got;
}

test('a direct exchange compares keys', async () => {
  const channel = await kit.channel();
  const to = await bound(channel, 'direct', [{ key: 'a' }, { key: 'b' }, { key: 'a' }, {}]);
  expect(await routed(channel, to, ['a', 'b', 'c', '', 'a.b'])).toEqual([
    ['a'],
    ['b'],
    ['a'],
    [''],
  ]);
});

test('a fanout exchange does not look at keys, and gives one copy to each queue', async () => {
  const channel = await kit.channel();
  const to = await bound(channel, 'fanout', [{ key: 'x' }, { key: '' }]);
  await channel.bindQueue(to.queues[0] ?? '', to.exchange, 'another');
  expect(await routed(channel, to, ['1', '2'])).toEqual([
    ['1', '2'],
    ['1', '2'],
  ]);
});

test('a topic exchange knows words, * and #', async () => {
  const channel = await kit.channel();
  const patterns = ['#', '*', 'a.*', '*.b', 'a.#', '#.b', '#.b.#', 'a.*.c', 'a..b', '*.#.*', ''];
  const to = await bound(
    channel,
    'topic',
    patterns.map((key) => ({ key })),
  );
  const keys = ['', 'a', 'b', 'a.b', 'a.b.c', 'a.b.c.b', 'x.b.y', 'a..b', 'a.', '.'];
  const got = await routed(channel, to, keys);
  expect(Object.fromEntries(patterns.map((pattern, index) => [pattern, got[index]]))).toEqual({
    '#': keys,
    '*': ['a', 'b'],
    'a.*': ['a.b', 'a.'],
    '*.b': ['a.b'],
    'a.#': ['a', 'a.b', 'a.b.c', 'a.b.c.b', 'a..b', 'a.'],
    '#.b': ['b', 'a.b', 'a.b.c.b', 'a..b'],
    '#.b.#': ['b', 'a.b', 'a.b.c', 'a.b.c.b', 'x.b.y', 'a..b'],
    'a.*.c': ['a.b.c'],
    'a..b': ['a..b'],
    '*.#.*': ['a.b', 'a.b.c', 'a.b.c.b', 'x.b.y', 'a..b', 'a.', '.'],
    '': [''],
  });
});

test('a headers exchange compares headers: all, any, with x-', async () => {
  const channel = await kit.channel();
  const args = [
    { 'x-match': 'all', kind: 'report', size: 3 },
    { 'x-match': 'any', kind: 'report', size: 3 },
    { kind: 'report' },
    { 'x-match': 'any' },
    { 'x-match': 'all' },
    { 'x-match': 'any-with-x', 'x-flag': true },
    { 'x-match': 'any', 'x-flag': true },
    { 'x-match': 'all', anything: null },
  ];
  const to = await bound(
    channel,
    'headers',
    args.map((one) => ({ args: one })),
  );
  const sent: Readonly<Record<string, object>> = {
    both: { kind: 'report', size: 3 },
    kind: { kind: 'report' },
    size: { size: 3, other: 1 },
    none: { kind: 'letter' },
    text: { kind: 'report', size: '3' },
    flag: { 'x-flag': true },
    anything: { anything: 'at all' },
    nothing: {},
  };
  for (const [name, headers] of Object.entries(sent))
    channel.publish(to.exchange, '', Buffer.from(name), { headers });
  const got: string[][] = [];
  for (const queue of to.queues) got.push((await drain(channel, queue)).map(text));
  expect(got).toEqual([
    ['both'],
    ['both', 'kind', 'size', 'text'],
    ['both', 'kind', 'text'],
    [],
    Object.keys(sent),
    ['flag'],
    [],
    ['anything'],
  ]);
});

test('every queue is bound to the default exchange by its name, and nothing else is', async () => {
  const channel = await kit.channel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  channel.publish('', queue, Buffer.from('x'));
  expect(await drain(channel, queue)).toHaveLength(1);
  expect(await failureOf(channel, () => channel.bindQueue(queue, '', 'other'))).toBe('403 50.20');
});

test('exchanges bound to exchanges pass messages on, each queue gets one', async () => {
  const channel = await kit.channel();
  const { exchange: first } = await bound(channel, 'topic', []);
  const second = await bound(channel, 'direct', [{ key: 'a.b' }]);
  const third = await bound(channel, 'fanout', []);
  const [queue = ''] = second.queues;
  await channel.bindExchange(second.exchange, first, 'a.*');
  await channel.bindExchange(third.exchange, first, '#');
  await channel.bindExchange(first, third.exchange, '');
  await channel.bindQueue(queue, third.exchange, '');
  for (const key of ['a.b', 'a.c', 'z']) channel.publish(first, key, Buffer.from(key));
  expect((await drain(channel, queue)).map(text)).toEqual(['a.b', 'a.c', 'z']);
  await channel.unbindExchange(third.exchange, first, '#');
  for (const key of ['a.b', 'a.c', 'z']) channel.publish(first, key, Buffer.from(key));
  expect((await drain(channel, queue)).map(text)).toEqual(['a.b']);
});

test('an alternate exchange takes what is not routed, and nothing comes back', async () => {
  const channel = await kit.confirmChannel();
  const rest = await bound(channel, 'fanout', [{}]);
  const exchange = uniqueName('with-alternate');
  await channel.assertExchange(exchange, 'direct', {
    durable: false,
    alternateExchange: rest.exchange,
  });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, exchange, 'known');
  channel.on('return', () => expect.fail('it was returned'));
  for (const key of ['known', 'unknown'])
    channel.publish(exchange, key, Buffer.from(key), { mandatory: true });
  await channel.waitForConfirms();
  expect((await drain(channel, queue)).map(text)).toEqual(['known']);
  const messages = await drain(channel, rest.queues[0] ?? '');
  expect(messages.map((message) => [text(message), message.fields.exchange])).toEqual([
    ['unknown', exchange],
  ]);
});

test('unbinding takes one binding', async () => {
  const channel = await kit.channel();
  const to = await bound(channel, 'direct', [{ key: 'a' }]);
  const [queue = ''] = to.queues;
  await channel.bindQueue(queue, to.exchange, 'b');
  await channel.bindQueue(queue, to.exchange, 'b');
  await channel.unbindQueue(queue, to.exchange, 'b');
  expect(await routed(channel, to, ['a', 'b'])).toEqual([['a']]);
  // What is not bound may be unbound.
  await channel.unbindQueue(queue, to.exchange, 'never');
});

test('bindings go with their exchange, and with their queue', async () => {
  const channel = await kit.channel();
  const to = await bound(channel, 'direct', [{ key: 'a' }]);
  await channel.deleteExchange(to.exchange);
  await channel.assertExchange(to.exchange, 'direct', { durable: false });
  expect(await routed(channel, to, ['a'])).toEqual([[]]);
});

test('an exchange that deletes itself goes with its last binding', async () => {
  const channel = await kit.channel();
  const exchange = uniqueName('auto');
  await channel.assertExchange(exchange, 'fanout', { durable: false, autoDelete: true });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, exchange, '');
  await channel.unbindQueue(queue, exchange, '');
  expect(await failureOf(channel, () => channel.checkExchange(exchange))).toBe('404 40.10');
});

test('an internal exchange is only for other exchanges', async () => {
  const channel = await kit.channel();
  const inner = uniqueName('internal');
  await channel.assertExchange(inner, 'fanout', {
    durable: false,
    internal: true,
    autoDelete: true,
  });
  const { exchange } = await bound(channel, 'fanout', []);
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindExchange(inner, exchange, '');
  await channel.bindQueue(queue, inner, '');
  channel.publish(exchange, '', Buffer.from('through'));
  expect((await drain(channel, queue)).map(text)).toEqual(['through']);
  expect(await failureOf(channel, () => channel.publish(inner, '', Buffer.from('x')))).toBe(
    '403 60.40',
  );
});

test('an exchange in use is not deleted when that was asked', async () => {
  const channel = await kit.channel();
  const { exchange } = await bound(channel, 'fanout', [{}]);
  const refused = failureOf(channel, () => channel.deleteExchange(exchange, { ifUnused: true }));
  expect(await refused).toBe('406 40.20');
});

test('the exchanges that every virtual host has are there', async () => {
  const channel = await kit.channel();
  for (const name of ['amq.direct', 'amq.fanout', 'amq.topic', 'amq.headers', 'amq.match'])
    expect(await channel.checkExchange(name)).toEqual({});
});

test('many bindings to one topic exchange', async () => {
  const channel = await kit.channel();
  const exchange = uniqueName('many');
  await channel.assertExchange(exchange, 'topic', { durable: false });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await Promise.all(
    [...Array(1_000).keys()].map((n) => channel.bindQueue(queue, exchange, `key.${n}.*`)),
  );
  for (const n of [0, 500, 999, 1000]) channel.publish(exchange, `key.${n}.x`, Buffer.from(`${n}`));
  expect((await drain(channel, queue)).map(text)).toEqual(['0', '500', '999']);
});

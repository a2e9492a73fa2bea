/** Requests to the broker, as the command line makes them, and as somebody else may. */
import type * as Crypto from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { onSimAmqp } from '../../../test/server-amqp/sim-amqp.ts';
import type { AmqpChannel } from '../../client/amqp/channel.ts';
import { MANAGEMENT_EXCHANGE, MANAGEMENT_ROUTING_KEY } from '../../wire/amqp/management.ts';

// A hash takes time of this machine and none of the simulated one, where half a minute may be over before it is made. Replacing
// a module wants a process of its own, hence the name of this file.
vi.mock('node:crypto', async (importOriginal) => {
  const original = await importOriginal<typeof Crypto>();
  const scrypt = (
    password: string,
    salt: Buffer,
    bytes: number,
    cost: Crypto.ScryptOptions,
    done: (error: Error | null, hash: Buffer) => void,
  ): void => done(null, original.scryptSync(password, salt, bytes, cost));
  return { ...original, scrypt };
});

const PERSISTENT = { deliveryMode: 2 };

async function fill(channel: AmqpChannel, queue: string, count: number): Promise<void> {
  const sent = Array.from({ length: count }, (_, at) =>
    channel.publish({ routingKey: queue, properties: PERSISTENT, body: Buffer.from(String(at)) }),
  );
  expect(new Set(await Promise.all(sent))).toEqual(new Set(['confirmed']));
}

async function bodies(channel: AmqpChannel, queue: string): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const message = await channel.get(queue);
    if (message === undefined) return found;
    found.push(message.body.toString());
    message.ack();
  }
}

test('queues, exchanges, bindings and connections are told of', async () => {
  await onSimAmqp({}, async ({ connect }) => {
    const client = await connect();
    const channel = await client.channel();
    await channel.declareQueue({
      queue: 'orders',
      durable: true,
      arguments: { 'x-max-length': 10 },
    });
    await channel.declareExchange({ exchange: 'shop', type: 'topic', durable: true });
    await channel.bindQueue({ queue: 'orders', exchange: 'shop', routingKey: 'order.#' });
    await fill(channel, 'orders', 3);
    const [listed] = await client.request({ op: 'queues' });
    expect(listed).toMatchObject({
      name: 'orders',
      vhost: '/',
      type: 'classic',
      durable: true,
      exclusive: false,
      arguments: { 'x-max-length': 10 },
      topic: 'queue.orders',
      ready: 3,
      published: 3,
    });
    expect(await client.request({ op: 'queue', name: 'orders' })).toEqual(listed);
    const exchanges = await client.request({ op: 'exchanges' });
    expect(exchanges.map(({ name }) => name)).toContain('shop');
    expect(await client.request({ op: 'bindings' })).toContainEqual({
      vhost: '/',
      source: 'shop',
      destinationKind: 'queue',
      destination: 'orders',
      routingKey: 'order.#',
      arguments: {},
    });
    const [connection] = await client.request({ op: 'connections' });
    expect(connection).toMatchObject({ user: 'guest', vhost: '/', blocked: false });
    expect(await client.request({ op: 'purge', name: 'orders' })).toEqual({ purged: 3 });
  });
});

test('moving takes messages in their order, as many as were asked for', async () => {
  await onSimAmqp({}, async ({ connect }) => {
    const client = await connect();
    const channel = await client.channel();
    await channel.declareQueue({ queue: 'from', durable: true });
    await channel.declareQueue({ queue: 'to', durable: true });
    await fill(channel, 'from', 700);
    const moved = await client.request({ op: 'move', from: 'from', to: 'to', limit: 600 });
    expect(moved).toEqual({ moved: 600, skipped: 0, remaining: 100 });
    const numbers = Array.from({ length: 700 }, (_, at) => String(at));
    expect(await bodies(channel, 'to')).toEqual(numbers.slice(0, 600));
    expect(await bodies(channel, 'from')).toEqual(numbers.slice(600));
  });
});

test('what a full queue refuses stays where it is', async () => {
  await onSimAmqp({}, async ({ connect }) => {
    const client = await connect();
    const channel = await client.channel();
    await channel.declareQueue({ queue: 'from', durable: true });
    await channel.declareQueue({
      queue: 'small',
      durable: true,
      arguments: { 'x-max-length': 2, 'x-overflow': 'reject-publish' },
    });
    await fill(channel, 'from', 5);
    const moved = await client.request({ op: 'move', from: 'from', to: 'small' });
    expect(moved).toEqual({ moved: 2, skipped: 3, remaining: 0 });
    expect((await client.request({ op: 'queue', name: 'from' })).ready).toBe(3);
    expect(await bodies(channel, 'from')).toEqual(['2', '3', '4']);
  });
});

test('redriving brings dead letters back to the queue in which they died, as they were', async () => {
  await onSimAmqp({}, async ({ connect }) => {
    const client = await connect();
    const channel = await client.channel();
    await channel.declareQueue({ queue: 'dead', durable: true });
    await channel.declareQueue({
      queue: 'work',
      durable: true,
      arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' },
    });
    await channel.declareExchange({ exchange: 'all', type: 'fanout' });
    await channel.bindQueue({ queue: 'work', exchange: 'all' });
    await channel.publish({
      exchange: 'all',
      routingKey: 'k',
      properties: { ...PERSISTENT, headers: { mine: 'x' } },
      body: Buffer.from('task'),
    });
    (await channel.get('work'))?.reject();
    // Nothing tells where this one came from.
    await fill(channel, 'dead', 1);
    const redriven = await client.request({ op: 'redrive', from: 'dead' });
    expect(redriven).toEqual({ moved: 1, skipped: 1, remaining: 0 });
    const back = await channel.get('work');
    expect(back).toMatchObject({ exchange: 'all', routingKey: 'k' });
    expect(back?.properties.headers).toEqual({ mine: 'x' });
    expect(await bodies(channel, 'dead')).toEqual(['0']);
  });
});

test('what is moved or redriven is no copy of itself', async () => {
  await onSimAmqp({}, async ({ connect }) => {
    const client = await connect();
    const channel = await client.channel();
    await channel.declareQueue({ queue: 'dead', durable: true });
    const dead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' };
    const once = { 'x-dedupe-window': 60_000 };
    await channel.declareQueue({ queue: 'work', durable: true, arguments: { ...dead, ...once } });
    const headers = { 'x-dedupe-key': 'k' };
    const message = { routingKey: 'work', properties: { ...PERSISTENT, headers } };
    await channel.publish({ ...message, body: Buffer.from('task') });
    for (const how of ['redrive', 'move'] as const) {
      (await channel.get('work'))?.reject();
      const result =
        how === 'redrive'
          ? await client.request({ op: 'redrive', from: 'dead' })
          : await client.request({ op: 'move', from: 'dead', to: 'work' });
      expect(result).toEqual({ moved: 1, skipped: 0, remaining: 0 });
    }
    await channel.publish({ ...message, body: Buffer.from('copy') });
    expect(await bodies(channel, 'work')).toEqual(['task']);
  });
});

test('peeking shows messages and leaves them where, and as, they are', async () => {
  await onSimAmqp({}, async ({ connect }) => {
    const client = await connect();
    const channel = await client.channel();
    await channel.declareQueue({ queue: 'seen', durable: true });
    await fill(channel, 'seen', 5);
    const two = await client.request({ op: 'peek', name: 'seen', limit: 2 });
    expect(two.map(({ body }) => Buffer.from(body, 'base64').toString())).toEqual(['0', '1']);
    expect(two[0]).toMatchObject({ routingKey: 'seen', redelivered: false, deliveryCount: 0 });
    expect(await client.request({ op: 'peek', name: 'seen' })).toHaveLength(5);
    expect((await client.request({ op: 'queue', name: 'seen' })).ready).toBe(5);
    expect(await bodies(channel, 'seen')).toEqual(['0', '1', '2', '3', '4']);
  });
});

test('users, permissions and virtual hosts are for administrators', async () => {
  await onSimAmqp({}, async ({ connect }) => {
    const guest = await connect();
    await guest.request({ op: 'set-user', name: 'ada', password: 'secret' });
    await guest.request({ op: 'create-vhost', name: 'shop' });
    const all = { configure: '.*', write: '^a', read: '^a' };
    await guest.request({
      op: 'set-permissions',
      user: 'ada',
      vhost: 'shop',
      permissions: all,
    });
    expect(await guest.request({ op: 'permissions' })).toContainEqual({
      user: 'ada',
      vhost: 'shop',
      ...all,
    });
    expect((await guest.request({ op: 'vhosts' })).map(({ name }) => name)).toEqual(['/', 'shop']);

    const ada = await connect({ user: 'ada', vhost: 'shop' });
    await expect(ada.request({ op: 'users' })).rejects.toThrow('administrator');
    await expect(ada.request({ op: 'queues', vhost: '/' })).rejects.toThrow('administrator');
    const channel = await ada.channel();
    await channel.declareQueue({ queue: 'apples', durable: true });
    await channel.declareQueue({ queue: 'pears', durable: true });
    await expect(ada.request({ op: 'purge', name: 'pears' })).rejects.toThrow('read access');
    expect(await ada.request({ op: 'purge', name: 'apples' })).toEqual({ purged: 0 });
    await expect(ada.request({ op: 'move', from: 'apples', to: 'pears' })).resolves.toBeDefined();
    await expect(ada.request({ op: 'move', from: 'pears', to: 'apples' })).rejects.toThrow(
      'read access',
    );

    await guest.request({ op: 'set-permissions', user: 'ada', vhost: 'shop', permissions: null });
    await expect(connect({ user: 'ada', vhost: 'shop' })).rejects.toThrow('530');
    await guest.request({ op: 'delete-user', name: 'ada' });
    expect((await ada.closed)?.message).toContain(
      "320: CONNECTION_FORCED - user 'ada' was deleted",
    );
    await guest.request({
      op: 'set-permissions',
      user: 'guest',
      vhost: 'shop',
      permissions: { configure: '.*', write: '.*', read: '.*' },
    });
    const inShop = await connect({ vhost: 'shop' });
    await guest.request({ op: 'delete-vhost', name: 'shop' });
    expect((await inShop.closed)?.message).toContain("vhost 'shop' was deleted");
    expect((await guest.request({ op: 'users' })).map(({ name }) => name)).toEqual(['guest']);
  });
});

test('what is no request is answered with why', async () => {
  await onSimAmqp({}, async ({ connect, until }) => {
    const client = await connect();
    const channel = await client.channel();
    const answers: unknown[] = [];
    await channel.consume({ queue: 'amq.rabbitmq.reply-to', noAck: true }, (message) => {
      answers.push(JSON.parse(message.body.toString()));
    });
    const bad = [
      'no json',
      '[]',
      '{"op":"toString"}',
      '{"op":"queue"}',
      '{"op":"queue","name":7}',
      '{"op":"queues","more":1}',
      '{"op":"move","from":"a","to":"b","limit":0}',
      '{"op":"set-permissions","user":"a","permissions":{"read":"x"}}',
    ];
    for (const body of bad) {
      const properties = { replyTo: 'amq.rabbitmq.reply-to' };
      const exchange = MANAGEMENT_EXCHANGE;
      const routingKey = MANAGEMENT_ROUTING_KEY;
      channel.send({ exchange, routingKey, properties, body: Buffer.from(body) });
    }
    await until(() => answers.length === bad.length);
    for (const answer of answers) expect(answer).toMatchObject({ ok: false, error: 'BAD_REQUEST' });
    await expect(client.request({ op: 'queue', name: 'nope' })).rejects.toThrow("no queue 'nope'");
  });
});

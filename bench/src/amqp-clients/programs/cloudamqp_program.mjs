/** An application with @cloudamqp/amqp-client: its sessions, which come back by themselves, and the channels below them. */
import assert from 'node:assert/strict';
import { AMQPClient, AMQPSession, builtinCoders, builtinParsers } from '@cloudamqp/amqp-client';
import { AUTHORITY, Heard, restartBroker, run, sorted, unique, until, URL } from './cases.mjs';

async function withChannel(use, parameters = '') {
  const client = new AMQPClient(`${URL}/?${parameters}`);
  client.logger = undefined;
  const connection = await client.connect();
  try {
    await use(await connection.channel(), connection);
  } finally {
    if (!connection.closed) await connection.close();
  }
}

async function withSession(use, options = {}) {
  const session = await AMQPSession.connect(URL, {
    logger: null,
    reconnectInterval: 100,
    ...options,
  });
  try {
    await use(session);
  } finally {
    await session.stop();
  }
}

async function queues() {
  await withChannel(async (channel) => {
    const queue = await channel.queueDeclare('', { exclusive: true });
    assert.equal(await channel.basicGet(queue.name), null);
    await channel.queueBind(queue.name, 'amq.topic', 'a.*');
    await channel.confirmSelect();
    for (const key of ['a.b', 'a.b.c', 'a.c']) await channel.basicPublish('amq.topic', key, key);
    const first = await channel.basicGet(queue.name, { noAck: true });
    assert.deepEqual(
      [first.bodyString(), first.messageCount, first.exchange],
      ['a.b', 1, 'amq.topic'],
    );
    assert.deepEqual(await channel.queuePurge(queue.name), { messageCount: 1 });
    await channel.queueUnbind(queue.name, 'amq.topic', 'a.*');
    await channel.basicPublish('amq.topic', 'a.b', 'nobody');
    assert.equal(await channel.basicGet(queue.name), null);
    assert.deepEqual(await channel.queueDelete(queue.name, { ifUnused: true, ifEmpty: true }), {
      messageCount: 0,
    });
  });
}

async function exchanges() {
  await withChannel(async (channel) => {
    const [source, target] = [unique('source'), unique('target')];
    await channel.exchangeDeclare(source, 'fanout', { autoDelete: false });
    await channel.exchangeDeclare(target, 'headers', { autoDelete: true });
    await channel.exchangeBind(target, source);
    const { name } = await channel.queueDeclare();
    await channel.queueBind(name, target, '', { 'x-match': 'any', kind: 'good' });
    await channel.confirmSelect();
    await channel.basicPublish(source, '', 'm', { headers: { kind: 'good' } });
    assert.equal((await channel.basicGet(name, { noAck: true })).exchange, source);
    await channel.exchangeUnbind(target, source);
    await channel.basicPublish(source, '', 'm', { headers: { kind: 'good' } });
    assert.equal(await channel.basicGet(name), null);
    await channel.exchangeDelete(source);
    await assert.rejects(channel.basicPublish(source, '', ''), /NOT_FOUND/);
  });
}

async function confirmsNacksAndReturns() {
  await withChannel(async (channel) => {
    assert.equal(await channel.basicPublish('amq.fanout', '', 'no confirm yet'), 0);
    await channel.confirmSelect();
    const tags = Array.from({ length: 100 }, () => channel.basicPublish('amq.fanout', '', 'm'));
    assert.deepEqual(
      await Promise.all(tags),
      Array.from({ length: 100 }, (_, n) => n + 1),
    );
    const returned = new Heard();
    channel.onReturn = (message) => returned.push([message.replyCode, message.bodyString()]);
    await channel.basicPublish('', unique('nowhere'), 'lost', {}, true);
    assert.deepEqual(await returned.first(1), [[312, 'lost']]);
    const none = { 'x-overflow': 'reject-publish', 'x-max-length': 0 };
    const { name } = await channel.queueDeclare('', {}, none);
    await assert.rejects(channel.basicPublish('', name, 'm'), /rejected/);
    await assert.rejects(channel.basicPublish('', name, 'm', {}, false, true), /NOT_IMPLEMENTED/);
  });
}

async function properties() {
  await withChannel(async (channel) => {
    const { name } = await channel.queueDeclare('', { exclusive: true });
    const sent = {
      contentType: 'application/json',
      contentEncoding: 'gzip',
      headers: {
        int: 2,
        negative: -3,
        bool: true,
        string: 'c',
        double: 1.5,
        none: null,
        date: new Date(1_700_000_000_000),
        table: { a: { b: [] } },
        list: ['a', 1, [null]],
        long: 2 ** 32 + 1,
        large: 2.5 ** 33,
        bytes: new Uint8Array([0, 1, 255]),
        long_string: 'a'.repeat(4_000),
      },
      deliveryMode: 2,
      priority: 1,
      correlationId: 'c',
      replyTo: 'r',
      expiration: '10000',
      messageId: 'm',
      appId: 'a',
      userId: 'guest',
      type: 't',
      timestamp: new Date(1_700_000_000_000),
    };
    await channel.basicPublish('', name, '', sent);
    const got = await channel.basicGet(name, { noAck: false });
    // What are bytes here is a long string to the protocol.
    got.properties.headers.bytes = sent.headers.bytes;
    assert.deepEqual({ ...got.properties }, sent);
    await channel.basicQos(1);
    assert.equal(await channel.basicFlow(true), true);
    await channel.basicRecover(true);
    assert.equal((await channel.basicGet(name)).redelivered, true);
    await assert.rejects(
      channel.basicPublish('', name, '', { userId: 'other' }).then(() => channel.basicQos(1)),
      /PRECONDITION_FAILED/,
    );
  });
}

async function bodiesInFrames() {
  for (const frameMax of [8_192, 131_072])
    await withChannel(async (channel) => {
      await channel.confirmSelect();
      const { name } = await channel.queueDeclare('', { exclusive: true });
      for (const size of [
        0,
        1,
        frameMax - 9,
        frameMax - 8,
        frameMax - 7,
        frameMax,
        10 * frameMax,
        3_000_000,
      ]) {
        const body = Buffer.alloc(size, 'abcdefghijk');
        await channel.basicPublish('', name, body);
        const got = await channel.basicGet(name, { noAck: true });
        assert.ok(size === 0 || body.equals(got.body), `${size}`);
        assert.equal(got.bodySize, size);
      }
    }, `frameMax=${frameMax}`);
}

async function mistakes() {
  const mistake = (use, expected) => assert.rejects(withChannel(use), expected);
  await mistake((channel) => channel.queueDeclare('amq.foobar'), /ACCESS_REFUSED/);
  await mistake((channel) => channel.queueDeclare(unique('q'), { passive: true }), /NOT_FOUND/);
  await mistake((channel) => channel.exchangeDeclare(unique('e'), 'none'), /exchange type/);
  await mistake((channel) => channel.exchangeDelete('amq.direct'), /ACCESS_REFUSED/);
  await mistake((channel) => channel.queueBind(unique('q'), 'amq.direct', ''), /NOT_FOUND/);
  await mistake((channel) => channel.txCommit(), /PRECONDITION_FAILED/);
  await mistake(async (channel) => {
    await channel.queueDeclare('', { exclusive: true });
    await channel.basicAck(99_999);
    await channel.queueDeclare('');
  }, /unknown delivery tag/);
  await withChannel(async (channel, connection) => {
    await assert.rejects(
      channel.basicConsume(unique('q'), {}, () => undefined),
      /NOT_FOUND/,
    );
    const again = await connection.channel();
    const { name } = await again.queueDeclare('', { exclusive: true });
    await again.basicConsume(name, { exclusive: true, tag: 'mine' }, () => undefined);
    await assert.rejects(
      again.basicConsume(name, { tag: 'other' }, () => undefined),
      /ACCESS_REFUSED/,
    );
    await assert.rejects(
      new AMQPClient(`amqp://guest:wrong@${AUTHORITY}`).connect(),
      /ACCESS_REFUSED|closed/,
    );
    await assert.rejects(new AMQPClient(`${URL}/${unique('v')}`).connect(), /NOT_ALLOWED/);
  });
}

async function consumers() {
  await withChannel(async (channel, connection) => {
    const { name } = await channel.queueDeclare('', { exclusive: true, autoDelete: false });
    for (let n = 0; n < 6; n++) await channel.basicPublish('', name, `${n}`);
    await channel.prefetch(2);
    const seen = [];
    const consumer = await channel.basicConsume(name, { noAck: false });
    for await (const message of consumer.messages) {
      seen.push(`${message.bodyString()}${message.redelivered ? ' again' : ''}`);
      if (message.bodyString() === '1' && !message.redelivered) await message.nack(true);
      else await message.ack();
      if (seen.length === 7) break;
    }
    assert.deepEqual(sorted(seen), ['0', '1', '1 again', '2', '3', '4', '5']);
    const cancelled = await channel.basicConsume(name, {}, () => undefined);
    const waits = assert.rejects(cancelled.wait(20_000), /cancelled/i);
    await (await connection.channel()).queueDelete(name);
    await waits;
    await (await connection.channel()).queueDeclare('', { exclusive: true });
  });
}

async function transactions() {
  await withChannel(async (channel) => {
    const { name } = await channel.queueDeclare('', { exclusive: true });
    await channel.txSelect();
    await channel.basicPublish('', name, 'kept');
    assert.equal(await channel.basicGet(name), null);
    await channel.txCommit();
    assert.equal((await channel.basicGet(name, { noAck: true })).bodyString(), 'kept');
    await channel.basicPublish('', name, 'undone');
    await channel.txRollback();
    assert.equal(await channel.basicGet(name), null);
  });
}

async function streams() {
  await withChannel(async (channel, connection) => {
    const name = unique('stream');
    await channel.queueDeclare(
      name,
      { durable: true },
      { 'x-queue-type': 'stream', 'x-max-length-bytes': 10_000_000 },
    );
    await channel.confirmSelect();
    for (let n = 0; n < 10; n++) await channel.basicPublish('', name, `${n}`);
    for (const [offset, first] of [
      ['first', 0],
      [4, 4],
      [new Date(0), 0],
    ]) {
      const reading = await connection.channel();
      await reading.prefetch(3);
      const seen = new Heard();
      const tag = await reading.basicConsume(
        name,
        { noAck: false, args: { 'x-stream-offset': offset } },
        (message) => {
          seen.push([message.bodyString(), message.properties.headers['x-stream-offset']]);
          return message.ack();
        },
      );
      const expected = Array.from({ length: 10 - first }, (_, n) => [`${first + n}`, first + n]);
      assert.deepEqual(await seen.first(10 - first, String(offset)), expected);
      await tag.cancel();
    }
    const unlimited = await connection.channel();
    await assert.rejects(
      unlimited.basicConsume(name, { noAck: false }, () => undefined),
      /PRECONDITION_FAILED/,
    );
    await channel.queueDelete(name);
  });
}

async function secretsAndHeartbeats() {
  await withChannel(async (channel, connection) => {
    await connection.updateSecret('another', 'rotation');
    const { name } = await channel.queueDeclare('', { exclusive: true });
    // Longer than it takes to miss two heartbeats.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await channel.basicPublish('', name, 'm');
    assert.equal((await channel.basicGet(name)).bodyString(), 'm');
  }, 'heartbeat=1&channelMax=4&name=beats');
}

async function sessions() {
  const options = {
    parsers: builtinParsers,
    coders: builtinCoders,
    defaultContentType: 'application/json',
    defaultContentEncoding: 'gzip',
  };
  await withSession(async (session) => {
    const dead = await session.queue(unique('dead'), { exclusive: true });
    const exchange = await session.topicExchange(unique('e'), { autoDelete: true, durable: false });
    const queue = await session.queue(unique('q'), {
      exclusive: true,
      arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead.name },
    });
    await queue.bind(exchange, 'jobs.#');
    const seen = new Heard();
    await queue.subscribe({ prefetch: 2, requeueOnNack: false }, (message) => {
      seen.push(message.body.n);
      if (message.body.n === 1) throw new Error('as it should');
    });
    for (let n = 0; n < 3; n++)
      await exchange.publish({ n }, { routingKey: 'jobs.a', deliveryMode: 2 });
    assert.deepEqual(await seen.first(3), [0, 1, 2]);
    const letter = await dead.consumeOne({ timeout: 20_000 });
    assert.equal(letter.body.n, 1);
    assert.equal(letter.properties.headers['x-death'][0].queue, queue.name);
  }, options);
}

async function requestAndReply() {
  await withSession(async (session) => {
    const name = unique('rpc');
    const server = await session.rpcServer(name, (message) => `did ${message.bodyString()}`);
    assert.equal(
      (await session.rpcCall(name, 'one', { timeout: 20_000 })).bodyToString(),
      'did one',
    );
    const client = await session.rpcClient();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => client.call(name, `${n}`)),
    );
    assert.deepEqual(
      answers.map((answer) => answer.bodyString()),
      Array.from({ length: 50 }, (_, n) => `did ${n}`),
    );
    await client.close();
    await server.close();
    await (await session.queue(name)).delete();
  });
}

async function sessionsComeBack() {
  const connects = new Heard();
  await withSession(
    async (session) => {
      const queue = await session.queue(unique('q'), { durable: true });
      const seen = new Heard();
      await queue.subscribe({ prefetch: 1 }, (message) => seen.push(message.bodyString()));
      const rpc = unique('rpc');
      await session.rpcServer(rpc, (message) => message.bodyString().toUpperCase());
      await queue.publish('before', { deliveryMode: 2 });
      await seen.first(1);
      await restartBroker();
      await connects.first(2, 'the session comes back');
      await until(
        () =>
          queue.publish('behind').then(
            () => true,
            () => false,
          ),
        'publishing',
      );
      await until(() => seen.all.includes('behind'), 'what was published behind it');
      const answers = () =>
        session.rpcCall(rpc, 'm', { timeout: 2_000 }).then((answer) => answer.bodyString() === 'M');
      await until(() => answers().catch(() => false), 'the server of calls is there again');
      for (const name of [queue.name, rpc]) await (await session.queue(name)).delete();
    },
    { onconnect: () => connects.push('up') },
  );
}

await run({
  queues,
  exchanges,
  'confirms, nacks and returns': confirmsNacksAndReturns,
  properties,
  'bodies in frames': bodiesInFrames,
  mistakes,
  consumers,
  transactions,
  streams,
  'secrets and heartbeats': secretsAndHeartbeats,
  sessions,
  'request and reply': requestAndReply,
  'sessions come back': sessionsComeBack,
});

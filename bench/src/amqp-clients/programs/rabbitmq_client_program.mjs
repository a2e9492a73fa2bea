/** An application with rabbitmq-client: publishers, consumers and RPC clients that come back by themselves. */
import assert from 'node:assert/strict';
import { Connection, ConsumerStatus } from 'rabbitmq-client';
import { AUTHORITY, Heard, restartBroker, run, unique, until, URL, within } from './cases.mjs';

async function connected(use, options = {}) {
  const connection = new Connection({ url: URL, retryLow: 100, ...options });
  const errors = new Heard();
  connection.on('error', (error) => errors.push(error.code ?? String(error)));
  try {
    await use(connection, errors);
    await within(connection.close(), 'close');
  } catch (error) {
    connection.unsafeDestroy();
    throw error;
  }
}

const expectCode = (promise, code) => assert.rejects(promise, (error) => error.code === code);

async function bodies() {
  await connected(async (connection) => {
    const channel = await connection.acquire();
    const { queue } = await channel.queueDeclare({ exclusive: true });
    assert.equal(await channel.basicGet({ queue }), undefined);
    await channel.confirmSelect();
    const large = Buffer.alloc(5_000_000, 'abcdefg');
    for (const body of [{ colour: 'green' }, 'text', Buffer.alloc(0), large]) {
      await channel.basicPublish({ routingKey: queue }, body);
      assert.deepEqual((await channel.basicGet({ queue, noAck: true })).body, body);
    }
    await channel.close();
  });
}

async function properties() {
  await connected(async (connection) => {
    const { queue } = await connection.queueDeclare({ queue: unique('q'), autoDelete: true });
    const sent = {
      contentType: 'text/plain',
      headers: {
        byte: -100,
        short: 30_000,
        int: -100_000,
        long: 2 ** 40,
        big: 9_007_199_254_740_993n,
        double: 1.5,
        string: 'héllo',
        long_string: 'x'.repeat(3_000),
        bool: true,
        none: null,
        list: [1, 'two', { three: [false, null] }],
        table: { a: { b: 1 } },
        decimal: { scale: 2, value: 1234 },
      },
      durable: true,
      priority: 3,
      correlationId: 'c',
      replyTo: 'r',
      expiration: '60000',
      messageId: 'm',
      timestamp: 1_700_000_000,
      type: 't',
      userId: 'guest',
      appId: 'a',
    };
    const publisher = connection.createPublisher({ confirm: true });
    await publisher.send({ ...sent, routingKey: queue }, 'body');
    const got = await connection.basicGet({ queue, noAck: true });
    for (const key of Object.keys(sent)) {
      const want = key === 'headers' ? { ...sent.headers, big: got.headers.big } : sent[key];
      assert.deepEqual(got[key], want, key);
    }
    assert.equal(BigInt(got.headers.big), BigInt(Number(sent.headers.big)));
    await publisher.close();
    await connection.queueDelete(queue);
  });
}

async function confirmsAndReturns() {
  await connected(async (connection) => {
    const returned = new Heard();
    const publisher = connection.createPublisher({ confirm: true });
    publisher.on('basic.return', ({ replyCode, replyText, body }) =>
      returned.push([replyCode, replyText, body]),
    );
    await publisher.send({ routingKey: unique('nowhere'), mandatory: true }, 'lost');
    assert.deepEqual(await returned.first(1), [[312, 'NO_ROUTE', 'lost']]);
    await publisher.close();
    const limited = { 'x-max-length': 1, 'x-overflow': 'reject-publish' };
    const channel = await connection.acquire();
    const { queue } = await channel.queueDeclare({ exclusive: true, arguments: limited });
    await channel.confirmSelect();
    await channel.basicPublish(queue, 'first');
    await expectCode(channel.basicPublish(queue, 'second'), 'NACK');
    const many = Array.from({ length: 1_000 }, (_, n) =>
      channel.basicPublish(unique('nowhere'), `${n}`),
    );
    await Promise.all(many);
    await channel.close();
  });
}

async function publishingToWhatIsNotThere() {
  await connected(async (connection, errors) => {
    const channel = await connection.acquire();
    await channel.confirmSelect();
    const outcomes = await Promise.allSettled([
      channel.basicPublish(unique('nowhere'), ''),
      channel.basicPublish({ exchange: unique('missing'), routingKey: 'k' }, ''),
      channel.basicPublish(unique('nowhere'), ''),
    ]);
    const codes = outcomes.map(({ reason }) => reason?.code ?? 'confirmed');
    assert.deepEqual(codes, ['confirmed', 'NOT_FOUND', 'CH_CLOSE']);
    assert.equal(channel.active, false);
    const other = await connection.acquire();
    await other.basicPublish({ exchange: unique('missing'), routingKey: 'k' }, '');
    await errors.first(1);
    const third = await connection.acquire();
    third.basicAck({ deliveryTag: 1 });
    assert.deepEqual(await errors.first(2), ['NOT_FOUND', 'PRECONDITION_FAILED']);
  });
}

async function mistakes() {
  await connected(async (connection) => {
    const queue = unique('q');
    await expectCode(connection.queueDeclare({ passive: true, queue }), 'NOT_FOUND');
    await connection.queueDeclare({ queue, exclusive: true });
    await expectCode(
      connection.queueDeclare({ queue, exclusive: true, arguments: { 'x-expires': 1_000 } }),
      'PRECONDITION_FAILED',
    );
    await expectCode(connection.queueDeclare({ queue: 'amq.mine' }), 'ACCESS_REFUSED');
    // RabbitMQ below version 4 closes the connection for it.
    await assert.rejects(
      connection.exchangeDeclare({ exchange: unique('e'), type: 'none' }),
      /(unknown|invalid) exchange type/,
    );
    await connection.onConnect();
  });
  await connected(async (first) => {
    const { queue } = await first.queueDeclare({ queue: unique('q'), exclusive: true });
    await connected((second) =>
      expectCode(second.queueDeclare({ queue, passive: true }), 'RESOURCE_LOCKED'),
    );
  });
  for (const [url, code] of [
    [`amqp://guest:wrong@${AUTHORITY}`, 'ACCESS_REFUSED'],
    [`amqp://guest:guest@${AUTHORITY}/${unique('v')}`, 'NOT_ALLOWED'],
  ]) {
    const connection = new Connection({ url });
    const failed = new Promise((resolve) => connection.once('error', resolve));
    assert.equal((await within(failed, code)).code, code);
    await connection.close();
  }
  await connected((connection) => connection.onConnect(), {
    url: `${URL}/%2f?heartbeat=5&channel_max=3`,
  });
}

async function consumers() {
  await connected(async (connection) => {
    const [exchange, queue, dead] = [unique('e'), unique('q'), unique('dead')];
    const exchanges = [{ exchange, type: 'topic', autoDelete: true }];
    const publisher = connection.createPublisher({ confirm: true, exchanges });
    const seen = new Heard();
    let atOnce = 0;
    const consumer = connection.createConsumer(
      {
        queue,
        queueOptions: {
          exclusive: true,
          arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead },
        },
        exchanges,
        queueBindings: [{ exchange, routingKey: 'jobs.#' }],
        qos: { prefetchCount: 4 },
        concurrency: 2,
      },
      async (message) => {
        seen.push({ body: message.body, redelivered: message.redelivered, atOnce: ++atOnce });
        await new Promise((resolve) => setImmediate(resolve));
        atOnce--;
        if (message.body === 'bad') return ConsumerStatus.DROP;
        if (message.body === 'again' && !message.redelivered) return ConsumerStatus.REQUEUE;
        return ConsumerStatus.ACK;
      },
    );
    await within(new Promise((resolve) => consumer.once('ready', resolve)), 'ready');
    await connection.queueDeclare({ queue: dead, exclusive: true });
    for (const body of ['good', 'bad', 'again', 'good'])
      await publisher.send({ exchange, routingKey: `jobs.${body}` }, body);
    const all = await seen.first(5);
    assert.deepEqual(
      all.filter(({ redelivered }) => redelivered).map(({ body }) => body),
      ['again'],
    );
    assert.ok(all.every(({ atOnce }) => atOnce <= 2));
    let letter;
    await until(
      async () => (letter ??= await connection.basicGet({ queue: dead, noAck: true })),
      'a dead letter',
    );
    assert.equal(letter.headers['x-death'][0].reason, 'rejected');
    await until(() => consumer.stats.acknowledged === 3, 'acknowledged');
    await consumer.close();
    await publisher.close();
  });
}

async function consumersComeBack() {
  await connected(async (connection) => {
    const queue = unique('q');
    const consumer = connection.createConsumer(
      { queue, passive: true, queueOptions: { passive: true } },
      () => undefined,
    );
    const errors = new Heard();
    consumer.on('error', (error) => errors.push(error.code));
    assert.deepEqual(await errors.first(1), ['NOT_FOUND'], 'the queue is not there yet');
    await connection.queueDeclare({ queue, autoDelete: true });
    await within(new Promise((resolve) => consumer.once('ready', resolve)), 'ready');
    await connection.queueDelete(queue);
    assert.deepEqual((await errors.first(2))[1], 'CANCEL_FORCED', 'told that its queue is gone');
    await connection.queueDeclare({ queue, autoDelete: true });
    await within(new Promise((resolve) => consumer.once('ready', resolve)), 'ready again');
    await consumer.close();
    await until(
      () =>
        connection.queueDeclare({ queue, passive: true }).then(
          () => false,
          ({ code }) => code === 'NOT_FOUND',
        ),
      'the last consumer takes the queue with it',
    );
  });
}

async function requestAndReply() {
  await connected(async (connection) => {
    const server = connection.createConsumer(
      { queue: unique('rpc'), queueOptions: { exclusive: true } },
      async (message, reply) => reply({ twice: message.body.n * 2 }),
    );
    await within(new Promise((resolve) => server.once('ready', resolve)), 'ready');
    const client = connection.createRPCClient({ confirm: true, timeout: 20_000 });
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => client.send(server.queue, { n })),
    );
    assert.deepEqual(
      answers.map(({ body }) => body.twice),
      Array.from({ length: 50 }, (_, n) => n * 2),
    );
    await client.close();
    const hasty = connection.createRPCClient({ timeout: 50 });
    await expectCode(hasty.send(unique('nobody'), 'x'), 'RPC_TIMEOUT');
    await hasty.close();
    await server.close();
  });
}

async function streams() {
  await connected(async (connection) => {
    const queue = unique('stream');
    await connection.queueDeclare({
      queue,
      durable: true,
      arguments: { 'x-queue-type': 'stream' },
    });
    const publisher = connection.createPublisher({ confirm: true });
    for (let n = 0; n < 10; n++) await publisher.send(queue, `${n}`);
    const read = async (offset, count) => {
      const seen = new Heard();
      const consumer = connection.createConsumer(
        {
          queue,
          queueOptions: { passive: true },
          qos: { prefetchCount: 5 },
          arguments: { 'x-stream-offset': offset },
        },
        (message) => seen.push([message.body, message.headers['x-stream-offset']]),
      );
      consumer.on('error', (error) => seen.push(error.code));
      const all = await seen.first(count, `from ${offset}`);
      await consumer.close();
      return all;
    };
    const from = (n) => Array.from({ length: 10 - n }, (_, index) => [`${n + index}`, n + index]);
    assert.deepEqual(await read('first', 10), from(0));
    assert.deepEqual(await read(7, 3), from(7));
    assert.deepEqual(await read('1h', 10), from(0));
    await publisher.close();
    await connection.queueDelete(queue);
  });
}

async function limitsAndHeartbeats() {
  await connected(
    async (connection, errors) => {
      const [first, second] = await Promise.allSettled([
        connection.acquire(),
        connection.acquire(),
      ]);
      assert.deepEqual([first.status, second.status], ['fulfilled', 'rejected']);
      const { queue } = await first.value.queueDeclare({ exclusive: true });
      // Longer than it takes to miss two heartbeats.
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      await first.value.basicPublish(queue, Buffer.alloc(50_000));
      assert.equal((await first.value.basicGet({ queue, noAck: true })).body.length, 50_000);
      await first.value.close();
      assert.deepEqual(errors.all, []);
    },
    { maxChannels: 1, heartbeat: 1, frameMax: 4_096 },
  );
}

async function transactions() {
  await connected(async (connection) => {
    const channel = await connection.acquire();
    const { queue } = await channel.queueDeclare({ exclusive: true });
    await channel.txSelect();
    await channel.basicPublish(queue, 'undone');
    await channel.txRollback();
    await channel.basicPublish(queue, 'done');
    assert.equal(await channel.basicGet({ queue }), undefined);
    await channel.txCommit();
    assert.equal((await channel.basicGet({ queue, noAck: true })).body, 'done');
    await channel.close();
  });
}

async function theBrokerComesBack() {
  await connected(async (connection) => {
    const [exchange, queue] = [unique('e'), unique('q')];
    const exchanges = [{ exchange, type: 'fanout', durable: true }];
    const seen = new Heard();
    const consumer = connection.createConsumer(
      { queue, queueOptions: { durable: true }, exchanges, queueBindings: [{ exchange }] },
      (message) => seen.push(message.body),
    );
    consumer.on('error', () => undefined);
    await within(new Promise((resolve) => consumer.once('ready', resolve)), 'ready');
    const publisher = connection.createPublisher({ confirm: true, maxAttempts: 10, exchanges });
    publisher.on('retry', () => undefined);
    await publisher.send({ exchange, durable: true }, 'before');
    await seen.first(1);
    await consumer.close();
    await publisher.send({ exchange, durable: true }, 'kept');
    await restartBroker();
    await publisher.send({ exchange, durable: true }, 'behind');
    consumer.start();
    // What was acknowledged just before the end may come again.
    await until(() => seen.all.includes('behind'), 'what was published behind it');
    assert.deepEqual([...new Set(seen.all)], ['before', 'kept', 'behind']);
    await consumer.close();
    await publisher.close();
    await connection.queueDelete(queue);
    await connection.exchangeDelete({ exchange });
  });
}

await run({
  bodies,
  properties,
  'confirms and returns': confirmsAndReturns,
  'publishing to what is not there': publishingToWhatIsNotThere,
  mistakes,
  consumers,
  'consumers come back': consumersComeBack,
  'request and reply': requestAndReply,
  streams,
  'limits and heartbeats': limitsAndHeartbeats,
  transactions,
  'the broker comes back': theBrokerComesBack,
});

/** An application with amqp-connection-manager: channels whose set-up runs again whenever the connection is new. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'amqp-connection-manager';
import { Heard, restartBroker, run, unique, until, URL, within } from './cases.mjs';

async function managed(use, urls = [URL]) {
  const connection = connect(urls, { heartbeatIntervalInSeconds: 2, reconnectTimeInSeconds: 0.1 });
  try {
    await use(connection);
  } finally {
    await connection.close();
  }
}

async function setUpAndConfirms() {
  await managed(async (connection) => {
    const queue = unique('q');
    const channel = connection.createChannel({
      json: true,
      setup: async (raw) => {
        await raw.assertQueue(queue, { exclusive: true });
        await raw.bindQueue(queue, 'amq.topic', 'a.#');
      },
    });
    // Published before there is a connection: kept until there is one.
    const early = channel.sendToQueue(queue, { early: true });
    await channel.waitForConnect();
    assert.equal(await early, true);
    await Promise.all(
      Array.from({ length: 500 }, (_, n) => channel.publish('amq.topic', 'a.b', { n })),
    );
    assert.equal((await channel.checkQueue(queue)).messageCount, 501);
    const seen = new Heard();
    const { consumerTag } = await channel.consume(
      queue,
      (message) => {
        seen.push(JSON.parse(message.content));
        channel.ack(message);
      },
      { prefetch: 10 },
    );
    assert.deepEqual((await seen.first(501)).slice(0, 2), [{ early: true }, { n: 0 }]);
    await channel.cancel(consumerTag);
    assert.deepEqual(await channel.purgeQueue(queue), { messageCount: 0 });
    await channel.close();
  });
}

async function refusedMessages() {
  await managed(async (connection) => {
    const queue = unique('q');
    const limits = { 'x-max-length': 1, 'x-overflow': 'reject-publish' };
    const channel = connection.createChannel({
      setup: (raw) => raw.assertQueue(queue, { exclusive: true, arguments: limits }),
    });
    await channel.sendToQueue(queue, Buffer.from('first'));
    await assert.rejects(channel.sendToQueue(queue, Buffer.from('second')), /nacked/);
    const returned = new Heard();
    await channel.addSetup(
      (raw) => void raw.on('return', (message) => returned.push(message.fields.replyCode)),
    );
    await channel.publish('', unique('nowhere'), Buffer.from('lost'), { mandatory: true });
    assert.deepEqual(await returned.first(1), [312]);
    await channel.close();
  });
}

async function aChannelThatFailsIsSetUpAgain() {
  await managed(async (connection) => {
    const queue = unique('q');
    const setups = new Heard();
    const channel = connection.createChannel({
      setup: async (raw) => {
        await raw.assertQueue(queue, { autoDelete: true });
        setups.push('set up');
      },
    });
    channel.on('error', () => undefined);
    await channel.waitForConnect();
    await assert.rejects(channel.checkQueue(unique('missing')), /NOT_FOUND/);
    await connection.reconnect();
    await setups.first(2);
    await channel.waitForConnect();
    await channel.sendToQueue(queue, Buffer.from('m'));
    const message = await channel.get(queue, { noAck: true });
    assert.equal(message.content.toString(), 'm');
    await channel.deleteQueue(queue);
    await channel.close();
  });
}

async function cancelledConsumers() {
  await managed(async (connection) => {
    const queue = unique('q');
    const channel = connection.createChannel({
      setup: (raw) => raw.assertQueue(queue, { durable: false }),
    });
    // It consumes again at once, which the channel does not survive while there is no queue.
    channel.on('error', () => undefined);
    const seen = new Heard();
    await channel.consume(
      queue,
      (message) => seen.push(message?.content.toString() ?? 'cancelled'),
      { noAck: true },
    );
    await channel.sendToQueue(queue, Buffer.from('m'));
    await seen.first(1);
    await channel.deleteQueue(queue);
    await until(
      async () =>
        channel.assertQueue(queue, { durable: false }).then(
          () => true,
          () => false,
        ),
      'asserted',
    );
    await channel.close();
  });
}

async function theFirstServerThatAnswers() {
  await managed(
    async (connection) => {
      const failures = new Heard();
      connection.on('connectFailed', ({ err }) => failures.push(err.message));
      await within(once(connection, 'connect'), 'the second address');
      assert.match((await failures.first(1))[0], /ECONNREFUSED/);
    },
    ['amqp://127.0.0.1:1', URL],
  );
}

async function theBrokerComesBack() {
  await managed(async (connection) => {
    const [exchange, queue, passing] = [unique('e'), unique('q'), unique('p')];
    const seen = new Heard();
    const channel = connection.createChannel({
      setup: async (raw) => {
        await raw.assertExchange(exchange, 'topic', { durable: true });
        await raw.assertQueue(queue, { durable: true });
        await raw.assertQueue(passing, { exclusive: true });
        await raw.bindQueue(queue, exchange, '#');
        await raw.bindQueue(passing, exchange, '#');
      },
    });
    channel.on('error', () => undefined);
    for (const name of [queue, passing])
      await channel.consume(
        name,
        (message) => {
          seen.push(message.content.toString());
          channel.ack(message);
        },
        { prefetch: 5 },
      );
    const send = (text) => channel.publish(exchange, 'k', Buffer.from(text), { persistent: true });
    await send('before');
    await seen.first(2);
    const disconnected = new Promise((resolve) => connection.once('disconnect', resolve));
    connection.on('error', () => undefined);
    const back = restartBroker();
    await within(disconnected, 'the end is noticed');
    // These wait for the connection that comes.
    const waiting = Promise.all(Array.from({ length: 20 }, (_, n) => send(`waiting ${n}`)));
    await back;
    await within(waiting, 'what waited is confirmed');
    const times = (text) => seen.all.filter((one) => one === text).length;
    await until(() => times('waiting 19') >= 2, 'both consumers are there again');
    for (let n = 0; n < 20; n++) assert.equal(times(`waiting ${n}`), 2, `${n}`);
    await channel.cancelAll();
    await channel.deleteQueue(queue);
    await channel.deleteExchange(exchange);
    await channel.close();
  });
}

await run({
  'set-up and confirms': setUpAndConfirms,
  'refused messages': refusedMessages,
  'a channel that fails is set up again': aChannelThatFailsIsSetUpAgain,
  'cancelled consumers': cancelledConsumers,
  'the first server that answers': theFirstServerThatAnswers,
  'the broker comes back': theBrokerComesBack,
});

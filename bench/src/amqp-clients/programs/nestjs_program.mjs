/** A server and clients of @nestjs/microservices over RabbitMQ; decorators are called as the functions they are. */
import assert from 'node:assert/strict';
import { Controller, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  ClientProxyFactory,
  Ctx,
  EventPattern,
  MessagePattern,
  Payload,
  RmqRecordBuilder,
  RpcException,
  Transport,
} from '@nestjs/microservices';
import { firstValueFrom, from, toArray } from 'rxjs';
import { Heard, restartBroker, run, sorted, unique, until, URL } from './cases.mjs';

Logger.overrideLogger(false);

/** A controller with a handler for each pattern: `(payload, context) => answer`. */
function moduleOf(handlers) {
  const Handlers = function () {};
  handlers.forEach(([decorate, pattern, handle], index) => {
    const name = `handle${index}`;
    Handlers.prototype[name] = handle;
    Payload()(Handlers.prototype, name, 0);
    Ctx()(Handlers.prototype, name, 1);
    Reflect.defineMetadata('design:paramtypes', [Object, Object], Handlers.prototype, name);
    decorate(pattern)(
      Handlers.prototype,
      name,
      Object.getOwnPropertyDescriptor(Handlers.prototype, name),
    );
  });
  Controller()(Handlers);
  const App = function () {};
  Module({ controllers: [Handlers] })(App);
  return App;
}

const socketOptions = { reconnectTimeInSeconds: 0.1, heartbeatIntervalInSeconds: 5 };

async function serving(options, handlers, use, clientOptions = {}) {
  const shared = { urls: [URL], socketOptions, ...options };
  const app = await NestFactory.createMicroservice(moduleOf(handlers), {
    transport: Transport.RMQ,
    options: shared,
    logger: false,
  });
  await app.listen();
  const client = ClientProxyFactory.create({
    transport: Transport.RMQ,
    options: { ...shared, ...clientOptions },
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await use(client);
  } finally {
    await client.close();
    await app.close();
  }
}

const ask = (client, pattern, payload) => firstValueFrom(client.send(pattern, payload));
const passing = () => ({
  queue: unique('nest'),
  queueOptions: { durable: false, autoDelete: true },
});

async function requestAndReply() {
  await serving(
    passing(),
    [
      [MessagePattern, { cmd: 'sum' }, (numbers) => numbers.reduce((a, b) => a + b, 0)],
      [MessagePattern, 'many', (count) => from(Array.from({ length: count }, (_, n) => n))],
      [
        MessagePattern,
        'fails',
        () => {
          throw new RpcException('as it should');
        },
      ],
    ],
    async (client) => {
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, n) => ask(client, { cmd: 'sum' }, [n, 1])),
      );
      assert.deepEqual(
        answers,
        Array.from({ length: 100 }, (_, n) => n + 1),
      );
      assert.deepEqual(
        await firstValueFrom(client.send('many', 5).pipe(toArray())),
        [0, 1, 2, 3, 4],
      );
      await assert.rejects(
        ask(client, 'fails', {}),
        (error) => error === 'as it should' || error.message === 'as it should',
      );
      await assert.rejects(ask(client, 'nobody', {}), (error) =>
        /no matching message handler/.test(String(error.message ?? error)),
      );
    },
  );
}

async function eventsAndAcknowledgements() {
  const seen = new Heard();
  await serving(
    { ...passing(), noAck: false, prefetchCount: 2, isGlobalPrefetchCount: false },
    [
      [
        EventPattern,
        'job',
        (payload, context) => {
          const [channel, message] = [context.getChannelRef(), context.getMessage()];
          seen.push([
            payload.n,
            message.fields.redelivered,
            message.properties.headers.tenant,
            message.properties.priority,
          ]);
          if (payload.n === 1 && !message.fields.redelivered) channel.nack(message, false, true);
          else channel.ack(message);
        },
      ],
    ],
    async (client) => {
      for (let n = 0; n < 3; n++) {
        const record = new RmqRecordBuilder({ n })
          .setOptions({ headers: { tenant: 'acme' }, priority: 3 })
          .build();
        await firstValueFrom(client.emit('job', record), { defaultValue: undefined });
      }
      const all = await seen.first(4);
      assert.deepEqual(
        all.filter(([, redelivered]) => redelivered),
        [[1, true, 'acme', 3]],
      );
    },
    { noAck: true },
  );
}

async function topicsWithWildcards() {
  const seen = new Heard();
  const exchange = unique('nest');
  await serving(
    { queue: exchange, queueOptions: { durable: false, autoDelete: true }, wildcards: true },
    [
      [EventPattern, 'orders.*.created', (payload) => seen.push(`created ${payload}`)],
      [MessagePattern, 'count.#', (payload) => payload.length],
    ],
    async (client) => {
      await firstValueFrom(client.emit('orders.eu.created', 'o1'), { defaultValue: undefined });
      await firstValueFrom(client.emit('orders.eu.deleted', 'o2'), { defaultValue: undefined });
      assert.equal(await ask(client, 'count.all.of.them', [1, 2, 3]), 3);
      assert.deepEqual(await seen.first(1), ['created o1']);
    },
  );
}

async function fanoutExchanges() {
  const seen = new Heard();
  const options = {
    exchange: unique('nest'),
    exchangeType: 'fanout',
    queueOptions: { exclusive: true },
  };
  const handlers = (name) => [[EventPattern, 'news', (payload) => seen.push(`${name} ${payload}`)]];
  await serving({ ...options, queue: unique('a') }, handlers('a'), () =>
    serving({ ...options, queue: unique('b') }, handlers('b'), async (client) => {
      await firstValueFrom(client.emit('news', 'x'), { defaultValue: undefined });
      assert.deepEqual(sorted(await seen.first(2)), ['a x', 'b x']);
    }),
  );
}

async function aReplyQueueOfItsOwn() {
  const replyQueue = unique('replies');
  await serving(
    passing(),
    [[MessagePattern, 'up', (text) => text.toUpperCase()]],
    async (client) => {
      const raw = client.unwrap();
      const channel = raw.createChannel({
        setup: (one) => one.assertQueue(replyQueue, { autoDelete: true }),
      });
      await channel.waitForConnect();
      const own = ClientProxyFactory.create({
        transport: Transport.RMQ,
        options: {
          urls: [URL],
          queue: client.queue,
          queueOptions: client.queueOptions,
          replyQueue,
        },
      });
      assert.equal(await ask(own, 'up', 'a'), 'A');
      await own.close();
      await channel.close();
    },
  );
}

async function theBrokerComesBack() {
  const queue = unique('nest');
  await serving(
    { queue, queueOptions: { durable: true } },
    [[MessagePattern, 'up', (text) => text.toUpperCase()]],
    async (client) => {
      assert.equal(await ask(client, 'up', 'before'), 'BEFORE');
      await restartBroker();
      const answer = () =>
        Promise.race([
          ask(client, 'up', 'behind'),
          new Promise((resolve) => setTimeout(resolve, 1_000)),
        ]);
      await until(
        () =>
          answer().then(
            (text) => text === 'BEHIND',
            () => false,
          ),
        'the server answers again',
      );
      await client
        .unwrap()
        .createChannel({ setup: (raw) => raw.deleteQueue(queue) })
        .waitForConnect();
    },
  );
}

await run({
  'request and reply': requestAndReply,
  'events and acknowledgements': eventsAndAcknowledgements,
  'topics with wildcards': topicsWithWildcards,
  'fanout exchanges': fanoutExchanges,
  'a reply queue of its own': aReplyQueueOfItsOwn,
  'the broker comes back': theBrokerComesBack,
});

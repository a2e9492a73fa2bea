/** Handlers of @golevelup/nestjs-rabbitmq; decorators are called as the functions they are. */
import assert from 'node:assert/strict';
import {
  AmqpConnection,
  MessageHandlerErrorBehavior,
  Nack,
  RabbitMQModule,
  RabbitRPC,
  RabbitSubscribe,
} from '@golevelup/nestjs-rabbitmq';
import { Injectable, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Heard, restartBroker, run, sorted, unique, until, URL } from './cases.mjs';

Logger.overrideLogger(false);

/** A provider with a handler for each: `(message, raw) => answer`. */
async function serving(config, handlers, use) {
  const Handlers = function () {};
  handlers.forEach(([decorator, handle], index) => {
    const name = `handle${index}`;
    Handlers.prototype[name] = handle;
    decorator(Handlers.prototype, name, Object.getOwnPropertyDescriptor(Handlers.prototype, name));
  });
  Injectable()(Handlers);
  const App = function () {};
  const options = {
    uri: URL,
    connectionManagerOptions: { reconnectTimeInSeconds: 0.1 },
    connectionInitOptions: { wait: true, timeout: 20_000 },
    ...config,
  };
  Module({ imports: [RabbitMQModule.forRoot(options)], providers: [Handlers] })(App);
  const app = await NestFactory.createApplicationContext(App, { logger: false });
  try {
    await use(app.get(AmqpConnection));
  } finally {
    await app.close();
  }
}

const exclusive = { queueOptions: { exclusive: true } };

async function subscribers() {
  const [exchange, dead, seen] = [unique('e'), unique('dead'), new Heard()];
  await serving(
    {
      exchanges: [{ name: exchange, type: 'topic', options: { autoDelete: true } }],
      queues: [{ name: dead, options: { exclusive: true } }],
      prefetchCount: 3,
    },
    [
      [
        RabbitSubscribe({
          exchange,
          routingKey: 'a.#',
          queue: unique('q'),
          queueOptions: { exclusive: true, deadLetterExchange: '', deadLetterRoutingKey: dead },
        }),
        (message, raw) => {
          seen.push([message.n, raw.fields.redelivered]);
          if (message.n === 1 && !raw.fields.redelivered) return new Nack(true);
          if (message.n === 2) return new Nack(false);
        },
      ],
      [
        RabbitSubscribe({ queue: dead, createQueueIfNotExists: false }),
        (message, raw) => seen.push(['dead', raw.properties.headers['x-death'][0].reason]),
      ],
      [
        RabbitSubscribe({
          exchange,
          routingKey: 'fails',
          queue: unique('q'),
          ...exclusive,
          errorBehavior: MessageHandlerErrorBehavior.ACK,
        }),
        () => {
          throw new Error('as it should');
        },
      ],
    ],
    async (connection) => {
      for (let n = 0; n < 3; n++) await connection.publish(exchange, 'a.b', { n });
      await connection.publish(exchange, 'fails', {});
      const all = sorted((await seen.first(5)).map((one) => one.join(' ')));
      assert.deepEqual(all, ['0 false', '1 false', '1 true', '2 false', 'dead rejected']);
    },
  );
}

async function requestAndReply() {
  const exchange = unique('e');
  await serving(
    {
      exchanges: [{ name: exchange, type: 'direct', options: { autoDelete: true } }],
      enableDirectReplyTo: true,
    },
    [
      [
        RabbitRPC({ exchange, routingKey: 'double', queue: unique('q'), ...exclusive }),
        ({ n }) => ({ twice: 2 * n }),
      ],
    ],
    async (connection) => {
      const call = (n) =>
        connection.request({ exchange, routingKey: 'double', payload: { n }, timeout: 20_000 });
      const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => call(n)));
      assert.deepEqual(
        answers.map(({ twice }) => twice),
        Array.from({ length: 50 }, (_, n) => 2 * n),
      );
    },
  );
}

async function cancelAndResume() {
  const [queue, seen] = [unique('q'), new Heard()];
  await serving(
    {},
    [
      [
        RabbitSubscribe({
          queue,
          queueOptions: { durable: true, consumerOptions: { consumerTag: 'mine' } },
        }),
        (message) => {
          seen.push(message.n);
        },
      ],
    ],
    async (connection) => {
      await connection.cancelConsumer('mine');
      await connection.publish('', queue, { n: 1 });
      assert.deepEqual(seen.all, []);
      await connection.resumeConsumer('mine');
      assert.deepEqual(await seen.first(1), [1]);
      await connection.channel.deleteQueue(queue);
    },
  );
}

async function theBrokerComesBack() {
  const [exchange, seen] = [unique('e'), new Heard()];
  await serving(
    { exchanges: [{ name: exchange, type: 'fanout', options: { durable: true } }] },
    [
      [
        RabbitSubscribe({ exchange, routingKey: '', queue: unique('q'), ...exclusive }),
        (message) => {
          seen.push(message);
        },
      ],
    ],
    async (connection) => {
      await connection.publish(exchange, '', 'before');
      await seen.first(1);
      await restartBroker();
      await until(async () => {
        await connection.publish(exchange, '', 'behind', { timeout: 500 }).catch(() => undefined);
        return seen.all.includes('behind');
      }, 'what was published behind it');
      await connection.channel.deleteExchange(exchange);
    },
  );
}

await run({
  subscribers,
  'request and reply': requestAndReply,
  'cancel and resume': cancelAndResume,
  'the broker comes back': theBrokerComesBack,
});

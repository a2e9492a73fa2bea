/** How a client leaves: what it has said before counts, and nothing of what it had is forgotten. */
import { expect, test } from 'vitest';
import { encodeBody, encodeHeader, encodeMethod } from '../../../test/amqp/raw-amqp.ts';
import { answersOf, LOGIN, OPEN } from '../../../test/server-amqp/raw-login.ts';
import { onSimAmqp } from '../../../test/server-amqp/sim-amqp.ts';
import { TX_STEPS_MAX } from '../../core/queue-limits.ts';
import type { Delivery } from '../../broker/queues/queue.ts';
import { Transaction } from './transaction.ts';

function published(routingKey: string, body: string): Buffer {
  return Buffer.concat([
    encodeMethod(1, 'BasicPublish', { routingKey }),
    encodeHeader(1, body.length, { deliveryMode: 2 }),
    encodeBody(1, Buffer.from(body)),
  ]);
}

test('what was published before a connection was closed counts, also behind a method that takes time', async () => {
  await onSimAmqp({}, async ({ env, log, connect, until }) => {
    const connection = log.connectAmqp();
    const answers = answersOf(connection);
    connection.write([LOGIN]);
    await until(() => answers.length > 0);
    await env.timers.sleep(1_000);
    const said = [
      OPEN,
      encodeMethod(1, 'QueueDeclare', { queue: 'new', durable: true }),
      published('new', 'one'),
      encodeMethod(1, 'QueueDeclare', { queue: 'newer', durable: true }),
      published('new', 'two'),
      published('newer', 'three'),
      encodeMethod(0, 'ConnectionClose', { replyCode: 200 }),
    ];
    connection.write([Buffer.concat(said)]);
    const closeOk = encodeMethod(0, 'ConnectionCloseOk');
    await until(() => Buffer.concat(answers).includes(closeOk));
    const channel = await (await connect()).channel();
    const counts: number[] = [];
    for (const queue of ['new', 'newer'])
      counts.push((await channel.declareQueue({ queue, durable: true })).messages);
    expect(counts).toEqual([2, 1]);
  });
});

test('what made a transaction too large is not forgotten', () => {
  const transaction = new Transaction();
  const deliveries = Array.from({ length: TX_STEPS_MAX + 1 }) as unknown as readonly Delivery[];
  const staged = { tags: [], deliveries, how: 'accept', options: undefined } as const;
  expect(() => transaction.settle(staged)).toThrow('a transaction holds');
  expect(transaction.settlements).toEqual([staged]);
});

/** Transactions of a channel, where time matters: on a simulated machine, whose clock is its own. */
import { afterEach, expect, test, vi } from 'vitest';
import { encodeBody, encodeHeader, encodeMethod } from '../../../test/amqp/raw-amqp.ts';
import { answersOf, LOGIN, OPEN } from '../../../test/server-amqp/raw-login.ts';
import { onSimAmqp, type SimAmqp } from '../../../test/server-amqp/sim-amqp.ts';
import type { AmqpChannel } from '../../client/amqp/channel.ts';
import type { Connection } from '../../core/env.ts';
import { TX_PIECE_STEPS } from '../../core/queue-limits.ts';
import type { FieldTable } from '../../wire/amqp/field-table.ts';
import { Publisher } from './publisher.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('what is published in a transaction begins to live with its commit', async () => {
  await onSimAmqp({}, async ({ env, log, connect, until }) => {
    const channel = await (await connect()).channel();
    const queue = 'short-lived';
    await channel.declareQueue({ queue, arguments: { 'x-message-ttl': 1_000 } });
    const connection = log.connectAmqp();
    const answers = answersOf(connection);
    const answered = (method: string): Promise<void> =>
      until(() => Buffer.concat(answers).includes(encodeMethod(1, method)));
    connection.write([LOGIN]);
    await env.timers.sleep(1_000);
    const said = [
      OPEN,
      encodeMethod(1, 'TxSelect'),
      encodeMethod(1, 'BasicPublish', { routingKey: queue }),
      encodeHeader(1, 1, {}),
      encodeBody(1, Buffer.from('m')),
    ];
    connection.write([Buffer.concat(said)]);
    await answered('TxSelectOk');
    await env.timers.sleep(5_000);
    connection.write([encodeMethod(1, 'TxCommit')]);
    await answered('TxCommitOk');
    const found = await channel.get(queue, { noAck: true });
    expect(found?.body.toString()).toBe('m');
  });
});

const MANY = numbers(TX_PIECE_STEPS + 100);
/** Three pieces of 17, 17 and 6. */
const LARGE = numbers(40).map((number) => number.padEnd(60_000, '.'));
const COMMITTED = encodeMethod(1, 'TxCommitOk');

/** A connection with a channel in a transaction: it has acknowledged what was in the queue, and published these to it. */
async function published(
  { env, log, until }: SimAmqp,
  bodies: readonly string[],
): Promise<{ readonly connection: Connection; readonly got: () => Buffer }> {
  const connection = log.connectAmqp();
  const answers = answersOf(connection);
  const got = (): Buffer => Buffer.concat(answers);
  connection.write([LOGIN]);
  await env.timers.sleep(1_000);
  const said = [
    encodeMethod(0, 'ConnectionTuneOk', { channelMax: 10, frameMax: 131_072, heartbeat: 0 }),
    encodeMethod(0, 'ConnectionOpen', { virtualHost: '/' }),
    encodeMethod(1, 'ChannelOpen'),
    encodeMethod(1, 'TxSelect'),
    encodeMethod(1, 'BasicGet', { queue: 'q' }),
  ];
  const publish = encodeMethod(1, 'BasicPublish', { routingKey: 'q' });
  for (const body of bodies)
    said.push(publish, encodeHeader(1, body.length, {}), encodeBody(1, Buffer.from(body)));
  said.push(encodeMethod(1, 'BasicAck', { deliveryTag: 1 }));
  said.push(encodeMethod(1, 'BasicQos', { prefetchCount: 0 }));
  connection.write([Buffer.concat(said)]);
  await until(() => got().includes(encodeMethod(1, 'BasicQosOk')));
  return { connection, got };
}

/** Calls back with each piece that is published. */
function onPiece(told: (messages: number) => void): void {
  const publishNow = Reflect.get(Publisher.prototype, 'publishNow');
  vi.spyOn(Publisher.prototype, 'publishNow').mockImplementation(function (
    this: Publisher,
    channel,
    messages,
  ) {
    told(messages.length);
    return publishNow.call(this, channel, messages);
  });
}

/** A queue in which one message is. */
async function queueOfOne(under: SimAmqp, table: FieldTable = {}): Promise<AmqpChannel> {
  const channel = await (await under.connect()).channel();
  await channel.declareQueue({ queue: 'q', durable: true, arguments: table });
  await channel.publish({ routingKey: 'q', properties: {}, body: Buffer.from('held') });
  return channel;
}

/** Bodies of what is in the queue when it is so much. */
async function contents(
  { until }: SimAmqp,
  channel: AmqpChannel,
  count: number,
): Promise<string[]> {
  const bodies: string[] = [];
  await channel.consume({ queue: 'q', noAck: true }, ({ body }) => {
    bodies.push(body.toString());
  });
  await until(() => bodies.length >= count);
  return bodies;
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, number) => String(number));
}

test.each([
  ['many', MANY, [TX_PIECE_STEPS, 100]],
  ['large', LARGE, [17, 17, 6]],
] as const)(
  'a transaction of %s messages is committed in pieces, between which others have their turn',
  async (_, bodies, pieces) => {
    await onSimAmqp({}, async (under) => {
      const { env, until } = under;
      const channel = await queueOfOne(under);
      const { connection, got } = await published(under, bodies);
      const turns: (number | string)[] = [];
      onPiece((messages) => {
        turns.push(messages);
        env.timers.immediate(() => turns.push('others'));
      });
      connection.write([encodeMethod(1, 'TxCommit')]);
      await until(() => got().includes(COMMITTED));
      expect(turns).toEqual(pieces.flatMap((messages) => [messages, 'others']));
      expect(await contents(under, channel, bodies.length)).toEqual(bodies);
    });
  },
);

test('a client that leaves in the middle of its commit has committed all of it', async () => {
  await onSimAmqp({}, async (under) => {
    const channel = await queueOfOne(under);
    const { connection } = await published(under, LARGE);
    onPiece(() => connection.destroy());
    connection.write([encodeMethod(1, 'TxCommit')]);
    expect(await contents(under, channel, LARGE.length)).toEqual(LARGE);
  });
});

test('when it leaves and a message is refused, what it had acknowledged is in the queue again', async () => {
  await onSimAmqp({}, async (under) => {
    const limit = LARGE.length - 3;
    const table = { 'x-max-length': limit, 'x-overflow': 'reject-publish' };
    const channel = await queueOfOne(under, table);
    const { connection } = await published(under, LARGE);
    onPiece(() => connection.destroy());
    connection.write([encodeMethod(1, 'TxCommit')]);
    const isBack = async (): Promise<boolean> => {
      const { messages } = await channel.declareQueue({ queue: 'q', passive: true });
      return messages === limit + 1;
    };
    await under.until(isBack);
    const bodies = ['held', ...LARGE.slice(0, limit)];
    expect(await contents(under, channel, bodies.length)).toEqual(bodies);
  });
});

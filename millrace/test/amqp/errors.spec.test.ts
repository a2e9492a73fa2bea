/**
 * What is refused is refused as RabbitMQ does it: with its code, by the close of the channel or of the connection, which name the method
 * that was at fault. Each case on a connection of its own, with a client that says only what it is told.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AmqpUnderTest, startAmqpUnderTest, uniqueName } from './amqp-under-test.ts';
import {
  encodeBody,
  encodeHeader,
  encodeMethod,
  type Fields,
  frame,
  HEARTBEAT,
  PROTOCOL_HEADER,
  RawAmqp,
} from './raw-amqp.ts';

let broker: AmqpUnderTest;
beforeAll(async () => {
  broker = await startAmqpUnderTest();
});
afterAll(() => broker.stop());

const QUEUE = uniqueName('there');
const STRANGE = uniqueName('exclusive');
const DIRECT = uniqueName('direct');
const MISSING = uniqueName('missing');

/** Things that cases speak of. */
async function prepared(): Promise<RawAmqp> {
  const client = await RawAmqp.open(broker);
  await client.call(1, 'QueueDeclare', { queue: QUEUE, durable: true });
  await client.call(1, 'ExchangeDeclare', { exchange: DIRECT, type: 'direct', durable: true });
  await client.call(1, 'QueueDeclare', { queue: STRANGE, exclusive: true });
  return client;
}

interface Case {
  readonly says: readonly (readonly [method: string, fields?: Fields])[];
  readonly closes: 'channel' | 'connection';
  /** Code, class and method. */
  readonly with: string;
}

const declare = (fields: Fields): readonly [string, Fields] => ['QueueDeclare', fields];
const exchange = (fields: Fields): readonly [string, Fields] => ['ExchangeDeclare', fields];

const CHANNEL_CASES: Readonly<Record<string, Case>> = {
  'a passive declaration of a queue that is not there': {
    says: [declare({ queue: MISSING, passive: true })],
    closes: 'channel',
    with: '404 50.10',
  },
  'a passive declaration of an exchange that is not there': {
    says: [exchange({ exchange: MISSING, type: 'direct', passive: true })],
    closes: 'channel',
    with: '404 40.10',
  },
  'a queue declared again as not durable': {
    says: [declare({ queue: QUEUE })],
    closes: 'channel',
    with: '406 50.10',
  },
  'a queue declared again with arguments': {
    says: [declare({ queue: QUEUE, durable: true, arguments: { 'x-max-length': 1 } })],
    closes: 'channel',
    with: '406 50.10',
  },
  'a queue declared again as one that deletes itself': {
    says: [declare({ queue: QUEUE, durable: true, autoDelete: true })],
    closes: 'channel',
    with: '406 50.10',
  },
  'an exclusive queue of somebody else': {
    says: [declare({ queue: STRANGE, passive: true })],
    closes: 'channel',
    with: '405 50.10',
  },
  'consuming from the exclusive queue of somebody else': {
    says: [['BasicConsume', { queue: STRANGE }]],
    closes: 'channel',
    with: '405 60.20',
  },
  'purging the exclusive queue of somebody else': {
    says: [['QueuePurge', { queue: STRANGE }]],
    closes: 'channel',
    with: '405 50.30',
  },
  'deleting the exclusive queue of somebody else': {
    says: [['QueueDelete', { queue: STRANGE }]],
    closes: 'channel',
    with: '405 50.40',
  },
  'binding the exclusive queue of somebody else': {
    says: [['QueueBind', { queue: STRANGE, exchange: DIRECT, routingKey: 'x' }]],
    closes: 'channel',
    with: '405 50.20',
  },
  'a queue with a name that is kept for the broker': {
    says: [declare({ queue: 'amq.mine' })],
    closes: 'channel',
    with: '403 50.10',
  },
  'an exchange with a name that is kept for the broker': {
    says: [exchange({ exchange: 'amq.mine', type: 'direct' })],
    closes: 'channel',
    with: '403 40.10',
  },
  'an exchange declared again with another type': {
    says: [exchange({ exchange: DIRECT, type: 'fanout', durable: true })],
    closes: 'channel',
    with: '406 40.10',
  },
  'declaring the default exchange': {
    says: [exchange({ exchange: '', type: 'direct', durable: true })],
    closes: 'channel',
    with: '403 40.10',
  },
  'deleting the default exchange': {
    says: [['ExchangeDelete', { exchange: '' }]],
    closes: 'channel',
    with: '403 40.20',
  },
  'deleting an exchange that every virtual host has': {
    says: [['ExchangeDelete', { exchange: 'amq.topic' }]],
    closes: 'channel',
    with: '403 40.20',
  },
  'binding a queue that is not there': {
    says: [['QueueBind', { queue: MISSING, exchange: DIRECT }]],
    closes: 'channel',
    with: '404 50.20',
  },
  'binding to an exchange that is not there': {
    says: [['QueueBind', { queue: QUEUE, exchange: MISSING }]],
    closes: 'channel',
    with: '404 50.20',
  },
  'binding to the default exchange': {
    says: [['QueueBind', { queue: QUEUE, exchange: '' }]],
    closes: 'channel',
    with: '403 50.20',
  },
  'binding an exchange that is not there': {
    says: [['ExchangeBind', { destination: MISSING, source: DIRECT }]],
    closes: 'channel',
    with: '404 40.30',
  },
  'binding a headers exchange with a strange x-match': {
    says: [
      ['QueueBind', { queue: QUEUE, exchange: 'amq.headers', arguments: { 'x-match': 'some' } }],
    ],
    closes: 'channel',
    with: '406 50.20',
  },
  'consuming from a queue that is not there': {
    says: [['BasicConsume', { queue: MISSING }]],
    closes: 'channel',
    with: '404 60.20',
  },
  'getting from a queue that is not there': {
    says: [['BasicGet', { queue: MISSING }]],
    closes: 'channel',
    with: '404 60.70',
  },
  'purging a queue that is not there': {
    says: [['QueuePurge', { queue: MISSING }]],
    closes: 'channel',
    with: '404 50.30',
  },
  'no name for a queue, and none declared before': {
    says: [['QueuePurge', { queue: '' }]],
    closes: 'channel',
    with: '404 50.30',
  },
  'an acknowledgement of nothing': {
    says: [['BasicAck', { deliveryTag: 7 }]],
    closes: 'channel',
    with: '406 60.80',
  },
  'an acknowledgement of several, none of which is known': {
    says: [['BasicAck', { deliveryTag: 7, multiple: true }]],
    closes: 'channel',
    with: '406 60.80',
  },
  'a nack of nothing': {
    says: [['BasicNack', { deliveryTag: 1 }]],
    closes: 'channel',
    with: '406 60.120',
  },
  'a rejection of nothing': {
    says: [['BasicReject', { deliveryTag: 1 }]],
    closes: 'channel',
    with: '406 60.90',
  },
  'transactions on a channel that confirms': {
    says: [['ConfirmSelect'], ['TxSelect']],
    closes: 'channel',
    with: '406 90.10',
  },
  'confirms on a channel with transactions': {
    says: [['TxSelect'], ['ConfirmSelect']],
    closes: 'channel',
    with: '406 85.10',
  },
  'a commit without a transaction': {
    says: [['TxCommit']],
    closes: 'channel',
    with: '406 90.20',
  },
  'a rollback without a transaction': {
    says: [['TxRollback']],
    closes: 'channel',
    with: '406 90.30',
  },
  'a negative length of a queue': {
    says: [declare({ queue: MISSING, arguments: { 'x-max-length': -1 } })],
    closes: 'channel',
    with: '406 50.10',
  },
  'a time to live that is text': {
    says: [declare({ queue: MISSING, arguments: { 'x-message-ttl': 'soon' } })],
    closes: 'channel',
    with: '406 50.10',
  },
  'an expiry of zero': {
    says: [declare({ queue: MISSING, arguments: { 'x-expires': 0 } })],
    closes: 'channel',
    with: '406 50.10',
  },
  'a key for dead letters without an exchange': {
    says: [declare({ queue: MISSING, arguments: { 'x-dead-letter-routing-key': 'x' } })],
    closes: 'channel',
    with: '406 50.10',
  },
  'an overflow that is not known': {
    says: [declare({ queue: MISSING, arguments: { 'x-overflow': 'explode' } })],
    closes: 'channel',
    with: '406 50.10',
  },
  'more priorities than there are': {
    says: [declare({ queue: MISSING, arguments: { 'x-max-priority': 256 } })],
    closes: 'channel',
    with: '406 50.10',
  },
  'a kind of queue that is not known': {
    says: [declare({ queue: MISSING, durable: true, arguments: { 'x-queue-type': 'odd' } })],
    closes: 'channel',
    with: '406 50.10',
  },
  'a quorum queue that is exclusive': {
    says: [
      declare({
        queue: MISSING,
        durable: true,
        exclusive: true,
        arguments: { 'x-queue-type': 'quorum' },
      }),
    ],
    closes: 'channel',
    with: '406 50.10',
  },
  'a priority of a consumer that is text': {
    says: [['BasicConsume', { queue: QUEUE, arguments: { 'x-priority': 'high' } }]],
    closes: 'channel',
    with: '406 60.20',
  },
  'a priority of a consumer that is nothing': {
    says: [['BasicConsume', { queue: QUEUE, arguments: { 'x-priority': null } }]],
    closes: 'channel',
    with: '406 60.20',
  },
};

const CONNECTION_CASES: Readonly<Record<string, Case>> = {
  'a prefetch in bytes': {
    says: [['BasicQos', { prefetchSize: 1_000, prefetchCount: 1 }]],
    closes: 'connection',
    with: '540 60.10',
  },
  'recovering without requeueing': {
    says: [['BasicRecover', { requeue: false }]],
    closes: 'connection',
    with: '540 60.110',
  },
  'stopping the flow': {
    says: [['ChannelFlow', { active: false }]],
    closes: 'connection',
    with: '540 20.20',
  },
  'a tag that a consumer has': {
    says: [
      ['BasicConsume', { queue: QUEUE, consumerTag: 'tag' }],
      ['BasicConsume', { queue: QUEUE, consumerTag: 'tag' }],
    ],
    closes: 'connection',
    with: '530 60.20',
  },
  'opening an open channel': {
    says: [['ChannelOpen']],
    closes: 'connection',
    with: '504 20.10',
  },
  'a method that only servers say': {
    says: [['QueueDeclareOk', { queue: 'x', messageCount: 0, consumerCount: 0 }]],
    closes: 'connection',
    with: '503 50.11',
  },
  'a second login': {
    says: [['ConnectionOpen', { virtualHost: '/' }]],
    closes: 'connection',
    with: '503 10.40',
  },
};

async function outcome({ says, closes }: Case): Promise<string> {
  const client = await RawAmqp.open(broker);
  try {
    for (const [method, fields] of says) client.send(1, method, fields);
    const close = await client.expectClose(closes === 'channel' ? 1 : 0);
    expect(close['replyText']).toMatch(/^[A-Z_]+ - ./);
    if (closes === 'channel') await client.call(1, 'ChannelOpen');
    return `${String(close['replyCode'])} ${String(close['classId'])}.${String(close['methodId'])}`;
  } finally {
    await client.close();
  }
}

test('channels are closed, and their numbers free again', async () => {
  const client = await prepared();
  const outcomes: Record<string, string> = {};
  for (const [name, one] of Object.entries(CHANNEL_CASES)) outcomes[name] = await outcome(one);
  const expected = Object.entries(CHANNEL_CASES).map(([name, one]) => [name, one.with]);
  expect(outcomes).toEqual(Object.fromEntries(expected));
  await client.close();
});

test('connections are closed', async () => {
  const client = await prepared();
  const outcomes: Record<string, string> = {};
  for (const [name, one] of Object.entries(CONNECTION_CASES)) outcomes[name] = await outcome(one);
  const expected = Object.entries(CONNECTION_CASES).map(([name, one]) => [name, one.with]);
  expect(outcomes).toEqual(Object.fromEntries(expected));
  await client.call(1, 'QueueDelete', { queue: QUEUE });
  await client.call(1, 'ExchangeDelete', { exchange: DIRECT });
  await client.close();
});

test('a type of exchange that is not known: as RabbitMQ 4, the channel', async () => {
  const client = await RawAmqp.open(broker);
  client.send(1, 'ExchangeDeclare', { exchange: MISSING, type: 'odd' });
  // RabbitMQ 3 closes the connection, with 503.
  const channel = broker.kind === 'millrace' ? 1 : 0;
  const close = await client.expectClose(channel);
  expect(close).toMatchObject({ classId: 40, methodId: 10, replyCode: channel === 1 ? 406 : 503 });
  await client.close();
});

test('a method on a channel that is not open', async () => {
  const client = await RawAmqp.open(broker);
  client.send(9, 'BasicQos', { prefetchCount: 1 });
  expect(await client.expectClose()).toMatchObject({ replyCode: 504, classId: 60, methodId: 10 });
  await client.untilEnded();
});

/** Bytes after the login, and the code with which they end the connection. */
const BAD_BYTES: Readonly<Record<string, readonly [bytes: Buffer, code: number]>> = {
  'a method within a content': [
    Buffer.concat([
      encodeMethod(1, 'BasicPublish', { routingKey: 'x' }),
      encodeMethod(1, 'BasicQos', { prefetchCount: 1 }),
    ]),
    505,
  ],
  'a body without a header': [
    Buffer.concat([
      encodeMethod(1, 'BasicPublish', { routingKey: 'x' }),
      encodeBody(1, Buffer.from('x')),
    ]),
    505,
  ],
  'a header that nobody has announced': [encodeHeader(1, 3), 505],
  'a body that nobody has announced': [encodeBody(1, Buffer.from('abc')), 505],
  'a frame of a kind that there is not': [frame(7, 1, Buffer.from('abc')), 501],
  'a frame without its end': [
    Buffer.concat([HEARTBEAT.subarray(0, 7), Buffer.of(0), HEARTBEAT]),
    501,
  ],
  'a method that there is not': [frame(1, 1, Buffer.of(0, 60, 3, 231)), 540],
  'a class that there is not': [frame(1, 1, Buffer.of(3, 231, 0, 10)), 540],
  'a method without all of its number': [frame(1, 1, Buffer.of(0, 60, 0)), 501],
  'arguments cut short': [frame(1, 1, Buffer.of(0, 60, 0, 20, 0, 0, 9, 1)), 502],
  'a frame larger than agreed': [frame(3, 1, Buffer.alloc(140_000)), 501],
};

test.each(Object.entries(BAD_BYTES))('%s ends the connection', async (name, [bytes, code]) => {
  const client = await RawAmqp.open(broker);
  client.bytes(bytes);
  // RabbitMQ 3 tells other codes for some; that the connection ends is the same.
  const close = await client.expectClose().catch((error: unknown) => ({ error }));
  if (broker.kind === 'millrace') expect([name, close]).toMatchObject([name, { replyCode: code }]);
  await client.untilEnded();
  expect(client.ended).toBe(true);
});

test('delivery at once, or not at all, is not done', async () => {
  const client = await RawAmqp.open(broker);
  client.publish(1, { routingKey: 'x', immediate: true }, {}, Buffer.from('x'));
  expect(await client.expectClose()).toMatchObject({ replyCode: 540, classId: 60, methodId: 40 });
  await client.untilEnded();
});

test('a method of a channel on channel 0 ends the connection', async () => {
  const client = await RawAmqp.open(broker);
  client.send(0, 'BasicQos', { prefetchCount: 1 });
  expect(await client.expectClose()).toMatchObject({ replyCode: 504, classId: 60, methodId: 10 });
  await client.untilEnded();
});

test('more of a body than was announced ends the connection', async () => {
  // RabbitMQ 3 waits for the rest of a body that has no rest.
  if (broker.kind === 'other') return;
  const client = await RawAmqp.open(broker);
  client.bytes(
    Buffer.concat([
      encodeMethod(1, 'BasicPublish', { routingKey: 'x' }),
      encodeHeader(1, 3),
      encodeBody(1, Buffer.from('abcd')),
      encodeBody(1, Buffer.from('e')),
    ]),
  );
  expect((await client.expectClose())['replyCode']).toBeGreaterThanOrEqual(501);
  await client.untilEnded();
});

test.each([
  ['of another protocol', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['of AMQP 1.0', 'AMQP\x00\x01\x00\x00'],
  ['of nothing', 'HELO\r\n\r\n\r\n'],
])('a header %s is answered with ours, and the end', async (_name, text) => {
  const client = await RawAmqp.connect(broker.host, broker.port);
  client.bytes(Buffer.from(text, 'latin1'));
  await client.untilEnded();
  expect(client.strange.subarray(0, 8).toString('latin1')).toBe(PROTOCOL_HEADER.toString('latin1'));
});

test('the old number of version 0-9-1 is understood', async () => {
  const client = await RawAmqp.connect(broker.host, broker.port);
  client.bytes(Buffer.from('AMQP\x01\x01\x00\x09', 'latin1'));
  expect((await client.expect(0, 'ConnectionStart')).fields).toMatchObject({
    versionMajor: 0,
    versionMinor: 9,
  });
  client.socket.destroy();
});

test('after a close of a channel what was still on its way is ignored', async () => {
  const client = await RawAmqp.open(broker);
  client.send(1, 'BasicGet', { queue: MISSING });
  for (let n = 0; n < 50; n++) {
    client.publish(1, { routingKey: MISSING }, {}, Buffer.from('late'));
    client.send(1, 'BasicQos', { prefetchCount: 1 });
  }
  expect(await client.expectClose(1)).toMatchObject({ replyCode: 404 });
  await client.call(1, 'ChannelOpen');
  await client.call(1, 'BasicQos', { prefetchCount: 1 });
  expect(client.events).toEqual([]);
  await client.close();
});

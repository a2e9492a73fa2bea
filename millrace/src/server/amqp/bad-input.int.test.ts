/** Whatever comes in on the port: the code that a user of RabbitMQ 4 would get, with the ids of the method, and nothing else happens. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  encodeBody,
  encodeHeader,
  encodeMethod,
  type Fields,
  frame,
  PROTOCOL_HEADER,
  RawAmqp,
} from '../../../test/amqp/raw-amqp.ts';
import { type RunningBroker, startBroker } from '../../broker.ts';
import { CollectingLogger } from '../../core/log.ts';
import { encodeMethod as encodeOwn } from '../../wire/amqp/method-codec.ts';

const CHANNEL_MAX = 2_047;
const MESSAGE_MAX = 64 * 1024;
const HANDSHAKE_MS = 700;

let directory: string;
let broker: RunningBroker;
let at: { readonly host: string; readonly port: number };
const logger = new CollectingLogger();

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-amqp-bad-'));
  broker = await startBroker({
    data: directory,
    kafka: { port: 0 },
    amqp: { port: 0 },
    logger,
    settings: {
      'millrace.amqp.message.max.bytes': MESSAGE_MAX,
      'millrace.handshake.timeout.ms': HANDSHAKE_MS,
    },
  });
  at = broker.amqp ?? { host: '', port: 0 };
});

afterAll(async () => {
  await broker.close();
  rmSync(directory, { recursive: true, force: true });
});

const publishTo = (exchange: string): Buffer => encodeMethod(1, 'BasicPublish', { exchange });

/** A table in a table in a table. */
function nested(depth: number): Buffer {
  let table = Buffer.alloc(4);
  for (let level = 0; level < depth; level++) {
    const entry = Buffer.concat([Buffer.from('\u0001tF'), table]);
    const size = Buffer.alloc(4);
    size.writeUInt32BE(entry.length);
    table = Buffer.concat([size, entry]);
  }
  return table;
}

function declareWithTable(table: Buffer): Buffer {
  const empty = encodeMethod(1, 'QueueDeclare', { queue: 'x' });
  // Without frame, and without the four bytes of the empty table at its end.
  const payload = Buffer.concat([empty.subarray(7, -5), table]);
  return frame(1, 1, payload);
}

const CONTENT_TOO_LONG = [publishTo(''), encodeHeader(1, 3), encodeBody(1, Buffer.from('four'))];

/** What ends the connection: code, class, method. */
const HARD: Readonly<Record<string, readonly [readonly Buffer[], number, number, number]>> = {
  'a frame with a wrong end': [[Buffer.from([8, 0, 0, 0, 0, 0, 0, 0])], 501, 0, 0],
  'a frame of an unknown type': [[Buffer.from([5, 0, 0, 0, 0, 0, 0, 0xce])], 501, 0, 0],
  'a frame larger than agreed': [[Buffer.from([1, 0, 1, 0x10, 0, 0, 0])], 501, 0, 0],
  'a body longer than announced': [CONTENT_TOO_LONG, 501, 60, 40],
  'a header without a method': [[encodeHeader(1, 3)], 505, 0, 0],
  'a body without a method': [[encodeBody(1, Buffer.from('x'))], 505, 0, 0],
  'a method instead of a header': [
    [publishTo(''), encodeMethod(1, 'BasicQos', { prefetchCount: 1 })],
    505,
    60,
    40,
  ],
  'a heartbeat on a channel': [[frame(8, 1, Buffer.alloc(0))], 505, 0, 0],
  'a method that there is not': [[frame(1, 1, Buffer.from([0, 60, 3, 231]))], 540, 60, 999],
  'a method of a server': [[encodeMethod(1, 'QueueDeclareOk', { queue: 'x' })], 503, 50, 11],
  'a second opening of a channel': [[encodeMethod(1, 'ChannelOpen')], 504, 20, 10],
  'a method on a channel that is not open': [
    [encodeMethod(7, 'BasicQos', { prefetchCount: 1 })],
    504,
    60,
    10,
  ],
  'a content on a channel that is not open': [
    [encodeMethod(9, 'BasicPublish'), encodeHeader(9, 0)],
    504,
    60,
    40,
  ],
  'a second opening of the connection': [[encodeMethod(0, 'ConnectionOpen')], 504, 10, 40],
  'a table nested 1,000 deep': [[declareWithTable(nested(1_000))], 502, 50, 10],
  'a channel beyond channel_max': [[encodeMethod(65_535, 'ChannelOpen')], 530, 20, 10],
  'a prefetch in bytes': [[encodeMethod(1, 'BasicQos', { prefetchSize: 1 })], 540, 60, 10],
  'immediate delivery': [
    [encodeMethod(1, 'BasicPublish', { immediate: true }), encodeHeader(1, 0)],
    540,
    60,
    40,
  ],
  'a flow that stops': [[encodeMethod(1, 'ChannelFlow', { active: false })], 540, 20, 20],
  'recovering without requeueing': [[encodeMethod(1, 'BasicRecover')], 540, 60, 110],
};

describe('the connection is closed by', () => {
  test.each(Object.entries(HARD))('%s', async (_, [bytes, replyCode, classId, methodId]) => {
    const client = await RawAmqp.open(at);
    client.bytes(Buffer.concat(bytes));
    expect(await client.expectClose()).toMatchObject({ replyCode, classId, methodId });
    await client.untilEnded();
  });

  test('the 2,048th channel of one connection', async () => {
    const client = await RawAmqp.open(at, {}, []);
    const opens = Array.from({ length: CHANNEL_MAX + 1 }, (__, index) =>
      encodeMethod(index + 1, 'ChannelOpen'),
    );
    client.bytes(Buffer.concat(opens));
    expect(await client.expectClose()).toMatchObject({
      replyCode: 530,
      replyText:
        'NOT_ALLOWED - number of channels opened (2047) has reached the negotiated channel_max (2047)',
      classId: 20,
      methodId: 10,
    });
    await client.untilEnded();
  });

  test('a consumer tag that is in use', async () => {
    const client = await RawAmqp.open(at);
    await client.call(1, 'QueueDeclare', { queue: 'tags', exclusive: true });
    await client.call(1, 'BasicConsume', { queue: 'tags', consumerTag: 't' });
    client.send(1, 'BasicConsume', { queue: 'tags', consumerTag: 't' });
    expect(await client.expectClose()).toMatchObject({
      replyCode: 530,
      replyText: "NOT_ALLOWED - attempt to reuse consumer tag 't'",
      classId: 60,
      methodId: 20,
    });
    await client.untilEnded();
  });
});

const NO_QUEUE = "NOT_FOUND - no queue 'nope' in vhost '/'";
const UNKNOWN_TAG = 'PRECONDITION_FAILED - unknown delivery tag 5';

/** What closes the channel: text, code, class, method. */
const SOFT: Readonly<
  Record<string, readonly [string, Fields, string | undefined, number, number, number]>
> = {
  'looking for a queue': ['QueueDeclare', { queue: 'nope', passive: true }, NO_QUEUE, 404, 50, 10],
  'binding a queue': [
    'QueueBind',
    { queue: 'nope', exchange: 'amq.direct' },
    NO_QUEUE,
    404,
    50,
    20,
  ],
  'purging a queue': ['QueuePurge', { queue: 'nope' }, NO_QUEUE, 404, 50, 30],
  'consuming from a queue': ['BasicConsume', { queue: 'nope' }, NO_QUEUE, 404, 60, 20],
  'getting from a queue': ['BasicGet', { queue: 'nope' }, NO_QUEUE, 404, 60, 70],
  'no name, and no queue before': [
    'BasicGet',
    { queue: '' },
    'NOT_FOUND - no previously declared queue',
    404,
    60,
    70,
  ],
  'looking for an exchange': [
    'ExchangeDeclare',
    { exchange: 'nope', type: 'direct', passive: true },
    "NOT_FOUND - no exchange 'nope' in vhost '/'",
    404,
    40,
    10,
  ],
  'a reserved name of a queue': ['QueueDeclare', { queue: 'amq.mine' }, undefined, 403, 50, 10],
  'a reserved name of an exchange': [
    'ExchangeDeclare',
    { exchange: 'amq.mine', type: 'direct' },
    undefined,
    403,
    40,
    10,
  ],
  'deleting an exchange of the system': [
    'ExchangeDelete',
    { exchange: 'amq.topic' },
    "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
    403,
    40,
    20,
  ],
  'declaring the default exchange': [
    'ExchangeDeclare',
    { exchange: '', type: 'direct' },
    'ACCESS_REFUSED - operation not permitted on the default exchange',
    403,
    40,
    10,
  ],
  'a type of exchange that there is not': [
    'ExchangeDeclare',
    { exchange: 'odd', type: 'odd' },
    undefined,
    406,
    40,
    10,
  ],
  'another declaration of an exchange': [
    'ExchangeDeclare',
    { exchange: 'amq.topic', type: 'fanout', durable: true },
    undefined,
    406,
    40,
    10,
  ],
  'an ack of an unknown tag': ['BasicAck', { deliveryTag: 5 }, UNKNOWN_TAG, 406, 60, 80],
  'a nack of an unknown tag': ['BasicNack', { deliveryTag: 5 }, UNKNOWN_TAG, 406, 60, 120],
  'a reject of an unknown tag': ['BasicReject', { deliveryTag: 5 }, UNKNOWN_TAG, 406, 60, 90],
  'a commit without a transaction': [
    'TxCommit',
    {},
    'PRECONDITION_FAILED - channel is not transactional',
    406,
    90,
    20,
  ],
  'a rollback without a transaction': ['TxRollback', {}, undefined, 406, 90, 30],
};

async function softClose(client: RawAmqp, channel = 1): Promise<Fields> {
  const close = await client.expectClose(channel);
  // The connection goes on, and the channel may be opened again.
  await client.call(channel, 'ChannelOpen');
  await client.close();
  return close;
}

describe('the channel is closed by', () => {
  test.each(Object.entries(SOFT))(
    '%s',
    async (_, [method, fields, replyText, replyCode, classId, methodId]) => {
      const client = await RawAmqp.open(at);
      client.send(1, method, fields);
      const close = await softClose(client);
      expect(close).toMatchObject({ replyCode, classId, methodId });
      if (replyText !== undefined) expect(close['replyText']).toBe(replyText);
    },
  );

  test('a release of an unknown tag', async () => {
    const client = await RawAmqp.open(at);
    client.bytes(frame(1, 1, encodeOwn({ name: 'basic.release', deliveryTag: 5, delay: 1 })));
    const close = await client.take(({ method }) => method === 'ChannelClose', 'a close');
    expect(close.fields).toMatchObject({ replyCode: 406, classId: 60, methodId: 200 });
    await client.close();
  });

  test('a queue that is declared in another way', async () => {
    const client = await RawAmqp.open(at);
    await client.call(1, 'QueueDeclare', { queue: 'same', durable: true });
    client.send(1, 'QueueDeclare', { queue: 'same', durable: false });
    expect(await softClose(client)).toMatchObject({ replyCode: 406, classId: 50, methodId: 10 });
  });

  test("another connection's exclusive queue", async () => {
    const owner = await RawAmqp.open(at);
    await owner.call(1, 'QueueDeclare', { queue: 'mine', exclusive: true });
    const client = await RawAmqp.open(at);
    client.send(1, 'BasicConsume', { queue: 'mine' });
    expect(await softClose(client)).toMatchObject({ replyCode: 405, classId: 60, methodId: 20 });
    await owner.close();
  });

  test('a tag that was settled before', async () => {
    const client = await RawAmqp.open(at);
    await client.call(1, 'QueueDeclare', { queue: 'twice', exclusive: true });
    client.publish(1, { routingKey: 'twice' }, {}, Buffer.from('x'));
    client.send(1, 'BasicGet', { queue: 'twice' });
    await client.expect(1, 'BasicGetOk');
    client.send(1, 'BasicAck', { deliveryTag: 1 });
    client.send(1, 'BasicAck', { deliveryTag: 1 });
    expect(await softClose(client)).toMatchObject({ replyCode: 406, classId: 60, methodId: 80 });
  });

  test('a message that is too large, before it is sent', async () => {
    const client = await RawAmqp.open(at);
    client.bytes(Buffer.concat([publishTo(''), encodeHeader(1, MESSAGE_MAX + 1)]));
    const close = await client.take(({ method }) => method === 'ChannelClose', 'a close');
    expect(close.fields).toMatchObject({
      replyCode: 406,
      replyText: `PRECONDITION_FAILED - message size ${MESSAGE_MAX + 1} is larger than configured max size ${MESSAGE_MAX}`,
      classId: 60,
      methodId: 40,
    });
    // What was under way is read and dropped.
    client.bytes(encodeBody(1, Buffer.alloc(MESSAGE_MAX + 1)));
    client.send(1, 'ChannelCloseOk');
    await client.call(1, 'ChannelOpen');
    await client.close();
  });

  test.each([
    ['an exchange that is not there', { exchange: 'nope' }, {}, 404],
    ['an expiration that is no number', {}, { expiration: 'soon' }, 406],
    ['the name of another user', {}, { userId: 'somebody' }, 406],
    ['a request without somebody who waits', {}, { replyTo: 'amq.rabbitmq.reply-to' }, 406],
    ['copies that are no list', {}, { headers: { CC: 'x' } }, 406],
  ])('publishing with %s', async (_, fields, properties, replyCode) => {
    const client = await RawAmqp.open(at);
    client.publish(1, fields, properties, Buffer.from('x'));
    expect(await softClose(client)).toMatchObject({ replyCode, classId: 60, methodId: 40 });
  });

  test.each([
    ['TxSelect', 'ConfirmSelect', 85, 10],
    ['ConfirmSelect', 'TxSelect', 90, 10],
  ])('%s and then %s', async (first, second, classId, methodId) => {
    const client = await RawAmqp.open(at);
    await client.call(1, first);
    client.send(1, second);
    expect(await softClose(client)).toMatchObject({ replyCode: 406, classId, methodId });
  });
});

describe('streams', () => {
  test.each([
    ['a get', 'BasicGet', {}, 540, 70],
    ['a consumer without prefetch', 'BasicConsume', {}, 406, 20],
    ['a purge', 'QueuePurge', {}, 540, 30],
  ])('refuse %s', async (_, method, fields, replyCode, methodId) => {
    const client = await RawAmqp.open(at);
    const queue = 'stream';
    const table = { 'x-queue-type': 'stream' };
    await client.call(1, 'QueueDeclare', { queue, durable: true, arguments: table });
    client.send(1, method, { queue, ...fields });
    const close = await client.expectClose(replyCode === 540 ? 0 : 1);
    expect(close).toMatchObject({ replyCode, methodId });
    await client.close();
  });

  test('refuse a place to begin that means nothing', async () => {
    const client = await RawAmqp.open(at);
    const queue = 'stream';
    const table = { 'x-queue-type': 'stream' };
    await client.call(1, 'QueueDeclare', { queue, durable: true, arguments: table });
    await client.call(1, 'BasicQos', { prefetchCount: 5 });
    client.send(1, 'BasicConsume', { queue, arguments: { 'x-stream-offset': 'soon' } });
    expect(await softClose(client)).toMatchObject({ replyCode: 406, classId: 60, methodId: 20 });
  });
});

describe('a handshake', () => {
  test.each([
    ['HTTP', 'GET / HTTP/1.1\r\n\r\n'],
    ['TLS', '\u0016\u0003\u0001\u0002\0\u0001\0\u0001'],
    ['another version', 'AMQP\0\u0002\0\0'],
  ])('of %s is told what is spoken here', async (_, bytes) => {
    const client = await RawAmqp.connect(at.host, at.port);
    client.bytes(Buffer.from(bytes, 'latin1'));
    await client.untilEnded();
    expect(client.strange).toEqual(PROTOCOL_HEADER);
  });

  // These two wait, as does whoever is refused for a password: beside each other.
  test.concurrent.each([
    ['never begins', Buffer.alloc(0)],
    ['stops after the header', PROTOCOL_HEADER],
  ])('that %s ends after a while', async (_, bytes) => {
    const client = await RawAmqp.connect(at.host, at.port);
    client.bytes(bytes);
    await client.untilEnded();
    expect(client.ended).toBe(true);
  });

  const start = (mechanism: string, response: string): Buffer =>
    encodeMethod(0, 'ConnectionStartOk', {
      clientProperties: { capabilities: { authentication_failure_close: true } },
      mechanism,
      response: Buffer.from(response),
      locale: 'en_US',
    });

  async function begun(): Promise<RawAmqp> {
    const client = await RawAmqp.connect(at.host, at.port);
    client.bytes(PROTOCOL_HEADER);
    await client.expect(0, 'ConnectionStart');
    return client;
  }

  test.concurrent.each([
    ['with another mechanism', start('EXTERNAL', ''), 503, 10, 11],
    ['with a wrong password', start('PLAIN', '\0guest\0wrong'), 403, 0, 0],
    ['with half a response', start('PLAIN', 'guest'), 403, 0, 0],
    ['with a table cut short', start('AMQPLAIN', '\u0005LOGINS'), 502, 10, 11],
    ['out of order', encodeMethod(0, 'ConnectionOpen'), 504, 10, 40],
    ['on a channel', encodeMethod(1, 'ChannelOpen'), 505, 20, 10],
  ])('%s is refused', async (_, bytes, replyCode, classId, methodId) => {
    const client = await begun();
    client.bytes(bytes);
    expect(await client.expectClose()).toMatchObject({ replyCode, classId, methodId });
    await client.untilEnded();
  });

  test.each([
    ['frames that are too small', { channelMax: 10, frameMax: 4_095 }, 'frame_max = 4095 is lower'],
    ['frames without limit', { channelMax: 10, frameMax: 0 }, 'frame_max = 0 (no limit) is higher'],
    ['too many channels', { channelMax: 3_000, frameMax: 8_192 }, 'channel_max = 3000 is higher'],
  ])('that wants %s is refused', async (_, fields, text) => {
    const client = await begun();
    client.bytes(start('PLAIN', '\0guest\0guest'));
    await client.expect(0, 'ConnectionTune');
    client.send(0, 'ConnectionTuneOk', { ...fields, heartbeat: 0 });
    const close = await client.expectClose();
    expect(close).toMatchObject({ replyCode: 530, classId: 10, methodId: 31 });
    expect(close['replyText']).toContain(text);
    await client.untilEnded();
  });

  test('for a virtual host that is not there is refused', async () => {
    const client = await begun();
    client.bytes(start('PLAIN', '\0guest\0guest'));
    await client.expect(0, 'ConnectionTune');
    client.send(0, 'ConnectionTuneOk', { channelMax: 10, frameMax: 4_096, heartbeat: 0 });
    client.send(0, 'ConnectionOpen', { virtualHost: 'nope' });
    expect(await client.expectClose()).toMatchObject({
      replyCode: 530,
      replyText: 'NOT_ALLOWED - vhost nope not found',
      classId: 10,
      methodId: 40,
    });
  });
});

test('nothing of that was an error of the broker', () => {
  expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
});

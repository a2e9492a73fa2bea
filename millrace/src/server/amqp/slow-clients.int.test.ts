/** Transactions that fail, and clients that do not take what they are sent: over real sockets. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RawAmqp } from '../../../test/amqp/raw-amqp.ts';
import { type RunningBroker, startBroker } from '../../broker.ts';

const MESSAGE_BYTES = 64 * 1024;

let directory: string;
let broker: RunningBroker;
let at: { readonly host: string; readonly port: number };

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-amqp-slow-'));
  broker = await startBroker({ data: directory, kafka: { port: 0 }, amqp: { port: 0 } });
  at = broker.amqp ?? { host: '', port: 0 };
});

afterAll(async () => {
  await broker.close();
  rmSync(directory, { recursive: true, force: true });
});

test('a commit of which a queue refuses a message settles nothing', async () => {
  const client = await RawAmqp.open(at, {}, [1, 2]);
  const full = { 'x-max-length': 1, 'x-overflow': 'reject-publish' };
  await client.call(1, 'QueueDeclare', { queue: 'full', durable: true, arguments: full });
  await client.call(1, 'QueueDeclare', { queue: 'source', durable: true });
  client.publish(1, { routingKey: 'full' }, {}, Buffer.from('first'));
  client.publish(1, { routingKey: 'source' }, {}, Buffer.from('task'));
  await client.call(2, 'TxSelect');
  client.send(2, 'BasicGet', { queue: 'source' });
  await client.expect(2, 'BasicGetOk');
  client.publish(2, { routingKey: 'full' }, {}, Buffer.from('result'));
  client.send(2, 'BasicAck', { deliveryTag: 1 });
  client.send(2, 'TxCommit');
  expect(await client.expectClose(2)).toMatchObject({
    replyCode: 406,
    replyText: 'PRECONDITION_FAILED - partial tx completion',
    classId: 90,
    methodId: 20,
  });
  client.send(1, 'BasicGet', { queue: 'source' });
  const again = await client.expect(1, 'BasicGetOk');
  expect(again.fields).toMatchObject({ redelivered: true });
  expect(again.body?.toString()).toBe('task');
  await client.close();
});

test('a message whose headers do not fit into the frames of a consumer ends that connection alone', async () => {
  const client = await RawAmqp.open(at, {}, [1]);
  await client.call(1, 'QueueDeclare', { queue: 'wide', durable: true });
  const headers = { wide: 'x'.repeat(5_000) };
  client.publish(1, { routingKey: 'wide' }, { headers }, Buffer.from('x'));
  const narrow = await RawAmqp.open(at, { frameMax: 4_096 });
  narrow.send(1, 'BasicConsume', { queue: 'wide' });
  expect(await narrow.expectClose()).toMatchObject({ replyCode: 501 });
  client.send(1, 'BasicGet', { queue: 'wide' });
  expect((await client.expect(1, 'BasicGetOk')).properties).toMatchObject({ headers });
  await client.close();
});

test('a client that does not read is sent no more than a bound; the rest stays ready', async () => {
  const client = await RawAmqp.open(at, {}, [1, 2]);
  await client.call(1, 'QueueDeclare', { queue: 'heap', durable: true });
  await client.call(1, 'ConfirmSelect');
  const count = 640;
  const body = Buffer.alloc(MESSAGE_BYTES, 'x');
  const told = { last: 0 };
  for (let sent = 1; sent <= count; sent++)
    client.publish(1, { routingKey: 'heap' }, { deliveryMode: 2 }, body);
  while (told.last < count)
    told.last = Number((await client.expect(1, 'BasicAck')).fields['deliveryTag']);
  const lazy = await RawAmqp.open(at);
  lazy.socket.pause();
  lazy.send(1, 'BasicConsume', { queue: 'heap', consumerTag: 'lazy' });
  const ready = async (): Promise<number> => {
    const fields = { queue: 'heap', passive: true };
    return Number((await client.call(2, 'QueueDeclare', fields))['messageCount']);
  };
  // Until so many looks one after the other, with other work in between, see the same.
  let before = -1;
  for (let same = 0; same < 20; ) {
    const now = await ready();
    same = now === before && now < count ? same + 1 : 0;
    before = now;
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  }
  expect(before).toBeGreaterThan(count / 4);
  lazy.socket.resume();
  await lazy.until(() => lazy.events.length > count, 'all messages');
  await lazy.close();
  await client.close();
});

test('a publisher that does not read what comes back is not read either', async () => {
  const client = await RawAmqp.open(at);
  client.socket.pause();
  const count = 1_000;
  const body = Buffer.alloc(MESSAGE_BYTES, 'x');
  for (let sent = 0; sent < count; sent++)
    client.publish(1, { routingKey: 'nowhere', mandatory: true }, {}, body);
  // Until so many looks one after the other see the same.
  let before = -1;
  for (let same = 0; same < 50; ) {
    const now = client.socket.writableLength;
    same = now === before ? same + 1 : 0;
    before = now;
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
  }
  expect(before).toBeGreaterThan(MESSAGE_BYTES);
  client.socket.resume();
  await client.until(() => client.events.length >= count, 'all messages');
  expect(new Set(client.events.map(({ method }) => method))).toEqual(new Set(['BasicReturn']));
  await client.close();
});

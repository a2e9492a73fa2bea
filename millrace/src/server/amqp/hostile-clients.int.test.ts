/** Clients that mean harm, over real sockets: what they may not see, hold, or keep others from. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  encodeHeader,
  encodeMethod,
  PROTOCOL_HEADER,
  RawAmqp,
} from '../../../test/amqp/raw-amqp.ts';
import { type RunningBroker, startBroker } from '../../broker.ts';
import { CollectingLogger } from '../../core/log.ts';
import { AMQP_REFUSAL_DELAY_MS } from '../../core/queue-limits.ts';

let directory: string;
let broker: RunningBroker;
let at: { readonly host: string; readonly port: number };
const logger = new CollectingLogger();

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-amqp-hostile-'));
  broker = await startBroker({ data: directory, kafka: { port: 0 }, amqp: { port: 0 }, logger });
  at = broker.amqp ?? { host: '', port: 0 };
});

afterAll(async () => {
  await broker.close();
  rmSync(directory, { recursive: true, force: true });
});

async function begun(): Promise<RawAmqp> {
  const client = await RawAmqp.connect(at.host, at.port);
  client.bytes(PROTOCOL_HEADER);
  await client.expect(0, 'ConnectionStart');
  return client;
}

function guess(client: RawAmqp, password: string): void {
  client.send(0, 'ConnectionStartOk', {
    clientProperties: { capabilities: { authentication_failure_close: true } },
    mechanism: 'PLAIN',
    response: Buffer.from(`\0${'eve'.repeat(100)}\0${password}`),
    locale: 'en_US',
  });
}

async function ask(client: RawAmqp, request: unknown): Promise<unknown> {
  const to = { exchange: 'amq.millrace', routingKey: 'management' };
  const body = Buffer.from(JSON.stringify(request));
  client.publish(1, to, { replyTo: 'amq.rabbitmq.reply-to' }, body);
  const { body: answer } = await client.expect(1, 'BasicDeliver');
  return JSON.parse(answer?.toString() ?? '') as unknown;
}

test('a content before the login is refused before any of it is held', async () => {
  const client = await begun();
  client.bytes(Buffer.concat([encodeMethod(1, 'BasicPublish'), encodeHeader(1, 1_000_000)]));
  expect(await client.expectClose()).toMatchObject({ replyCode: 505 });
  await client.untilEnded();
});

test('guessing a password takes time, and shows nothing in the log', async () => {
  const startedMs = performance.now();
  const guesses = Array.from({ length: 8 }, async (_, index) => {
    const client = await begun();
    guess(client, `guess${index}`);
    expect(await client.expectClose()).toMatchObject({ replyCode: 403 });
    return client.untilEnded();
  });
  await Promise.all(guesses);
  expect(performance.now() - startedMs).toBeGreaterThan(AMQP_REFUSAL_DELAY_MS);
  const lines = logger.lines.filter(({ level }) => level === 'warn');
  expect(lines.length).toBeGreaterThan(0);
  expect(JSON.stringify(lines)).not.toMatch(/guess\d|(?:eve){50}/);
});

test('a queue over a topic shows nobody what he may not read', async () => {
  const admin = await RawAmqp.open(at);
  await admin.call(1, 'BasicConsume', { queue: 'amq.rabbitmq.reply-to', noAck: true });
  await admin.call(1, 'QueueDeclare', { queue: 'salaries', durable: true });
  const permissions = { configure: '^own', write: '^own', read: '^own' };
  for (const request of [
    { op: 'set-user', name: 'reader', password: 'r' },
    { op: 'set-permissions', user: 'reader', permissions },
    { op: 'create-vhost', name: 'other' },
    { op: 'set-permissions', user: 'guest', vhost: 'other', permissions: everything },
  ])
    expect(await ask(admin, request)).toMatchObject({ ok: true });
  const over = (topic: string) => ({
    queue: 'own',
    durable: true,
    arguments: { 'x-source-topic': topic },
  });
  const reader = await RawAmqp.open(at, { user: 'reader', password: 'r' });
  for (const topic of ['queue.salaries', 'plain-topic']) {
    reader.send(1, 'QueueDeclare', over(topic));
    expect(await reader.expectClose(1)).toMatchObject({ replyCode: 403, methodId: 10 });
    await reader.call(1, 'ChannelOpen');
  }
  const elsewhere = await RawAmqp.open(at, { vhost: 'other' });
  elsewhere.send(1, 'QueueDeclare', over('queue.salaries'));
  expect(await elsewhere.expectClose(1)).toMatchObject({ replyCode: 403, methodId: 10 });
  await admin.call(1, 'QueueDeclare', over('queue.salaries'));
  for (const client of [admin, reader, elsewhere]) await client.close();
});

const everything = { configure: '.*', write: '.*', read: '.*' };

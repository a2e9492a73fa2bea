/** What comes without a client library: HTTP, WebSockets, webhooks both ways, StatsD, through the front door. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import {
  connectMillrace,
  type ConnectMillraceOptions,
  type ConsumeOptions,
  json,
  openMillrace,
  topic,
  webhook,
} from '../../src/index.ts';

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
let dir = '';

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-direct-'));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('a record that comes over HTTP leaves as a webhook, comes in again, and is there once', async () => {
  await using millrace = await openMillrace({
    dir,
    http: {},
    webhooks: { mirror: { topic: 'copies', secret: SECRET } },
  });
  const orders = topic('orders', { value: json<{ readonly total: number }>() });
  await millrace.produce(orders, { value: { total: 1 } });
  const hook = millrace.deliver(orders, {
    name: 'mirror',
    to: `http://${millrace.http}/webhooks/mirror`,
    secret: SECRET,
    allowPrivate: true,
    from: 'beginning',
  });
  await hook.ready;
  const answer = await fetch(`http://${millrace.http}/topics/orders/records`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '[{"value":{"total":2}},{"value":{"total":3}}]',
  });
  expect(answer.status).toBe(200);
  const copies = topic('copies', { value: json<{ readonly total: number }>(), key: 'string' });
  const totals: number[] = [];
  const ids = new Set<string | null>();
  while (hook.stats().delivered < 3) await new Promise(setImmediate);
  for await (const { key, value } of millrace.consume(copies, { until: 'now' })) {
    totals.push(value.total);
    ids.add(key);
  }
  expect(totals.toSorted((left, right) => left - right)).toEqual([1, 2, 3]);
  expect(ids.size).toBe(3);
  await millrace.close();
  expect(hook.stats().state).toBe('stopped');
});

test('what is produced through the door is seen by a WebSocket, and the other way round', async () => {
  await using millrace = await openMillrace({ dir, http: {} });
  await millrace.admin.createTopic('chat', { partitions: 1 });
  const socket = new WebSocket(`ws://${millrace.http}/topics/chat/socket`);
  await once(socket, 'open');
  socket.send(JSON.stringify({ subscribe: true, from: 'beginning' }));
  socket.send(JSON.stringify({ produce: { value: 'from the socket' } }));
  const seen: unknown[] = [];
  socket.on('message', (data: Buffer) => {
    const { record } = JSON.parse(data.toString()) as { record?: { value: unknown } };
    if (record !== undefined) seen.push(record.value);
  });
  while (seen.length < 1) await new Promise(setImmediate);
  await millrace.produce('chat', { value: 'from the door' });
  while (seen.length < 2) await new Promise(setImmediate);
  expect(seen).toEqual(['from the socket', 'from the door']);
  socket.close();
});

test('messages of a queue are sent as webhooks, with the attempts of the queue', async () => {
  const got: { readonly id: unknown; readonly body: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      got.push({ id: request.headers['webhook-id'], body });
      new Webhook(SECRET).verify(body, request.headers as Record<string, string>);
      response.writeHead(got.length === 1 ? 500 : 200).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const to = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  await using millrace = await openMillrace({ dir });
  const emails = millrace.queue('emails');
  const { id } = await emails.enqueue({ to: 'ann' });
  await using worker = emails.work(webhook({ to, secret: SECRET, allowPrivate: true }), {
    retry: { delay: 1 },
  });
  await worker.ready;
  while (got.length < 2) await new Promise(setImmediate);
  expect(got).toEqual([
    { id: `msg_${id}`, body: '{"to":"ann"}' },
    { id: `msg_${id}`, body: '{"to":"ann"}' },
  ]);
  server.close();
  server.closeAllConnections();
});

test('metrics are records', async () => {
  await using millrace = await openMillrace({ dir, statsd: { topic: 'metrics', port: 0 } });
  const sender = createSocket('udp4');
  sender.send('requests:1|c|#route:home', millrace.statsd?.port ?? 0, '127.0.0.1');
  const metrics = topic('metrics', { value: json<{ readonly name: string }>() });
  for await (const { value } of millrace.consume(metrics)) {
    expect(value).toEqual({
      name: 'requests',
      type: 'counter',
      value: 1,
      rate: 1,
      tags: { route: 'home' },
    });
    break;
  }
  sender.close();
  expect(millrace.statsd?.stats()).toMatchObject({ written: 1, malformed: 0 });
});

test('what cannot be is said, and the directory is free again', async () => {
  const webhooks = { a: { topic: 't', secret: SECRET } };
  await expect(openMillrace({ dir, webhooks })).rejects.toMatchObject({
    code: 'ML_CONFIG_INVALID',
  });
  const bad = { a: { topic: 't', secret: 'x' } };
  await expect(openMillrace({ dir, http: {}, webhooks: bad })).rejects.toMatchObject({
    code: 'ML_CONFIG_INVALID',
  });
  const statsd = { topic: 'm', host: '0.0.0.0', port: 0 };
  await expect(openMillrace({ dir, http: {}, statsd })).rejects.toMatchObject({
    code: 'ML_INSECURE_BIND',
  });
  await expect(openMillrace({ dir, http: { origins: ['example.com'] } })).rejects.toMatchObject({
    code: 'ML_CONFIG_INVALID',
  });
  const misspelled: readonly [object, string][] = [
    [{ kafak: {} }, "openMillrace has no option 'kafak': did you mean 'kafka'?"],
    [{ amqp: { prot: 5672 } }, "amqp has no option 'prot': did you mean 'port'?"],
    [{ http: { origin: [] } }, "http has no option 'origin': did you mean 'origins'?"],
    [{ statsd: { topics: 'm' } }, "statsd has no option 'topics': did you mean 'topic'?"],
  ];
  for (const [options, message] of misspelled)
    await expect(openMillrace({ dir, ...options })).rejects.toMatchObject({
      code: 'ML_CONFIG_INVALID',
      message,
    });
  const connected = connectMillrace({ brokres: '127.0.0.1:1' } as ConnectMillraceOptions);
  await expect(connected).rejects.toMatchObject({
    code: 'ML_CONFIG_INVALID',
    message: "connectMillrace has no option 'brokres': did you mean 'brokers'?",
  });
  await using millrace = await openMillrace({ dir });
  expect([millrace.http, millrace.statsd]).toEqual([undefined, undefined]);
  const consuming = (): unknown => millrace.consume('t', { form: 'latest' } as ConsumeOptions);
  expect(consuming).toThrow("consume has no option 'form': did you mean 'from'?");
});

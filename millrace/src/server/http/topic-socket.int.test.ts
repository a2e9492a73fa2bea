/** WebSockets of topics, with a client that is not ours. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { HTTP_MESSAGE_BYTES_MAX } from '../../core/http-limits.ts';
import { realEnv } from '../../core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../embedded-log.ts';
import { type HttpServer, openHttp } from './open-http.ts';

const ORIGIN = 'https://app.example.com';
const env = realEnv();
const clients: Client[] = [];
let directory: string;
let log: EmbeddedLog;
let http: HttpServer;
let count = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-socket-'));
  log = await openEmbedded(env, { dataDir: join(directory, 'log') });
  http = await openHttp({ env, port: 0, origins: [ORIGIN] });
  http.serveTopics(log);
});

afterEach(() => {
  for (const each of clients.splice(0)) each.socket.terminate();
});

afterAll(async () => {
  await http.close();
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Message {
  readonly id?: string;
  readonly record?: { readonly offset: number; readonly value: unknown };
  readonly produced?: { readonly records: number; readonly next: string };
  readonly error?: { readonly code: string; readonly message: string };
  readonly end?: { readonly code: string };
  readonly ref?: unknown;
}

class Client {
  readonly socket: WebSocket;
  readonly messages: Message[] = [];
  #taken = 0;
  #onMessage = (): void => {};

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer) => {
      this.messages.push(JSON.parse(data.toString()) as Message);
      this.#onMessage();
    });
    socket.on('error', () => {});
  }

  static async open(topic: string, server = http): Promise<Client> {
    const client = new Client(new WebSocket(`ws://${server.address}/topics/${topic}/socket`));
    clients.push(client);
    await once(client.socket, 'open');
    return client;
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  async next(): Promise<Message> {
    while (this.#taken >= this.messages.length)
      await new Promise<void>((resolve) => (this.#onMessage = resolve));
    return this.messages[this.#taken++] ?? {};
  }

  async values(wanted: number): Promise<unknown[]> {
    const values: unknown[] = [];
    while (values.length < wanted) values.push((await this.next()).record?.value);
    return values;
  }
}

async function newTopic(partitions = 1): Promise<string> {
  const name = `socket-${count++}`;
  await log.createTopics([{ name, partitions, configs: {} }]);
  return name;
}

async function put(topic: string, values: readonly unknown[]): Promise<void> {
  const producer = await log.producer({});
  for (const value of values) producer.append(topic, 0, 1, null, JSON.stringify(value));
  await producer.flush();
  await producer.close();
}

test('records are sent as far as there is credit, and another socket goes on behind them', async () => {
  const topic = await newTopic();
  await put(topic, [0, 1, 2, 3, 4]);
  const client = await Client.open(topic);
  client.send({ subscribe: true, from: 'beginning', credit: 2 });
  expect(await client.next()).toEqual({ subscribed: true, id: '0:0' });
  expect(await client.values(2)).toEqual([0, 1]);
  // What is answered comes after what would have been sent before.
  client.send({ produce: { value: 5 }, ref: 'a' });
  expect(await client.next()).toMatchObject({ produced: { records: 1, next: '0:6' }, ref: 'a' });
  client.send({ credit: 2 });
  expect(await client.values(2)).toEqual([2, 3]);
  const { id } = client.messages.at(-1) ?? {};
  expect(id).toBe('0:4');
  client.socket.close();
  const other = await Client.open(topic);
  other.send({ subscribe: true, after: id });
  expect(await other.next()).toEqual({ subscribed: true, id: '0:4' });
  expect(await other.values(2)).toEqual([4, 5]);
  other.send({ unsubscribe: true });
  expect(await other.next()).toEqual({ unsubscribed: true, id: '0:6' });
  other.send({ subscribe: true, from: '0:1', values: 'text', credit: 1 });
  expect(await other.next()).toEqual({ subscribed: true, id: '0:1' });
  expect(await other.values(1)).toEqual(['1']);
});

test('who ends a subscription with a buffer is told where what it was sent ends', async () => {
  const topic = await newTopic();
  const client = await Client.open(topic);
  client.send({ subscribe: true, slow: 'buffer', credit: 2 });
  expect(await client.next()).toEqual({ subscribed: true, id: '0:0' });
  for (const value of [0, 1, 2, 3, 4]) {
    client.send({ produce: { value } });
    if (value < 2) await client.next();
    await client.next();
  }
  // Until the last two of them are held for it.
  const probe = await Client.open(topic);
  probe.send({ subscribe: true, from: 'beginning' });
  await probe.next();
  await probe.values(5);
  client.send({ unsubscribe: true });
  expect(await client.next()).toEqual({ unsubscribed: true, id: '0:2' });
  client.send({ subscribe: true, after: '0:2' });
  await client.next();
  expect(await client.values(3)).toEqual([2, 3, 4]);
});

test('who produces is told each place, in order', async () => {
  const topic = await newTopic();
  const client = await Client.open(topic);
  for (let index = 0; index < 100; index++)
    client.send({ produce: [{ value: index }, { value: -index, key: 'k' }], ref: index });
  for (let index = 0; index < 100; index++)
    expect(await client.next()).toMatchObject({
      ref: index,
      produced: { records: 2, next: `0:${2 * index + 2}`, offsets: [{ offset: 2 * index }, {}] },
    });
});

test('beyond its buffer it ends, and says why', async () => {
  const topic = await newTopic();
  const client = await Client.open(topic);
  client.send({ subscribe: true, slow: 'buffer', buffer: 10_000, credit: 0 });
  await client.next();
  await put(
    topic,
    Array.from({ length: 100 }, () => 'x'.repeat(1_000)),
  );
  const closed = once(client.socket, 'close');
  expect((await client.next()).end?.code).toBe('ML_HTTP_SLOW');
  expect((await closed)[0]).toBe(1013);
});

test.each([
  ['no JSON', '{'],
  ['no object', '[]'],
  ['nothing that is known', '{"hello":1}'],
  ['a field that is not', '{"subscribe":true,"form":"end"}'],
  ['credit for nobody', '{"credit":1}'],
  ['credit that is none', '{"subscribe":true,"credit":-1}'],
  ['a place that is none', '{"subscribe":true,"slow":"never"}'],
  ['unsubscribing from nothing', '{"unsubscribe":true}'],
  ['a record that is none', '{"produce":1,"ref":"a"}'],
])('%s is an error, and the socket goes on', async (_name, text) => {
  const topic = await newTopic();
  const client = await Client.open(topic);
  client.send(text);
  expect((await client.next()).error?.code).toBe('ML_HTTP_REQUEST');
  client.send({ produce: { value: 1 } });
  expect((await client.next()).produced?.records).toBe(1);
});

test('where it cannot begin it ends', async () => {
  const topic = await newTopic();
  await put(topic, [1, 2]);
  await log.deleteRecords([{ topic, partition: 0, offset: 1 }]);
  const client = await Client.open(topic);
  client.send({ subscribe: true, after: '0:0' });
  expect((await client.next()).end?.code).toBe('ML_OFFSET_OUT_OF_RANGE');
  const missing = await Client.open('not-there');
  missing.send({ subscribe: true });
  expect((await missing.next()).end?.code).toBe('ML_TOPIC_MISSING');
});

test('messages that are too large, or are no text, are not taken', async () => {
  const topic = await newTopic();
  const client = await Client.open(topic);
  client.socket.send(Buffer.from([1]));
  expect((await client.next()).error?.message).toMatch(/is text/);
  client.send('x'.repeat(HTTP_MESSAGE_BYTES_MAX + 1));
  expect((await once(client.socket, 'close'))[0]).toBe(1009);
});

function upgrade(path: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({
      host: http.host,
      port: http.port,
      path,
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers,
      },
    });
    asked.on('upgrade', (_answer, socket) => {
      socket.destroy();
      resolve(101);
    });
    asked.on('response', (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    asked.on('error', reject);
    asked.end();
  });
}

test('pages of other sites open none', async () => {
  const topic = await newTopic();
  const path = `/topics/${topic}/socket`;
  expect(await upgrade(path, { origin: 'https://evil.example' })).toBe(403);
  expect(await upgrade(path, { origin: 'null' })).toBe(403);
  const host = `evil.example:${http.port}`;
  expect(await upgrade(path, { origin: `http://${host}`, host })).toBe(421);
  expect(await upgrade(path, { origin: ORIGIN })).toBe(101);
  expect(await upgrade(path, { origin: `http://127.0.0.1:${http.port}` })).toBe(101);
  expect(await upgrade(path, {})).toBe(101);
  expect(await upgrade('/flows', {})).toBe(404);
  expect(await upgrade('/topics/__state/socket', {})).toBe(403);
  // Something else than a WebSocket is answered as if it had not been asked for.
  expect(await upgrade('/topics', { upgrade: 'h2c' })).toBe(200);
  expect((await fetch(`http://${http.address}${path}`)).status).toBe(426);
});

test('bytes that are no frames close the socket, and nothing else', async () => {
  const topic = await newTopic();
  const socket = connect(http.port, http.host);
  socket.write(
    `GET /topics/${topic}/socket HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  );
  await once(socket, 'data');
  socket.resume();
  socket.on('error', () => {});
  socket.write(Buffer.alloc(1_000, 0xff));
  await once(socket, 'close');
  const client = await Client.open(topic);
  client.send({ produce: { value: 1 } });
  expect((await client.next()).produced?.records).toBe(1);
});

test('sockets are told that the server closes, and none keeps it open', async () => {
  const topic = await newTopic();
  const server = await openHttp({ env, port: 0 });
  server.serveTopics(log);
  const client = await Client.open(topic, server);
  client.send({ subscribe: true });
  await client.next();
  const closed = once(client.socket, 'close');
  await server.close();
  expect((await client.next()).end?.code).toBe('ML_ABORTED');
  expect((await closed)[0]).toBe(1001);
});

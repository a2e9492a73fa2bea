/** Requests with an idempotency key, over real sockets. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { LogProducer } from '../../client/log.ts';
import { MillraceError } from '../../core/errors.ts';
import { realEnv } from '../../core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../embedded-log.ts';
import { type HttpServer, openHttp } from './open-http.ts';

const env = realEnv();
let directory: string;
let log: EmbeddedLog;
let http: HttpServer;
let topic = '';
let count = 0;
/** Why the log says that it has not written what it has. */
let lost: MillraceError | undefined;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-idempotency-'));
  log = await openEmbedded(env, { dataDir: join(directory, 'log') });
});

beforeEach(async () => {
  topic = `once-${count++}`;
  lost = undefined;
  await log.createTopics([{ name: topic, partitions: 2, configs: {} }]);
  http = await open();
});

afterEach(() => http.close());

afterAll(async () => {
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

async function open(): Promise<HttpServer> {
  const server = await openHttp({ env, port: 0, origins: ['https://app.example.com'] });
  const producer: EmbeddedLog['producer'] = async (options): Promise<LogProducer> => {
    const made = await log.producer(options);
    const flush = made.flush.bind(made);
    return Object.assign(made, {
      flush: async () => {
        await flush();
        if (lost !== undefined) throw lost;
      },
    });
  };
  server.serveTopics(
    new Proxy(log, {
      get: (target, name) => {
        const found: unknown = name === 'producer' ? producer : Reflect.get(target, name, target);
        return typeof found === 'function' ? (found.bind(target) as unknown) : found;
      },
    }),
  );
  return server;
}

interface Answer {
  readonly status: number;
  readonly isKnown: boolean;
  readonly body: {
    readonly records?: number;
    readonly offsets?: readonly { readonly partition: number; readonly offset: number }[];
    readonly error?: { readonly code: string; readonly message: string };
  };
}

async function send(
  key: string | undefined,
  body: string,
  { type = 'application/json', query = '' } = {},
): Promise<Answer> {
  const answer = await fetch(`http://${http.address}/topics/${topic}/records${query}`, {
    method: 'POST',
    headers: { 'content-type': type, ...(key === undefined ? {} : { 'idempotency-key': key }) },
    body,
  });
  return {
    status: answer.status,
    isKnown: answer.headers.get('idempotent-replayed') === 'true',
    body: (await answer.json()) as Answer['body'],
  };
}

/** How many records there are. */
async function written(): Promise<number> {
  const places = [0, 1].map((partition) => ({ topic, partition }));
  const ends = await log.offsets(places, 'end');
  return ends.reduce<number>((sum, end) => sum + (end ?? 0), 0);
}

test('the same request is written once and answered as it was, also after a restart', async () => {
  const body = '[{"value":1},{"value":2},{"key":"a","value":3}]';
  const first = await send('"order-1"', body);
  expect(first).toMatchObject({ status: 200, isKnown: false, body: { records: 3 } });
  expect(await send('"order-1"', body)).toEqual({ ...first, isKnown: true });
  // The same key and the same records, written in another way.
  expect(await send('order-1', body.replaceAll(',', ' , '))).toEqual({ ...first, isKnown: true });
  await http.close();
  http = await open();
  expect(await send('"order-1"', body)).toEqual({ ...first, isKnown: true });
  expect((await send('"order-2"', body)).isKnown).toBe(false);
  expect(await written()).toBe(6);
  // Without a key it is what it always was.
  await send(undefined, body);
  expect((await send(undefined, body)).isKnown).toBe(false);
  expect(await written()).toBe(12);
});

test('the same key with other records is refused, also after a restart', async () => {
  const other = async (body: string, query = ''): Promise<unknown> => {
    const { status, body: answer } = await send('k', body, { query });
    return [status, answer.error?.code];
  };
  const refused = [422, 'ML_HTTP_REQUEST'];
  await send('k', '{"key":"a","value":"x"}');
  expect(await other('{"key":"a","value":"y"}')).toEqual(refused);
  expect(await other('{"key":"b","value":"x"}')).toEqual(refused);
  expect(await other('{"key":"a","value":"x","headers":{"a":"b"}}')).toEqual(refused);
  expect(await other('{"key":"a","value":"x","partition":0}')).toEqual(refused);
  expect(await other('[{"key":"a","value":"x"},{"value":1}]')).toEqual(refused);
  expect(await other('{"key":"a","value":"x"}', '?values=text')).toEqual(refused);
  await http.close();
  http = await open();
  expect(await other('{"key":"a","value":"y"}')).toEqual(refused);
  expect((await send('k', '{"key":"a","value":"x"}')).isKnown).toBe(true);
  expect(await written()).toBe(1);
});

test('those that come while the first is under way are answered as it is', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => send(`k${index % 2}`, `{"value":${index % 2}}`)),
  );
  expect(answers.filter(({ isKnown }) => !isKnown)).toHaveLength(2);
  for (const [index, { status, body }] of answers.entries())
    expect([status, body]).toEqual([200, answers[index % 2]?.body]);
  const both = await Promise.all([send('k3', '{"value":1}'), send('k3', '{"value":2}')]);
  expect(new Set(both.map(({ status }) => status))).toEqual(new Set([200, 422]));
  expect(await written()).toBe(3);
});

test('what was written although it was said to have failed is not written again', async () => {
  const body = '[{"value":1},{"value":2}]';
  lost = new MillraceError('ML_CONNECTION_LOST', 'gone');
  const answers = await Promise.all([send('k', body), send('k', body)]);
  expect(answers.map(({ status }) => status)).toEqual([503, 503]);
  lost = undefined;
  expect(await send('k', body)).toMatchObject({ status: 200, isKnown: true, body: { records: 2 } });
  expect(await written()).toBe(2);
});

test('what is refused by itself is not remembered', async () => {
  expect((await send('k', '{"value":1,"partition":7}')).status).toBe(400);
  expect((await send('k', '{"valeu":1}')).status).toBe(400);
  expect(await send('k', '{"value":1}')).toMatchObject({ status: 200, isKnown: false });
  expect(await send('none', '[]')).toMatchObject({ status: 200, body: { records: 0 } });
});

test('a value as it is has a key, too', async () => {
  const raw = { type: 'text/plain', query: '?key=a' };
  const first = await send('k', 'plain', raw);
  expect(await send('k', 'plain', raw)).toEqual({ ...first, isKnown: true });
  expect((await send('k', 'plain', { type: 'text/plain' })).status).toBe(422);
  expect(await written()).toBe(1);
});

test.each([
  ['nothing', '""'],
  ['two of them', '"a", "b"'],
  ['two without quotes', 'a, b'],
  ['a quote that does not end', '"a'],
  ['a parameter', '"a";x=1'],
  ['a control character in disguise', '"a\\n"'],
  ['what is no ASCII', '"\u00e4"'],
  ['too long a one', 'x'.repeat(257)],
])('a key that is %s is refused', async (_name, key) => {
  const { status, body } = await send(key, '{"value":1}');
  expect([status, body.error?.code]).toEqual([400, 'ML_HTTP_REQUEST']);
  expect(await written()).toBe(0);
});

test('a stream of lines has none', async () => {
  const { status, body } = await send('k', '{"value":1}\n', { type: 'application/x-ndjson' });
  expect([status, body.error?.message]).toEqual([400, expect.stringContaining('taken whole')]);
  expect(await written()).toBe(0);
});

test('messages of a WebSocket may have one, and it is the same', async () => {
  const socket = new WebSocket(`ws://${http.address}/topics/${topic}/socket`);
  await once(socket, 'open');
  const ask = async (message: unknown): Promise<unknown> => {
    const answered = once(socket, 'message') as Promise<[Buffer]>;
    socket.send(JSON.stringify(message));
    return JSON.parse((await answered)[0].toString());
  };
  const produce = { key: 'a', value: { total: 1 } };
  const { body } = await send('"socket \\"1\\""', JSON.stringify(produce));
  expect(await ask({ produce, idempotencyKey: 'socket "1"', ref: 1 })).toMatchObject({
    produced: { records: 1, offsets: body.offsets },
    ref: 1,
  });
  expect(await ask({ produce: { value: 2 }, idempotencyKey: 'socket "1"' })).toMatchObject({
    error: { code: 'ML_HTTP_REQUEST' },
  });
  expect(await ask({ produce, idempotencyKey: '' })).toMatchObject({
    error: { code: 'ML_HTTP_REQUEST' },
  });
  socket.terminate();
  expect(await written()).toBe(1);
});

test('pages of named origins may send it, and see whether it was there', async () => {
  const origin = 'https://app.example.com';
  const url = `http://${http.address}/topics/${topic}/records`;
  const preflight = await fetch(url, { method: 'OPTIONS', headers: { origin } });
  expect(preflight.headers.get('access-control-allow-headers')).toContain('idempotency-key');
  const answer = await fetch(url, {
    method: 'POST',
    headers: { origin, 'content-type': 'application/json', 'idempotency-key': 'k' },
    body: '{"value":1}',
  });
  expect(answer.headers.get('access-control-expose-headers')).toBe('idempotent-replayed');
});

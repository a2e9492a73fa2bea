/** Topics over HTTP, over real sockets: records in and out, resuming, slow subscribers, bad input. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EventSource } from 'eventsource';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EventReader } from '../../../test/stream/views/event-source.ts';
import {
  HTTP_LINE_BYTES_MAX,
  HTTP_PRODUCE_BYTES_MAX,
  HTTP_SUBSCRIPTIONS_MAX,
} from '../../core/http-limits.ts';
import { realEnv } from '../../core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../embedded-log.ts';
import { type HttpServer, openHttp } from './open-http.ts';

const ORIGIN = 'https://app.example.com';
const env = realEnv();
let directory: string;
let log: EmbeddedLog;
let http: HttpServer;
let count = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-http-topics-'));
  log = await openEmbedded(env, { dataDir: join(directory, 'log') });
  http = await openHttp({ env, port: 0, origins: [ORIGIN] });
  http.serveTopics(log);
});

afterAll(async () => {
  await http.close();
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

async function newTopic(partitions = 1): Promise<string> {
  const name = `topic-${count++}`;
  await log.createTopics([{ name, partitions, configs: {} }]);
  return name;
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & {
    readonly error?: { readonly code: string; readonly message: string; readonly hint: string };
  };
}

async function post(
  path: string,
  body: string | Uint8Array<ArrayBuffer> | ReadableStream,
  headers: Record<string, string> = { 'content-type': 'application/json' },
): Promise<Answer> {
  const init = { method: 'POST', body, headers, duplex: 'half' } as RequestInit;
  const answer = await fetch(`http://${http.address}${path}`, init);
  return { status: answer.status, body: (await answer.json()) as Answer['body'] };
}

interface Sent {
  readonly partition: number;
  readonly offset: number;
  readonly key: unknown;
  readonly value: unknown;
  readonly headers: Record<string, unknown>;
  readonly timestamp: number;
}

async function read(topic: string, records: number, query = 'from=beginning'): Promise<Sent[]> {
  const reader = await EventReader.open(`http://${http.address}/topics/${topic}/events?${query}`);
  const sent: Sent[] = [];
  while (sent.length < records) {
    const event = await reader.next();
    expect(event?.name).toBe('message');
    sent.push(event?.data as Sent);
  }
  reader.close();
  return sent;
}

test('a record comes back as it was sent, and its place is told', async () => {
  const topic = await newTopic(3);
  const record = {
    key: 'a',
    value: { total: 3, big: 1 },
    headers: { trace: 'x', more: ['1', null], bytes: { $bytes: '/w==' } },
    timestamp: 1_767_225_600_000,
    partition: 2,
  };
  const { status, body } = await post(`/topics/${topic}/records`, JSON.stringify(record));
  expect([status, body]).toEqual([
    200,
    { topic, records: 1, next: '2:1', offsets: [{ partition: 2, offset: 0 }] },
  ]);
  expect(await read(topic, 1)).toEqual([{ offset: 0, ...record }]);
});

test('numbers keep their digits, and what is no JSON says what it is', async () => {
  const topic = await newTopic();
  await post(`/topics/${topic}/records`, '{"value": {"id": 12345678901234567890, "x": 1.10}}');
  await post(`/topics/${topic}/records?key=k`, 'plain\nlines', {
    'content-type': 'text/plain',
    'record-trace': 'x',
  });
  await post(`/topics/${topic}/records`, new Uint8Array([255, 0]), {});
  await post(`/topics/${topic}/records`, '{"key":"gone"}');
  await post(`/topics/${topic}/records`, '{"value":null,"valueEncoding":"json"}');
  const response = await fetch(`http://${http.address}/topics/${topic}/events?from=0:0`);
  const reader = response.body?.getReader();
  let text = '';
  while (!text.includes('"offset":4')) text += Buffer.from((await reader?.read())?.value ?? []);
  await reader?.cancel();
  expect(text).toContain('"value":{"id":12345678901234567890,"x":1.10}');
  expect(text).toContain(
    '"key":"k","value":"plain\\nlines","valueEncoding":"text","headers":{"trace":"x"}',
  );
  expect(text).toContain('"value":"/wA=","valueEncoding":"base64"');
  expect(text).toContain('"key":"gone","value":null,"headers"');
  expect(text).toContain('"value":null,"valueEncoding":"json"');
});

test('whatever is read can be written again, in every encoding', async () => {
  const [from, to] = [await newTopic(), await newTopic()];
  let next = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ key: fc.option(anyBytes), value: fc.option(anyBytes) }), {
        minLength: 1,
        maxLength: 5,
      }),
      fc.constantFrom('json', 'text', 'base64'),
      async (records, encoding) => {
        const producer = await log.producer({});
        for (const { key, value } of records) producer.append(from, 0, 1, key, value);
        await producer.flush();
        await producer.close();
        const query = `keys=${encoding}&values=${encoding}`;
        const sent = await read(from, records.length, `${query}&from=0:${next}`);
        const again = sent.map(({ offset: _offset, ...record }) => record);
        expect((await post(`/topics/${to}/records?${query}`, JSON.stringify(again))).status).toBe(
          200,
        );
        const back = await read(to, records.length, `keys=base64&values=base64&from=0:${next}`);
        expect(back.map(({ key, value }) => ({ key, value }))).toEqual(
          records.map(({ key, value }) => ({ key: base64(key), value: base64(value) })),
        );
        next += records.length;
      },
    ),
    { numRuns: 15 },
  );
});

const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
  // Its own text is what is compared: numbers and escapes that JSON.stringify would write in another way are for the exact test.
  fc.json().map((text) => Buffer.from(JSON.stringify(JSON.parse(text)))),
);

function base64(bytes: Buffer | null): string | null {
  return bytes === null ? null : bytes.toString('base64');
}

test('a stream of lines is written as it comes', async () => {
  const topic = await newTopic(2);
  const lines = new TransformStream<Uint8Array, Uint8Array>();
  const writer = lines.writable.getWriter();
  const answer = post(`/topics/${topic}/records`, lines.readable, {
    'content-type': 'application/x-ndjson',
  });
  await writer.write(Buffer.from('{"value":0,"partition":0}\n\n{"value":'));
  expect(await read(topic, 1)).toMatchObject([{ value: 0 }]);
  await writer.write(Buffer.from('1,"partition":1}\r\n{"value":2,"partition":0}'));
  await writer.close();
  expect((await answer).body).toEqual({ topic, records: 3, next: '0:2,1:1' });
});

test('a bad line says which, and how many before it were written', async () => {
  const topic = await newTopic();
  const good = '{"value":1}\n'.repeat(1_500);
  const { status, body } = await post(`/topics/${topic}/records`, `${good}{"valeu":2}\n`, {
    'content-type': 'application/x-ndjson',
  });
  expect([status, body.error?.code]).toEqual([400, 'ML_HTTP_REQUEST']);
  expect(body.error?.message).toMatch(/record 1500 .*'valeu'/);
  const { written } = (body.error as unknown as { fields: { written: number } }).fields;
  expect(written).toBe(1_500);
  expect(await log.offsets([{ topic, partition: 0 }], 'end')).toEqual([written]);
});

test.each([
  ['no JSON', '{', 400],
  ['no record', '[1]', 400],
  ['a field that nobody knows', '{"value":1,"offset":3}', 400],
  ['a partition that is none', '{"value":1,"partition":1}', 400],
  ['a timestamp that is none', '{"value":1,"timestamp":-5}', 400],
  ['a key that is no text', '{"key":1}', 400],
  ['base64 that is none', '{"value":"x","valueEncoding":"base64"}', 400],
  ['a header that is none', '{"value":1,"headers":{"a":1}}', 400],
  ['more than a record may have', JSON.stringify({ value: 'x'.repeat(2_000_000) }), 413],
  ['more than a body may have', ' '.repeat(HTTP_PRODUCE_BYTES_MAX + 1), 413],
  ['too many records', `[${'{},'.repeat(10_000)}{}]`, 413],
  ['what is nested too deep', `{"value":${'['.repeat(200_000)}${']'.repeat(200_000)}}`, 400],
])('%s is refused, and nothing is written', async (_name, body, expected) => {
  const topic = await newTopic();
  const { status, body: answer } = await post(`/topics/${topic}/records`, body);
  expect([status, answer.error?.code]).toEqual([
    expected,
    expect.stringMatching(/^ML_(?:HTTP_REQUEST|RECORDS_TOO_LARGE)$/),
  ]);
  expect(answer.error?.hint).not.toBe('');
  expect(await log.offsets([{ topic, partition: 0 }], 'end')).toEqual([0]);
});

test('a line that never ends is refused before it is in memory', async () => {
  const topic = await newTopic();
  let sentBytes = 0;
  const endless = new ReadableStream({
    pull: (controller) => {
      controller.enqueue(Buffer.alloc(64 * 1024, 'x'));
      sentBytes += 64 * 1024;
    },
  });
  const answer = await post(`/topics/${topic}/records`, endless, {
    'content-type': 'application/x-ndjson',
  }).catch(() => undefined);
  if (answer !== undefined) expect(answer.status).toBe(413);
  expect(sentBytes).toBeLessThan(HTTP_LINE_BYTES_MAX * 3);
});

test('a topic that does not exist is made by the first record; internal ones are nobody else’s', async () => {
  const { body } = await post('/topics/made-by-http/records', '[{"value":1},{"value":2}]');
  expect(body).toMatchObject({ records: 2 });
  expect((await post('/topics/__consumer_offsets/records', '{}')).status).toBe(403);
  expect((await post('/topics/no%20name/records', '{}')).status).toBe(400);
  const missing = await fetch(`http://${http.address}/topics/not-there/events`);
  expect(missing.status).toBe(404);
});

test('pages of other sites can neither write nor be made to', async () => {
  const topic = await newTopic();
  const send = (headers: Record<string, string>): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const { host, port } = http;
      const asked = request(
        { host, port, method: 'POST', path: `/topics/${topic}/records`, headers },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        },
      );
      asked.on('error', reject);
      asked.end('{"value":1}');
    });
  const json = { 'content-type': 'application/json' };
  const own = `127.0.0.1:${http.port}`;
  expect(await send({ ...json, origin: 'https://evil.example' })).toBe(403);
  expect(await send({ 'content-type': 'text/plain', origin: 'null' })).toBe(403);
  expect(await send({ ...json, 'sec-fetch-site': 'cross-site' })).toBe(403);
  // A name that leads here, of another site.
  expect(
    await send({
      ...json,
      host: `evil.example:${http.port}`,
      origin: `http://evil.example:${http.port}`,
    }),
  ).toBe(421);
  expect(await send({ ...json, origin: 'http://localhost:1' })).toBe(403);
  expect(await log.offsets([{ topic, partition: 0 }], 'end')).toEqual([0]);
  expect(await send({ ...json, host: own, origin: `http://${own}` })).toBe(200);
  expect(await send({ ...json, origin: ORIGIN })).toBe(200);
  const preflight = await fetch(`http://${http.address}/topics/${topic}/records`, {
    method: 'OPTIONS',
    headers: { origin: ORIGIN },
  });
  expect(preflight.headers.get('access-control-allow-origin')).toBe(ORIGIN);
});

test('a browser that loses its connection goes on behind the last record', async () => {
  const topic = await newTopic(2);
  const put = (value: number) =>
    post(`/topics/${topic}/records`, JSON.stringify({ value, partition: value % 2 }));
  for (let value = 0; value < 4; value++) await put(value);
  let server = await openHttp({ env, port: 0 });
  server.serveTopics(log);
  const { port } = server;
  const seen: number[] = [];
  let told = (): void => {};
  const source = new EventSource(`http://127.0.0.1:${port}/topics/${topic}/events?from=beginning`);
  source.addEventListener('message', ({ data }) => {
    seen.push((JSON.parse(data) as { value: number }).value);
    told();
  });
  const until = async (length: number): Promise<void> => {
    while (seen.length < length) await new Promise<void>((resolve) => (told = resolve));
  };
  await until(4);
  await server.close();
  for (let value = 4; value < 8; value++) await put(value);
  server = await openHttp({ env, port });
  server.serveTopics(log);
  await until(8);
  source.close();
  await server.close();
  expect(seen.toSorted((left, right) => left - right)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});

test('begins where it is told to, and says when that is gone', async () => {
  const topic = await newTopic();
  for (let value = 0; value < 4; value++)
    await post(`/topics/${topic}/records`, JSON.stringify({ value, timestamp: 1_000 * value + 1 }));
  expect(await read(topic, 1, 'from=0:2')).toMatchObject([{ value: 2 }]);
  expect(await read(topic, 1, 'from=1001')).toMatchObject([{ value: 1 }]);
  expect(await read(topic, 1, 'from=1970-01-01T00:00:02Z')).toMatchObject([{ value: 2 }]);
  const live = await EventReader.open(`http://${http.address}/topics/${topic}/events`);
  await post(`/topics/${topic}/records`, '{"value":4}');
  expect(await live.next()).toMatchObject({ data: { value: 4 }, id: '0:5' });
  live.close();
  await log.deleteRecords([{ topic, partition: 0, offset: 3 }]);
  const ask = async (path: string, headers: Record<string, string> = {}) => {
    const answer = await fetch(`http://${http.address}/topics/${topic}/events${path}`, { headers });
    const body = (await answer.json()) as Answer['body'];
    return [answer.status, body.error?.code, body.error?.hint];
  };
  const gone = [410, 'ML_OFFSET_OUT_OF_RANGE', expect.stringContaining('from=0:3')];
  expect(await ask('?from=0:2')).toEqual(gone);
  expect(await ask('', { 'last-event-id': '0:1' })).toEqual(gone);
  expect(await ask('?from=0:9')).toEqual(gone);
  expect((await ask('?from=1:0'))[0]).toBe(404);
  expect((await ask('?from=yesterday'))[0]).toBe(400);
  expect((await ask('?slow=never'))[0]).toBe(400);
  expect((await ask('?slow=drop&buffer=5'))[0]).toBe(400);
  expect((await ask('?form=0:2'))[0]).toBe(400);
  expect((await ask('', { 'last-event-id': 'x' }))[0]).toBe(400);
});

test('only committed records are told', async () => {
  const topic = await newTopic();
  const append = async (value: string, end: 'commit' | 'abort'): Promise<void> => {
    const producer = await log.producer({ transactionalId: 'http-test' });
    producer.append(topic, 0, 1, null, value);
    await producer.flush();
    await producer[end]();
    await producer.close();
  };
  await append('1', 'abort');
  await append('2', 'commit');
  await append('3', 'abort');
  await append('4', 'commit');
  expect((await read(topic, 2)).map(({ value }) => value)).toEqual([2, 4]);
});

test('subscribers that go before they are answered leave nothing behind', async () => {
  const topic = await newTopic();
  const gone = Array.from({ length: HTTP_SUBSCRIPTIONS_MAX + 20 }, async (_, index) => {
    const socket = connect(http.port, http.host);
    await once(socket, 'connect');
    socket.write(`GET /topics/${topic}/events HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    // Some before anything is done for them, some in the middle of it.
    for (let turn = 0; turn < index % 8; turn++) await new Promise(setImmediate);
    socket.destroy();
  });
  await Promise.all(gone);
  const status = async (): Promise<number> => {
    const abort = new AbortController();
    const url = `http://${http.address}/topics/${topic}/events`;
    const answer = await fetch(url, { signal: abort.signal });
    abort.abort();
    return answer.status;
  };
  while ((await status()) !== 200) await env.timers.sleep(5);
  const all = await Promise.all(
    Array.from({ length: HTTP_SUBSCRIPTIONS_MAX }, () =>
      EventReader.open(`http://${http.address}/topics/${topic}/events`),
    ),
  );
  for (const each of all) each.close();
  expect(all.filter(({ response }) => response.status !== 200).length).toBeLessThanOrEqual(1);
});

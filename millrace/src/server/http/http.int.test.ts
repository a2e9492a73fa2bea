/** The HTTP server over real sockets: any key, bad input, limits, subscribers that are slow, and its end. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EventReader } from '../../../test/stream/views/event-source.ts';
import { HTTP_KEY_CHARS_MAX, HTTP_URL_CHARS_MAX } from '../../core/http-limits.ts';
import { partitionOf } from '../../core/murmur2.ts';
import { realEnv } from '../../core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../embedded-log.ts';
import type { RunningFlow } from '../../engine/stream/runner/flow-types.ts';
import { runFlow } from '../../engine/stream/runner/run-flow.ts';
import { flow, json, type Key, topic, tumbling } from '../../index.ts';
import { keyToJson } from './json-text.ts';
import { type HttpServer, openHttp } from './open-http.ts';

const PARTITIONS = 2;
const CHANGELOG = 'kept-rows-changelog';
const env = realEnv();

const program = flow('kept', (f) => {
  const rows = topic('rows', { key: json<Key>(), value: json() });
  const out = topic('out', { create: { partitions: 1 }, value: json() });
  f.table(rows).toStream().write(out);
  f.readKeyed(rows).window(tumbling('1 hour')).count('hours').write(out);
});

let directory: string;
let log: EmbeddedLog;
let http: HttpServer;
let running: RunningFlow;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-http-'));
  log = await openEmbedded(env, { dataDir: join(directory, 'log') });
  await log.createTopics([
    { name: 'rows', partitions: PARTITIONS, configs: {} },
    // Of a changelog that is compacted the broker deletes nothing when it is asked to.
    { name: CHANGELOG, partitions: PARTITIONS, configs: { 'cleanup.policy': 'delete' } },
  ]);
  http = await openHttp({ env, port: 0 });
  running = runFlow({
    log,
    plan: program.plan(),
    dataDirectory: directory,
    state: 'memory',
    commitIntervalMs: 10,
    address: http.address,
  });
  http.serve(log, running);
  await running.ready;
});

afterAll(async () => {
  await running.stop();
  await http.close();
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

async function put(
  rows: Iterable<readonly [key: unknown, value: unknown]>,
  time = 3_600_000,
): Promise<void> {
  const producer = await log.producer({});
  for (const [key, value] of rows) {
    const bytes = Buffer.from(JSON.stringify(key));
    const text = value === undefined ? null : JSON.stringify(value);
    producer.append('rows', partitionOf(bytes, PARTITIONS), time, bytes, text);
  }
  await producer.flush();
  await producer.close();
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & {
    readonly error?: {
      readonly code: string | null;
      readonly message: string;
      readonly hint: string;
    };
  };
}

async function get(path: string, init?: RequestInit): Promise<Answer> {
  const answer = await fetch(`http://${http.address}${path}`, init);
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
  return { status: answer.status, body: (await answer.json()) as Answer['body'] };
}

/** As soon as it is there. */
async function found(path: string): Promise<Answer> {
  for (;;) {
    const answer = await get(path);
    if (answer.status === 200) return answer;
    expect([answer.status, answer.body.error?.code]).toEqual([404, null]);
  }
}

const anyText = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 });
const anyKey = fc.oneof(
  anyText,
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (n === 0 ? 0 : n)),
  fc.boolean(),
  fc.array(fc.oneof(anyText, fc.integer()), { maxLength: 4 }),
);

test('any key is found by its text in the path, or as JSON, and comes back as it can be asked', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(anyKey, {
        minLength: 1,
        maxLength: 8,
        selector: (key) => JSON.stringify(key),
      }),
      async (keys) => {
        await put(keys.map((key, index) => [key, index]));
        for (const [index, key] of keys.entries()) {
          const text = encodeURIComponent(JSON.stringify(keyToJson(key)));
          const path = `/flows/kept/views/rows?keys=json&key=${text}`;
          while ((await found(path)).body['value'] !== index);
          expect((await get(path)).body).toMatchObject({ key, value: index });
          if (typeof key !== 'string') continue;
          expect(
            (await get(`/flows/kept/views/rows?key=${encodeURIComponent(key)}`)).body,
          ).toMatchObject({ key });
          // A path cannot name these: it takes dots as places, and this one as something else.
          if (['.', '..', 'changes'].includes(key)) continue;
          expect(
            (await get(`/flows/kept/views/rows/${encodeURIComponent(key)}`)).body,
          ).toMatchObject({ key, value: index });
        }
      },
    ),
    { numRuns: 8 },
  );
});

test('windows are asked by key and start, with times as texts or milliseconds', async () => {
  await put([
    ['w', 1],
    ['w', 2],
  ]);
  await found('/flows/kept/views/hours/w');
  const row = { key: 'w', start: '1970-01-01T01:00:00.000Z', end: '1970-01-01T02:00:00.000Z' };
  expect((await get('/flows/kept/views/hours/w')).body).toMatchObject({ rows: [row] });
  for (const start of ['3600000', '1970-01-01T01:00:00Z', '1970-01-01T02:00:00%2B01:00'])
    expect((await get(`/flows/kept/views/hours/w?start=${start}`)).body).toMatchObject(row);
  expect((await get('/flows/kept/views/hours/w?start=0')).status).toBe(404);
  const events = await EventReader.open(
    `http://${http.address}/flows/kept/views/hours/changes?key=w`,
  );
  await events.until('ready');
  await put([['w', 3]], 3 * 3_600_000);
  // The window that has closed is gone, and the one that has begun is there, in whatever order.
  const changes = [await events.next(), await events.next()].map((event) => event?.data);
  events.close();
  expect(changes).toContainEqual({ key: 'w', start: row.start, value: null, deleted: true });
  expect(changes).toContainEqual(expect.objectContaining({ start: '1970-01-01T03:00:00.000Z' }));
  expect((await get(`/flows/kept/views/hours/w?start=${row.start}`)).status).toBe(404);
});

test.each([
  ['/flows/nobody', 404, 'ML_VIEW_UNKNOWN'],
  ['/flows/kept/views/nothing', 404, 'ML_VIEW_UNKNOWN'],
  ['/flows/kept/views/nothing/changes', 404, 'ML_VIEW_UNKNOWN'],
  ['/elsewhere', 404, 'ML_HTTP_REQUEST'],
  ['/flows/kept/views/rows?limit=0', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows?limit=1001', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows?limit=1e2', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows?cursor=x', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows?what=1', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows?limit=1&limit=2', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows?key=a&from=b', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows?prefix=a&from=b', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows?keys=json&key={', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows?keys=json&key={"a":1}', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows?keys=json&prefix=1', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows?keys=xml&key=1', 400, 'ML_VIEW_REQUEST'],
  [
    `/flows/kept/views/rows?keys=json&key=${'['.repeat(100)}${']'.repeat(100)}`,
    400,
    'ML_VIEW_REQUEST',
  ],
  ['/flows/kept/views/rows/a?start=1', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/rows/a?at=1', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/hours/a?start=yesterday', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/views/hours/a?start=2026-01-31T12:00:00', 400, 'ML_VIEW_REQUEST'],
  [`/flows/kept/views/rows/${'k'.repeat(HTTP_KEY_CHARS_MAX + 1)}`, 400, 'ML_VIEW_REQUEST'],
  [`/flows/kept/views/rows?cursor=${'k'.repeat(HTTP_URL_CHARS_MAX)}`, 414, 'ML_HTTP_REQUEST'],
  [`/flows/kept/views/rows?cursor=${'k'.repeat(17_000)}`, 431, 'ML_HTTP_REQUEST'],
  ['/flows/kept/views/rows/changes?after=x', 400, 'ML_VIEW_REQUEST'],
  ['/flows/kept/tasks/0-0', 404, 'ML_HTTP_REQUEST'],
])('%s is answered with %d %s, and what to do', async (path, status, code) => {
  const answer = await get(path);
  expect([answer.status, answer.body.error?.code]).toEqual([status, code]);
  expect(answer.body.error?.hint).toMatch(/\w/);
});

test('only requests that read are served, without a body, and by names of this machine', async () => {
  expect((await get('/flows', { method: 'POST' })).status).toBe(405);
  expect((await get('/flows/kept/tasks/0-0', { method: 'POST', body: 'x' })).status).toBe(400);
  const large = { method: 'POST', body: 'x'.repeat(1024 * 1024 + 1) };
  expect((await get('/flows/kept/tasks/0-0', large)).status).toBe(413);
  expect((await get('/flows', { method: 'PUT', body: 'x' })).status).toBe(405);
  expect((await fetch(`http://${http.address}/flows`, { method: 'HEAD' })).status).toBe(200);
  expect(
    await raw('GET /flows HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n'),
  ).toMatch(/^HTTP\/1.1 421 /);
  expect(
    await raw('GET /flows HTTP/1.1\r\nhost: localhost:1\r\nconnection: close\r\n\r\n'),
  ).toMatch(/^HTTP\/1.1 200 /);
  expect(
    await raw(
      'GET /flows HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc',
    ),
  ).toMatch(/^HTTP\/1.1 413 /);
  expect(await raw('what is this\r\n\r\n')).toMatch(/^HTTP\/1.1 400 [^]*"code":"ML_HTTP_REQUEST"/);
  await expect(openHttp({ env, host: '0.0.0.0', port: 0 })).rejects.toMatchObject({
    code: 'ML_INSECURE_BIND',
  });
  await expect(openHttp({ env, port: http.port })).rejects.toMatchObject({
    code: 'ML_ADDRESS_IN_USE',
  });
});

async function raw(request: string): Promise<string> {
  const socket = connect(http.port, '127.0.0.1');
  socket.write(request);
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  await once(socket, 'close');
  return text;
}

test('whatever the path and the query, the answer is JSON, and the next one is served', async () => {
  const part = fc.oneof(
    fc.constantFrom(
      'flows',
      'kept',
      'views',
      'rows',
      'hours',
      'changes',
      'tasks',
      '..',
      '%',
      '%2f',
      '%ff',
      '0-0',
      '',
    ),
    fc.string({ maxLength: 8 }),
  );
  const query = fc.array(
    fc.tuple(
      fc.constantFrom(
        'key',
        'keys',
        'from',
        'to',
        'prefix',
        'limit',
        'cursor',
        'start',
        'at',
        'layout',
        'question',
        'after',
      ),
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.json(),
        fc.constantFrom('json', '1', 'IAJOMCBj', '-1'),
      ),
    ),
    { maxLength: 4 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 6 }), query, async (parts, fields) => {
      const search = fields
        .map(([name, value]) => `${name}=${encodeURIComponent(Buffer.from(value).toString())}`)
        .join('&');
      const path = parts.join('/').replaceAll(/[^\x21-\x7e]|[?#]/g, '_');
      const answer = await fetch(`http://${http.address}/${path}?${search}`);
      const type = answer.headers.get('content-type') ?? '';
      if (type.startsWith('text/event-stream')) await answer.body?.cancel();
      else expect(JSON.parse(await answer.text())).toBeTypeOf('object');
      expect([200, 400, 404, 409, 414, 503]).toContain(answer.status);
    }),
    { numRuns: 120 },
  );
});

test('a position that the log has not any more is a reset, and a snapshot follows', async () => {
  await put([['r', 1]]);
  await found('/flows/kept/views/rows/r');
  const url = `http://${http.address}/flows/kept/views/rows/changes?key=r`;
  const first = await EventReader.open(url);
  const ready = (await first.until('ready')).at(-1);
  first.close();
  await put([['r', 2]]);
  while ((await get('/flows/kept/views/rows/r')).body['value'] !== 2);
  const changelogs = Array.from({ length: PARTITIONS }, (_, partition) => ({
    topic: CHANGELOG,
    partition,
  }));
  const ends = await log.offsets(changelogs, 'stable');
  await log.deleteRecords(changelogs.map((each, index) => ({ ...each, offset: ends[index] ?? 0 })));
  const second = await EventReader.open(url, ready?.id);
  const events = await second.until('row');
  expect(events.map(({ name }) => name)).toEqual(['ready', 'reset', 'row']);
  expect(events.at(-1)?.data).toMatchObject({ key: 'r', value: 2 });
  expect((await second.next())?.name).toBe('ready');
  await put([['r', undefined]]);
  expect(await second.next()).toMatchObject({
    name: 'change',
    data: { key: 'r', value: null, deleted: true },
  });
  second.close();
});

test.each([
  ['of a changelog that is no more', () => 'AAAAAAAA.0'],
  ['of more partitions', (id: string) => `${id}.0`],
  ['that nobody has reached', (id: string) => id.replace(/\.\w+$/, '.zzzzzz')],
])('a position %s is a reset', async (_name, change) => {
  const url = `http://${http.address}/flows/kept/views/rows/changes`;
  const first = await EventReader.open(`${url}?prefix=none`);
  const id = (await first.until('ready')).at(-1)?.id ?? '';
  first.close();
  const second = await EventReader.open(`${url}?prefix=none`, change(id));
  const names = (await second.until('reset')).map(({ name }) => name);
  expect(names.filter((name) => name !== 'ready')).toEqual(['reset']);
  expect((await second.next())?.name).toBe('ready');
  second.close();
});

test('subscribers are told that the server closes, and nothing keeps it open', async () => {
  const other = await openHttp({ env, port: 0 });
  other.serve(log, running);
  const events = await EventReader.open(`http://${other.address}/flows/kept/views/rows/changes`);
  await events.until('ready');
  const closed = other.close();
  expect(await events.next()).toMatchObject({
    name: 'end',
    data: { error: { code: 'ML_ABORTED' } },
  });
  await closed;
});

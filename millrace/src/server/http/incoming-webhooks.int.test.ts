/** Webhooks in, over real sockets. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { visibleBatches } from '../../client/kafka/fetched-records.ts';
import type { LogProducer } from '../../client/log.ts';
import { WEBHOOK_BODY_BYTES_MAX } from '../../core/direct-limits.ts';
import { MillraceError } from '../../core/errors.ts';
import { realEnv } from '../../core/real-env.ts';
import { parseWebhookKey, webhookSignature } from '../../core/webhook-signature.ts';
import { type EmbeddedLog, openEmbedded } from '../../embedded-log.ts';
import type { WebhookEndpoints } from './incoming-webhooks.ts';
import { type HttpServer, openHttp } from './open-http.ts';

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
const OLD = `whsec_${Buffer.alloc(32, 2).toString('base64')}`;
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const der = { format: 'der' } as const;
const PRIVATE = `whsk_${privateKey
  .export({ ...der, type: 'pkcs8' })
  .subarray(-32)
  .toString('base64')}`;
const PUBLIC = `whpk_${publicKey
  .export({ ...der, type: 'spki' })
  .subarray(-32)
  .toString('base64')}`;

const env = realEnv();
let directory: string;
let log: EmbeddedLog;
let http: HttpServer;
let topic = '';
let count = 0;
/** Why the log refuses what is to be written. */
let refusal: MillraceError | undefined;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-hooks-'));
  log = await openEmbedded(env, { dataDir: join(directory, 'log') });
});

beforeEach(async () => {
  topic = `in-${count++}`;
  refusal = undefined;
  http = await open();
});

afterEach(() => http.close());

afterAll(async () => {
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

async function open(): Promise<HttpServer> {
  const server = await openHttp({ env, port: 0 });
  const endpoints: WebhookEndpoints = {
    stripe: { topic, secret: [SECRET, OLD] },
    signed: { topic, secret: PUBLIC },
    github: { topic, scheme: 'github', secret: "It's a Secret to Everybody" },
    plain: { topic, scheme: 'token', secret: 'token' },
  };
  const producer: EmbeddedLog['producer'] = async (options): Promise<LogProducer> => {
    const made = await log.producer(options);
    const flush = made.flush.bind(made);
    return Object.assign(made, {
      flush: () => (refusal === undefined ? flush() : Promise.reject(refusal)),
    });
  };
  const refusing = new Proxy(log, {
    get: (target, name) => {
      const found: unknown = name === 'producer' ? producer : Reflect.get(target, name, target);
      return typeof found === 'function' ? (found.bind(target) as unknown) : found;
    },
  });
  server.serveWebhooks(refusing, endpoints);
  return server;
}

interface Answer {
  readonly status: number;
  readonly body: {
    readonly id?: string;
    readonly known?: boolean;
    readonly error?: { readonly code: string; readonly message: string };
  };
}

async function send(name: string, body: string, headers: Record<string, string>): Promise<Answer> {
  const url = `http://${http.address}/webhooks/${name}`;
  const answer = await fetch(url, { method: 'POST', body, headers });
  return { status: answer.status, body: (await answer.json()) as Answer['body'] };
}

function signed(id: string, body: string, secret = SECRET, at = new Date()) {
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  };
}

interface Written {
  readonly key: string;
  readonly value: string;
  readonly headers: Record<string, string>;
}

async function written(): Promise<Written[]> {
  const { partitions = 0 } = (await log.topics([topic])).get(topic) ?? {};
  const places = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
  const ends = await log.offsets(places, 'stable');
  let left = ends.reduce<number>((sum, end) => sum + (end ?? 0), 0);
  const reader = log.reader({ uncommitted: false });
  reader.assign(places.map((place) => ({ ...place, offset: 0 })));
  const records: Written[] = [];
  while (left > 0)
    for (const polled of await reader.poll(100))
      for (const batch of visibleBatches(polled))
        for (; batch.next(); left--)
          records.push({
            key: batch.data.toString('utf8', batch.keyStart, batch.keyEnd),
            value: batch.data.toString('utf8', batch.valueStart, batch.valueEnd),
            headers: Object.fromEntries(
              batch.headers().map(({ key, value }) => [key, String(value)]),
            ),
          });
  reader.close();
  return records;
}

test('what is signed is written once, as it came, also after a restart', async () => {
  const body = '{"a": 1.0}';
  const headers = signed('msg_1', body);
  expect(await send('stripe', body, headers)).toEqual({
    status: 200,
    body: { id: 'msg_1', known: false },
  });
  expect((await send('stripe', body, headers)).body).toEqual({ id: 'msg_1', known: true });
  await http.close();
  http = await open();
  expect((await send('stripe', body, signed('msg_1', body, OLD))).body).toEqual({
    id: 'msg_1',
    known: true,
  });
  expect((await send('stripe', body, signed('msg_2', body, OLD))).body).toEqual({
    id: 'msg_2',
    known: false,
  });
  const records = await written();
  expect(records.map(({ key }) => key).toSorted()).toEqual(['msg_1', 'msg_2']);
  expect(records.every(({ value }) => value === body)).toBe(true);
  expect(records[0]?.headers).toMatchObject({
    webhook: 'stripe',
    'content-type': 'application/json',
  });
});

test('an id of one sender is not that of another one who has the same topic, also after a restart', async () => {
  const token = { 'x-webhook-token': 'token', 'webhook-id': 'msg_1' };
  expect((await send('stripe', 'x', signed('msg_1', 'x'))).body.known).toBe(false);
  await http.close();
  http = await open();
  expect((await send('plain', 'y', token)).body.known).toBe(false);
  await http.close();
  http = await open();
  expect((await send('plain', 'y', token)).body.known).toBe(true);
  expect((await send('stripe', 'x', signed('msg_1', 'x'))).body.known).toBe(true);
  expect((await written()).map(({ value }) => value).toSorted()).toEqual(['x', 'y']);
});

test('many at once of the same id are one', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => send('stripe', 'x', signed(`msg_${index % 2}`, 'x'))),
  );
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  expect(answers.filter(({ body }) => body.known === false)).toHaveLength(2);
  expect(await written()).toHaveLength(2);
});

test('the other ways to sign', async () => {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const content = { id: 'e1', timestamp, body: Buffer.from('x') };
  const ed25519 = {
    'webhook-id': 'e1',
    'webhook-timestamp': timestamp,
    'webhook-signature': webhookSignature([parseWebhookKey(PRIVATE)], content),
  };
  expect((await send('signed', 'x', ed25519)).status).toBe(200);
  expect((await send('signed', 'y', ed25519)).status).toBe(401);
  // The example of GitHub's documentation.
  const digest = '757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
  const github = { 'x-github-delivery': 'g1', 'x-hub-signature-256': `sha256=${digest}` };
  expect((await send('github', 'Hello, World!', github)).body).toEqual({ id: 'g1', known: false });
  expect((await send('github', 'Hello, World?', github)).status).toBe(401);
  expect((await send('github', 'Hello, World!', { 'x-github-delivery': 'g2' })).status).toBe(401);
  expect((await send('plain', 'x', { authorization: 'Bearer token' })).status).toBe(200);
  expect((await send('plain', 'x', { 'x-webhook-token': 'token' })).body.known).toBe(false);
  expect((await send('plain', 'x', { 'x-webhook-token': 'tokem' })).status).toBe(401);
  expect((await send('plain', 'x', {})).status).toBe(401);
});

test('what is not signed, too old, or not as it was signed is refused, and nothing is written', async () => {
  const body = 'x';
  const headers = signed('msg_1', body);
  const without = (name: keyof typeof headers): Record<string, string> =>
    Object.fromEntries(Object.entries(headers).filter(([each]) => each !== name));
  const minutes = (ago: number): Date => new Date(Date.now() - ago * 60_000);
  const bad: [string, Record<string, string>][] = [
    ['y', headers],
    [body, { ...headers, 'webhook-id': 'msg_2' }],
    [body, { ...headers, 'webhook-signature': 'v1,' }],
    [body, { ...headers, 'webhook-timestamp': 'now' }],
    [body, { ...headers, 'webhook-id': 'x'.repeat(300) }],
    [body, without('webhook-id')],
    [body, without('webhook-timestamp')],
    [body, without('webhook-signature')],
    [body, signed('msg_1', body, `whsec_${Buffer.alloc(32, 9).toString('base64')}`)],
    [body, signed('msg_1', body, SECRET, minutes(6))],
    [body, signed('msg_1', body, SECRET, minutes(-6))],
  ];
  for (const [text, given] of bad) {
    const { status, body: answer } = await send('stripe', text, given);
    expect([status, answer.error?.code]).toEqual([401, 'ML_WEBHOOK_UNVERIFIED']);
  }
  expect((await send('unknown', body, headers)).status).toBe(404);
  const large = 'x'.repeat(WEBHOOK_BODY_BYTES_MAX + 1);
  expect((await send('stripe', large, signed('msg_1', large))).status).toBe(413);
  expect(await written()).toEqual([]);
});

test('what the log cannot take is answered so that it comes again, and then is written', async () => {
  const headers = signed('msg_1', 'x');
  refusal = new MillraceError('ML_DISK_FULL', 'no space left');
  const [first, second] = await Promise.all([
    send('stripe', 'x', headers),
    send('stripe', 'x', headers),
  ]);
  expect([first.status, second.status]).toEqual([503, 503]);
  refusal = undefined;
  expect((await send('stripe', 'x', headers)).status).toBe(200);
});

test('the largest body that is taken fits into the topic', async () => {
  const body = 'x'.repeat(WEBHOOK_BODY_BYTES_MAX);
  expect((await send('stripe', body, signed('msg_1', body))).status).toBe(200);
});

test('it is reached by any name that leads here', async () => {
  const server = await open();
  const { request } = await import('node:http');
  const status = await new Promise((resolve) => {
    const headers = { ...signed('msg_9', 'x'), host: 'hooks.example.com' };
    const asked = request(
      { host: server.host, port: server.port, path: '/webhooks/stripe', method: 'POST', headers },
      (answer) => resolve(answer.statusCode),
    );
    asked.end('x');
  });
  await server.close();
  expect(status).toBe(200);
});

test.each<[string, WebhookEndpoints]>([
  ['no secret', { a: { topic: 't', secret: [] } }],
  ['an empty secret', { a: { topic: 't', scheme: 'token', secret: '' } }],
  ['a secret that is none', { a: { topic: 't', secret: 'abc' } }],
  ['a private key', { a: { topic: 't', secret: PRIVATE } }],
  ['no name', { 'a/b': { topic: 't', secret: SECRET } }],
  ['no tolerance', { a: { topic: 't', secret: SECRET, toleranceSeconds: 0 } }],
])('%s is refused when it is configured', (_name, endpoints) => {
  expect(() => http.serveWebhooks(log, endpoints)).toThrow(
    expect.objectContaining({ code: 'ML_CONFIG_INVALID' }),
  );
});

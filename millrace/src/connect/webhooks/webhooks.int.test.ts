/** Webhooks out, from a real log to real servers that fail in all the ways that there are. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { visibleBatches } from '../../client/kafka/fetched-records.ts';
import type { Log } from '../../client/log.ts';
import { MillraceError } from '../../core/errors.ts';
import { realEnv } from '../../core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../embedded-log.ts';
import { type Delivery, startDelivery } from './webhook-delivery.ts';
import type { DeliverOptions } from './webhook-options.ts';
import { retryAfterMs } from './webhook-sender.ts';

const SECRET = `whsec_${Buffer.alloc(32, 1).toString('base64')}`;
const OTHER = `whsec_${Buffer.alloc(32, 2).toString('base64')}`;
const env = realEnv();
let directory: string;
let log: EmbeddedLog;
let count = 0;
/** The tests mostly wait, and run beside each other: all of these are open until the last has ended. */
const receivers: Receiver[] = [];
const deliveries: Delivery[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-webhooks-'));
  log = await openEmbedded(env, { dataDir: join(directory, 'log') });
});

afterAll(async () => {
  await Promise.all(deliveries.map((each) => each.stop()));
  for (const each of receivers) each.close();
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Got {
  readonly id: string;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
}

type Answer = (response: ServerResponse, got: Got, nth: number) => void;

class Receiver {
  readonly got: Got[] = [];
  readonly #server: Server;
  #onGot = (): void => {};
  answer: Answer;
  atOnce = 0;
  atOnceMax = 0;

  private constructor(answer: Answer) {
    this.answer = answer;
    this.#server = createServer((request, response) => {
      this.atOnceMax = Math.max(this.atOnceMax, ++this.atOnce);
      response.on('close', () => this.atOnce--);
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        const got = { id: String(request.headers['webhook-id']), body, headers: request.headers };
        this.got.push(got);
        this.answer(response, got, this.got.filter(({ id }) => id === got.id).length);
        this.#onGot();
      });
    });
  }

  static async open(answer: Answer = (response) => response.end('ok')): Promise<Receiver> {
    const receiver = new Receiver(answer);
    receivers.push(receiver);
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  async until(isMet: () => boolean): Promise<void> {
    while (!isMet()) await new Promise<void>((resolve) => (this.#onGot = resolve));
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function newTopic(partitions = 1): Promise<string> {
  const name = `hooks-${count++}`;
  await log.createTopics([{ name, partitions, configs: {} }]);
  return name;
}

async function put(
  topic: string,
  values: readonly (string | null)[],
  key: string | null = null,
  partition = 0,
) {
  const producer = await log.producer({});
  for (const value of values) producer.append(topic, partition, 1_767_225_600_000, key, value);
  await producer.flush();
  await producer.close();
}

function deliver(
  topic: string,
  to: string,
  options: Partial<DeliverOptions> = {},
  from: Log = log,
): Delivery {
  const delivery = startDelivery(from, topic, {
    name: topic,
    to,
    secret: SECRET,
    allowPrivate: true,
    from: 'beginning',
    retry: [5, 5],
    ...options,
  });
  deliveries.push(delivery);
  return delivery;
}

async function until(isMet: () => boolean): Promise<void> {
  while (!isMet()) await env.timers.sleep(1);
}

interface DeadLetter {
  readonly value: string;
  readonly headers: Readonly<Record<string, string>>;
}

async function deadLetters(topic: string, wanted: number): Promise<DeadLetter[]> {
  const { partitions = 1 } = (await log.topics([topic])).get(topic) ?? {};
  const reader = log.reader({ uncommitted: false });
  reader.assign(
    Array.from({ length: partitions }, (_, partition) => ({ topic, partition, offset: 0 })),
  );
  const dead: DeadLetter[] = [];
  while (dead.length < wanted)
    for (const records of await reader.poll(100))
      for (const batch of visibleBatches(records))
        while (batch.next())
          dead.push({
            value: batch.data.toString('utf8', batch.valueStart, batch.valueEnd),
            headers: Object.fromEntries(
              batch.headers().map(({ key, value }) => [key, String(value)]),
            ),
          });
  reader.close();
  return dead;
}

test.concurrent('each record is sent once, signed with each secret, under an id without dots', async () => {
  const topic = await newTopic();
  await put(topic, ['{"a":1}', null, '{"a":2}']);
  const receiver = await Receiver.open();
  const delivery = deliver(topic, receiver.url, {
    secret: [OTHER, SECRET],
    headers: { 'x-own': '1' },
  });
  await receiver.until(() => receiver.got.length === 2);
  await put(topic, ['{"a":3}']);
  await receiver.until(() => receiver.got.length === 3);
  expect(receiver.got.map(({ body }) => body).toSorted()).toEqual([
    '{"a":1}',
    '{"a":2}',
    '{"a":3}',
  ]);
  for (const { id, body, headers } of receiver.got) {
    expect(id).toMatch(/^msg_[0-9a-f]{16}_0_[023]$/);
    for (const secret of [SECRET, OTHER])
      new Webhook(secret).verify(body, headers as Record<string, string>);
    expect([headers['content-type'], headers['x-own']]).toEqual(['application/json', '1']);
  }
  await delivery.stop();
  expect(delivery.stats()).toMatchObject({
    state: 'stopped',
    delivered: 3,
    skipped: 1,
    failures: 0,
  });
  // A second start under the name goes on where the first has ended.
  await put(topic, ['{"a":4}']);
  deliver(topic, receiver.url);
  await receiver.until(() => receiver.got.length === 4);
  expect(receiver.got.at(-1)?.body).toBe('{"a":4}');
});

test.concurrent('an event has the value as its data', async () => {
  const topic = await newTopic();
  await put(topic, ['{"n":12345678901234567890}', 'text']);
  const receiver = await Receiver.open();
  deliver(topic, receiver.url, { type: 'order.placed', concurrency: 1 });
  await receiver.until(() => receiver.got.length === 2);
  const head = '{"type":"order.placed","timestamp":"2026-01-01T00:00:00.000Z","data":';
  expect(receiver.got.map(({ body }) => body)).toEqual([
    `${head}{"n":12345678901234567890}}`,
    `${head}"text"}`,
  ]);
});

test.each<[string, Answer, RegExp]>([
  ['an error', (response) => response.writeHead(500).end('broken'), /has answered 500: broken/],
  [
    'a redirect, which is not followed',
    (response) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    /has answered 302, which leads elsewhere/,
  ],
  ['a connection that breaks', (response) => response.destroy(), /cannot be asked/],
  ['no answer', () => {}, /has not answered within 150 ms/],
  [
    'an answer that never ends',
    (response) => void response.writeHead(200).write('x'),
    /has not answered within 150 ms/,
  ],
])(
  '%s is tried again as often as it may be, and is a dead letter then',
  async (_name, answer, why) => {
    const topic = await newTopic();
    await put(topic, ['bad', 'good']);
    const receiver = await Receiver.open((response, got, nth) => {
      if (got.body === 'bad') answer(response, got, nth);
      else response.end();
    });
    // Only of who does not answer: the other one may be slow on a machine that has much to do.
    const isLate = why.source.includes('150 ms');
    const delivery = deliver(topic, receiver.url, isLate ? { timeout: 150 } : {});
    await until(() => delivery.stats().deadLetters === 1 && delivery.stats().delivered === 1);
    const [dead] = await deadLetters(`webhook.${topic}.dead`, 1);
    expect(dead?.value).toBe('bad');
    expect(dead?.headers).toMatchObject({
      'webhook.attempts': '3',
      'webhook.error': expect.stringMatching(why),
      'webhook.topic': topic,
      'webhook.partition': '0',
      'webhook.offset': '0',
      'webhook.url': receiver.url,
    });
    const sent = receiver.got.filter(({ body }) => body === 'bad');
    expect(new Set(sent.map(({ id }) => id)).size).toBe(1);
    expect(sent).toHaveLength(3);
    expect(delivery.stats().retrying).toBe(0);
    expect(delivery.stats().failures).toBeGreaterThanOrEqual(3);
  },
);

test.concurrent('an answer is read up to a bound, and its status counts', async () => {
  const topic = await newTopic();
  await put(topic, ['a']);
  const receiver = await Receiver.open((response) => {
    const chunk = Buffer.alloc(64 * 1024);
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more);
    more();
  });
  const delivery = deliver(topic, receiver.url);
  await until(() => delivery.stats().delivered === 1);
});

test.concurrent('Retry-After is kept to, by the endpoint as a whole', async () => {
  const topic = await newTopic();
  await put(topic, ['a', 'b', 'c']);
  const times: number[] = [];
  const receiver = await Receiver.open((response) => {
    times.push(env.clock.monotonicMs());
    if (times.length === 1) response.writeHead(503, { 'retry-after': '1' }).end();
    else response.end();
  });
  const delivery = deliver(topic, receiver.url, { concurrency: 1 });
  await until(() => delivery.stats().state === 'paused');
  await until(() => delivery.stats().delivered === 3);
  const [first = 0, second = 0] = times;
  expect(second - first).toBeGreaterThanOrEqual(990);
});

test.concurrent('410 stops it for good, until somebody says that the endpoint is back', async () => {
  const topic = await newTopic();
  await put(topic, ['a', 'b']);
  const receiver = await Receiver.open((response) => response.writeHead(410).end());
  const gone = deliver(topic, receiver.url, { concurrency: 1 });
  await expect(gone.done).rejects.toMatchObject({ code: 'ML_WEBHOOK_DISABLED' });
  expect(gone.stats().state).toBe('disabled');
  expect(receiver.got).toHaveLength(1);
  const again = deliver(topic, receiver.url);
  await expect(again.ready).rejects.toMatchObject({ code: 'ML_WEBHOOK_DISABLED' });
  expect(receiver.got).toHaveLength(1);
  receiver.answer = (response) => response.end();
  deliver(topic, receiver.url, { enable: true, concurrency: 1 });
  await receiver.until(() => receiver.got.length === 3);
  expect(receiver.got.slice(1).map(({ body }) => body)).toEqual(['a', 'b']);
});

test.concurrent('what waits for another attempt goes on waiting after a restart, and is lost by none', async () => {
  const topic = await newTopic();
  const values = Array.from({ length: 40 }, (_, index) => `v${index}`);
  await put(topic, values);
  const taken = new Set<string>();
  const attempts = new Map<string, number>();
  // Every third is refused at first; and it is stopped again and again in the middle.
  const receiver = await Receiver.open((response, { body }) => {
    const nth = (attempts.get(body) ?? 0) + 1;
    attempts.set(body, nth);
    if (nth === 1 && Number(body.slice(1)) % 3 === 0) response.writeHead(500).end();
    else {
      taken.add(body);
      response.end();
    }
  });
  const delays = Array.from({ length: 20 }, () => 30);
  for (let restarts = 0; taken.size < values.length; restarts++) {
    const delivery = deliver(topic, receiver.url, { retry: delays });
    const { length } = receiver.got;
    await receiver.until(() => receiver.got.length >= length + 9 || taken.size === values.length);
    await delivery.stop();
    expect(restarts).toBeLessThan(40);
  }
  expect([...taken].toSorted()).toEqual(values.toSorted());
  const last = deliver(topic, receiver.url, { retry: delays });
  await last.ready;
  expect(last.stats().retrying).toBe(0);
});

test.concurrent('processes of one name share the work, and take over what another leaves', async () => {
  const topic = await newTopic(4);
  const values = Array.from({ length: 120 }, (_, index) => `v${index}`);
  const answered: { readonly body: string; readonly status: number }[] = [];
  const receiver = await Receiver.open((response, { body }, nth) => {
    // Some of each partition wait for another attempt when one of the two goes.
    const status = nth === 1 && Number(body.slice(1)) % 7 === 0 ? 500 : 200;
    answered.push({ body, status });
    response.writeHead(status).end();
  });
  const first = deliver(topic, receiver.url, { retry: [100, 100], concurrency: 2 });
  const second = deliver(topic, receiver.url, { retry: [100, 100], concurrency: 2 });
  await Promise.all([first.ready, second.ready]);
  for (const [index, value] of values.entries()) await put(topic, [value], null, index % 4);
  await until(() => first.stats().delivered > 0 && second.stats().delivered > 0);
  await first.stop();
  deliver(topic, receiver.url, { retry: [100, 100], concurrency: 2 });
  const taken = (): ReadonlySet<string> =>
    new Set(answered.filter(({ status }) => status === 200).map(({ body }) => body));
  await until(() => taken().size === values.length);
  expect([...taken()].toSorted()).toEqual(values.toSorted());
  const again = receiver.got.length - values.length - Math.ceil(values.length / 7);
  // Nothing was killed: what is sent twice is what was under way when a partition moved, at most.
  expect(again).toBeLessThanOrEqual(4);
});

test.concurrent.each(['reader', 'offsets', 'committed', 'member'] as const)(
  'a log that is away for a while ends no delivery: %s',
  async (failing) => {
    const topic = await newTopic(2);
    const receiver = await Receiver.open();
    const failures = { left: 2 };
    const away = (): void => {
      if (failures.left-- > 0) throw new MillraceError('ML_CONNECT_FAILED', 'nobody answers');
    };
    const failOn =
      <Args extends unknown[], Result>(call: (...args: Args) => Promise<Result>) =>
      async (...args: Args): Promise<Result> => {
        away();
        return call(...args);
      };
    const flaky = new Proxy(log, {
      get: (target, name) => {
        const found: unknown = Reflect.get(target, name, target);
        if (typeof found !== 'function') return found;
        const call = found.bind(target) as (...args: unknown[]) => unknown;
        if (name !== failing) return call;
        if (name === 'offsets' || name === 'committed')
          return failOn(call as (...args: unknown[]) => Promise<unknown>);
        return (...args: unknown[]) => {
          const made = call(...args) as Record<string, (...args: unknown[]) => Promise<unknown>>;
          const method = name === 'reader' ? 'poll' : 'join';
          const own = made[method]?.bind(made);
          if (own !== undefined) made[method] = failOn(own);
          return made;
        };
      },
    });
    const delivery = deliver(topic, receiver.url, {}, flaky);
    await delivery.ready;
    await put(topic, ['1', '2']);
    await receiver.until(() => receiver.got.length === 2);
    failures.left = 1;
    await put(topic, ['3'], null, 1);
    await receiver.until(() => receiver.got.length === 3);
    expect(receiver.got.map(({ body }) => body).toSorted()).toEqual(['1', '2', '3']);
  },
);

test.concurrent('an attempt that is under way when partitions move is waited for, not made again', async () => {
  const topic = await newTopic();
  let release = (): void => {};
  const receiver = await Receiver.open((response, { body }) => {
    if (body === 'slow') release = () => void response.end();
    else response.end();
  });
  const first = deliver(topic, receiver.url);
  await first.ready;
  await put(topic, ['slow']);
  await receiver.until(() => receiver.got.length === 1);
  const second = deliver(topic, receiver.url);
  // Long enough to be asked to join, and to be sent again.
  await env.timers.sleep(700);
  release();
  await second.ready;
  await put(topic, ['next']);
  await receiver.until(() => receiver.got.at(-1)?.body === 'next');
  expect(receiver.got.map(({ body }) => body)).toEqual(['slow', 'next']);
});

test.concurrent('a restart does not hammer: what is not due is not sent', async () => {
  const topic = await newTopic();
  await put(topic, ['a']);
  const receiver = await Receiver.open((response) => response.writeHead(500).end());
  const first = deliver(topic, receiver.url, { retry: ['1 hour'] });
  await until(() => first.stats().retrying === 1);
  await first.stop();
  const second = deliver(topic, receiver.url, { retry: ['1 hour'] });
  await second.ready;
  await put(topic, ['b']);
  await receiver.until(() => receiver.got.length === 2);
  expect(receiver.got.map(({ body }) => body)).toEqual(['a', 'b']);
  await until(() => second.stats().retrying === 2);
});

test.concurrent('of a key the next one goes out when the one before was taken; others do not wait', async () => {
  const topic = await newTopic();
  const order: string[] = [];
  const receiver = await Receiver.open((response, { body }, nth) => {
    if (body === 'k1' && nth <= 2) response.writeHead(500).end();
    else {
      order.push(body);
      response.end();
    }
  });
  await put(topic, ['k1', 'k2', 'k3'], 'k');
  await put(topic, ['o1'], 'other');
  deliver(topic, receiver.url, { order: 'key', retry: [20, 20, 20] });
  await until(() => order.length === 4);
  expect(order.filter((each) => each !== 'o1')).toEqual(['k1', 'k2', 'k3']);
  expect(order[0]).toBe('o1');
});

test.concurrent('no more attempts at a time than it may make', async () => {
  const topic = await newTopic();
  await put(
    topic,
    Array.from({ length: 50 }, (_, index) => String(index)),
  );
  const receiver = await Receiver.open((response) => void setTimeout(() => response.end(), 2));
  const delivery = deliver(topic, receiver.url, { concurrency: 3 });
  await until(() => delivery.stats().delivered === 50);
  expect(receiver.atOnceMax).toBe(3);
});

test.concurrent('an endpoint that always fails is left alone, and the topic is not read on and on', async () => {
  const topic = await newTopic();
  await put(
    topic,
    Array.from({ length: 5_000 }, (_, index) => String(index)),
  );
  const receiver = await Receiver.open((response) => response.writeHead(500).end());
  const delivery = deliver(topic, receiver.url, { retry: ['1 hour'], concurrency: 1 });
  await until(() => delivery.stats().retrying === 5);
  expect(receiver.got).toHaveLength(5);
  expect(delivery.stats()).toMatchObject({ state: 'paused', failures: 5 });
});

test.each([
  ['loopback', 'https://127.0.0.1/', 'ML_WEBHOOK_ADDRESS'],
  ['loopback as a number', 'https://2130706433/', 'ML_WEBHOOK_ADDRESS'],
  ['metadata', 'https://169.254.169.254/latest', 'ML_WEBHOOK_ADDRESS'],
  ['mapped loopback', 'https://[::ffff:127.0.0.1]/', 'ML_WEBHOOK_ADDRESS'],
  ['no encryption', 'http://example.com/', 'ML_WEBHOOK_ADDRESS'],
  ['a password', 'https://a:b@example.com/', 'ML_WEBHOOK_ADDRESS'],
  ['another scheme', 'file:///etc/passwd', 'ML_WEBHOOK_ADDRESS'],
])('%s is refused at once', async (_name, to, code) => {
  const topic = await newTopic();
  expect(() => deliver(topic, to, { allowPrivate: false })).toThrow(
    expect.objectContaining({ code }),
  );
});

test.concurrent.each([['127.0.0.1'], ['10.1.2.3'], ['::1'], ['::ffff:169.254.169.254']])(
  'a name that leads to %s is not connected to',
  async (address) => {
    const topic = await newTopic();
    await put(topic, ['a']);
    const asked: string[] = [];
    const delivery = startDelivery(
      log,
      topic,
      {
        name: topic,
        to: 'https://hooks.example.com/x',
        secret: SECRET,
        from: 'beginning',
        retry: [],
      },
      {
        resolve: async (host) => {
          asked.push(host);
          return [{ address, family: address.includes(':') ? 6 : 4 }];
        },
      },
    );
    deliveries.push(delivery);
    await until(() => delivery.stats().deadLetters === 1);
    expect(asked).toEqual(['hooks.example.com']);
    expect(delivery.stats().lastError).toMatchObject({ code: 'ML_WEBHOOK_ADDRESS' });
    expect(delivery.stats().lastError?.message).toContain(address);
  },
);

test.concurrent('a name is looked up once for each connection, which goes where that has led', async () => {
  const topic = await newTopic();
  await put(topic, ['a']);
  const receiver = await Receiver.open();
  const { port } = new URL(receiver.url);
  let looks = 0;
  const delivery = startDelivery(
    log,
    topic,
    {
      name: topic,
      to: `http://hooks.example.com:${port}/`,
      secret: SECRET,
      allowPrivate: true,
      from: 'beginning',
      retry: [],
    },
    // A second look, of whoever connects by the name after it was checked, would lead elsewhere.
    { resolve: async () => [{ address: looks++ === 0 ? '127.0.0.1' : '127.255.0.1', family: 4 }] },
  );
  deliveries.push(delivery);
  await until(() => delivery.stats().delivered === 1);
  expect(looks).toBe(1);
  expect(receiver.got[0]?.headers.host).toBe(`hooks.example.com:${port}`);
});

test.concurrent('what is wrong is said before anything is sent', async () => {
  const topic = await newTopic();
  const wrong: object[] = [
    { name: 'no name' },
    { secret: [] },
    { secret: 'secret' },
    { secret: `whpk_${Buffer.alloc(32).toString('base64')}` },
    { concurrency: 0 },
    { timeout: 0 },
    { headers: { 'Webhook-Id': 'x' } },
    { headers: { Host: 'x' } },
    { name: undefined },
    { from: 'begining' },
    { order: 'keys' },
    { deadLetter: false },
  ];
  for (const options of wrong)
    expect(() => deliver(topic, 'http://127.0.0.1:1/', options)).toThrow(
      expect.objectContaining({ code: 'ML_CONFIG_INVALID' }),
    );
  const missing = deliver('not-there', 'http://127.0.0.1:1/', { name: 'missing' });
  await expect(missing.done).rejects.toMatchObject({ code: 'ML_TOPIC_MISSING' });
});

test.each([
  ['5', 5_000],
  ['999999999', 86_400_000],
  ['Thu, 01 Jan 1970 00:00:07 GMT', 6_000],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
  ['soon', 0],
  ['-5', 0],
  [undefined, 0],
])('Retry-After: %s', (header, expected) => {
  expect(retryAfterMs(header, 1_000)).toBe(expected);
});

/** Flows and queues hand messages to each other. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  flow,
  json,
  type Millrace,
  openMillrace,
  queue,
  type QueueWorker,
  topic,
} from '../../../src/index.ts';

interface Order {
  readonly id: number;
  readonly to: string;
}

const dir = mkdtempSync(join(tmpdir(), 'millrace-flow-queues-'));
let millrace: Millrace;

beforeAll(async () => {
  millrace = await openMillrace({ dir });
});

afterAll(async () => {
  await millrace.close();
  rmSync(dir, { recursive: true, force: true });
});

const COUNT = 500;

function numbers(): readonly Order[] {
  return Array.from({ length: COUNT }, (_, id) => ({ id, to: `customer ${id % 7}` }));
}

async function until(isDone: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isDone()))
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
}

async function handled(worker: QueueWorker, count: number): Promise<void> {
  await until(() => worker.stats().handled >= count);
}

test('what a flow writes is handled once each, in the order of its keys, with what the program says of it', async () => {
  const orders = topic('orders-out', { value: json<Order>(), create: { partitions: 1 } });
  const emails = queue('emails-out', {
    value: json<Order>(),
    keyOrdered: true,
    message: ({ id }) => ({ id: `mail ${id}`, priority: 0, headers: { order: id } }),
  });
  const confirming = flow('confirming', (f) => {
    f.read(orders)
      .keyBy(({ to }) => to)
      .write(emails);
  });
  await using running = millrace.run(confirming, { commitInterval: '20ms' });
  await millrace.produce(
    orders,
    numbers().map((value) => ({ value })),
  );
  const seen: Order[] = [];
  const ids = new Set<string | undefined>();
  await using worker = millrace.queue(emails).work(
    (order, { id, key, headers }) => {
      expect(key).toBe(order.to);
      expect(headers).toEqual({ order: order.id });
      ids.add(id);
      seen.push(order);
    },
    { concurrency: 20 },
  );
  await handled(worker, COUNT);
  expect(ids.size).toBe(COUNT);
  expect(seen).toHaveLength(COUNT);
  const last = new Map<string, number>();
  for (const { id, to } of seen) {
    expect(id).toBeGreaterThan(last.get(to) ?? -1);
    last.set(to, id);
  }
  await running.stop();
  expect(await millrace.queue(emails).size()).toBe(0);
});

test('a delay counts from when the flow has written a message, whatever its event time', async () => {
  const events = topic('old-events', { value: 'string', create: { partitions: 1 } });
  const later = queue('later', { value: 'string', message: () => ({ delay: '1 hour' }) });
  await millrace.produce(events, { value: 'x', timestamp: new Date('2020-01-01') });
  // By AMQP; the other tests make their queues by the config of a topic.
  await millrace.queue(later).purge();
  await using running = millrace.run(flow('delaying', (f) => f.read(events).write(later)));
  await running.ready;
  await until(async () => (await millrace.queue(later).stats()).delayed === 1);
});

test('what a flow has read of a queue, and committed, is out of the queue', async () => {
  const jobs = queue('jobs-in', { value: json<Order>() });
  const opened = millrace.queue(jobs);
  await opened.enqueueMany(numbers().map((value) => ({ value, id: String(value.id) })));
  const copied = topic('jobs-copied', { value: json<string>(), create: { partitions: 1 } });
  const copying = flow('copying-jobs', (f) => {
    f.read(jobs.messages())
      .map(({ id, value }) => `${id} ${value.to}`)
      .write(copied);
  });
  await millrace.admin.createTopic('jobs-copied', { partitions: 1 });
  const running = millrace.run(copying, { commitInterval: '20ms' });
  const seen: string[] = [];
  for await (const { value } of millrace.consume(copied)) {
    seen.push(value);
    if (seen.length === COUNT) break;
  }
  expect(seen).toEqual(numbers().map(({ id, to }) => `${id} ${to}`));
  await until(async () => (await opened.size()) === 0);
  // And those that come while it runs, when it is stopped.
  await opened.enqueue({ id: -1, to: 'last' }, { id: '-1' });
  for await (const { value } of millrace.consume(copied)) if (value === '-1 last') break;
  expect(await opened.size()).toBeLessThanOrEqual(1);
  await running.stop();
  expect(await opened.size()).toBe(0);
});

test('a run with an end takes out what it has read, and puts in what it writes', async () => {
  const source = queue('bounded-in', { value: json<Order>() });
  const target = queue('bounded-out', {
    value: json<number>(),
    message: (id) => ({ id: `n ${id}`, priority: id % 2 === 0 ? 5 : 0 }),
  });
  await millrace.queue(source).enqueueMany(numbers().map((value) => ({ value })));
  const moving = flow('moving', (f) =>
    f
      .read(source)
      .map(({ id }) => id)
      .write(target),
  );
  const { status } = await millrace.runUntil(moving);
  expect(status).toBe('succeeded');
  expect(await millrace.queue(source).size()).toBe(0);
  expect(await millrace.queue(target).size()).toBe(COUNT);
  const seen: (readonly [number, string | undefined])[] = [];
  await using worker = millrace.queue(target).work((id, context) => seen.push([id, context.id]));
  await handled(worker, COUNT);
  const even = numbers().filter(({ id }) => id % 2 === 0);
  expect(seen.slice(0, even.length)).toEqual(even.map(({ id }) => [id, `n ${id}`]));
  // There is nothing left to read.
  await millrace.runUntil(moving);
  expect(await millrace.queue(target).size()).toBe(0);
});

test('a queue over a topic gives out its records, and takes none away', async () => {
  const clicks = topic('clicks', { value: json<Order>(), create: { partitions: 3 } });
  await millrace.produce(
    clicks,
    numbers()
      .slice(0, 50)
      .map((value) => ({ value, key: value.to })),
  );
  const view = millrace.queue('click-workers', {
    value: json<Order>(),
    over: { topic: 'clicks', from: 'beginning' },
  });
  await expect(view.enqueue({ id: 1, to: 'x' })).rejects.toMatchObject({ code: 'ML_USAGE' });
  const seen = new Set<number>();
  await using worker = view.work(({ id }) => seen.add(id), { concurrency: 5 });
  await handled(worker, 50);
  await millrace.produce(
    clicks,
    numbers()
      .slice(50, 100)
      .map((value) => ({ value })),
  );
  await handled(worker, 100);
  expect(seen.size).toBe(100);
  let records = 0;
  for await (const { value } of millrace.consume(clicks, { until: 'now' }))
    records += value === null ? 0 : 1;
  expect(records).toBe(100);
});

/**
 * A hundred thousand messages of 1 KiB in one queue: the first is never acknowledged, the others in random order. What is read at a start
 * and what stays on the disk is counted: neither may follow the number of messages.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Broker } from '../../src/broker/broker.ts';
import type { Delivery, Queue, QueueConsumer } from '../../src/broker/queues/queue.ts';
import { NO_PROPERTIES } from '../../src/broker/queues/message.ts';
import { openBroker } from '../../src/broker/open-broker.ts';
import { parseSettings } from '../../src/broker/settings.ts';
import { CollectingLogger } from '../../src/core/log.ts';
import { realEnv } from '../../src/core/real-env.ts';
import { SimRandom } from '../../src/core/sim/sim-random.ts';
import { withFaults } from './faulty-env.ts';

const MESSAGES = 100_000;
const BODY_BYTES = 1024;
const BATCH = 1_000;
const OWNER = { label: 'test' };
const MEGABYTE = 1_000_000;

let directory = '';
let readBytes = 0;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-large-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

async function open(): Promise<{ readonly broker: Broker; readonly queue: Queue }> {
  readBytes = 0;
  const env = withFaults(realEnv(), {
    read: (_path, bytes) => {
      readBytes += bytes.length;
    },
  });
  const broker = await openBroker(env, {
    dataDir: directory,
    settings: parseSettings({}),
    logger: new CollectingLogger(),
    store: { retentionIntervalMs: 200, compactionIntervalMs: 200 },
    onFatal: (error) => {
      throw error;
    },
  });
  const declared = await broker.virtualHosts.get('/')?.declareQueue(
    {
      name: 'large',
      passive: false,
      durable: true,
      exclusive: false,
      autoDelete: false,
      arguments: {},
    },
    OWNER,
  );
  if (declared?.ok !== true) throw new Error('the queue is not there');
  const { queue } = declared.value;
  await queue.ready;
  return { broker, queue };
}

/** Bytes below the directory, but for the journal and what is kept free. */
function storedBytes(path = join(directory, 'topics')): number {
  return readdirSync(path, { withFileTypes: true }).reduce((sum, entry) => {
    const inner = join(path, entry.name);
    return sum + (entry.isDirectory() ? storedBytes(inner) : statSync(inner).size);
  }, 0);
}

async function fill(queue: Queue): Promise<void> {
  for (let sent = 0; sent < MESSAGES; sent += BATCH) {
    const messages = Array.from({ length: BATCH }, (_, index) => {
      const body = Buffer.alloc(BODY_BYTES);
      body.writeUInt32BE(sent + index);
      return {
        key: null,
        exchange: '',
        routingKey: 'large',
        properties: NO_PROPERTIES,
        body,
        timestampMs: Date.now(),
      };
    });
    await queue.append(messages).durable;
  }
}

/** Takes everything, and acknowledges `count` of it in random order, never the first. Each message must come once. */
async function settleAtRandom(queue: Queue, count: number, done: Uint8Array): Promise<void> {
  const random = new SimRandom(1);
  const held: { readonly number: number; readonly delivery: Delivery }[] = [];
  let settled = 0;
  let wake: (() => void) | undefined;
  const consumer: QueueConsumer = {
    tag: 'large',
    noAck: false,
    exclusive: false,
    priority: 0,
    prefetch: 5_000,
    isWilling: true,
    deliver: (delivery) => {
      const number = delivery.message.body.readUInt32BE();
      expect(done[number]).toBe(0);
      if (number !== 0) held.push({ number, delivery });
      wake?.();
    },
    cancelled: () => {},
    timedOut: () => {},
  };
  queue.consume(consumer);
  while (settled < count) {
    if (held.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    const some: Delivery[] = [];
    // Half of what it may hold it keeps, as long as there is more.
    const keeps = settled + held.length >= count ? 0 : 2_500;
    while (held.length > keeps && settled + some.length < count) {
      const [one] = held.splice(random.below(held.length), 1);
      if (one === undefined) break;
      done[one.number] = 1;
      some.push(one.delivery);
    }
    queue.settle(some, 'accept');
    settled += some.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  queue.cancel(consumer);
  // What it has left goes back, the first one with it.
  const rest = queue.counts.unacknowledged;
  expect(rest).toBeLessThanOrEqual(5_000);
}

test('a large queue with a stuck message keeps little, and starts without reading it all', async () => {
  const done = new Uint8Array(MESSAGES);
  let { broker, queue } = await open();
  await fill(queue);
  expect(queue.counts.ready).toBe(MESSAGES);
  const filledBytes = storedBytes();
  await broker.close();

  ({ broker, queue } = await open());
  expect(queue.counts.ready).toBe(MESSAGES);
  expect(queue.counts.readyBytes).toBe(MESSAGES * BODY_BYTES);
  // A start reads the end of the log, and what the queue knows.
  expect(readBytes).toBeLessThan(4 * MEGABYTE);
  await settleAtRandom(queue, MESSAGES / 2, done);
  await broker.close();

  ({ broker, queue } = await open());
  expect(queue.counts.ready).toBe(MESSAGES / 2);
  expect(readBytes).toBeLessThan(4 * MEGABYTE);
  await settleAtRandom(queue, MESSAGES / 2 - 1, done);
  await expect
    .poll(() => storedBytes(), { timeout: 60_000, interval: 100 })
    .toBeLessThan(filledBytes / 2);
  await broker.close();

  ({ broker, queue } = await open());
  expect(queue.counts.ready).toBe(1);
  const got = await queue.get({ noAck: false });
  expect(got.ok && got.value?.message.body.readUInt32BE()).toBe(0);
  expect(got.ok && got.value?.redelivered).toBe(true);
  await broker.close();
});

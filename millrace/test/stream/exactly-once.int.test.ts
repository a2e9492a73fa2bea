/**
 * Exactly once with real processes: several of them run one flow on one broker over TCP, are killed at random, come back, and one is
 * stopped for longer than its session and wakes up as a zombie. Every count, sum and join is exact. With MILLRACE_TEST_BROKER=host:port
 * on whatever broker is there: `npm run test:kafka` runs it on Apache Kafka. MILLRACE_RUNS=n makes it n times as long, and
 * tells how much it was.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectKafka } from '../../src/client/kafka/kafka-log.ts';
import type { Log } from '../../src/client/log.ts';
import { realEnv } from '../../src/core/real-env.ts';
import {
  type BrokerUnderTest,
  startBrokerUnderTest,
  uniqueName,
} from '../conformance/broker-under-test.ts';
import { runs } from '../runs.ts';
import { FlowChild } from './exactly-once/flow-child.ts';
import { audit, openShop, sendOrders, ShopReader } from './exactly-once/shop-audit.ts';

const PROGRAM = fileURLToPath(new URL('./exactly-once/shop.ts', import.meta.url));
/** Orders at a time, and the pause behind them. */
const FEED_ORDERS = 300;
const FEED_MS = 60;
/** Apache Kafka allows none below six seconds by itself. */
const SHORT_SESSION_MS = 2_500;
const KAFKA_SESSION_MS = 6_000;

let broker: BrokerUnderTest;
let log: Log;
const dataDir = mkdtempSync(join(tmpdir(), 'millrace-flow-'));
const env = realEnv();

beforeAll(async () => {
  broker = await startBrokerUnderTest([`group.min.session.timeout.ms=${SHORT_SESSION_MS}`]);
  log = await connectKafka(env, { brokers: broker.address });
});

afterAll(async () => {
  await log.close();
  await broker.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Sends orders, some thousands a second, until it is told to end. */
class Feed {
  readonly #prefix: string;
  readonly #done: Promise<void>;
  #isEnding = false;
  count = 0;

  constructor(prefix: string) {
    this.#prefix = prefix;
    this.#done = this.#run();
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#isEnding) {
      await sendOrders(log, this.#prefix, this.count, this.count + FEED_ORDERS);
      this.count += FEED_ORDERS;
      await env.timers.sleep(FEED_MS);
    }
  }
}

/** Until all orders are through. */
async function settled(reader: ShopReader, prefix: string, count: number): Promise<void> {
  const topics = ['enriched', 'counts', 'revenue'].map((name) => `${prefix}-${name}`);
  for (;;) {
    const lines = await Promise.all(topics.map((topic) => reader.read(topic)));
    if (lines.every((list) => (list?.length ?? 0) >= count)) return;
    await env.timers.sleep(100);
  }
}

/** Runs a process for each of `workers` under `disturb`, and returns what is wrong with the results. */
async function run(
  workers: readonly number[],
  disturb: (processes: readonly FlowChild[]) => Promise<void>,
): Promise<string[]> {
  const prefix = uniqueName('shop');
  await openShop(log, prefix);
  const sessionMs = broker.kind === 'millrace' ? SHORT_SESSION_MS : KAFKA_SESSION_MS;
  const processes = workers.map(
    (threads, at) =>
      new FlowChild({
        broker: broker.address,
        program: PROGRAM,
        directory: join(dataDir, prefix, `p${at}`),
        workers: threads,
        sessionMs,
        env: { MILLRACE_TEST_PREFIX: prefix },
      }),
  );
  for (const each of processes) each.start();
  await Promise.all(processes.map(({ ready }) => ready));
  const begun = performance.now();
  const feed = new Feed(prefix);
  await disturb(processes);
  await feed.end();
  const feedMs = performance.now() - begun;
  const reader = new ShopReader(log);
  await settled(reader, prefix, feed.count);
  if (process.env['MILLRACE_RUNS'] !== undefined)
    process.stderr.write(
      `${feed.count} orders in ${(feedMs / 1_000).toFixed(1)} s, ${((performance.now() - begun) / 1_000).toFixed(1)} s in all\n`,
    );
  const wrong = await audit(reader, prefix, feed.count);
  const codes = await Promise.all(processes.map((each) => each.end('SIGTERM')));
  if (wrong.length > 0 || codes.some((code) => code !== 0))
    wrong.push(
      `exit codes ${codes.join(', ')}`,
      ...processes.map(({ said }) => said.slice(-3_000)),
    );
  return wrong;
}

test('processes, of one thread or of several, that are killed at random count, sum and join every order once', async () => {
  const wrong = await run([0, 2], async (processes) => {
    for (let kills = 0; kills < runs(2); kills++) {
      const victim = processes[kills % processes.length];
      await victim?.ready;
      await env.timers.sleep(env.random.next() * 400);
      await victim?.end('SIGKILL');
      victim?.start();
    }
  });
  expect(wrong).toEqual([]);
}, 300_000);

test('a process that was stopped for longer than its session writes nothing when it wakes up', async () => {
  const wrong = await run([0, 0], async (processes) => {
    const [zombie, other] = processes;
    await env.timers.sleep(env.random.next() * 200);
    zombie?.signal('SIGSTOP');
    const before = other?.said.length ?? 0;
    // The other one is given all tasks when the session has ended.
    while (other?.said.indexOf('"running","tasks":12', before) === -1) await env.timers.sleep(50);
    const asleep = zombie?.said.length ?? 0;
    zombie?.signal('SIGCONT');
    // Its commit is refused; or its heartbeat, when it had just committed: then it joins again without a word of what it lost.
    const awake = ['"lost"', '"assigned"'];
    while (!awake.some((word) => (zombie?.said.indexOf(word, asleep) ?? -1) !== -1))
      await env.timers.sleep(50);
  });
  expect(wrong).toEqual([]);
}, 300_000);

test('a broker that is killed and comes back is met again, and nothing is lost or done twice', async () => {
  if (broker.kind !== 'millrace') return;
  const wrong = await run([0, 0], async () => {
    for (let kills = 0; kills < runs(2); kills++) {
      await env.timers.sleep(300 + env.random.next() * 300);
      await broker.kill('SIGKILL');
      await broker.restart();
    }
  });
  expect(wrong).toEqual([]);
}, 300_000);

/**
 * Exactly once with real processes: several of them run one flow on one broker over TCP, are killed at random, come back, and one is
 * stopped for longer than its session and wakes up as a zombie. Every count, sum and join is exact. With MILLRACE_TEST_BROKER=host:port
 * on whatever broker is there: `npm run test:kafka` runs it on Apache Kafka. MILLRACE_RUNS=n makes it n times as long.
 */
import { type ChildProcess, spawn } from 'node:child_process';
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
import { audit, openShop, sendOrders, ShopReader } from './exactly-once/shop-audit.ts';

const PROCESS = fileURLToPath(new URL('./exactly-once/flow-process.ts', import.meta.url));
const PROGRAM = fileURLToPath(new URL('./exactly-once/shop.ts', import.meta.url));
const TIMES = Number(process.env['MILLRACE_RUNS'] ?? 1);

let broker: BrokerUnderTest;
let log: Log;
const dataDir = mkdtempSync(join(tmpdir(), 'millrace-flow-'));
const env = realEnv();

beforeAll(async () => {
  broker = await startBrokerUnderTest();
  log = await connectKafka(env, { brokers: broker.address });
});

afterAll(async () => {
  await log.close();
  await broker.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

/** A process of the flow, which is started again whenever it was killed. */
class FlowProcess {
  readonly #prefix: string;
  readonly #workers: number;
  readonly #directory: string;
  #child: ChildProcess | undefined;
  said = '';

  constructor(prefix: string, name: string, workers: number) {
    this.#prefix = prefix;
    this.#workers = workers;
    this.#directory = join(dataDir, prefix, name);
  }

  start(): void {
    const args = [PROCESS, broker.address, this.#directory, PROGRAM, String(this.#workers)];
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, MILLRACE_TEST_PREFIX: this.#prefix },
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.said += text;
        if (process.env['MILLRACE_TEST_LOG'] !== undefined) process.stderr.write(text);
      });
    this.#child = child;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  get hasEnded(): boolean {
    return this.#child?.exitCode !== null || this.#child.signalCode !== null;
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || this.hasEnded) return child?.exitCode ?? null;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    await ended;
    return child.exitCode;
  }
}

/** Until all orders are through, whatever happens to the processes. */
async function settled(reader: ShopReader, prefix: string, count: number): Promise<void> {
  const topics = ['enriched', 'counts', 'revenue'].map((name) => `${prefix}-${name}`);
  for (;;) {
    const lines = await Promise.all(topics.map((topic) => reader.read(topic)));
    if (lines.every((list) => (list?.length ?? 0) >= count)) return;
    await env.timers.sleep(100);
  }
}

async function run(
  workers: number,
  disturb: (processes: readonly FlowProcess[], round: number) => Promise<void>,
): Promise<string[]> {
  const prefix = uniqueName('shop');
  await openShop(log, prefix);
  const processes = ['a', 'b'].map((name) => new FlowProcess(prefix, name, workers));
  for (const each of processes) each.start();
  const rounds = 8 * TIMES;
  const perRound = 2_000;
  for (let round = 0; round < rounds; round++) {
    await sendOrders(log, prefix, round * perRound, (round + 1) * perRound);
    await disturb(processes, round);
  }
  const reader = new ShopReader(log);
  await settled(reader, prefix, rounds * perRound);
  const codes = await Promise.all(processes.map((each) => each.end('SIGTERM')));
  const wrong = await audit(reader, prefix, rounds * perRound);
  if (codes.some((code) => code !== 0))
    wrong.push(...processes.map(({ said }) => said.slice(-2_000)));
  return wrong;
}

test('processes that are killed at random count, sum and join every order once', async () => {
  const wrong = await run(0, async (processes, round) => {
    const victim = processes[round % processes.length];
    await env.timers.sleep(200 + env.random.next() * 400);
    await victim?.end('SIGKILL');
    victim?.start();
  });
  expect(wrong).toEqual([]);
}, 120_000);

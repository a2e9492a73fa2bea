/** Views of a flow that runs in several processes: whoever is asked has the same answer, also after tasks have moved. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectKafka } from '../../../src/client/kafka/kafka-log.ts';
import type { Log } from '../../../src/client/log.ts';
import { type RunningBroker, startBroker } from '../../../src/broker.ts';
import { realEnv } from '../../../src/core/real-env.ts';
import { openShop, orderOf, sendOrders } from '../exactly-once/shop-audit.ts';
import { EventReader } from './event-source.ts';

const PROGRAM = fileURLToPath(new URL('../exactly-once/shop.ts', import.meta.url));
const PROCESS = fileURLToPath(new URL('./views-process.ts', import.meta.url));
const ORDERS = 500;
const CUSTOMERS = 50;
const env = realEnv();

let directory: string;
let broker: RunningBroker;
let log: Log;
const children = new Set<ChildProcess>();

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-views-'));
  broker = await startBroker({ data: join(directory, 'log'), kafka: { port: 0 } });
  log = await connectKafka(env, { brokers: `127.0.0.1:${broker.port}` });
  await openShop(log, 'shop');
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await log.close();
  await broker.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Served {
  readonly address: string;
  readonly child: ChildProcess;
}

async function start(name: string, workers = 0): Promise<Served> {
  const child = spawn(
    process.execPath,
    [PROCESS, `127.0.0.1:${broker.port}`, join(directory, name), PROGRAM, String(workers)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  children.add(child);
  const { stdout } = child;
  for await (const line of createInterface(stdout)) return { address: line, child };
  throw new Error(`${name} has ended before it was ready`);
}

async function stop({ child }: Served): Promise<void> {
  child.kill('SIGTERM');
  await once(child, 'exit');
  children.delete(child);
}

async function ask(address: string, path: string): Promise<unknown> {
  for (;;) {
    const answer = await fetch(`http://${address}/flows/shop/${path}`);
    if (answer.status !== 503) return answer.json();
    await answer.arrayBuffer();
  }
}

/** What all of these processes say, as soon as all orders are counted. */
async function agreed(served: readonly Served[], orders: number): Promise<void> {
  const due = new Map<string, number>();
  for (let id = 0; id < orders; id++) {
    const { customer } = orderOf(id);
    due.set(customer, (due.get(customer) ?? 0) + 1);
  }
  for (const { address } of served) {
    for (;;) {
      const { rows } = (await ask(address, 'views/orders-per-customer?limit=100')) as {
        rows: { key: string; value: number }[];
      };
      const counted = rows.reduce((sum, { value }) => sum + value, 0);
      if (counted < orders) {
        await env.timers.sleep(20);
        continue;
      }
      expect(rows.map(({ key, value }) => [key, value])).toEqual(
        [...due].sort(([a], [b]) => (a < b ? -1 : 1)),
      );
      break;
    }
  }
  for (let customer = 0; customer < CUSTOMERS; customer += 7) {
    const path = `views/orders-per-customer/customer-${customer}`;
    // Each of them asks the one task that has it; that may commit between one question and the other.
    for (let isSame = false; !isSame; ) {
      const answers = await Promise.all(served.map(({ address }) => ask(address, path)));
      for (const answer of answers)
        expect(answer).toMatchObject({
          key: `customer-${customer}`,
          value: due.get(`customer-${customer}`),
        });
      const asOf = answers.map((answer) => JSON.stringify((answer as { asOf: unknown }).asOf));
      isSame = new Set(asOf).size === 1;
    }
  }
}

test('whoever is asked has the answer, and subscriptions go on elsewhere, while processes come and go', async () => {
  const first = await start('one');
  await sendOrders(log, 'shop', 0, ORDERS);
  await agreed([first], ORDERS);
  const events = await EventReader.open(
    `http://${first.address}/flows/shop/views/orders-per-customer/changes?prefix=customer-1`,
  );
  const snapshot = await events.until('ready');
  expect(snapshot.filter(({ name }) => name === 'row')).toHaveLength(11);
  events.close();

  const second = await start('two', 2);
  await agreed([first, second], ORDERS);
  const { members } = (await ask(second.address, '')) as {
    members: { tasks: string[]; address: string }[];
  };
  expect(new Set(members.map(({ address }) => address))).toEqual(
    new Set([first.address, second.address]),
  );
  expect(members.every(({ tasks }) => tasks.length > 0)).toBe(true);

  await stop(first);
  await sendOrders(log, 'shop', ORDERS, 2 * ORDERS);
  await agreed([second], 2 * ORDERS);
  const id = snapshot.at(-1)?.id;
  const later = await EventReader.open(
    `http://${second.address}/flows/shop/views/orders-per-customer/changes?prefix=customer-1`,
    id,
  );
  const latest = new Map<string, number>();
  while (
    [...latest.values()].reduce((sum, value) => sum + value, 0) <
    2 * 11 * (ORDERS / CUSTOMERS)
  ) {
    const event = await later.next();
    if (event?.name !== 'change') {
      expect(event?.name).toBe('ready');
      continue;
    }
    const { key, value } = event.data as { key: string; value: number };
    expect(value).toBeGreaterThan(latest.get(key) ?? ORDERS / CUSTOMERS);
    latest.set(key, value);
  }
  later.close();
  await stop(second);
});

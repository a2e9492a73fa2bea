/** Flows on real files: restarts on local state and without it, and threads that reach the log of their process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MillraceError } from '../../../src/core/errors.ts';
import { realEnv } from '../../../src/core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../../src/embedded-log.ts';
import type { FlowEvent, RunningFlow } from '../../../src/engine/stream/runner/flow-types.ts';
import { runFlow } from '../../../src/engine/stream/runner/run-flow.ts';
import { shop } from '../exactly-once/shop.ts';
import { audit, openShop, sendOrders, ShopReader } from '../exactly-once/shop-audit.ts';

const PROGRAM = fileURLToPath(new URL('../exactly-once/shop.ts', import.meta.url));
const THREADS = fileURLToPath(new URL('./threads-process.ts', import.meta.url));
const ORDERS = 1_000;
const env = realEnv();

let directory: string;
let log: EmbeddedLog;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-flow-'));
  log = await openEmbedded(env, { dataDir: join(directory, 'log') });
  await openShop(log, 'shop');
});

afterEach(async () => {
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

function start(events: FlowEvent[] = []): RunningFlow {
  return runFlow({
    log,
    plan: shop.plan(),
    dataDirectory: join(directory, 'state'),
    onEvent: (event) => events.push(event),
  });
}

async function through(reader: ShopReader, count: number): Promise<void> {
  for (;;) {
    const lines = await Promise.all(
      ['enriched', 'counts', 'revenue'].map((name) => reader.read(`shop-${name}`)),
    );
    if (lines.every((list) => (list?.length ?? 0) >= count)) return;
    await env.timers.sleep(20);
  }
}

/** All entries of the stores, as they are asked for. */
async function stateOf(running: RunningFlow): Promise<string[]> {
  const lines: string[] = [];
  for (const task of running.metrics().workers.flatMap(({ tasks }) => tasks)) {
    for (const store of ['orders-per-customer', 'revenue', 'shop-customers']) {
      try {
        const question = {
          kind: 'range',
          store,
          from: undefined,
          to: undefined,
          limit: 999,
        } as const;
        const { entries } = await running.ask(task.task, question);
        lines.push(...entries.map((entry) => `${store} ${JSON.stringify(entry)}`));
      } catch (error) {
        // Not every task has every store.
        expect((error as MillraceError).code).toBe('ML_USAGE');
      }
    }
  }
  return lines.toSorted();
}

function restored(events: readonly FlowEvent[]): number {
  return events.reduce(
    (total, each) =>
      each.kind === 'worker' && each.event.kind === 'running'
        ? total + each.event.restoredRecords
        : total,
    0,
  );
}

test('local state, and state that was restored because the disk is gone, are the same', async () => {
  const reader = new ShopReader(log);
  const first = start();
  await sendOrders(log, 'shop', 0, ORDERS);
  await through(reader, ORDERS);
  const wanted = await stateOf(first);
  expect(wanted.length).toBeGreaterThan(100);
  await first.stop();

  const local: FlowEvent[] = [];
  const second = start(local);
  await second.ready;
  expect(await stateOf(second)).toEqual(wanted);
  expect(restored(local)).toBe(0);
  await second.stop();

  rmSync(join(directory, 'state/flows/shop/0/worker-0'), { recursive: true });
  const remote: FlowEvent[] = [];
  const third = start(remote);
  await third.ready;
  expect(await stateOf(third)).toEqual(wanted);
  expect(restored(remote)).toBeGreaterThan(100);
  await sendOrders(log, 'shop', ORDERS, 2 * ORDERS);
  await through(reader, 2 * ORDERS);
  await third.stop();
  expect(await audit(reader, 'shop', 2 * ORDERS)).toEqual([]);
});

test('threads share the tasks, answer for them, and end when they are told to', async () => {
  // In a process of its own: threads import the program as it is, which the test runner does not.
  const child = spawn(process.execPath, [THREADS, PROGRAM, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  const [first, second, third] = said.split('\n');
  expect(first).toBe('tasks 6 and 6, state of 50 customers, 0 faults');
  expect(second).toMatch(/^ML_USER_FUNCTION .*unlucky/);
  // The order 1,005.
  expect(second).toMatch(/partition 1\b.*offset 251\b/);
  expect(third).toBe('who was stopped did not wait');
  expect(code).toBe(0);
});

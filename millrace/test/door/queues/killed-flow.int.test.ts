/** A flow that is killed again and again while it writes a queue: each message is handled once. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { json, openMillrace, topic } from '../../../src/index.ts';
import { runs } from '../../runs.ts';
import { paid } from './paid-orders.ts';

const PROCESS = fileURLToPath(
  new URL('../../stream/exactly-once/flow-process.ts', import.meta.url),
);
const PROGRAM = fileURLToPath(new URL('./paid-orders.ts', import.meta.url));
const ROUND = 400;

test('a flow that is killed while it writes a queue has enqueued each message once', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-killed-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  await using millrace = await openMillrace({ dir: join(dir, 'log'), kafka: {} });
  const orders = topic('orders', { value: json<number>(), create: { partitions: 2 } });
  await millrace.admin.createTopic('orders', { partitions: 2 });
  const seen = new Map<number, number>();
  await using worker = millrace.queue(paid).work(
    (order, { id, attempt }) => {
      expect([id, attempt]).toEqual([`order ${order}`, 1]);
      seen.set(order, (seen.get(order) ?? 0) + 1);
    },
    { concurrency: 10 },
  );
  const start = (): ChildProcess =>
    spawn(process.execPath, [PROCESS, millrace.kafka ?? '', join(dir, 'state'), PROGRAM], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  let sent = 0;
  const rounds = runs(2);
  for (let round = 0; round <= rounds; round++) {
    const child = start();
    const before = seen.size;
    await millrace.produce(
      orders,
      Array.from({ length: ROUND }, () => ({ value: sent++ })),
    );
    // In the middle of it: some of this round have come, and there are more on their way. The last round comes to its end.
    const enough = round === rounds ? sent : before + 1;
    while (seen.size < enough)
      await new Promise((resolve) => {
        setTimeout(resolve, 1);
      });
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  expect(seen.size).toBe(sent);
  expect([...seen.values()].every((count) => count === 1)).toBe(true);
  expect(worker.stats()).toMatchObject({ handled: sent, failed: 0 });
});

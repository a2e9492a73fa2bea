/** A process that makes load for a queue: one task, told over the channel to the benchmark, then it ends. */
import { setTimeout as sleep } from 'node:timers/promises';
import { amqplibConsume, amqplibPublish } from './amqplib-load.ts';
import type { ConsumeTask, LoadReport, LoadTask, PublishTask } from './load-tasks.ts';
import { rawConsume, rawPublish } from './raw-load.ts';

const POLL_MS = 2;
/** A consumer that has seen nothing new for so long waits for what does not come. */
const STUCK_MS = 20_000;

let expected = Number.POSITIVE_INFINITY;

async function publish(task: PublishTask): Promise<LoadReport> {
  const tally = await (task.client === 'raw' ? rawPublish(task) : amqplibPublish(task));
  return tally.figures();
}

async function consume(task: ConsumeTask): Promise<LoadReport> {
  const consumer = await (task.client === 'raw' ? rawConsume(task) : amqplibConsume(task));
  tell({ kind: 'ready' });
  let seen = 0;
  let sinceMs = performance.now();
  while (consumer.tally.count < expected) {
    await sleep(POLL_MS);
    if (consumer.failure !== undefined) throw consumer.failure;
    if (consumer.tally.count > seen || expected === Number.POSITIVE_INFINITY) {
      seen = consumer.tally.count;
      sinceMs = performance.now();
    } else if (performance.now() - sinceMs > STUCK_MS)
      throw new Error(`${seen} messages came, and not ${expected}`);
  }
  await consumer.close();
  return consumer.tally.figures();
}

function tell(report: LoadReport): void {
  process.send?.(report);
}

process.on('message', (task: LoadTask) => {
  if (task.kind === 'end') {
    expected = task.count;
    return;
  }
  const work = task.kind === 'publish' ? publish(task) : consume(task);
  work
    .catch((error: unknown): LoadReport => ({ kind: 'failed', message: String(error) }))
    .then((report) => {
      tell(report);
      process.disconnect();
    })
    .catch(() => process.exit(1));
});

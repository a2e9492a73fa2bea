/** Load with amqplib, as programs use it: a callback for each confirm, an acknowledgement for each message. */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'amqplib';
import type { Address } from '../clients/receiving-socket.ts';
import { Bodies } from './bodies.ts';
import { type ConsumeTask, monotonicMs, type PublishTask } from './load-tasks.ts';
import type { RunningConsumer } from './raw-load.ts';
import { ConsumeTally, PublishTally } from './tallies.ts';

const TICK_MS = 1;
/** Messages between two looks at what has come meanwhile. */
const BURST_MESSAGES = 64;

function urlOf({ host, port }: Address): string {
  return `amqp://guest:guest@${host}:${port}`;
}

export async function amqplibPublish(task: PublishTask): Promise<PublishTally> {
  const model = await connect(urlOf(task.address));
  const channel = await model.createConfirmChannel();
  const bodies = new Bodies(task.bodyBytes);
  const tally = new PublishTally(task);
  const state: { failure?: unknown } = {};
  const send = (): boolean => {
    const nowMs = monotonicMs();
    const count = Math.min(BURST_MESSAGES, tally.allowance(nowMs));
    for (let index = 0; index < count; index++) {
      const body = Buffer.allocUnsafe(task.bodyBytes);
      bodies.prepare(body, 0);
      const dueMs = tally.nextDueMs(nowMs);
      bodies.write(body, 0, tally.sent, dueMs);
      tally.send(dueMs);
      channel.sendToQueue(task.queue, body, { persistent: true }, (error) => {
        if (error === null) tally.confirm(monotonicMs());
        else state.failure ??= error;
        wake?.();
      });
    }
    return count > 0;
  };
  let wake: (() => void) | undefined;
  while (!tally.isDone(monotonicMs())) {
    if (state.failure !== undefined) throw state.failure as Error;
    while (send());
    await Promise.race([sleep(TICK_MS), new Promise<void>((resolve) => (wake = resolve))]);
  }
  await model.close();
  return tally;
}

export async function amqplibConsume(task: ConsumeTask): Promise<RunningConsumer> {
  const model = await connect(urlOf(task.address));
  const state: { failure?: Error } = {};
  model.on('error', (error) => (state.failure ??= error));
  const channel = await model.createChannel();
  await channel.prefetch(task.prefetch);
  const tally = new ConsumeTally(task, new Bodies(task.bodyBytes));
  await channel.consume(task.queue, (message) => {
    if (message === null) return;
    const { content } = message;
    tally.take(monotonicMs(), content, 0, content.length);
    channel.ack(message);
  });
  return {
    tally,
    get failure() {
      return state.failure;
    },
    close: () => model.close(),
  };
}

/**
 * Load over frames: messages are encoded once and only their numbers change, many go into one write, confirms are counted, what is delivered
 * is acknowledged once per piece that came. It costs so little that the broker is what is measured.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AmqpConnection,
  messageFrames,
  methodFrame,
  METHODS,
  shortText,
} from '../clients/amqp-connection.ts';
import { Bodies } from './bodies.ts';
import { type ConsumeTask, monotonicMs, type PublishTask } from './load-tasks.ts';
import { ConsumeTally, PublishTally } from './tallies.ts';

/** Messages of one write. */
const BATCH_MESSAGES = 128;
const TICK_MS = 1;

export async function rawPublish(task: PublishTask): Promise<PublishTally> {
  const connection = await AmqpConnection.open(task.address);
  await connection.call(1, METHODS.confirmSelect, Buffer.of(0), METHODS.confirmSelectOk);
  const bodies = new Bodies(task.bodyBytes);
  const template = messageFrames(1, task.queue, Buffer.alloc(task.bodyBytes));
  // The body is followed by the end of its frame.
  const bodyAt = template.length - 1 - task.bodyBytes;
  bodies.prepare(template, bodyAt);
  const tally = new PublishTally(task);
  const send = (): boolean => {
    const nowMs = monotonicMs();
    const count = Math.min(BATCH_MESSAGES, tally.allowance(nowMs));
    if (count === 0) return false;
    const batch = Buffer.allocUnsafe(count * template.length);
    for (let index = 0; index < count; index++) {
      const at = index * template.length;
      template.copy(batch, at);
      const dueMs = tally.nextDueMs(nowMs);
      bodies.write(batch, at + bodyAt, tally.sent, dueMs);
      tally.send(dueMs);
    }
    connection.write(batch);
    return true;
  };
  let wake: (() => void) | undefined;
  connection.listener = {
    method: (id, bytes, start) => {
      if (id === METHODS.basicNack) throw new Error('the broker has refused a message');
      if (id !== METHODS.basicAck) return;
      const tag = Number(bytes.readBigUInt64BE(start));
      const isMultiple = bytes[start + 8] === 1;
      const nowMs = monotonicMs();
      if (isMultiple) while (tally.confirmed < tag) tally.confirm(nowMs);
      else tally.confirm(nowMs);
    },
    header: () => {},
    body: () => {},
    idle: () => {
      wake?.();
      if (task.rate === undefined) while (send());
    },
  };
  while (!tally.isDone(monotonicMs())) {
    if (connection.failure !== undefined) throw connection.failure;
    while (send());
    await Promise.race([sleep(TICK_MS), new Promise<void>((resolve) => (wake = resolve))]);
  }
  await connection.close();
  return tally;
}

export interface RunningConsumer {
  readonly tally: ConsumeTally;
  readonly failure: Error | undefined;
  close(): Promise<void>;
}

export async function rawConsume(task: ConsumeTask): Promise<RunningConsumer> {
  const connection = await AmqpConnection.open(task.address);
  const qos = Buffer.alloc(7);
  qos.writeUInt16BE(task.prefetch, 4);
  await connection.call(1, METHODS.basicQos, qos, METHODS.basicQosOk);
  const tally = new ConsumeTally(task, new Bodies(task.bodyBytes));
  const ack = methodFrame(1, METHODS.basicAck, Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 1]));
  /** Behind the head of the frame, class and method. */
  const tagAt = 11;
  let tag = 0n;
  let acknowledged = 0n;
  const parts: Buffer[] = [];
  let partBytes = 0;
  connection.listener = {
    method: (id, bytes, start) => {
      if (id !== METHODS.basicDeliver) return;
      tag = bytes.readBigUInt64BE(start + 1 + (bytes[start] ?? 0));
    },
    header: () => {},
    body: (bytes, start, end) => {
      if (end - start === task.bodyBytes) return tally.take(monotonicMs(), bytes, start, end);
      // A body in several frames.
      parts.push(Buffer.from(bytes.subarray(start, end)));
      partBytes += end - start;
      if (partBytes < task.bodyBytes) return;
      tally.take(monotonicMs(), Buffer.concat(parts.splice(0)), 0, partBytes);
      partBytes = 0;
    },
    idle: () => {
      if (tag === acknowledged || partBytes > 0) return;
      ack.writeBigUInt64BE(tag, tagAt);
      acknowledged = tag;
      connection.write(Buffer.from(ack));
    },
  };
  const consume = Buffer.concat([
    Buffer.of(0, 0),
    shortText(task.queue),
    shortText('load'),
    Buffer.of(0),
    Buffer.alloc(4),
  ]);
  await connection.call(1, METHODS.basicConsume, consume, METHODS.basicConsumeOk);
  return {
    tally,
    get failure() {
      return connection.failure;
    },
    close: () => connection.close(),
  };
}

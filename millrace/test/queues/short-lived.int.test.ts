/**
 * What passes through a queue is garbage of the young generation, whatever it passes through. A map that is cleared again and again, or that
 * grows and shrinks, keeps it: V8 lets each table of a map that is given up point to the next one, so once one of them has grown old all
 * that follow are kept, with what was in them.
 *
 * In a process of its own: the heap of others says nothing of it.
 */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { PublishBatch } from '../../src/broker/exchanges/publish-batch.ts';
import type { VirtualHost } from '../../src/broker/exchanges/virtual-host.ts';
import { NO_PROPERTIES, type QueueMessage } from '../../src/broker/queues/message.ts';
import type { Queue } from '../../src/broker/queues/queue.ts';
import { QueueMemory } from '../../src/broker/queues/queue-memory.ts';
import { QueueTurns } from '../../src/broker/queues/queue-turns.ts';
import { makeRun, RunReader } from '../../src/broker/queues/run.ts';
import { Background } from '../../src/core/background.ts';
import type { Env } from '../../src/core/env.ts';
import { realEnv } from '../../src/core/real-env.ts';
import { DirectReplies } from '../../src/server/amqp/direct-replies.ts';
import type { Output } from '../../src/server/amqp/output.ts';
import { PendingConfirms } from '../../src/server/amqp/pending-confirms.ts';
import { Publisher, type PublishingChannel } from '../../src/server/amqp/publisher.ts';
import { PublishTurns } from '../../src/server/amqp/publish-turns.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options?: { readonly type: 'minor' }) => void;

const ROUNDS = 10_000;
const ROUNDS_BETWEEN_COLLECTIONS = 200;
/** Of a round. */
const OLD_BYTES_MAX = 40;

function oldBytes(): number {
  for (const space of getHeapSpaceStatistics())
    if (space.space_name === 'old_space') return space.space_used_size;
  return 0;
}

/** What is compiled, or collected in full, meanwhile is not there each time; a chain of tables is. */
const TRIES = 5;

/** Bytes that have grown old, of a round: the fewest of several tries. */
function agedBytes(round: () => void): number {
  for (let count = 0; count < ROUNDS_BETWEEN_COLLECTIONS; count++) round();
  let aged = Infinity;
  for (let tries = 0; tries < TRIES && aged >= OLD_BYTES_MAX; tries++)
    aged = Math.min(aged, agedOnce(round));
  return aged;
}

function agedOnce(round: () => void): number {
  // Whatever is there now is old.
  collect();
  const before = oldBytes();
  for (let count = 1; count <= ROUNDS; count++) {
    round();
    if (count % ROUNDS_BETWEEN_COLLECTIONS === 0) collect({ type: 'minor' });
  }
  return (oldBytes() - before) / ROUNDS;
}

const QUEUE = {
  append: () => ({ refused: [], reason: undefined, durable: undefined }),
} as unknown as Queue;
const ROUTED = { ok: true, value: [QUEUE] };
const VHOST = { route: () => ROUTED } as unknown as VirtualHost;

function message(): QueueMessage {
  const body = Buffer.alloc(10);
  const routingKey = 'q';
  return { key: null, exchange: '', routingKey, properties: NO_PROPERTIES, body, timestampMs: 0 };
}

test('of a batch', () => {
  const batch = new PublishBatch(VHOST);
  const aged = agedBytes(() => {
    batch.add(message());
    batch.commit();
  });
  expect(aged).toBeLessThan(OLD_BYTES_MAX);
});

test('of a publisher and its confirms', () => {
  const told: number[] = [];
  const env = realEnv();
  const publisher = new Publisher({
    vhost: VHOST,
    output: { schedule: () => {} } as unknown as Output,
    replies: new DirectReplies(env.random),
    background: new Background(() => {}),
    turns: new PublishTurns(env),
    onPressure: () => {},
    onDiskFull: () => {},
  });
  const confirms = new PendingConfirms((tag) => void (told[0] = tag));
  const channel = { number: 1, isOpen: true, mode: 'confirm', publishTag: 0, confirms };
  const aged = agedBytes(() => {
    publisher.add(channel as PublishingChannel, message(), false);
    publisher.commit();
    publisher.tellConfirms();
  });
  expect(told[0]).toBeGreaterThan(ROUNDS);
  expect(aged).toBeLessThan(OLD_BYTES_MAX);
});

test('of turns', () => {
  const waiting: (() => void)[] = [];
  const timers = { immediate: (callback: () => void) => void waiting.push(callback) };
  const turns = new QueueTurns({ ...realEnv(), timers } as unknown as Env);
  const taker = { hasTurnComing: false, turn: () => false };
  const aged = agedBytes(() => {
    turns.want(taker);
    waiting.pop()?.();
  });
  expect(aged).toBeLessThan(OLD_BYTES_MAX);
});

test('of what a queue says of its memory', () => {
  const memory = new QueueMemory();
  const holder = { giveUpMemory: () => {} };
  let bytes = 0;
  const aged = agedBytes(() => memory.report(holder, ++bytes));
  expect(aged).toBeLessThan(OLD_BYTES_MAX);
});

test('of a reader', () => {
  const reader = new RunReader();
  const run = makeRun(0, 1, Buffer.alloc(0));
  const aged = agedBytes(() => {
    reader.open(run);
    reader.close();
  });
  expect(aged).toBeLessThan(OLD_BYTES_MAX);
});

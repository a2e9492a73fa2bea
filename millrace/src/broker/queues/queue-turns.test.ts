import { expect, test } from 'vitest';
import { QUEUE_ROUND_MS } from '../../core/queue-limits.ts';
import type { Env } from '../../core/env.ts';
import { Consumers } from './consumers.ts';
import { MessageIndex } from './message-index.ts';
import { NO_FACTS } from './message-facts.ts';
import { QueueTurns } from './queue-turns.ts';
import { SETTINGS, TestConsumer } from '../../../test/queues/queue-fixture.ts';

interface Immediates {
  readonly env: Env;
  readonly run: () => void;
  /** Lets time pass. */
  readonly pass: (ms: number) => void;
}

function immediates(): Immediates {
  const waiting: (() => void)[] = [];
  let nowMs = 0;
  const timers = { immediate: (callback: () => void) => void waiting.push(callback) };
  const clock = { monotonicMs: () => nowMs };
  return {
    env: { timers, clock } as unknown as Env,
    run: () => waiting.shift()?.(),
    pass: (ms) => (nowMs += ms),
  };
}

test('queues take turns, also behind one that fails', () => {
  const { env, run } = immediates();
  const turns = new QueueTurns(env);
  const order: string[] = [];
  const taker = (name: string, more: number) => ({
    left: more,
    hasTurnComing: false,
    turn() {
      order.push(name);
      if (name === 'bad') throw new Error('bad');
      return this.left-- > 0;
    },
  });
  const [a, bad, b] = [taker('a', 1), taker('bad', 0), taker('b', 1)];
  for (const each of [a, bad, b, a]) turns.want(each);
  expect(run).toThrow('bad');
  expect(order).toEqual(['a', 'bad']);
  for (let count = 0; count < 5; count++) run();
  expect(order).toEqual(['a', 'bad', 'b', 'a', 'b']);
});

test('turns that take long let others in between, and nobody loses a place', () => {
  const { env, run, pass } = immediates();
  const turns = new QueueTurns(env);
  const order: number[] = [];
  const takers = Array.from({ length: 10 }, (_, number) => ({
    left: 2,
    hasTurnComing: false,
    turn() {
      order.push(number);
      pass(QUEUE_ROUND_MS / 2);
      return --this.left > 0;
    },
  }));
  for (const taker of takers) turns.want(taker);
  const sizes: number[] = [];
  for (let seen = 0; seen < 20; seen = order.length) {
    run();
    sizes.push(order.length - seen);
  }
  expect(sizes).toEqual(Array.from({ length: 10 }, () => 2));
  const all = takers.map((_, number) => number);
  expect(order).toEqual([...all, ...all]);
  run();
  expect(order.length).toBe(20);
});

test('entries of settled messages do not pile up', () => {
  const index = new MessageIndex({ ...SETTINGS, maxPriority: 5 });
  const facts = { ...NO_FACTS, expirationMs: 86_400_000, priority: 3 };
  let settledBelow = 0;
  for (let offset = 0; offset < 100_000; offset++) {
    index.add({ offset, timestampMs: 1000, bodyBytes: 10 }, facts);
    settledBelow = offset - 10;
    index.compact((each) => each < settledBelow);
  }
  expect(index.expiring.size + index.levelAt(3).size).toBeLessThan(10_000);
  expect(index.levelAt(3).first).toBeGreaterThan(90_000);
});

test('consumers of ever other priorities leave nothing behind', () => {
  const consumers = new Consumers(false);
  for (let priority = 0; priority < 1000; priority++) {
    const consumer = new TestConsumer({ priority });
    consumers.add(consumer, 'q');
    expect(consumers.next()?.consumer).toBe(consumer);
    consumers.remove(consumer);
    expect(consumers.next()).toBeUndefined();
  }
  expect((consumers as unknown as { rings: unknown[] }).rings.length).toBeLessThan(20);
});

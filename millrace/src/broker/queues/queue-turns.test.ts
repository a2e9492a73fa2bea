import { expect, test } from 'vitest';
import type { Env } from '../../core/env.ts';
import { Consumers } from './consumers.ts';
import { MessageIndex } from './message-index.ts';
import { NO_FACTS } from './message-facts.ts';
import { QueueTurns } from './queue-turns.ts';
import { SETTINGS, TestConsumer } from '../../../test/queues/queue-fixture.ts';

function immediates(): { readonly env: Env; readonly run: () => void } {
  const waiting: (() => void)[] = [];
  const timers = { immediate: (callback: () => void) => void waiting.push(callback) };
  return { env: { timers } as unknown as Env, run: () => waiting.shift()?.() };
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
  expect(order).toEqual(['a', 'bad', 'a', 'b', 'b']);
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

/** Space and memory: what is settled is given back, and nothing grows with what waits. */
import { expect, test } from 'vitest';
import { QueueFixture, texts } from '../../../test/queues/queue-fixture.ts';
import { QUEUE_KEPT_BYTES_MAX, QUEUE_RUNS_BYTES_MAX } from '../../core/queue-limits.ts';
import { QueueMemory } from './queue-memory.ts';

const SEGMENT = 16 * 1024;

function large(count: number, from = 0): string[] {
  return texts(count, from).map((text) => text.padEnd(200, '.'));
}

test('one stuck message keeps one segment, not the log', async () => {
  const fixture = await new QueueFixture({}, { config: { segmentBytes: SEGMENT } }).open();
  const consumer = fixture.consume({ prefetch: 50 });
  let settled = 1;
  consumer.onDelivery = ({ offset }) => {
    if (offset > 0) settled++;
  };
  for (let round = 0; round < 20; round++) {
    await fixture.publish(large(40, round * 40));
    fixture.queue.settle(consumer.deliveries.splice(1), 'accept');
    await fixture.idle(5000);
  }
  expect(settled).toBe(800);
  await fixture.idle(200_000);
  expect(fixture.log.sizeBytes).toBeLessThan(3 * SEGMENT);
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 1 });
  await fixture.restart();
  expect(await fixture.get()).toMatchObject({ offset: 0, redelivered: true });
  expect(await fixture.get()).toBeUndefined();
  await fixture.publish(['more']);
  expect(await fixture.getText()).toBe('more');
});

test('a queue that is emptied gives all back but its last segments', async () => {
  const fixture = await new QueueFixture({}, { config: { segmentBytes: SEGMENT } }).open();
  for (let round = 0; round < 20; round++) await fixture.publish(large(40, round * 40));
  const full = fixture.log.sizeBytes;
  expect(full).toBeGreaterThan(10 * SEGMENT);
  const consumer = fixture.consume();
  await fixture.idle();
  fixture.queue.settle(consumer.deliveries, 'accept');
  await fixture.idle(200_000);
  expect(fixture.log.sizeBytes).toBeLessThanOrEqual(2 * SEGMENT);
  expect(fixture.log.logStartOffset).toBe(800);
});

test('what waits is not kept in memory, whatever a consumer has', async () => {
  const fixture = await new QueueFixture({}, { config: { segmentBytes: 4 * 1024 * 1024 } }).open();
  const consumer = fixture.consume({ prefetch: 300 });
  const body = 'x'.repeat(60_000);
  for (let round = 0; round < 64; round++)
    await fixture.publish(Array.from({ length: 4 }, (_, index) => `${round}.${index} ${body}`));
  expect(consumer.deliveries.length).toBe(256);
  const bytes = fixture.memory.bytes;
  expect(bytes).toBeLessThan(QUEUE_RUNS_BYTES_MAX + QUEUE_KEPT_BYTES_MAX + 2 * 1024 * 1024);
  // The first has left the memory; it is read again.
  expect(() => consumer.deliveries[0]?.message).toThrow('after the turn');
  fixture.queue.settle(consumer.deliveries, 'release');
  await fixture.idle(1000);
  const names = (from: number): (string | undefined)[] =>
    consumer.texts.slice(from).map((text) => text.slice(0, text.indexOf(' ')));
  expect(names(256)).toEqual(names(0).slice(0, 256));
});

test('a message that has left the memory can become a dead letter', async () => {
  const fixture = await new QueueFixture({ deadLetterExchange: 'dead' }).open();
  const consumer = fixture.consume();
  await fixture.publish(['a', 'b']);
  fixture.memory.shrink(0);
  fixture.queue.settle(consumer.deliveries, 'reject');
  expect(fixture.queue.counts.unacknowledged).toBe(2);
  await fixture.idle();
  expect(fixture.deadLetters.map(({ text }) => text)).toEqual(['a', 'b']);
  expect(fixture.queue.counts).toMatchObject({ ready: 0, readyBytes: 0, unacknowledged: 0 });
});

test('queues that were not used for long give up their memory for others', () => {
  const memory = new QueueMemory(100);
  const given: string[] = [];
  const holder = (name: string) => ({ giveUpMemory: () => void given.push(name) });
  const [a, b, c] = [holder('a'), holder('b'), holder('c')] as const;
  memory.report(a, 40);
  memory.report(b, 40);
  memory.report(a, 50);
  memory.report(c, 40);
  expect([given, memory.bytes]).toEqual([['b'], 90]);
  memory.report(c, 200);
  expect([given, memory.bytes]).toEqual([['b', 'a'], 200]);
  memory.report(c, 0);
  expect(memory.bytes).toBe(0);
});

/** What queues do where two things happen at once, or something goes on for very long. */
import { expect, test, vi } from 'vitest';
import { QueueFixture, TestConsumer, texts } from '../../../test/queues/queue-fixture.ts';
import { QUEUE_TURN_MESSAGES } from '../../core/queue-limits.ts';
import { type BasicProperties, encodeProperties } from '../../wire/amqp/properties.ts';
import { Consumers } from './consumers.ts';
import { NO_PROPERTIES, type QueueMessage } from './message.ts';
import { MessageIndex } from './message-index.ts';
import type { QueueSettings } from './queue.ts';

const SEGMENT = 16 * 1024;

function properties(options: BasicProperties): Partial<QueueMessage> {
  return { properties: encodeProperties(options) };
}

function large(count: number, from = 0): string[] {
  return texts(count, from).map((text) => text.padEnd(200, '.'));
}

async function logBytesAfter(settings: Partial<QueueSettings>): Promise<number> {
  const fixture = await new QueueFixture(settings, { config: { segmentBytes: SEGMENT } }).open();
  for (let round = 0; round < 20; round++) {
    await fixture.publish(large(40, round * 40));
    await fixture.idle(5000);
  }
  await fixture.idle(200_000);
  return fixture.log.sizeBytes;
}

test('what a queue of a length has dropped is given back to the disk', async () => {
  expect(await logBytesAfter({ maxLength: 10 })).toBeLessThan(4 * SEGMENT);
});

test('what was too old is given back to the disk', async () => {
  expect(await logBytesAfter({ messageTtlMs: 100 })).toBeLessThan(4 * SEGMENT);
});

test('what was purged is given back to the disk', async () => {
  const fixture = await new QueueFixture({}, { config: { segmentBytes: SEGMENT } }).open();
  for (let round = 0; round < 20; round++) await fixture.publish(large(40, round * 40));
  await fixture.machine.run(fixture.queue.purge());
  await fixture.idle(200_000);
  expect(fixture.log.sizeBytes).toBeLessThanOrEqual(2 * SEGMENT);
});

test('a purge leaves what was published after it and is not durable yet', async () => {
  const fixture = await new QueueFixture({ maxPriority: 5 }).open();
  await fixture.publish(texts(3));
  const held = await fixture.get();
  fixture.queue.append([fixture.message('be')]);
  const purged = fixture.queue.purge();
  await fixture.machine.runFor(0);
  const late = fixture.message('la', properties({ priority: 3 }));
  const delayed = fixture.message('de', properties({ headers: { 'x-delay': 1000 } }));
  const { durable } = fixture.queue.append([late, delayed]);
  expect(await fixture.machine.run(purged)).toBe(3);
  await fixture.machine.run(durable as Promise<void>);
  await fixture.idle();
  expect(held?.offset).toBe(0);
  expect(fixture.queue.counts).toMatchObject({ ready: 1, delayed: 1, readyBytes: 2 });
  expect(await fixture.getText()).toBe('la');
  await fixture.idle(1000);
  expect(await fixture.getText()).toBe('de');
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 1, readyBytes: 0 });
});

test('consumers that come and go leave nothing behind in a queue in which nothing happens', () => {
  const consumers = new Consumers(false);
  consumers.add(new TestConsumer(), 'q');
  for (let round = 0; round < 1000; round++) {
    const guest = new TestConsumer();
    consumers.add(guest, 'q');
    consumers.remove(guest);
  }
  const rings: readonly { readonly waiting: readonly unknown[] }[] = Reflect.get(
    consumers,
    'rings',
  );
  expect(rings[0]?.waiting.length).toBeLessThan(200);
  expect(consumers.next()?.isCancelled).toBe(false);
});

test('a message that comes back again and again is not remembered each time', async () => {
  const limits = { deliveryLimit: undefined, messageTtlMs: 86_400_000 };
  const fixture = await new QueueFixture(limits).open();
  await fixture.publish(texts(1));
  const remembered = vi.spyOn(MessageIndex.prototype, 'expire');
  for (let round = 0; round < 100; round++) {
    const delivery = await fixture.get();
    fixture.queue.settle(delivery === undefined ? [] : [delivery], 'release');
  }
  expect(remembered).toHaveBeenCalledTimes(1);
  remembered.mockRestore();
  await fixture.idle(86_400_000);
  expect(fixture.queue.counts).toMatchObject({ ready: 0, expired: 1 });
});

test('a lost message of a key keeps no other of its key', async () => {
  const fixture = await new QueueFixture(
    { keyOrdered: true },
    { config: { segmentBytes: SEGMENT } },
  ).open();
  const key = { key: Buffer.from('k') };
  const consumer = fixture.consume({ prefetch: 10 });
  await fixture.publish(['a', 'b'], key);
  expect(consumer.take()).toEqual(['a']);
  fixture.queue.append([fixture.message('c', key)]);
  await fixture.idle();
  await fixture.machine.run(fixture.log.deleteRecordsBefore(1));
  fixture.memory.shrink(0);
  await fixture.idle();
  fixture.queue.settle(consumer.deliveries.splice(0), 'release');
  await fixture.idle(3000);
  expect(consumer.take()).toEqual(['b']);
});

test('a purge that comes late finds nothing', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(texts(3));
  fixture.queue.append([fixture.message('x')]);
  const purge = fixture.queue.purge();
  await fixture.machine.run(fixture.queue.close());
  expect(await fixture.machine.run(purge)).toBe(0);
});

test('names that no client of AMQP could be told are none', async () => {
  const fixture = await new QueueFixture({}, { config: { segmentBytes: 1024 * 1024 } }).open();
  const long = 'x'.repeat(256);
  await fixture.publish(['a'], { exchange: long, routingKey: long });
  await fixture.publish(['b'], { exchange: 'e', routingKey: 'x'.repeat(255) });
  const headers = Object.fromEntries(texts(10).map((name) => [name, 'y'.repeat(20_000)]));
  await fixture.publish(['c'], properties({ headers }));
  const [a, b, c] = [await fixture.get(), await fixture.get(), await fixture.get()];
  expect(a?.message).toMatchObject({ exchange: '', routingKey: 'work' });
  expect(b?.message).toMatchObject({ exchange: 'e', routingKey: 'x'.repeat(255) });
  expect(c?.message.properties).toEqual(NO_PROPERTIES);
});

test('a message that is too large for the log is refused for good, not until the disk has room', async () => {
  for (const type of ['classic', 'stream'] as const) {
    const fixture = await new QueueFixture({ type }, { config: { segmentBytes: SEGMENT } }).open();
    const large = fixture.message('x'.repeat(SEGMENT));
    expect(fixture.queue.append([large])).toMatchObject({ refused: [0], reason: 'full' });
  }
});

test('messages that are rejected together become dead letters turn by turn, in their order', async () => {
  const fixture = await new QueueFixture({ deadLetterExchange: 'dead' }).open();
  const consumer = fixture.consume();
  const all = texts(3 * QUEUE_TURN_MESSAGES);
  await fixture.publish(all);
  fixture.queue.settle(consumer.deliveries, 'reject');
  expect(fixture.deadLetters.length).toBe(QUEUE_TURN_MESSAGES);
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 2 * QUEUE_TURN_MESSAGES });
  await fixture.idle();
  expect(fixture.deadLetters.map(({ text }) => text)).toEqual(all);
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 0 });
});

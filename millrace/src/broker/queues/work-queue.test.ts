/** What a queue does with its messages. */
import { expect, test } from 'vitest';
import { QueueFixture, texts } from '../../../test/queues/queue-fixture.ts';

test('messages come in their order and are settled', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(texts(10));
  expect(fixture.queue.counts).toMatchObject({ ready: 10, unacknowledged: 0, readyBytes: 20 });
  const consumer = fixture.consume();
  await fixture.idle();
  expect(consumer.texts).toEqual(texts(10));
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 10, readyBytes: 0 });
  expect(consumer.deliveries.some((each) => each.redelivered)).toBe(false);
  fixture.queue.settle(consumer.deliveries, 'accept');
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 0, acknowledged: 10 });
  await fixture.restart();
  expect(fixture.queue.counts.ready).toBe(0);
  expect(await fixture.get()).toBeUndefined();
});

test('what is appended while a consumer waits goes to it as soon as it is durable', async () => {
  const fixture = await new QueueFixture().open();
  const consumer = fixture.consume({ prefetch: 3 });
  const { durable } = fixture.queue.append(texts(5).map((text) => fixture.message(text)));
  await Promise.resolve();
  expect(consumer.texts).toEqual([]);
  // Whoever has published them finds them counted all the same.
  expect(fixture.queue.counts).toMatchObject({ ready: 5, readyBytes: 10 });
  await fixture.machine.run(durable as Promise<void>);
  await fixture.idle();
  expect(consumer.take()).toEqual(['m0', 'm1', 'm2']);
  fixture.queue.settle([consumer.deliveries[1] as never], 'accept');
  await fixture.idle();
  expect(consumer.take()).toEqual(['m3']);
});

test('a message that was given back comes first, and is told to come again', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(texts(4));
  const first = await fixture.get();
  const second = await fixture.get();
  fixture.queue.settle([second as never, first as never], 'release');
  const again = await fixture.get();
  expect(again).toMatchObject({ redelivered: true, deliveryCount: 1, offset: 0 });
  expect(again?.message.body.toString()).toBe('m0');
  expect(await fixture.getText()).toBe('m1');
  expect(await fixture.getText()).toBe('m2');
});

test('what is in a queue survives a restart, and who had it is told', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(texts(3));
  const consumer = fixture.consume({ prefetch: 2 });
  await fixture.idle();
  fixture.queue.settle([consumer.deliveries[1] as never], 'accept');
  fixture.queue.cancel(consumer);
  await fixture.restart();
  expect(fixture.queue.counts).toMatchObject({ ready: 2, readyBytes: 4 });
  expect(await fixture.get()).toMatchObject({ offset: 0, redelivered: true, deliveryCount: 0 });
  const last = fixture.get();
  expect(await last).toMatchObject({ offset: 2 });
});

test('purge settles what is ready and leaves what is with somebody', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(texts(5));
  await fixture.get();
  const third = await fixture.get();
  expect(await fixture.machine.run(fixture.queue.purge())).toBe(3);
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 2 });
  fixture.queue.settle([third as never], 'release');
  expect(fixture.queue.counts).toMatchObject({ ready: 1, unacknowledged: 1, readyBytes: 2 });
  expect(await fixture.getText()).toBe('m1');
  expect(await fixture.getText()).toBeUndefined();
});

/** Streams: places of their own, and nothing is taken away. */
import { expect, test } from 'vitest';
import { QueueFixture, texts } from '../../../test/queues/queue-fixture.ts';

const stream = (): Promise<QueueFixture> => new QueueFixture({ type: 'stream' }).open();

test('consumers begin where they say, and nothing is taken away', async () => {
  const fixture = await stream();
  await fixture.publish(texts(10));
  const prefetch = 100;
  const first = fixture.consume({ prefetch, streamOffset: { kind: 'first' } });
  const last = fixture.consume({ prefetch, streamOffset: { kind: 'last' } });
  const next = fixture.consume({ prefetch });
  const fourth = fixture.consume({ prefetch, streamOffset: { kind: 'offset', offset: 4 } });
  const beyond = fixture.consume({ prefetch, streamOffset: { kind: 'offset', offset: 400 } });
  await fixture.idle();
  expect(first.take()).toEqual(texts(10));
  expect(last.take()).toEqual(['m9']);
  expect(next.take()).toEqual([]);
  expect(fourth.take()).toEqual(texts(6, 4));
  expect(fourth.deliveries[0]).toMatchObject({ offset: 4, redelivered: false });
  await fixture.publish(['new']);
  for (const consumer of [first, last, next, fourth, beyond])
    expect(consumer.take()).toEqual(['new']);
  fixture.queue.settle(first.deliveries, 'accept');
  expect(fixture.queue.counts).toMatchObject({ ready: 11, acknowledged: 11, consumers: 5 });
});

test('a consumer begins at a time', async () => {
  const fixture = await stream();
  await fixture.publish(['old']);
  await fixture.idle(10_000);
  const timestampMs = fixture.machine.wallMs();
  await fixture.publish(['young', 'younger']);
  const consumer = fixture.consume({
    prefetch: 10,
    streamOffset: { kind: 'timestamp', timestampMs },
  });
  const late = fixture.consume({
    prefetch: 10,
    streamOffset: { kind: 'timestamp', timestampMs: timestampMs + 100_000 },
  });
  await fixture.idle();
  expect([consumer.take(), late.take()]).toEqual([['young', 'younger'], []]);
});

test('credit comes with settling', async () => {
  const fixture = await stream();
  await fixture.publish(texts(1000));
  const consumer = fixture.consume({ prefetch: 2, streamOffset: { kind: 'first' } });
  await fixture.idle();
  expect(consumer.take()).toEqual(['m0', 'm1']);
  fixture.queue.settle(consumer.deliveries.slice(0, 1), 'reject');
  await fixture.idle();
  expect(consumer.take()).toEqual(['m2']);
  consumer.onDelivery = (delivery) => fixture.queue.settle([delivery], 'accept');
  fixture.queue.settle(consumer.deliveries, 'accept');
  await fixture.idle(1000);
  expect(consumer.take()).toEqual(texts(997, 3));
});

test('what a stream cannot do is refused as RabbitMQ does', async () => {
  const fixture = await stream();
  const outcome = await fixture.machine.run(fixture.queue.get({ noAck: false }));
  expect(outcome).toMatchObject({ ok: false, error: 'NOT_IMPLEMENTED' });
  expect(() => fixture.consume({ noAck: true, prefetch: 1 })).toThrow('automatic');
  expect(() => fixture.consume()).toThrow('prefetch');
});

test('a consumer whose place was deleted goes on with what is there', async () => {
  const fixture = await stream();
  await fixture.publish(texts(10));
  const consumer = fixture.consume({ prefetch: 1, streamOffset: { kind: 'first' } });
  await fixture.idle();
  await fixture.machine.run(fixture.log.deleteRecordsBefore(7));
  consumer.prefetch = 100;
  fixture.queue.resume(consumer);
  await fixture.idle();
  expect(consumer.take().slice(-3)).toEqual(texts(3, 7));
});

/** Limits, expiry, priorities, delays, dead letters: each by itself. */
import { expect, test, vi } from 'vitest';
import { QueueFixture, TestConsumer, texts } from '../../../test/queues/queue-fixture.ts';
import { type BasicProperties, encodeProperties } from '../../wire/amqp/properties.ts';
import type { QueueMessage } from './message.ts';
import type { Delivery } from './queue.ts';

function properties(options: BasicProperties): Partial<QueueMessage> {
  return { properties: encodeProperties(options) };
}

async function drain(fixture: QueueFixture): Promise<string[]> {
  const found: string[] = [];
  for (let text = await fixture.getText(); text !== undefined; text = await fixture.getText())
    found.push(text);
  return found;
}

const only = (delivery: Delivery | undefined): readonly Delivery[] =>
  delivery === undefined ? [] : [delivery];

test('consumers of a higher priority come first, equal ones take turns', async () => {
  const fixture = await new QueueFixture().open();
  const low = fixture.consume({ priority: 0 });
  const first = fixture.consume({ priority: 5, prefetch: 2 });
  const second = fixture.consume({ priority: 5, prefetch: 2 });
  await fixture.publish(texts(6));
  expect(first.texts).toEqual(['m0', 'm2']);
  expect(second.texts).toEqual(['m1', 'm3']);
  expect(low.texts).toEqual(['m4', 'm5']);
});

test('a consumer that takes nothing for now is passed over until it is resumed', async () => {
  const fixture = await new QueueFixture().open();
  const busy = fixture.consume({ isWilling: false });
  const other = fixture.consume({ prefetch: 1 });
  await fixture.publish(texts(3));
  expect([busy.take(), other.take()]).toEqual([[], ['m0']]);
  busy.isWilling = true;
  fixture.queue.resume(busy);
  await fixture.idle();
  expect(busy.take()).toEqual(['m1', 'm2']);
});

test('without acknowledgement a delivered message is gone', async () => {
  const fixture = await new QueueFixture().open();
  const consumer = fixture.consume({ noAck: true });
  await fixture.publish(texts(3));
  expect(consumer.take()).toEqual(texts(3));
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 0, readyBytes: 0 });
  await fixture.restart();
  expect(await drain(fixture)).toEqual([]);
});

test('exclusive use keeps others out', async () => {
  const fixture = await new QueueFixture().open();
  const consumer = fixture.consume({ exclusive: true });
  const other = new TestConsumer();
  expect(fixture.queue.consume(other)).toMatchObject({ ok: false, error: 'ACCESS_REFUSED' });
  fixture.queue.cancel(consumer);
  expect(fixture.queue.consume(other)).toBeUndefined();
  expect(fixture.queue.consume(consumer)).toMatchObject({ error: 'ACCESS_REFUSED' });
});

test('of single active consumers one has all messages, and the next takes over', async () => {
  const fixture = await new QueueFixture({ singleActiveConsumer: true }).open();
  const first = fixture.consume({ prefetch: 2 });
  const second = fixture.consume();
  await fixture.publish(texts(4));
  expect([first.take(), second.take()]).toEqual([['m0', 'm1'], []]);
  fixture.queue.cancel(first);
  await fixture.idle();
  expect(second.take()).toEqual(['m2', 'm3']);
  fixture.queue.settle(first.deliveries, 'release');
  await fixture.idle();
  expect(second.take()).toEqual(['m0', 'm1']);
});

test('what has to be read of several priorities is read at the same time', async () => {
  const fixture = await new QueueFixture({ maxPriority: 5 }).open();
  await fixture.publish(['first']);
  await fixture.publish(['second'], properties({ priority: 4 }));
  await fixture.publish(['third']);
  fixture.memory.shrink(0);
  const reads = vi.spyOn(fixture.log, 'read');
  const from = (): number[] => reads.mock.calls.map(([offset]) => offset);
  let read: number[] | undefined;
  const consumer = new TestConsumer({ onDelivery: () => (read ??= from()) });
  fixture.queue.consume(consumer);
  await fixture.idle();
  expect(consumer.take()).toEqual(['second', 'first', 'third']);
  expect([read, from()]).toEqual([
    [1, 0],
    [1, 0],
  ]);
});

test('messages of a higher priority come first, equal ones in their order', async () => {
  const fixture = await new QueueFixture({ maxPriority: 5 }).open();
  await fixture.publish(['a0', 'b0']);
  await fixture.publish(['a3', 'b3'], properties({ priority: 3 }));
  await fixture.publish(['a9', 'b9'], properties({ priority: 9 }));
  await fixture.publish(['c3'], properties({ priority: 3 }));
  await fixture.publish(['c0']);
  expect(await drain(fixture)).toEqual(['a9', 'b9', 'a3', 'b3', 'c3', 'a0', 'b0', 'c0']);
});

test('priorities are found again after a restart', async () => {
  const fixture = await new QueueFixture({ maxPriority: 5 }).open();
  await fixture.publish(['a0']);
  await fixture.publish(['a3', 'b3'], properties({ priority: 3 }));
  const taken = await fixture.get();
  expect(taken?.message.body.toString()).toBe('a3');
  await fixture.restart();
  const again = await fixture.get();
  expect(again?.message.body.toString()).toBe('a3');
  expect(again?.redelivered).toBe(true);
  expect(await drain(fixture)).toEqual(['b3', 'a0']);
});

test('a returned message keeps its priority', async () => {
  const fixture = await new QueueFixture({ maxPriority: 5 }).open();
  await fixture.publish(['a3'], properties({ priority: 3 }));
  const taken = await fixture.get();
  await fixture.publish(['a0']);
  await fixture.publish(['b3'], properties({ priority: 3 }));
  fixture.queue.settle(only(taken), 'release');
  expect(await drain(fixture)).toEqual(['a3', 'b3', 'a0']);
});

test('a delayed message comes when it is due, also after a restart', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(['late'], properties({ headers: { 'x-delay': 60_000 } }));
  await fixture.publish(['later'], properties({ headers: { 'x-delay': 120_000 } }));
  await fixture.publish(['now']);
  expect(fixture.queue.counts).toMatchObject({ ready: 1, delayed: 2, readyBytes: 3 });
  expect(await drain(fixture)).toEqual(['now']);
  const consumer = fixture.consume();
  await fixture.idle(61_000);
  expect(consumer.take()).toEqual(['late']);
  fixture.queue.settle(consumer.deliveries, 'accept');
  await fixture.restart();
  expect(fixture.queue.counts).toMatchObject({ ready: 0, delayed: 1 });
  await fixture.idle(61_000);
  expect(await drain(fixture)).toEqual(['later']);
});

test('a message can be given back for later', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(['a', 'b']);
  fixture.queue.settle(only(await fixture.get()), 'release', { delayMs: 5000 });
  expect(fixture.queue.counts).toMatchObject({ ready: 1, delayed: 1 });
  expect(await drain(fixture)).toEqual(['b']);
  await fixture.idle(5000);
  expect(await fixture.get()).toMatchObject({ redelivered: true, deliveryCount: 1 });
});

test('what is too old goes, with and without a message behind which it waits', async () => {
  const fixture = await new QueueFixture({
    messageTtlMs: 10_000,
    deadLetterExchange: 'dead',
  }).open();
  const stuck = fixture.consume({ prefetch: 1 });
  await fixture.publish(['stuck', 'old']);
  await fixture.idle(5000);
  await fixture.publish(['young']);
  await fixture.idle(6000);
  expect(fixture.deadLetters).toEqual([{ text: 'old', reason: 'expired' }]);
  expect(fixture.queue.counts).toMatchObject({ ready: 1, unacknowledged: 1, expired: 1 });
  // It expires as soon as it is back.
  fixture.queue.settle(stuck.deliveries, 'release');
  await fixture.idle();
  expect(fixture.deadLetters[1]).toEqual({ text: 'stuck', reason: 'expired' });
  expect(stuck.texts).toEqual(['stuck', 'young']);
});

test("a message's own time goes, anywhere in the queue; the smaller one counts", async () => {
  const fixture = await new QueueFixture({
    messageTtlMs: 60_000,
    deadLetterExchange: 'dead',
  }).open();
  await fixture.publish(['first']);
  await fixture.publish(['short'], properties({ expiration: '1000' }));
  await fixture.publish(['long'], properties({ expiration: '100000' }));
  await fixture.publish(['last']);
  await fixture.idle(1000);
  expect(fixture.deadLetters).toEqual([{ text: 'short', reason: 'expired' }]);
  expect(fixture.queue.counts.ready).toBe(3);
  await fixture.restart();
  await fixture.idle(60_000);
  expect(fixture.queue.counts).toMatchObject({ ready: 0, readyBytes: 0, expired: 3 });
  expect(fixture.deadLetters.map(({ text }) => text)).toEqual(['short', 'first', 'long', 'last']);
});

test('who may not wait goes to somebody at once, or goes', async () => {
  const fixture = await new QueueFixture({ messageTtlMs: 0, deadLetterExchange: 'dead' }).open();
  const consumer = fixture.consume({ prefetch: 1 });
  await fixture.publish(['a', 'b']);
  expect(consumer.take()).toEqual(['a']);
  expect(fixture.deadLetters).toEqual([{ text: 'b', reason: 'expired' }]);
});

test('without dead letters what is too old goes unread', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(texts(100), properties({ expiration: '500' }));
  await fixture.idle(1000);
  expect(fixture.queue.counts).toMatchObject({
    ready: 0,
    readyBytes: 0,
    expired: 100,
    dropped: 100,
  });
  expect(await drain(fixture)).toEqual([]);
  await fixture.restart();
  expect(fixture.queue.counts.ready).toBe(0);
});

test('a full queue loses its head', async () => {
  const fixture = await new QueueFixture({ maxLength: 3, deadLetterExchange: 'dead' }).open();
  await fixture.publish(texts(5));
  expect(fixture.deadLetters).toEqual([
    { text: 'm0', reason: 'maxlen' },
    { text: 'm1', reason: 'maxlen' },
  ]);
  expect(fixture.queue.counts.deadLettered.maxlen).toBe(2);
  expect(await drain(fixture)).toEqual(['m2', 'm3', 'm4']);
});

test('a queue that is full of bytes loses its head', async () => {
  const fixture = await new QueueFixture({ maxLengthBytes: 10 }).open();
  await fixture.publish(['four', 'five5', 'six666']);
  expect(await drain(fixture)).toEqual(['six666']);
  expect(fixture.queue.counts).toMatchObject({ dropped: 2, readyBytes: 0 });
});

test('who asks for a message gets none that is too much, or too old', async () => {
  const full = await new QueueFixture({ maxLength: 2 }).open();
  full.queue.append(['a', 'b', 'c'].map((text) => full.message(text)));
  expect(await full.getText()).toBe('b');
  const old = await new QueueFixture({ messageTtlMs: 0 }).open();
  old.queue.append([old.message('a')]);
  expect(await old.getText()).toBeUndefined();
});

test('a full queue refuses, until there is room', async () => {
  const fixture = await new QueueFixture({ maxLength: 2, overflow: 'reject-publish' }).open();
  expect(await fixture.publish(texts(4))).toEqual([2, 3]);
  expect(await fixture.publish(['more'])).toEqual([0]);
  const taken = await fixture.get();
  expect(await fixture.publish(['room'])).toEqual([]);
  fixture.queue.settle(only(taken), 'accept');
  expect(await drain(fixture)).toEqual(['m1', 'room']);
});

test('a queue says whether it has room, also for what is moved and has been there', async () => {
  const fixture = await new QueueFixture({
    maxLength: 1,
    overflow: 'reject-publish',
    dedupeWindowMs: 10_000,
  }).open();
  const key = properties({ headers: { 'x-dedupe-key': 'k' } });
  expect(fixture.queue.hasRoomFor(fixture.message('a', key))).toBe(true);
  await fixture.publish(['a'], key);
  expect(fixture.queue.hasRoomFor(fixture.message('a', key))).toBe(false);
  fixture.consume();
  expect(fixture.queue.hasRoomFor(fixture.message('a', key))).toBe(true);
});

test('what a full queue refuses can be a dead letter', async () => {
  const fixture = await new QueueFixture({
    maxLength: 1,
    overflow: 'reject-publish-dlx',
    deadLetterExchange: 'dead',
  }).open();
  expect(await fixture.publish(['a', 'b'])).toEqual([1]);
  expect(fixture.deadLetters).toEqual([{ text: 'b', reason: 'maxlen' }]);
});

test('what is not wanted becomes a dead letter, or is dropped', async () => {
  const fixture = await new QueueFixture({ deadLetterExchange: 'dead' }).open();
  await fixture.publish(['a', 'b']);
  fixture.queue.settle(only(await fixture.get()), 'reject');
  fixture.deadLetterOutcome = 'nowhere';
  fixture.queue.settle(only(await fixture.get()), 'reject');
  expect(fixture.deadLetters).toEqual([
    { text: 'a', reason: 'rejected' },
    { text: 'b', reason: 'rejected' },
  ]);
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 0, dropped: 1 });
  expect(fixture.queue.counts.deadLettered.rejected).toBe(2);
});

test('a dead letter for which there is no room stays, and goes later', async () => {
  const fixture = await new QueueFixture({ deadLetterExchange: 'dead' }).open();
  await fixture.publish(['a']);
  fixture.deadLetterOutcome = 'refused';
  fixture.queue.settle(only(await fixture.get()), 'reject');
  await fixture.idle(10_000);
  expect(fixture.deadLetters).toEqual([]);
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 1 });
  fixture.deadLetterOutcome = 'moved';
  await fixture.idle(2000);
  expect(fixture.deadLetters).toEqual([{ text: 'a', reason: 'rejected' }]);
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 0 });
});

test('a message that comes back too often becomes a dead letter', async () => {
  const fixture = await new QueueFixture({ deliveryLimit: 2, deadLetterExchange: 'dead' }).open();
  await fixture.publish(['a']);
  for (let count = 0; count <= 2; count++) {
    const delivery = await fixture.get();
    expect(delivery).toMatchObject({ deliveryCount: count, redelivered: count > 0 });
    fixture.queue.settle(only(delivery), 'release');
  }
  expect(fixture.deadLetters).toEqual([{ text: 'a', reason: 'delivery_limit' }]);
  expect(await fixture.get()).toBeUndefined();
});

test('what nobody was shown comes back without being counted', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(['a']);
  fixture.queue.settle(only(await fixture.get()), 'release', { counts: false });
  expect(await fixture.get()).toMatchObject({ deliveryCount: 0, redelivered: false });
});

test('a consumer that keeps a message for too long is told, once', async () => {
  const fixture = await new QueueFixture({ consumerTimeoutMs: 60_000 }).open();
  const consumer = fixture.consume();
  await fixture.publish(['a', 'b']);
  await fixture.idle(30_000);
  fixture.queue.settle(only(consumer.deliveries[0]), 'accept');
  await fixture.idle(20_000);
  await fixture.publish(['c']);
  expect(consumer.late).toEqual([]);
  await fixture.idle(15_000);
  expect(consumer.late).toEqual([consumer.deliveries[1]]);
  fixture.queue.settle(consumer.deliveries, 'release');
  await fixture.idle(100_000);
  expect(consumer.late.length).toBe(1);
});

test('one message of a key is out at a time, those of other keys go on', async () => {
  const fixture = await new QueueFixture({ keyOrdered: true }).open();
  const a = { key: Buffer.from('a') };
  const consumer = fixture.consume();
  await fixture.publish(['a0', 'a1', 'a2'], a);
  await fixture.publish(['b0'], { key: Buffer.from('b') });
  await fixture.publish(['x', 'y']);
  expect(consumer.take()).toEqual(['a0', 'b0', 'x', 'y']);
  fixture.queue.settle(only(consumer.deliveries[0]), 'release');
  await fixture.idle();
  expect(consumer.take()).toEqual(['a0']);
  fixture.queue.settle(consumer.deliveries, 'accept');
  await fixture.idle();
  expect(consumer.take()).toEqual(['a1']);
  await fixture.restart();
  const next = fixture.consume();
  await fixture.idle();
  expect(next.take()).toEqual(['a1']);
  fixture.queue.settle(next.deliveries, 'accept');
  await fixture.idle();
  expect(next.take()).toEqual(['a2']);
});

test('a purge of a queue ordered by key blocks no key', async () => {
  const fixture = await new QueueFixture({ keyOrdered: true }).open();
  const a = { key: Buffer.from('a') };
  await fixture.publish(['a0', 'a1'], a);
  const held = await fixture.get();
  expect(await fixture.get()).toBeUndefined();
  expect(await fixture.machine.run(fixture.queue.purge())).toBe(1);
  await fixture.publish(['a2'], a);
  expect(await fixture.get()).toBeUndefined();
  fixture.queue.settle(only(held), 'accept');
  expect(await drain(fixture)).toEqual(['a2']);
});

test('a message that was seen within the window is taken and not kept', async () => {
  const fixture = await new QueueFixture({ dedupeWindowMs: 10_000 }).open();
  const key = properties({ headers: { 'x-dedupe-key': 'k' } });
  expect(await fixture.publish(['a', 'b'], key)).toEqual([]);
  await fixture.restart();
  expect(await fixture.publish(['c'], key)).toEqual([]);
  await fixture.idle(20_000);
  await fixture.publish(['d'], key);
  expect(await drain(fixture)).toEqual(['a', 'd']);
});

test('only what the log has taken is remembered', async () => {
  const fixture = await new QueueFixture({ dedupeWindowMs: 10_000 }).open();
  const key = properties({ headers: { 'x-dedupe-key': 'k' } });
  const { log } = fixture;
  const append = log.append.bind(log);
  log.append = () => ({ ok: false, error: 'KAFKA_STORAGE_ERROR', message: 'the disk is full' });
  // Whoever published the copy must not be told that it is in the queue.
  expect(await fixture.publish(['a', 'copy'], key)).toEqual([0, 1]);
  expect(fixture.queue.append([fixture.message('b', key)]).reason).toBe('disk-full');
  log.append = append;
  expect(await fixture.publish(['c', 'copy'], key)).toEqual([]);
  expect(await fixture.publish(['copy'], key)).toEqual([]);
  expect(await drain(fixture)).toEqual(['c']);
});

test('what the queue has no room for is not remembered, and a copy needs none', async () => {
  const fixture = await new QueueFixture({
    dedupeWindowMs: 10_000,
    maxLength: 1,
    overflow: 'reject-publish',
  }).open();
  const key = (name: string) => properties({ headers: { 'x-dedupe-key': name } });
  expect(await fixture.publish(['a'], key('a'))).toEqual([]);
  expect(await fixture.publish(['b', 'b'], key('b'))).toEqual([0, 1]);
  expect(await fixture.publish(['copy'], key('a'))).toEqual([]);
  expect(await drain(fixture)).toEqual(['a']);
  expect(await fixture.publish(['b', 'copy'], key('b'))).toEqual([]);
  expect(await drain(fixture)).toEqual(['b']);
});

test('what is moved is no copy, but one that comes after it is', async () => {
  const fixture = await new QueueFixture({ dedupeWindowMs: 10_000 }).open();
  const key = properties({ headers: { 'x-dedupe-key': 'k' } });
  await fixture.publish(['a'], key);
  await fixture.idle(5000);
  fixture.queue.append([fixture.message('b', key), fixture.message('c', key)], { areMoved: true });
  await fixture.idle(6000);
  await fixture.publish(['copy'], key);
  expect(await drain(fixture)).toEqual(['a', 'b', 'c']);
});

test('a consumer can settle while it is given a message', async () => {
  const fixture = await new QueueFixture().open();
  const consumer = fixture.consume({
    prefetch: 1,
    onDelivery: (delivery) => fixture.queue.settle([delivery], 'accept'),
  });
  await fixture.publish(texts(2000));
  await fixture.idle(1000);
  expect(consumer.texts).toEqual(texts(2000));
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 0, readyBytes: 0 });
});

test('a closed queue tells its consumers', async () => {
  const fixture = await new QueueFixture().open();
  const consumer = fixture.consume();
  await fixture.publish(['a']);
  await fixture.machine.run(fixture.queue.close());
  expect(consumer.isCancelled).toBe(true);
  fixture.queue.settle(consumer.deliveries, 'accept');
  const outcome = await fixture.machine.run(fixture.queue.get({ noAck: true }));
  expect(outcome).toMatchObject({ ok: false, error: 'NOT_FOUND' });
});

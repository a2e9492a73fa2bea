/** Messages that were given back for later: they wait, whatever happens to the broker meanwhile. */
import { expect, test } from 'vitest';
import { QueueFixture, texts } from '../../../test/queues/queue-fixture.ts';
import { encodeProperties } from '../../wire/amqp/properties.ts';
import type { QueueSettings } from './queue.ts';

/** Gives back so many messages, each for later. @returns their texts */
async function giveBack(fixture: QueueFixture, delaysMs: readonly number[]): Promise<string[]> {
  const found: string[] = [];
  for (const delayMs of delaysMs) {
    const delivery = await fixture.get();
    if (delivery === undefined) throw new Error('there is no message');
    found.push(delivery.message.body.toString());
    fixture.queue.settle([delivery], 'release', { delayMs });
  }
  return found;
}

async function drain(fixture: QueueFixture): Promise<string[]> {
  const found: string[] = [];
  for (let text = await fixture.getText(); text !== undefined; text = await fixture.getText())
    found.push(text);
  return found;
}

test.each(['restart', 'crash'] as const)('they wait on after a %s', async (how) => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(texts(6));
  expect(await giveBack(fixture, [60_000, 30_000])).toEqual(['m0', 'm1']);
  await fixture.machine.run(fixture.queue.flush());
  for (let count = 0; count < 2; count++) await fixture[how]();
  expect(fixture.queue.counts).toMatchObject({ ready: 4, delayed: 2, readyBytes: 8 });
  const consumer = fixture.consume();
  await fixture.idle();
  expect(consumer.take()).toEqual(['m2', 'm3', 'm4', 'm5']);
  await fixture.idle(30_000);
  expect(consumer.take()).toEqual(['m1']);
  await fixture.idle(30_000);
  expect(consumer.take()).toEqual(['m0']);
  expect(consumer.deliveries.at(-1)).toMatchObject({ redelivered: true, deliveryCount: 1 });
  fixture.queue.settle(consumer.deliveries, 'accept');
  await fixture.idle();
  expect(fixture.queue.counts).toMatchObject({ ready: 0, delayed: 0, unacknowledged: 0 });
  await fixture.restart();
  expect(fixture.queue.counts).toMatchObject({ ready: 0, delayed: 0, readyBytes: 0 });
});

test('what has become due meanwhile is ready, in its place', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(texts(3));
  await giveBack(fixture, [5000, 60_000]);
  await fixture.idle(6000);
  await fixture.restart();
  expect(fixture.queue.counts).toMatchObject({ ready: 2, delayed: 1 });
  expect(await drain(fixture)).toEqual(['m0', 'm2']);
});

test('one that wakes where the cursor has not been comes once, in its place', async () => {
  const fixture = await new QueueFixture().open();
  await fixture.publish(texts(4));
  const held = [await fixture.get(), await fixture.get()];
  await giveBack(fixture, [1000]);
  fixture.queue.settle(
    held.flatMap((each) => each ?? []),
    'release',
  );
  await fixture.restart();
  await fixture.idle(2000);
  expect(await drain(fixture)).toEqual(texts(4));
  expect(fixture.queue.counts).toMatchObject({ ready: 0, unacknowledged: 0, readyBytes: 0 });
});

const HEADERS = { headers: { 'x-delay': 1 } };
const KINDS: readonly [string, Partial<QueueSettings>][] = [
  ['with priorities', { maxPriority: 5 }],
  ['with an expiration', { messageTtlMs: 3_600_000 }],
  ['over a topic', { sourceTopic: 'topic', sourceOffset: 'first' }],
];
test.each(KINDS)('they wait on in a queue %s', async (_, settings) => {
  const fixture = new QueueFixture({});
  await fixture.open();
  const properties = encodeProperties({ priority: 3, ...HEADERS });
  await fixture.publish(['a', 'b', 'c'], { properties });
  await fixture.publish(['d']);
  await fixture.machine.run(fixture.queue.close());
  Object.assign(fixture, { settings: { ...fixture.queue.settings, ...settings } });
  await fixture.restart();
  await fixture.idle();
  await giveBack(fixture, [60_000]);
  const others = (await drain(fixture)).toSorted();
  expect(others.length).toBe(3);
  await fixture.restart();
  expect(await drain(fixture)).toEqual([]);
  await fixture.idle(61_000);
  expect((await drain(fixture)).concat(others).toSorted()).toEqual(['a', 'b', 'c', 'd']);
});

test('those of its key wait behind it', async () => {
  const fixture = await new QueueFixture({ keyOrdered: true }).open();
  await fixture.publish(['a0', 'a1'], { key: Buffer.from('a') });
  await fixture.publish(['b0'], { key: Buffer.from('b') });
  expect(await giveBack(fixture, [60_000])).toEqual(['a0']);
  await fixture.restart();
  const consumer = fixture.consume();
  await fixture.idle();
  expect(consumer.take()).toEqual(['b0']);
  await fixture.idle(61_000);
  expect(consumer.take()).toEqual(['a0']);
  fixture.queue.settle(consumer.deliveries, 'accept');
  await fixture.idle();
  expect(consumer.take()).toEqual(['a1']);
});

test('one that is too old when it is due goes then', async () => {
  const fixture = await new QueueFixture({ messageTtlMs: 10_000, deadLetterExchange: 'd' }).open();
  await fixture.publish(['a']);
  await giveBack(fixture, [60_000]);
  await fixture.restart();
  await fixture.idle(50_000);
  expect(fixture.deadLetters).toEqual([]);
  await fixture.idle(11_000);
  expect(fixture.deadLetters).toEqual([{ text: 'a', reason: 'expired' }]);
});

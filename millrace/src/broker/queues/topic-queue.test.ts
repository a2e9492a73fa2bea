/** Queues whose messages others write: Kafka producers, with and without transactions, and queues over somebody's topic. */
import { expect, test } from 'vitest';
import { QueueFixture, texts } from '../../../test/queues/queue-fixture.ts';
import type { DiskLog } from '../../log/partition-log.ts';
import type { AppendOptions } from '../../log/types.ts';
import { encodeEndTransactionMarker } from '../../wire/kafka/records/control-records.ts';
import { type BatchOptions, encodeBatch } from '../../wire/kafka/records/record-batch-builder.ts';
import { setCrc } from '../../wire/kafka/records/record-batch.ts';
import { TestConsumer } from '../../../test/queues/queue-fixture.ts';

async function write(
  fixture: QueueFixture,
  log: DiskLog,
  values: readonly string[],
  options: BatchOptions = {},
): Promise<void> {
  const timestamp = fixture.machine.wallMs();
  const records = values.map((value) => ({ timestamp, key: null, value }));
  await append(fixture, log, encodeBatch(records, options), 'client');
}

async function append(
  fixture: QueueFixture,
  log: DiskLog,
  batch: Buffer,
  origin: AppendOptions['origin'],
): Promise<void> {
  const appended = log.append(batch, { origin });
  if (!appended.ok) throw new Error(appended.message);
  await fixture.machine.run(log.whenDurable(log.logEndOffset));
  await fixture.idle();
}

const transaction = (sequence: number): BatchOptions => ({
  producerId: 7,
  producerEpoch: 0,
  baseSequence: sequence,
  transactional: true,
});

async function end(fixture: QueueFixture, log: DiskLog, commit: boolean): Promise<void> {
  const marker = { producerId: 7, producerEpoch: 0, commit, coordinatorEpoch: 0 };
  const batch = encodeEndTransactionMarker(marker, { timestampMs: fixture.machine.wallMs() });
  await append(fixture, log, batch, 'control');
}

test('what a Kafka client writes is in the queue, in its place', async () => {
  const fixture = await new QueueFixture().open();
  const consumer = fixture.consume({ prefetch: 100 });
  await fixture.publish(['a']);
  await write(fixture, fixture.log, ['b', 'c']);
  await fixture.publish(['d']);
  expect(consumer.take()).toEqual(['a', 'b', 'c', 'd']);
  expect(consumer.deliveries[1]?.message).toMatchObject({ exchange: '', routingKey: 'work' });
  fixture.queue.settle(consumer.deliveries, 'accept');
  expect(fixture.queue.counts).toMatchObject({ ready: 0, readyBytes: 0 });
});

test('a transaction is in the queue when it is committed, and never when it is not', async () => {
  const fixture = await new QueueFixture().open();
  const { log } = fixture;
  await write(fixture, log, ['aborted1', 'aborted2'], transaction(0));
  await fixture.publish(['behind']);
  expect(fixture.queue.counts.ready).toBe(0);
  const consumer = fixture.consume({ prefetch: 100 });
  await fixture.idle();
  expect(consumer.take()).toEqual([]);
  await end(fixture, log, false);
  expect(consumer.take()).toEqual(['behind']);
  await write(fixture, log, ['committed'], transaction(2));
  await fixture.publish(['after']);
  expect(consumer.take()).toEqual([]);
  await end(fixture, log, true);
  expect(consumer.take()).toEqual(['committed', 'after']);
  fixture.queue.settle(consumer.deliveries, 'accept');
  await fixture.idle();
  expect(fixture.queue.counts).toMatchObject({ ready: 0, readyBytes: 0, unacknowledged: 0 });
  // Nothing is in the way of the floor: markers and aborted records are settled with the rest.
  expect(fixture.states.state(fixture.queue.id)?.floor).toBe(log.logEndOffset);
  await fixture.restart();
  expect(await fixture.getText()).toBeUndefined();
});

test('transactions are told apart after a restart, too', async () => {
  const fixture = await new QueueFixture().open();
  const { log } = fixture;
  await write(fixture, log, ['no1'], transaction(0));
  await end(fixture, log, false);
  await write(fixture, log, ['yes1'], transaction(1));
  await write(fixture, log, ['plain']);
  await end(fixture, log, true);
  await write(fixture, log, ['no2'], transaction(2));
  await end(fixture, log, false);
  await fixture.restart();
  const found: (string | undefined)[] = [];
  for (let index = 0; index < 3; index++) found.push(await fixture.getText());
  expect(found).toEqual(['yes1', 'plain', undefined]);
});

test('compressed batches of others are read', async () => {
  const fixture = await new QueueFixture().open();
  await write(fixture, fixture.log, texts(50), { compression: 'gzip' });
  const consumer = fixture.consume();
  await fixture.idle();
  expect(consumer.take()).toEqual(texts(50));
});

test('a batch that is none inside is left out, and what follows comes', async () => {
  const fixture = await new QueueFixture().open();
  const { log } = fixture;
  const batch = encodeBatch([{ timestamp: 1, key: null, value: 'x'.repeat(20) }]);
  // The length of the record, which a CRC does not know to be wrong.
  batch[61] = 0x7e;
  setCrc(batch, 0);
  await append(fixture, log, batch, 'client');
  await write(fixture, log, ['good']);
  expect(fixture.queue.counts.ready).toBe(1);
  expect(await fixture.getText()).toBe('good');
  expect(fixture.states.state(fixture.queue.id)?.floor).toBe(2);
});

const over = (sourceOffset: 'first' | 'next'): QueueFixture =>
  new QueueFixture({ sourceTopic: 'events', sourceOffset }, { partitions: 3 });

test('a queue over a topic reads all partitions, in turns, and takes nothing away', async () => {
  const fixture = await over('next').open();
  const [first, second, third] = fixture.logs as [DiskLog, DiskLog, DiskLog];
  await write(fixture, first, ['a0', 'a1', 'a2']);
  await write(fixture, second, ['b0', 'b1']);
  await write(fixture, third, ['c0']);
  expect(fixture.queue.counts.ready).toBe(6);
  const consumer = fixture.consume({ prefetch: 6 });
  await fixture.idle();
  expect(consumer.take()).toEqual(['a0', 'b0', 'c0', 'a1', 'b1', 'a2']);
  fixture.queue.settle(consumer.deliveries.slice(1), 'accept');
  await fixture.restart();
  expect(fixture.queue.counts).toMatchObject({ ready: 1, unacknowledged: 0 });
  const again = fixture.consume({ prefetch: 6 });
  await fixture.idle();
  expect(again.take()).toEqual(['a0']);
  expect(again.deliveries[0]?.redelivered).toBe(true);
  expect(first.logStartOffset).toBe(0);
  expect(fixture.queue.append([fixture.message('x')])).toMatchObject({ refused: [0] });
});

test('a queue over a topic begins where it was told to', async () => {
  const fixture = await over('first').open();
  await write(fixture, fixture.log, ['old']);
  await fixture.machine.run(fixture.queue.close());
  const begin = async (sourceOffset: 'first' | 'next'): Promise<string[]> => {
    const id = `00000000-0000-4000-8000-00000000000${sourceOffset.length}`;
    const queue = fixture.openBeside(id, { sourceTopic: 'events', sourceOffset });
    await fixture.machine.run(queue.ready);
    const consumer = new TestConsumer();
    queue.consume(consumer);
    await fixture.idle();
    await write(fixture, fixture.log, [`new ${sourceOffset}`]);
    expect(consumer.deliveries.some(({ redelivered }) => redelivered)).toBe(false);
    await fixture.machine.run(queue.close());
    return consumer.texts;
  };
  expect(await begin('next')).toEqual(['new next']);
  expect(await begin('first')).toEqual(['old', 'new next', 'new first']);
});

test('partitions that a topic gets later are read from their beginning', async () => {
  const fixture = await over('next').open();
  const consumer = fixture.consume();
  const log = fixture.openLog(3);
  await write(fixture, log, ['early']);
  await fixture.machine.run(fixture.queue.addLogs([log]));
  await write(fixture, log, ['late']);
  expect(consumer.take()).toEqual(['early', 'late']);
  fixture.queue.settle(consumer.deliveries, 'accept');
  // One that comes while the queue is closed is no other.
  await write(fixture, fixture.openLog(4), ['meanwhile']);
  fixture.partitions = 5;
  await fixture.restart();
  const again = fixture.consume();
  await fixture.idle();
  expect(again.take()).toEqual(['meanwhile']);
});

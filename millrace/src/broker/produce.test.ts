import { expect, test } from 'vitest';
import { createTopic, withSimBroker } from '../../test/kafka/sim-broker.ts';
import {
  attributes,
  compressionOf,
  isAppendTime,
  maxTimestamp,
} from '../wire/kafka/records/record-batch.ts';
import { COMPRESSIONS } from '../wire/kafka/records/compression.ts';
import { encodeBatch } from '../wire/kafka/records/record-batch-builder.ts';
import { readRecords } from '../wire/kafka/records/record-reader.ts';
import type { Broker } from './broker.ts';
import { produce, type Produced, transactionalProducer } from './produce.ts';
import type { Topic } from './topics.ts';

function append(broker: Broker, topic: Topic, batch: Buffer): Produced {
  const nowMs = broker.env.clock.nowMs();
  return produce(topic, 0, batch, { allowZstd: true, nowMs });
}

async function stored(topic: Topic, endOffset: number): Promise<Buffer> {
  const [log] = topic.partitions;
  await log?.whenDurable(endOffset);
  const read = await log?.read(0, {
    maxBytes: 1e6,
    atLeastOneBatch: true,
    isolation: 'read_uncommitted',
  });
  const copy = Buffer.from(read?.records ?? []);
  read?.release();
  return copy;
}

const RECORDS = Array.from({ length: 20 }, (_, index) => ({
  timestamp: Date.UTC(2025, 11, 31) + index * 3 - (index % 4),
  key: `key ${index}`,
  value: index % 5 === 0 ? null : `value ${index}`.repeat(20),
  headers: [{ key: 'h', value: String(index) }],
}));

test.each(COMPRESSIONS)(
  'a topic that is kept in another codec than %s has the same records',
  async (from) => {
    await withSimBroker(async (broker) => {
      const to = from === 'zstd' ? 'gzip' : 'zstd';
      const topic = await createTopic(broker, 'orders', { config: { 'compression.type': to } });
      const sent = encodeBatch(RECORDS, {
        compression: from,
        producerId: 9,
        producerEpoch: 2,
        baseSequence: 0,
      });
      const before = readRecords(Buffer.from(sent));
      expect(append(broker, topic, sent)).toMatchObject({ ok: true, baseOffset: 0, endOffset: 20 });
      const bytes = await stored(topic, 20);
      expect(COMPRESSIONS[compressionOf(attributes(bytes, 0))]).toBe(to);
      expect(readRecords(bytes)).toEqual(before);
      // The producer's numbers are still the batch's: sent again, it is a duplicate.
      const again = encodeBatch(RECORDS, {
        compression: from,
        producerId: 9,
        producerEpoch: 2,
        baseSequence: 0,
      });
      expect(append(broker, topic, again)).toMatchObject({ ok: true, baseOffset: 0 });
      expect(topic.partitions[0]?.logEndOffset).toBe(20);
    });
  },
);

test('a topic with the clock of the broker stamps batches and takes any timestamp', async () => {
  await withSimBroker(async (broker) => {
    const config = { 'message.timestamp.type': 'LogAppendTime' };
    const topic = await createTopic(broker, 'orders', { config });
    const far = encodeBatch([{ timestamp: Date.UTC(2090, 0), key: 'k', value: 'v' }]);
    const produced = append(broker, topic, far);
    const nowMs = broker.env.clock.nowMs();
    expect(produced.ok && Math.abs(produced.appendTimeMs - nowMs)).toBeLessThan(1_000);
    const bytes = await stored(topic, 1);
    expect(isAppendTime(attributes(bytes, 0))).toBe(true);
    expect(maxTimestamp(bytes, 0)).toBe(produced.ok && produced.appendTimeMs);
  });
});

test('records too old for the topic are named, those without a time pass', async () => {
  await withSimBroker(async (broker) => {
    const config = { 'message.timestamp.before.max.ms': '1000' };
    const topic = await createTopic(broker, 'orders', { config });
    const nowMs = broker.env.clock.nowMs();
    const batch = encodeBatch([
      { timestamp: nowMs, key: 'k', value: 'v' },
      { timestamp: nowMs - 5_000, key: 'k', value: 'v' },
    ]);
    const refused = append(broker, topic, batch);
    expect(refused).toMatchObject({ ok: false, error: 'INVALID_TIMESTAMP' });
    expect(!refused.ok && refused.recordErrors.map(({ batchIndex }) => batchIndex)).toEqual([1]);
    const none = encodeBatch([{ timestamp: -1, key: 'k', value: 'v' }]);
    expect(append(broker, topic, none).ok).toBe(true);
  });
});

test('an idempotent producer needs a sequence, a transactional one an id', async () => {
  await withSimBroker(async (broker) => {
    const topic = await createTopic(broker, 'orders');
    const one = [{ timestamp: 1, key: 'k', value: 'v' }];
    const withoutSequence = encodeBatch(one, { producerId: 3, producerEpoch: 0 });
    expect(append(broker, topic, withoutSequence)).toMatchObject({ error: 'INVALID_RECORD' });
    const withoutId = encodeBatch(one, { transactional: true });
    expect(append(broker, topic, withoutId)).toMatchObject({ error: 'INVALID_RECORD' });
    const good = encodeBatch(one, {
      producerId: 3,
      producerEpoch: 1,
      baseSequence: 0,
      transactional: true,
    });
    expect(transactionalProducer(good)).toEqual({ producerId: 3, producerEpoch: 1 });
    expect(transactionalProducer(encodeBatch(one))).toBeUndefined();
    expect(transactionalProducer(good.subarray(0, 30))).toBeUndefined();
    expect(transactionalProducer(null)).toBeUndefined();
  });
});

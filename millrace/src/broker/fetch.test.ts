import { expect, test } from 'vitest';
import {
  createTopic,
  openSimBroker,
  produceValue,
  withSimBroker,
} from '../../test/kafka/sim-broker.ts';
import { FETCH_ANSWER_BYTES_MIN } from '../core/limits.ts';
import { batchEnd } from '../wire/kafka/records/record-batch.ts';
import { encodeEndTransactionMarker } from '../wire/kafka/records/control-records.ts';
import { encodeBatch } from '../wire/kafka/records/record-batch-builder.ts';
import type { Broker } from './broker.ts';
import { epochError, type Fetched, type FetchOptions, type FetchTarget } from './fetch.ts';
import type { Topic } from './topics.ts';

const NEVER = new AbortController().signal;

function target(topic: Topic | undefined, change: Partial<FetchTarget> = {}): FetchTarget {
  return {
    topic,
    partition: 0,
    error: 'UNKNOWN_TOPIC_OR_PARTITION',
    fetchOffset: 0,
    maxBytes: 1_000_000,
    currentLeaderEpoch: -1,
    lastFetchedEpoch: -1,
    ...change,
  };
}

function fetch(
  broker: Broker,
  targets: readonly FetchTarget[],
  change: Partial<FetchOptions> = {},
): Promise<Fetched> {
  return broker.fetches.fetch(targets, {
    minBytes: 1,
    maxWaitMs: 0,
    maxBytes: 10_000_000,
    isolation: 'read_uncommitted',
    signal: NEVER,
    ...change,
  });
}

/** How many whole batches, and that nothing follows them. */
function batches(records: Buffer): number {
  let count = 0;
  let at = 0;
  for (let end: number; (end = batchEnd(records, at, records.length)) !== -1; at = end) count++;
  expect(at).toBe(records.length);
  return count;
}

test('waits for minBytes over many small appends, not for the first', async () => {
  await withSimBroker(async (broker, env) => {
    const topic = await createTopic(broker, 'orders', { partitions: 2 });
    const started = env.clock.monotonicMs();
    const waiting = fetch(broker, [target(topic), target(topic, { partition: 1 })], {
      minBytes: 1_000,
      maxWaitMs: 60_000,
    });
    let answered = false;
    const fetched = waiting.then((result) => {
      answered = true;
      return result;
    });
    for (let round = 0; round < 9; round++) {
      await env.timers.sleep(1_000);
      expect(answered).toBe(false);
      await produceValue(broker, topic, Buffer.alloc(40), round % 2);
    }
    await produceValue(broker, topic, Buffer.alloc(1_000));
    const { partitions, bytes, release } = await fetched;
    expect(bytes).toBeGreaterThanOrEqual(1_000);
    expect(env.clock.monotonicMs() - started).toBeLessThan(20_000);
    expect(batches(partitions[0]?.records ?? Buffer.alloc(0))).toBe(6);
    release();
    expect(broker.fetches.bytesInFlight).toBe(0);
  });
});

test('the end of the wait answers what there is', async () => {
  await withSimBroker(async (broker, env) => {
    const topic = await createTopic(broker, 'orders');
    await produceValue(broker, topic, 'one');
    const started = env.clock.monotonicMs();
    const { partitions } = await fetch(broker, [target(topic)], {
      minBytes: 10_000,
      maxWaitMs: 500,
    });
    expect(env.clock.monotonicMs() - started).toBeGreaterThanOrEqual(500);
    expect(batches(partitions[0]?.records ?? Buffer.alloc(0))).toBe(1);
  });
});

test('an error, a deletion and the end of the connection end the wait', async () => {
  await withSimBroker(async (broker, env) => {
    const topic = await createTopic(broker, 'orders');
    const started = env.clock.monotonicMs();
    const long = { minBytes: 1, maxWaitMs: 200_000 };
    const mixed = await fetch(broker, [target(topic), target(undefined)], long);
    expect(mixed.partitions.map(({ error }) => error)).toEqual([
      'NONE',
      'UNKNOWN_TOPIC_OR_PARTITION',
    ]);
    const beyond = await fetch(broker, [target(topic, { fetchOffset: 7 })], long);
    expect(beyond.partitions[0]?.error).toBe('OFFSET_OUT_OF_RANGE');
    const aborter = new AbortController();
    const left = fetch(broker, [target(topic)], { ...long, signal: aborter.signal });
    await env.timers.sleep(10);
    aborter.abort();
    expect((await left).bytes).toBe(0);
    const gone = fetch(broker, [target(topic)], long);
    await env.timers.sleep(10);
    await broker.topics.delete(topic);
    expect((await gone).partitions[0]?.error).toBe('UNKNOWN_TOPIC_OR_PARTITION');
    expect(env.clock.monotonicMs() - started).toBeLessThan(10_000);
  });
});

test('one batch is answered whatever the limits say, and then they hold', async () => {
  await withSimBroker(async (broker) => {
    const topic = await createTopic(broker, 'orders', { partitions: 3 });
    for (let partition = 0; partition < 3; partition++)
      for (let round = 0; round < 3; round++)
        await produceValue(broker, topic, Buffer.alloc(2_000), partition);
    const targets = [0, 1, 2].map((partition) => target(topic, { partition, maxBytes: 10 }));
    const tight = await fetch(broker, targets, { maxBytes: 10 });
    expect(tight.partitions.map(({ records }) => batches(records))).toEqual([1, 0, 0]);
    tight.release();
    const one = await fetch(broker, targets, { maxBytes: 1_000_000 });
    expect(one.partitions.map(({ records }) => batches(records))).toEqual([1, 0, 0]);
    one.release();
    const wide = [0, 1, 2].map((partition) => target(topic, { partition, maxBytes: 5_000 }));
    const two = await fetch(broker, wide, { maxBytes: 7_000 });
    expect(two.partitions.map(({ records }) => batches(records))).toEqual([2, 1, 0]);
    expect(two.partitions.map(({ highWatermark }) => highWatermark)).toEqual([3, 3, 3]);
    two.release();
  });
});

test('answers that nobody takes make later ones smaller, never empty', async () => {
  await withSimBroker(
    async (broker) => {
      const topic = await createTopic(broker, 'orders');
      for (let round = 0; round < 40; round++)
        await produceValue(broker, topic, Buffer.alloc(30_000));
      const held: Fetched[] = [];
      for (let round = 0; round < 30; round++) held.push(await fetch(broker, [target(topic)]));
      const sizes = held.map(({ bytes }) => bytes);
      expect(sizes[0]).toBeLessThanOrEqual(1_048_576 / 4);
      expect(sizes[0]).toBeGreaterThan(200_000);
      expect(Math.min(...sizes)).toBeGreaterThan(0);
      expect(Math.max(...sizes.slice(10))).toBeLessThanOrEqual(FETCH_ANSWER_BYTES_MIN);
      for (const { release } of held) release();
      expect(broker.fetches.bytesInFlight).toBe(0);
      expect((await fetch(broker, [target(topic)])).bytes).toBe(sizes[0]);
    },
    { 'millrace.fetch.memory.bytes': 1_048_576 },
  );
});

test('read_committed ends at the last stable offset and is woken when it moves', async () => {
  await withSimBroker(async (broker, env) => {
    const topic = await createTopic(broker, 'orders');
    const [log] = topic.partitions;
    const producer = { producerId: 7, producerEpoch: 0 };
    const open = encodeBatch([{ timestamp: 1, key: 'k', value: 'open' }], {
      ...producer,
      baseSequence: 0,
      transactional: true,
    });
    log?.append(open, { origin: 'client' });
    await log?.whenDurable(1);
    const committed = { isolation: 'read_committed', maxWaitMs: 100_000 } as const;
    expect((await fetch(broker, [target(topic)])).bytes).toBeGreaterThan(0);
    const waiting = fetch(broker, [target(topic)], committed);
    await env.timers.sleep(5);
    const marker = { ...producer, commit: false, coordinatorEpoch: 0 };
    const end = encodeEndTransactionMarker(marker, { timestampMs: env.clock.nowMs() });
    log?.append(end, { origin: 'control' });
    const [part] = (await waiting).partitions;
    expect(part?.lastStableOffset).toBe(2);
    expect(part?.abortedTransactions).toEqual([{ producerId: 7, firstOffset: 0 }]);
  });
});

test('epochs: fenced, unknown, and a history that ends elsewhere', async () => {
  expect(epochError(-1, 3)).toBeUndefined();
  expect(epochError(3, 3)).toBeUndefined();
  expect(epochError(2, 3)).toBe('FENCED_LEADER_EPOCH');
  expect(epochError(4, 3)).toBe('UNKNOWN_LEADER_EPOCH');
  await withSimBroker(async (first, env) => {
    await createTopic(first, 'orders');
    await first.close();
    // The second start has the second epoch.
    const broker = await openSimBroker(env);
    const topic = broker.topics.get('orders');
    if (topic === undefined) throw new Error('the topic is there after a restart');
    await produceValue(broker, topic, 'one');
    const epoch = topic.partitions[0]?.leaderEpoch ?? 0;
    expect(epoch).toBe(1);
    const fenced = await fetch(broker, [target(topic, { currentLeaderEpoch: epoch - 1 })]);
    expect(fenced.partitions[0]?.error).toBe('FENCED_LEADER_EPOCH');
    const same = await fetch(broker, [target(topic, { fetchOffset: 1, lastFetchedEpoch: epoch })]);
    expect(same.partitions[0]?.diverging).toBeUndefined();
    const other = await fetch(broker, [
      target(topic, { fetchOffset: 1, lastFetchedEpoch: epoch - 1 }),
    ]);
    expect(other.partitions[0]?.diverging).toBeDefined();
    expect(other.partitions[0]?.records.length).toBe(0);
    await broker.close();
  });
});

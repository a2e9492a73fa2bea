/** kafkajs 2.2.4, unmodified, against the broker. */
import { CompressionTypes, type Consumer, Kafka, logLevel, Partitioners } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  BESIDE_EACH_OTHER,
  type BrokerUnderTest,
  startBrokerUnderTest,
  uniqueName,
} from './broker-under-test.ts';

/** Apache Kafka allows none below six seconds by itself. */
const SESSION_MS = { millrace: 1_500, other: 6_000 };

let broker: BrokerUnderTest;
let kafka: Kafka;
/** Open until all tests have ended. */
const open: { disconnect(): Promise<void> }[] = [];

beforeAll(async () => {
  broker = await startBrokerUnderTest([`group.min.session.timeout.ms=${SESSION_MS.millrace}`]);
  kafka = new Kafka({ clientId: 'spec', brokers: [broker.address], logLevel: logLevel.NOTHING });
});
afterAll(async () => {
  await Promise.all(open.map((each) => each.disconnect()));
  await broker?.stop();
});

async function opened<T extends { connect(): Promise<void>; disconnect(): Promise<void> }>(
  client: T,
): Promise<T> {
  await client.connect();
  open.push(client);
  return client;
}

const admin = () => opened(kafka.admin());
const producer = (more: Parameters<Kafka['producer']>[0] = {}) =>
  opened(kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...more }));

async function topicWith(
  partitions: number,
  configs: Record<string, string> = {},
): Promise<string> {
  const topic = uniqueName('kafkajs');
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
  await (await admin()).createTopics({
    topics: [{ topic, numPartitions: partitions, configEntries }],
    waitForLeaders: true,
  });
  return topic;
}

interface Seen {
  readonly partition: number;
  readonly offset: string;
  readonly key: string | null;
  readonly value: string | null;
}

/** Consumes until `enough` says so; returns everything seen, and the consumer that is still running. */
async function consumeUntil(
  topic: string,
  enough: (seen: Seen[]) => boolean,
  options: Partial<Parameters<Kafka['consumer']>[0]> & { readonly groupId?: string } = {},
): Promise<{ seen: Seen[]; consumer: Consumer }> {
  const consumer = await opened(
    kafka.consumer({ groupId: uniqueName('group'), maxWaitTimeInMs: 200, ...options }),
  );
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const seen: Seen[] = [];
  await new Promise<void>((resolve, reject) => {
    consumer.on('consumer.crash', ({ payload }) => reject(payload.error));
    void consumer.run({
      eachMessage: ({ partition, message }) => {
        seen.push({
          partition,
          offset: message.offset,
          key: message.key?.toString() ?? null,
          value: message.value?.toString() ?? null,
        });
        if (enough(seen)) resolve();
        return Promise.resolve();
      },
    });
  });
  return { seen, consumer };
}

describe('records', BESIDE_EACH_OTHER, () => {
  test.each([
    ['none', CompressionTypes.None],
    ['gzip', CompressionTypes.GZIP],
  ])('come back as they went in with %s', async (_, compression) => {
    const topic = await topicWith(1);
    const messages = Array.from({ length: 1000 }, (_, i) => ({
      key: `k${i}`,
      value: `v${i}`,
      headers: { h: String(i) },
    }));
    const [result] = await (await producer()).send({ topic, messages, compression, acks: -1 });
    expect(result).toMatchObject({ errorCode: 0, baseOffset: '0' });
    const { seen } = await consumeUntil(topic, (all) => all.length === messages.length);
    expect(seen.map(({ key, value }) => ({ key, value }))).toEqual(
      messages.map(({ key, value }) => ({ key, value })),
    );
    expect(seen.map(({ offset }) => Number(offset))).toEqual(messages.map((_, i) => i));
  });

  test('with the same key go to the same partition, in order', async () => {
    const topic = await topicWith(5);
    const writer = await producer();
    for (let round = 0; round < 5; round++) {
      await writer.send({
        topic,
        messages: Array.from({ length: 20 }, (_, k) => ({ key: `k${k}`, value: String(round) })),
      });
    }
    const { seen } = await consumeUntil(topic, (all) => all.length === 100);
    for (let k = 0; k < 20; k++) {
      const mine = seen.filter(({ key }) => key === `k${k}`);
      expect(new Set(mine.map(({ partition }) => partition)).size).toBe(1);
      expect(mine.map(({ value }) => value)).toEqual(['0', '1', '2', '3', '4']);
    }
  });

  test('without a key are refused on a compacted topic', async () => {
    const topic = await topicWith(1, { 'cleanup.policy': 'compact' });
    const writer = await producer({ retry: { retries: 0 } });
    await expect(writer.send({ topic, messages: [{ value: 'no key' }] })).rejects.toThrow();
    await writer.send({ topic, messages: [{ key: 'k', value: 'v' }] });
  });

  test('sent with acks 0 arrive', async () => {
    const topic = await topicWith(1);
    await (await producer()).send({ topic, acks: 0, messages: [{ value: 'no answer' }] });
    const { seen } = await consumeUntil(topic, (all) => all.length === 1);
    expect(seen[0]?.value).toBe('no answer');
  });
});

describe('groups', BESIDE_EACH_OTHER, () => {
  test('share partitions, rebalance when members come and go, and lose nothing', async () => {
    const topic = await topicWith(6);
    const groupId = uniqueName('rebalancing');
    const writer = await producer();
    const seen = new Set<string>();
    const assignments = new Map<string, number[]>();
    const join = async (name: string): Promise<Consumer> => {
      const consumer = await opened(
        kafka.consumer({
          groupId,
          maxWaitTimeInMs: 100,
          sessionTimeout: 6000,
          heartbeatInterval: 300,
        }),
      );
      consumer.on('consumer.group_join', ({ payload }) =>
        assignments.set(name, payload.memberAssignment[topic] ?? []),
      );
      await consumer.subscribe({ topics: [topic], fromBeginning: true });
      await consumer.run({
        eachMessage: ({ message }) => {
          seen.add(message.value?.toString() ?? '');
          return Promise.resolve();
        },
      });
      return consumer;
    };
    let sent = 0;
    const send = (count: number): Promise<unknown> =>
      writer.send({
        topic,
        messages: Array.from({ length: count }, () => ({
          key: String(sent),
          value: String(sent++),
        })),
      });
    const settled = (members: number): Promise<void> =>
      until(() => {
        const partitions = [...assignments.values()].flat();
        return (
          assignments.size === members && partitions.length === 6 && new Set(partitions).size === 6
        );
      });

    await join('a');
    await settled(1);
    await send(50);
    await join('b');
    await settled(2);
    await send(50);
    const third = await join('c');
    await settled(3);
    await send(50);
    await until(() => seen.size === 150);
    await third.disconnect();
    assignments.delete('c');
    await settled(2);
    await send(50);
    await until(() => seen.size === 200);
  });

  test('go on from the committed offset', async () => {
    const topic = await topicWith(1);
    const groupId = uniqueName('resuming');
    const writer = await producer();
    await writer.send({ topic, messages: [{ value: '1' }, { value: '2' }] });
    const first = await consumeUntil(topic, (all) => all.length === 2, { groupId });
    await first.consumer.disconnect();
    await writer.send({ topic, messages: [{ value: '3' }] });
    const second = await consumeUntil(topic, (all) => all.length === 1, { groupId });
    expect(second.seen.map(({ value }) => value)).toEqual(['3']);
  });

  test('a member that stops answering is put out after its session timeout', async () => {
    const topic = await topicWith(2);
    const groupId = uniqueName('timeout');
    const first = await opened(
      kafka.consumer({
        groupId,
        sessionTimeout: SESSION_MS[broker.kind],
        heartbeatInterval: 300,
        maxWaitTimeInMs: 100,
      }),
    );
    await first.subscribe({ topics: [topic] });
    // Its handler does not return, so it neither commits nor, between fetches, heartbeats.
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await first.run({ eachMessage: () => released });
    const describe = async () => (await (await admin()).describeGroups([groupId])).groups[0];
    await until(async () => (await describe())?.state === 'Stable');
    await (await producer()).send({
      topic,
      messages: [
        { value: 'stuck', partition: 0 },
        { value: 'stuck', partition: 1 },
      ],
    });
    await until(async () => (await describe())?.state === 'Empty');
    release();
  });
});

describe('transactions', BESIDE_EACH_OTHER, () => {
  const READ_COMMITTED = { readUncommitted: false };

  test('show all of a committed one and nothing of an aborted one', async () => {
    const topic = await topicWith(2);
    const writer = await producer({
      transactionalId: uniqueName('tx'),
      maxInFlightRequests: 1,
      idempotent: true,
    });
    const aborted = await writer.transaction();
    await aborted.send({
      topic,
      messages: [
        { value: 'aborted 0', partition: 0 },
        { value: 'aborted 1', partition: 1 },
      ],
    });
    await aborted.abort();
    const committed = await writer.transaction();
    await committed.send({
      topic,
      messages: [
        { value: 'committed 0', partition: 0 },
        { value: 'committed 1', partition: 1 },
      ],
    });
    await committed.commit();
    const { seen } = await consumeUntil(topic, (all) => all.length === 2, READ_COMMITTED);
    expect(
      seen.map(({ value }) => value).toSorted((a, b) => String(a).localeCompare(String(b))),
    ).toEqual(['committed 0', 'committed 1']);
    const all = await consumeUntil(topic, (each) => each.length === 4, { readUncommitted: true });
    expect(all.seen.length).toBe(4);
  });

  test('an open one hides what comes after it from readers of committed records', async () => {
    const topic = await topicWith(1);
    const writer = await producer({
      transactionalId: uniqueName('open'),
      maxInFlightRequests: 1,
      idempotent: true,
    });
    const plain = await producer();
    const transaction = await writer.transaction();
    await transaction.send({ topic, messages: [{ value: 'inside' }] });
    await plain.send({ topic, messages: [{ value: 'after' }] });
    const { seen } = await consumeUntil(topic, (all) => all.length === 2, {
      readUncommitted: true,
    });
    expect(seen.length).toBe(2);
    const reading = consumeUntil(topic, (all) => all.length === 2, READ_COMMITTED);
    await transaction.commit();
    expect((await reading).seen.map(({ value }) => value)).toEqual(['inside', 'after']);
  });

  test('carry consumer offsets with them', async () => {
    const topic = await topicWith(1);
    const groupId = uniqueName('carried');
    const writer = await producer({
      transactionalId: uniqueName('offsets'),
      maxInFlightRequests: 1,
      idempotent: true,
    });
    const offsets = async (): Promise<string | undefined> =>
      (await (await admin()).fetchOffsets({ groupId, topics: [topic] }))[0]?.partitions[0]?.offset;
    const commit = {
      consumerGroupId: groupId,
      topics: [{ topic, partitions: [{ partition: 0, offset: '7' }] }],
    };
    const aborted = await writer.transaction();
    await aborted.sendOffsets(commit);
    await aborted.abort();
    expect(await offsets()).toBe('-1');
    const committed = await writer.transaction();
    await committed.sendOffsets(commit);
    await committed.commit();
    expect(await offsets()).toBe('7');
  });

  test('a newer producer with the same transactional id fences the older', async () => {
    const topic = await topicWith(1);
    const transactionalId = uniqueName('fenced');
    const options = {
      transactionalId,
      maxInFlightRequests: 1,
      idempotent: true,
      retry: { retries: 1 },
    };
    const older = await producer(options);
    const transaction = await older.transaction();
    await transaction.send({ topic, messages: [{ value: 'of the older' }] });
    const newer = await producer(options);
    const second = await newer.transaction();
    await second.send({ topic, messages: [{ value: 'of the newer' }] });
    await second.commit();
    await expect(transaction.commit()).rejects.toThrow();
    const { seen } = await consumeUntil(topic, (all) => all.length === 1, READ_COMMITTED);
    expect(seen.map(({ value }) => value)).toEqual(['of the newer']);
  });
});

describe('admin', BESIDE_EACH_OTHER, () => {
  test('creates, describes, grows and deletes topics', async () => {
    const client = await admin();
    const topic = await topicWith(2);
    expect(
      await client.createTopics({ topics: [{ topic }] }).catch((error: Error) => error.message),
    ).toBe(false);
    await client.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
    const { topics } = await client.fetchTopicMetadata({ topics: [topic] });
    expect(topics[0]?.partitions.length).toBe(5);
    await client.deleteTopics({ topics: [topic] });
    await until(async () => !(await client.listTopics()).includes(topic));
  });

  test('shows and changes configs', async () => {
    const client = await admin();
    const topic = await topicWith(1, { 'retention.ms': '1234567' });
    const read = async (name: string) => {
      const { resources } = await client.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: 2, name: topic, configNames: [name] }],
      });
      return resources[0]?.configEntries[0]?.configValue;
    };
    expect(await read('retention.ms')).toBe('1234567');
    await client.alterConfigs({
      validateOnly: false,
      resources: [
        { type: 2, name: topic, configEntries: [{ name: 'retention.ms', value: '7654321' }] },
      ],
    });
    // Apache Kafka answers before it shows the change.
    if (broker.kind === 'other')
      await until(async () => (await read('retention.ms')) !== '1234567');
    expect(await read('retention.ms')).toBe('7654321');
  });

  test('lists offsets, by time too, and deletes records', async () => {
    const client = await admin();
    const topic = await topicWith(1);
    const writer = await producer();
    await writer.send({
      topic,
      messages: [1, 2, 3].map((i) => ({ value: String(i), timestamp: String(1000 * i) })),
    });
    expect(await client.fetchTopicOffsets(topic)).toEqual([
      { partition: 0, offset: '3', high: '3', low: '0' },
    ]);
    expect((await client.fetchTopicOffsetsByTimestamp(topic, 1500))[0]?.offset).toBe('1');
    await client.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] });
    expect((await client.fetchTopicOffsets(topic))[0]?.low).toBe('2');
  });

  test('lists, describes, resets and deletes groups', async () => {
    const client = await admin();
    const topic = await topicWith(1);
    const groupId = uniqueName('admin');
    await (await producer()).send({ topic, messages: [{ value: '1' }, { value: '2' }] });
    const { consumer } = await consumeUntil(topic, (all) => all.length === 2, { groupId });
    expect((await client.listGroups()).groups.map((group) => group.groupId)).toContain(groupId);
    expect((await client.describeGroups([groupId])).groups[0]?.state).toBe('Stable');
    await expect(client.deleteGroups([groupId])).rejects.toThrow();
    await consumer.disconnect();
    await client.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '1' }] });
    const [fetched] = await client.fetchOffsets({ groupId, topics: [topic] });
    expect(fetched?.partitions[0]?.offset).toBe('1');
    await client.deleteGroups([groupId]);
    expect((await client.listGroups()).groups.map((group) => group.groupId)).not.toContain(groupId);
  });

  test('describes the cluster', async () => {
    const cluster = await (await admin()).describeCluster();
    expect(cluster.brokers).toEqual([
      expect.objectContaining({ host: broker.host, port: broker.port }),
    ]);
    expect(cluster.clusterId).toMatch(/^\S{22}$/);
  });
});

/** Waits until a condition holds; the test's own timeout is the limit. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

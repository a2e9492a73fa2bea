/** @platformatic/kafka, unmodified, against the broker: the flexible versions of the protocol (Fetch 17, topic ids, group APIs 4+). */
import {
  Admin,
  ConfigResourceTypes,
  Consumer,
  type ConsumerOptions,
  FetchIsolationLevels,
  IncrementalAlterConfigOperationTypes,
  type Message,
  MessagesStreamModes,
  type MessagesStream,
  Producer,
  type ProducerOptions,
} from '@platformatic/kafka';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type BrokerUnderTest, startBrokerUnderTest, uniqueName } from './broker-under-test.ts';

type Bytes = Message;
type BytesProducer = Producer;
type BytesConsumer = Consumer;

let broker: BrokerUnderTest;
let admin: Admin;
/** Closed after each test, last opened first. */
const closers: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  broker = await startBrokerUnderTest();
  admin = new Admin({ clientId: 'spec', bootstrapBrokers: [broker.address] });
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});
afterAll(async () => {
  await admin?.close();
  await broker?.stop();
});

function producer(
  more: Partial<ProducerOptions<Buffer, Buffer, Buffer, Buffer>> = {},
): BytesProducer {
  const made: BytesProducer = new Producer({
    clientId: 'spec',
    bootstrapBrokers: [broker.address],
    acks: -1,
    ...more,
  });
  closers.push(() => made.close());
  return made;
}

function consumer(
  more: Partial<ConsumerOptions<Buffer, Buffer, Buffer, Buffer>> = {},
): BytesConsumer {
  const made: BytesConsumer = new Consumer({
    clientId: 'spec',
    bootstrapBrokers: [broker.address],
    groupId: uniqueName('group'),
    maxWaitTime: 100,
    autocommit: false,
    ...more,
  });
  closers.push(() => made.close(true));
  return made;
}

async function topicWith(
  partitions: number,
  configs: Record<string, string> = {},
): Promise<string> {
  const topic = uniqueName('platformatic');
  const entries = Object.entries(configs).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs: entries });
  return topic;
}

async function open(
  reader: BytesConsumer,
  topic: string,
): Promise<MessagesStream<Buffer, Buffer, Buffer, Buffer>> {
  const stream = await reader.consume({ topics: [topic], mode: MessagesStreamModes.EARLIEST });
  closers.push(() => stream.close());
  return stream;
}

async function take(
  topic: string,
  count: number,
  more: Partial<ConsumerOptions<Buffer, Buffer, Buffer, Buffer>> = {},
): Promise<Bytes[]> {
  const taken: Bytes[] = [];
  for await (const message of await open(consumer(more), topic)) {
    taken.push(message);
    if (taken.length === count) break;
  }
  return taken;
}

const texts = (messages: readonly Bytes[]): string[] =>
  messages.map((message) => message.value.toString());

describe('records', () => {
  test.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)(
    'come back as they went in with %s',
    async (compression) => {
      const topic = await topicWith(1);
      const values = Array.from({ length: 500 }, (_, i) => `value ${i} ${'x'.repeat(i)}`);
      await producer({ compression }).send({
        messages: values.map((value, i) => ({
          topic,
          key: Buffer.from(`k${i}`),
          value: Buffer.from(value),
          headers: new Map([[Buffer.from('h'), Buffer.from(String(i))]]),
          timestamp: BigInt(1_700_000_000_000 + i),
        })),
      });
      const taken = await take(topic, values.length);
      expect(texts(taken)).toEqual(values);
      expect(taken.map((message) => Number(message.offset))).toEqual(values.map((_, i) => i));
      expect(taken[7]?.key.toString()).toBe('k7');
      expect(taken[7]?.timestamp).toBe(1_700_000_000_007n);
      expect(
        [...(taken[7]?.headers ?? [])].map(
          ([name, value]) => `${name.toString()}=${value.toString()}`,
        ),
      ).toEqual(['h=7']);
    },
  );

  test('above max.message.bytes are refused, smaller ones are not', async () => {
    const topic = await topicWith(1, { 'max.message.bytes': '10000' });
    const writer = producer({ retries: 0 });
    await expect(
      writer.send({ messages: [{ topic, value: Buffer.alloc(20_000) }] }),
    ).rejects.toThrow();
    await writer.send({ messages: [{ topic, value: Buffer.alloc(9000) }] });
    expect((await take(topic, 1)).length).toBe(1);
  });

  test('of an idempotent producer arrive once each, in order', async () => {
    const topic = await topicWith(1);
    const writer = producer({ idempotent: true });
    for (let i = 0; i < 20; i++)
      await writer.send({ messages: [{ topic, value: Buffer.from(String(i)) }] });
    expect(texts(await take(topic, 20))).toEqual(Array.from({ length: 20 }, (_, i) => String(i)));
  });
});

describe('groups', () => {
  test('share partitions between members, and take them over', async () => {
    const topic = await topicWith(4);
    const groupId = uniqueName('shared');
    const seen = new Set<string>();
    const join = async (): Promise<BytesConsumer> => {
      const member = consumer({
        groupId,
        sessionTimeout: 10_000,
        heartbeatInterval: 200,
        rebalanceTimeout: 10_000,
      });
      const stream = await open(member, topic);
      stream.on('data', (message) => void seen.add(message.value.toString()));
      return member;
    };
    const assigned = (member: BytesConsumer): number =>
      member.assignments?.find((each) => each.topic === topic)?.partitions.length ?? 0;
    const first = await join();
    await until(() => assigned(first) === 4);
    const second = await join();
    await until(() => assigned(first) === 2 && assigned(second) === 2);
    const writer = producer();
    const values = Array.from({ length: 40 }, (_, i) => String(i));
    await writer.send({
      messages: values.map((value, i) => ({ topic, partition: i % 4, value: Buffer.from(value) })),
    });
    await until(() => seen.size === 40);
    await new Promise<void>((resolve, reject) => {
      second.leaveGroup(true, (error) => (error ? reject(error) : resolve()));
    });
    await until(() => assigned(first) === 4);
  });

  test('a static member that comes back keeps its member id out of a rebalance', async () => {
    const topic = await topicWith(2);
    const groupId = uniqueName('static');
    const join = async (): Promise<BytesConsumer> => {
      const member: BytesConsumer = new Consumer({
        clientId: 'spec',
        bootstrapBrokers: [broker.address],
        groupId,
        groupInstanceId: 'instance-1',
        sessionTimeout: 20_000,
        maxWaitTime: 100,
        autocommit: false,
      });
      await open(member, topic);
      await until(() => (member.assignments?.length ?? 0) > 0);
      return member;
    };
    const first = await join();
    const generation = first.generationId;
    closers.push(() => first.close(true));
    const second = await join();
    closers.push(() => second.close(true));
    expect(second.generationId).toBe(generation);
    const group = (await admin.describeGroups({ groups: [groupId] })).get(groupId);
    expect([...(group?.members.values() ?? [])].map((member) => member.groupInstanceId)).toEqual([
      'instance-1',
    ]);
  });

  test('offsets are committed, listed, altered and deleted', async () => {
    const topic = await topicWith(1);
    const groupId = uniqueName('offsets');
    await producer().send({
      messages: ['1', '2', '3'].map((value) => ({ topic, value: Buffer.from(value) })),
    });
    const reader = consumer({ groupId });
    const stream = await open(reader, topic);
    for await (const message of stream) {
      if (message.offset === 1n) {
        await message.commit();
        break;
      }
    }
    await reader.close(true);
    const committed = async (): Promise<number | undefined> => {
      const [group] = await admin.listConsumerGroupOffsets({ groups: [groupId] });
      const offset = group?.topics.find(({ name }) => name === topic)?.partitions[0]
        ?.committedOffset;
      return offset === undefined ? undefined : Number(offset);
    };
    expect(await committed()).toBe(2);
    await admin.alterConsumerGroupOffsets({
      groupId,
      topics: [{ name: topic, partitionOffsets: [{ partition: 0, offset: 1n }] }],
    });
    expect(await committed()).toBe(1);
    await admin.deleteConsumerGroupOffsets({
      groupId,
      topics: [{ name: topic, partitionIndexes: [0] }],
    });
    expect([undefined, -1]).toContain(await committed());
    await admin.deleteGroups({ groups: [groupId] });
    expect((await admin.listGroups()).has(groupId)).toBe(false);
  });
});

describe('transactions', () => {
  test('show all of a committed one and nothing of an aborted one', async () => {
    const topic = await topicWith(1);
    const writer = producer({ idempotent: true, transactionalId: uniqueName('tx') });
    const aborted = await writer.beginTransaction();
    await aborted.send({ messages: [{ topic, value: Buffer.from('aborted') }] });
    await aborted.abort();
    const committed = await writer.beginTransaction();
    await committed.send({ messages: [{ topic, value: Buffer.from('committed') }] });
    await committed.commit();
    expect(
      texts(await take(topic, 1, { isolationLevel: FetchIsolationLevels.READ_COMMITTED })),
    ).toEqual(['committed']);
    expect(
      texts(await take(topic, 2, { isolationLevel: FetchIsolationLevels.READ_UNCOMMITTED })),
    ).toEqual(['aborted', 'committed']);
  });

  test('read, write and commit offsets together', async () => {
    const [from, to] = [await topicWith(1), await topicWith(1)];
    const groupId = uniqueName('together');
    await producer().send({
      messages: ['a', 'b'].map((value) => ({ topic: from, value: Buffer.from(value) })),
    });
    const reader = consumer({ groupId });
    const writer = producer({ idempotent: true, transactionalId: uniqueName('tx') });
    const transaction = await writer.beginTransaction();
    await transaction.addConsumer(reader);
    let read = 0;
    for await (const message of await open(reader, from)) {
      await transaction.send({
        messages: [{ topic: to, value: Buffer.from(message.value.toString().toUpperCase()) }],
      });
      await transaction.addOffset(message);
      if (++read === 2) break;
    }
    await transaction.commit();
    expect(texts(await take(to, 2))).toEqual(['A', 'B']);
    const [group] = await admin.listConsumerGroupOffsets({
      groups: [groupId],
      requireStable: true,
    });
    expect(group?.topics[0]?.partitions[0]?.committedOffset).toBe(2n);
  });
});

describe('admin', () => {
  test('creates, lists, grows and deletes topics', async () => {
    const topic = await topicWith(2);
    expect(await admin.listTopics()).toContain(topic);
    await admin.createPartitions({ topics: [{ name: topic, count: 4, assignments: null }] });
    expect(
      (await admin.metadata({ topics: [topic], forceUpdate: true })).topics.get(topic)
        ?.partitionsCount,
    ).toBe(4);
    await admin.deleteTopics({ topics: [topic] });
    await until(async () => !(await admin.listTopics()).includes(topic));
  });

  test.each(['..', 'a/b', 'x'.repeat(250), ''])('refuses the topic name %j', async (name) => {
    await expect(
      admin.createTopics({ topics: [name], partitions: 1, replicas: 1 }),
    ).rejects.toThrow();
  });

  test('changes one config and leaves the others', async () => {
    const topic = await topicWith(1, { 'retention.ms': '111111', 'segment.bytes': '2000000' });
    const read = async (): Promise<Record<string, string | null | undefined>> => {
      const [described] = await admin.describeConfigs({
        resources: [{ resourceType: 2, resourceName: topic, configurationKeys: null }],
      });
      return Object.fromEntries((described?.configs ?? []).map(({ name, value }) => [name, value]));
    };
    await admin.incrementalAlterConfigs({
      resources: [
        {
          resourceType: 2,
          resourceName: topic,
          configs: [{ name: 'retention.ms', configOperation: 0, value: '222222' }],
        },
      ],
    });
    await until(async () => (await read())['retention.ms'] === '222222');
    expect((await read())['segment.bytes']).toBe('2000000');
    expect((await read())['cleanup.policy']).toBe('delete');
    const bad = {
      resourceType: ConfigResourceTypes.TOPIC,
      resourceName: topic,
      configs: [
        {
          name: 'retention.ms',
          configOperation: IncrementalAlterConfigOperationTypes.SET,
          value: 'soon',
        },
      ],
    };
    await expect(admin.incrementalAlterConfigs({ resources: [bad] })).rejects.toThrow();
  });

  test('lists offsets and deletes records', async () => {
    const topic = await topicWith(1);
    await producer().send({
      messages: [1, 2, 3].map((i) => ({
        topic,
        value: Buffer.from(String(i)),
        timestamp: BigInt(1000 * i),
      })),
    });
    const at = async (timestamp: bigint): Promise<number> => {
      const [listed] = await admin.listOffsets({
        topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp }] }],
      });
      return Number(listed?.partitions[0]?.offset);
    };
    expect([await at(-2n), await at(-1n), await at(1500n), await at(-3n)]).toEqual([0, 3, 1, 2]);
    await admin.deleteRecords({
      topics: [{ name: topic, partitions: [{ partition: 0, offset: 2n }] }],
    });
    expect(await at(-2n)).toBe(2);
  });

  test('describes log directories', async () => {
    const topic = await topicWith(1);
    await producer().send({ messages: [{ topic, value: Buffer.alloc(5000) }] });
    const [described] = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0] }] });
    const size = described?.results
      .flatMap(({ topics }) => topics)
      .find(({ name }) => name === topic)?.partitions[0]?.partitionSize;
    expect(Number(size)).toBeGreaterThan(5000);
  });
});

/** Waits until a condition holds; the test's own timeout is the limit. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

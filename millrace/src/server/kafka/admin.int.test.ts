/** The APIs by which clients administer topics, over the wire. */
import { expect, test } from 'vitest';
import { stalePage } from '../../../scripts/generate-docs.ts';
import type { RawClient } from '../../../test/kafka/raw-client.ts';
import { testBroker } from '../../../test/kafka/test-broker.ts';
import { errorName } from '../../wire/kafka/error-codes.ts';
import { encodeBatch } from '../../wire/kafka/records/record-batch-builder.ts';
import { messages } from '../../wire/kafka/registry.ts';
import { servedApis } from './registry.ts';

const TOPIC = 2;
const BROKER = 4;

async function createTopic(
  client: RawClient,
  name: string,
  change: { partitions?: number; config?: Readonly<Record<string, string>> } = {},
) {
  const { topics } = await client.call(messages[19], 7, {
    topics: [
      {
        name,
        numPartitions: change.partitions ?? 1,
        replicationFactor: 1,
        assignments: [],
        configs: Object.entries(change.config ?? {}).map(([key, value]) => ({ name: key, value })),
      },
    ],
  });
  const [topic] = topics;
  if (topic === undefined) throw new Error('an answer for the topic');
  return topic;
}

async function describe(client: RawClient, resourceType: number, resourceName: string) {
  const { results } = await client.call(messages[32], 4, {
    resources: [{ resourceType, resourceName, configurationKeys: null }],
    includeSynonyms: true,
    includeDocumentation: true,
  });
  const [found] = results;
  if (found === undefined) throw new Error('an answer for the resource');
  return { ...found, byName: new Map(found.configs.map((config) => [config.name, config])) };
}

test('docs/reference/kafka-support.md is up to date', () =>
  expect(stalePage('docs/reference/kafka-support.md')).toBeUndefined());

test('ApiVersions tells exactly the APIs that are served, and Produce from 0', async () => {
  const under = await testBroker();
  const client = await under.connect();
  const { apiKeys, errorCode } = await client.call(messages[18], 4, {
    clientSoftwareName: 'test',
    clientSoftwareVersion: '1',
  });
  expect(errorCode).toBe(0);
  expect(apiKeys.map(({ apiKey }) => apiKey)).toEqual(servedApis().map(({ key }) => key));
  expect(apiKeys.find(({ apiKey }) => apiKey === 0)).toEqual({
    apiKey: 0,
    minVersion: 0,
    maxVersion: 13,
  });
  for (const { apiKey, minVersion, maxVersion } of apiKeys.slice(1)) {
    const valid = servedApis().find(({ key }) => key === apiKey);
    expect([minVersion, maxVersion]).toEqual([valid?.minVersion, valid?.maxVersion]);
  }
});

test('a topic is created with its configuration, and described with where each value comes from', async () => {
  const under = await testBroker({ 'log.retention.ms': 12_345 });
  const client = await under.connect();
  const created = await createTopic(client, 'orders', {
    partitions: 3,
    config: { 'segment.bytes': '4096' },
  });
  expect(created).toMatchObject({ errorCode: 0, numPartitions: 3, replicationFactor: 1 });
  expect(created.topicId).toMatch(/^[0-9a-f-]{36}$/);
  expect(created.configs?.find(({ name }) => name === 'segment.bytes')).toMatchObject({
    value: '4096',
    configSource: 1,
  });
  const { byName } = await describe(client, TOPIC, 'orders');
  expect(byName.get('segment.bytes')).toMatchObject({
    value: '4096',
    configSource: 1,
    configType: 3,
    readOnly: false,
  });
  expect(byName.get('segment.bytes')?.synonyms).toEqual([
    { name: 'segment.bytes', value: '4096', source: 1 },
    { name: 'log.segment.bytes', value: '134217728', source: 5 },
  ]);
  expect(byName.get('retention.ms')).toMatchObject({ value: '12345', configSource: 4 });
  expect(byName.get('flush.messages')?.value).toBe('9223372036854775807');
  expect(byName.get('cleanup.policy')?.documentation).toContain('compact');
  const broker = await describe(client, BROKER, '1');
  expect(broker.byName.get('num.partitions')).toMatchObject({ value: '4', readOnly: true });
  expect(broker.byName.get('log.retention.ms')).toMatchObject({ value: '12345', configSource: 4 });
  expect(errorName((await describe(client, TOPIC, 'absent')).errorCode)).toBe(
    'UNKNOWN_TOPIC_OR_PARTITION',
  );
  expect(errorName((await describe(client, BROKER, '7')).errorCode)).toBe('INVALID_REQUEST');
});

test('what cannot be created says why', async () => {
  const under = await testBroker();
  const client = await under.connect();
  const base = { numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] };
  const { topics } = await client.call(messages[19], 7, {
    topics: [
      { ...base, name: 'twice' },
      { ...base, name: 'twice' },
      { ...base, name: 'replicated', replicationFactor: 3 },
      { ...base, name: 'unset', configs: [{ name: 'retention.ms', value: null }] },
      { ...base, name: 'odd', configs: [{ name: '__proto__', value: '1' }] },
      {
        ...base,
        name: 'elsewhere',
        assignments: [{ partitionIndex: 0, brokerIds: [2] }],
      },
      {
        ...base,
        name: 'gap',
        assignments: [
          { partitionIndex: 0, brokerIds: [1] },
          { partitionIndex: 2, brokerIds: [1] },
        ],
      },
      { ...base, name: 'placed', assignments: [{ partitionIndex: 0, brokerIds: [1] }] },
    ],
  });
  expect(topics.map(({ name, errorCode }) => `${name} ${errorName(errorCode)}`)).toEqual([
    'twice INVALID_REQUEST',
    'replicated INVALID_REPLICATION_FACTOR',
    'unset INVALID_CONFIG',
    'odd INVALID_CONFIG',
    'elsewhere INVALID_REPLICA_ASSIGNMENT',
    'gap INVALID_REPLICA_ASSIGNMENT',
    'placed NONE',
  ]);
  const only = await client.call(messages[19], 7, {
    topics: [{ ...base, name: 'imagined' }],
    validateOnly: true,
  });
  expect(only.topics[0]).toMatchObject({ errorCode: 0, numPartitions: 4 });
  const all = await client.call(messages[3], 12, {
    topics: null,
    includeTopicAuthorizedOperations: false,
  });
  expect(all.topics.map(({ name }) => name)).not.toContain('imagined');
});

test('configurations change one by one, by lists and all at once', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await createTopic(client, 'orders', { config: { 'retention.ms': '5' } });
  const change = async (
    configs: { name: string; configOperation: number; value: string | null }[],
  ) => {
    const { responses } = await client.call(messages[44], 1, {
      resources: [{ resourceType: TOPIC, resourceName: 'orders', configs }],
      validateOnly: false,
    });
    return errorName(responses[0]?.errorCode ?? -1);
  };
  expect(
    await change([
      { name: 'segment.ms', configOperation: 0, value: '99' },
      { name: 'retention.ms', configOperation: 1, value: null },
      { name: 'cleanup.policy', configOperation: 2, value: 'compact' },
    ]),
  ).toBe('NONE');
  const { byName } = await describe(client, TOPIC, 'orders');
  expect(byName.get('cleanup.policy')?.value).toBe('delete,compact');
  expect(byName.get('retention.ms')).toMatchObject({ value: '604800000', configSource: 5 });
  const subtract = [{ name: 'cleanup.policy', configOperation: 3, value: 'delete' }];
  expect(await change(subtract)).toBe('NONE');
  expect(await change([{ name: 'segment.ms', configOperation: 2, value: '1' }])).toBe(
    'INVALID_CONFIG',
  );
  expect(await change([{ name: 'no.such', configOperation: 0, value: '1' }])).toBe(
    'INVALID_CONFIG',
  );
  const { responses } = await client.call(messages[33], 2, {
    resources: [
      {
        resourceType: TOPIC,
        resourceName: 'orders',
        configs: [{ name: 'retention.ms', value: '8' }],
      },
      { resourceType: BROKER, resourceName: '1', configs: [] },
    ],
    validateOnly: false,
  });
  expect(responses.map(({ errorCode }) => errorName(errorCode))).toEqual([
    'NONE',
    'INVALID_REQUEST',
  ]);
  const replaced = await describe(client, TOPIC, 'orders');
  expect(replaced.byName.get('retention.ms')?.value).toBe('8');
  expect(replaced.byName.get('segment.ms')).toMatchObject({ configSource: 5 });
});

test('offsets: start, end, time, newest; records are deleted up to an offset', async () => {
  const under = await testBroker();
  const client = await under.connect();
  await createTopic(client, 'orders');
  const base = Date.now() - 10_000;
  for (const [index, timestamp] of [base, base + 5_000, base + 2_000].entries()) {
    const records = encodeBatch([{ timestamp, key: null, value: `v${index}` }]);
    await client.call(messages[0], 9, {
      transactionalId: null,
      acks: -1,
      timeoutMs: 1_000,
      topicData: [{ name: 'orders', partitionData: [{ index: 0, records }] }],
    });
  }
  const offsets = async (timestamps: number[], version = 8) => {
    const { topics } = await client.call(messages[2], version, {
      replicaId: -1,
      isolationLevel: 0,
      topics: timestamps.map((timestamp) => ({
        name: 'orders',
        partitions: [{ partitionIndex: 0, timestamp }],
      })),
    });
    return topics.map(({ partitions: [one] }) =>
      one?.errorCode === 0 ? one.offset : errorName(one?.errorCode ?? -1),
    );
  };
  expect(await offsets([-1, -2, -3, -4, base, base + 1, base + 9_000])).toEqual([
    3, 0, 1, 0, 0, 1, -1,
  ]);
  expect(await offsets([-3, -9], 6)).toEqual(['UNSUPPORTED_VERSION', 'UNSUPPORTED_VERSION']);
  const remove = async (offset: number, name = 'orders') => {
    const { topics } = await client.call(messages[21], 2, {
      topics: [{ name, partitions: [{ partitionIndex: 0, offset }] }],
      timeoutMs: 1_000,
    });
    const one = topics[0]?.partitions[0];
    return one?.errorCode === 0 ? one.lowWatermark : errorName(one?.errorCode ?? -1);
  };
  expect(await remove(2)).toBe(2);
  expect(await remove(1)).toBe(2);
  expect(await remove(99)).toBe('OFFSET_OUT_OF_RANGE');
  expect(await offsets([-2, base])).toEqual([2, 2]);
  expect(await remove(-1)).toBe(3);
  expect(await remove(0, 'absent')).toBe('UNKNOWN_TOPIC_OR_PARTITION');
  await createTopic(client, 'kept', { config: { 'cleanup.policy': 'compact' } });
  expect(await remove(0, 'kept')).toBe('POLICY_VIOLATION');
});

test('partitions, sizes, producers and the cluster are described', async () => {
  const under = await testBroker();
  const client = await under.connect();
  const { topicId } = await createTopic(client, 'orders', { partitions: 2 });
  const grow = async (count: number) => {
    const { results } = await client.call(messages[37], 3, {
      topics: [{ name: 'orders', count, assignments: null }],
      timeoutMs: 1_000,
      validateOnly: false,
    });
    return errorName(results[0]?.errorCode ?? -1);
  };
  expect([await grow(5), await grow(5), await grow(1)]).toEqual([
    'NONE',
    'INVALID_PARTITIONS',
    'INVALID_PARTITIONS',
  ]);
  const records = encodeBatch([{ timestamp: 1, key: 'k', value: 'v' }], {
    producerId: 77,
    producerEpoch: 3,
    baseSequence: 0,
  });
  const produced = await client.call(messages[0], 13, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1_000,
    topicData: [{ topicId, partitionData: [{ index: 4, records }] }],
  });
  expect(produced.responses[0]?.partitionResponses[0]?.errorCode).toBe(0);
  const logDirs = await client.call(messages[35], 4, {
    topics: [{ topic: 'orders', partitions: [0, 4] }],
  });
  expect(logDirs.results[0]).toMatchObject({ logDir: under.broker.dataDir });
  expect(logDirs.results[0]?.usableBytes).toBeGreaterThan(0);
  const sizes = logDirs.results[0]?.topics[0]?.partitions.map((p) => p.partitionSize);
  expect(sizes).toEqual([0, records.length]);
  const producers = await client.call(messages[61], 0, {
    topics: [{ name: 'orders', partitionIndexes: [4, 9] }],
  });
  expect(producers.topics[0]?.partitions[0]?.activeProducers).toMatchObject([
    { producerId: 77, producerEpoch: 3, lastSequence: 0, currentTxnStartOffset: -1 },
  ]);
  expect(errorName(producers.topics[0]?.partitions[1]?.errorCode ?? 0)).toBe(
    'UNKNOWN_TOPIC_OR_PARTITION',
  );
  const cluster = await client.call(messages[60], 1, { includeClusterAuthorizedOperations: false });
  expect(cluster).toMatchObject({ clusterId: under.broker.clusterId, controllerId: 1 });
  expect(cluster.brokers[0]).toMatchObject({ brokerId: 1, port: under.broker.port });
});

test('partitions are described page by page, each once', async () => {
  const under = await testBroker();
  const client = await under.connect();
  for (const [name, partitions] of [
    ['b', 3],
    ['a', 2],
    ['c', 1],
  ] as const)
    await createTopic(client, name, { partitions });
  const seen: string[] = [];
  let cursor: { topicName: string; partitionIndex: number } | null = null;
  for (let page = 0; page < 10; page++) {
    const answer: {
      topics: readonly { name: string | null; partitions: readonly { partitionIndex: number }[] }[];
      nextCursor: { topicName: string; partitionIndex: number } | null;
    } = await client.call(messages[75], 0, {
      topics: [{ name: 'a' }, { name: 'b' }, { name: 'c' }],
      responsePartitionLimit: 2,
      cursor,
    });
    for (const { name, partitions } of answer.topics)
      for (const { partitionIndex } of partitions) seen.push(`${name}${partitionIndex}`);
    cursor = answer.nextCursor;
    if (cursor === null) break;
  }
  expect(seen).toEqual(['a0', 'a1', 'b0', 'b1', 'b2', 'c0']);
});

test('topics are asked for and deleted by id', async () => {
  const under = await testBroker();
  const client = await under.connect();
  const { topicId } = await createTopic(client, 'orders');
  const found = await client.call(messages[3], 12, {
    topics: [{ topicId, name: null }],
    includeTopicAuthorizedOperations: false,
  });
  expect(found.topics[0]).toMatchObject({ name: 'orders', errorCode: 0 });
  const remove = async () => {
    const { responses } = await client.call(messages[20], 6, {
      topics: [{ topicId, name: null }],
      timeoutMs: 1_000,
    });
    return errorName(responses[0]?.errorCode ?? -1);
  };
  expect([await remove(), await remove()]).toEqual(['NONE', 'UNKNOWN_TOPIC_ID']);
  const gone = await client.call(messages[3], 12, {
    topics: [{ topicId, name: null }],
    includeTopicAuthorizedOperations: false,
  });
  expect(errorName(gone.topics[0]?.errorCode ?? 0)).toBe('UNKNOWN_TOPIC_ID');
});

test('a topic that is asked for by name is created, unless client or broker say no', async () => {
  const under = await testBroker();
  const client = await under.connect();
  const ask = async (name: string, allowAutoTopicCreation: boolean) => {
    const { topics } = await client.call(messages[3], 9, {
      topics: [{ topicId: '00000000-0000-0000-0000-000000000000', name }],
      allowAutoTopicCreation,
      includeTopicAuthorizedOperations: false,
    });
    return `${errorName(topics[0]?.errorCode ?? -1)} ${topics[0]?.partitions.length}`;
  };
  expect(await ask('wished', false)).toBe('UNKNOWN_TOPIC_OR_PARTITION 0');
  expect(await ask('wished', true)).toBe('NONE 4');
  expect(await ask('wished', false)).toBe('NONE 4');
  const strict = await testBroker({ 'auto.create.topics.enable': false });
  const other = await strict.connect();
  const { topics } = await other.call(messages[3], 4, {
    topics: [{ name: 'wished', topicId: '00000000-0000-0000-0000-000000000000' }],
    allowAutoTopicCreation: true,
    includeTopicAuthorizedOperations: false,
  });
  expect(errorName(topics[0]?.errorCode ?? 0)).toBe('UNKNOWN_TOPIC_OR_PARTITION');
});

test('a restart is a new epoch: old ones are fenced, and their end is known', async () => {
  const under = await testBroker();
  const first = await under.connect();
  await createTopic(first, 'orders');
  const records = encodeBatch([{ timestamp: 1, key: 'k', value: 'v' }]);
  await first.call(messages[0], 9, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 1_000,
    topicData: [{ name: 'orders', partitionData: [{ index: 0, records }] }],
  });
  await under.restart();
  const client = await under.connect();
  const ask = async (currentLeaderEpoch: number, leaderEpoch: number) => {
    const { topics } = await client.call(messages[23], 4, {
      topics: [
        { topic: 'orders', partitions: [{ partition: 0, currentLeaderEpoch, leaderEpoch }] },
      ],
    });
    const one = topics[0]?.partitions[0];
    return one?.errorCode === 0 ? [one.leaderEpoch, one.endOffset] : errorName(one?.errorCode ?? 0);
  };
  expect(await ask(0, 0)).toBe('FENCED_LEADER_EPOCH');
  expect(await ask(9, 0)).toBe('UNKNOWN_LEADER_EPOCH');
  expect(await ask(1, 0)).toEqual([0, 1]);
  expect(await ask(-1, 1)).toEqual([1, 1]);
});

/**
 * Our codec against the encoders and decoders of kafkajs, for every API and version that both have. Every value in a
 * message is another one, so that a field read at the wrong place or as the wrong type shows as a value of no field.
 */
import { createRequire } from 'node:module';
import { describe, expect, test } from 'vitest';
import { ALL_APIS } from '../../../test/wire/all-messages.ts';
import { distinctMessage, leaves } from '../../../test/wire/distinct-values.ts';
import { API_KEYS } from './api-keys.ts';
import { decodeMessage, encodeMessage } from './codec.ts';
import { ZERO_UUID } from './schema.ts';

interface Protocol {
  readonly request: { encode(): Promise<{ readonly buffer: Buffer }> };
  readonly response: { decode(bytes: Buffer): Promise<unknown> };
}

interface Definitions {
  readonly versions: readonly string[];
  protocol(lookup: { version: string }): (args: unknown) => Protocol;
}

const { requests } = createRequire(import.meta.url)('kafkajs/src/protocol/requests/index.js') as {
  readonly requests: Readonly<Record<string, Definitions>>;
};

const TXN = { transactionalId: 'transactional-id', producerId: '71', producerEpoch: 72 };
const MEMBER = { groupId: 'group-id', memberId: 'member-id', groupInstanceId: 'instance-id' };

/** The arguments of kafkajs's encoders, by its name of the API; records are left out of Produce. */
const ARGUMENTS: Readonly<Record<string, unknown>> = {
  Produce: { acks: 61, timeout: 62, compression: 0, topicData: [], ...TXN },
  Fetch: {
    replicaId: 41,
    maxWaitTime: 42,
    minBytes: 43,
    maxBytes: 44,
    isolationLevel: 45,
    topics: [
      {
        topic: 'topic-a',
        partitions: [{ partition: 46, fetchOffset: '47', maxBytes: 48 }],
      },
    ],
    rackId: 'rack-id',
  },
  ListOffsets: {
    replicaId: 41,
    isolationLevel: 42,
    topics: [{ topic: 'topic-a', partitions: [{ partition: 43, timestamp: '44' }] }],
  },
  Metadata: { topics: ['topic-a', 'topic-b'], allowAutoTopicCreation: false },
  OffsetCommit: {
    ...MEMBER,
    groupGenerationId: 41,
    topics: [{ topic: 'topic-a', partitions: [{ partition: 42, offset: '43', metadata: 'meta' }] }],
  },
  OffsetFetch: {
    groupId: 'group-id',
    topics: [{ topic: 'topic-a', partitions: [{ partition: 42 }] }],
  },
  GroupCoordinator: { groupId: 'group-id', coordinatorType: 1 },
  JoinGroup: {
    ...MEMBER,
    sessionTimeout: 41,
    rebalanceTimeout: 42,
    protocolType: 'consumer',
    groupProtocols: [{ name: 'assigner', metadata: Buffer.from('metadata') }],
  },
  Heartbeat: { ...MEMBER, groupGenerationId: 41 },
  LeaveGroup: {
    groupId: 'group-id',
    memberId: 'member-id',
    members: [{ memberId: 'member-id', groupInstanceId: 'instance-id' }],
  },
  SyncGroup: {
    ...MEMBER,
    generationId: 41,
    groupAssignment: [{ memberId: 'other-id', memberAssignment: Buffer.from('assignment') }],
  },
  DescribeGroups: { groupIds: ['group-a', 'group-b'] },
  ListGroups: undefined,
  SaslHandshake: { mechanism: 'PLAIN' },
  ApiVersions: undefined,
  CreateTopics: {
    topics: [
      {
        topic: 'topic-a',
        numPartitions: 41,
        replicationFactor: 42,
        replicaAssignment: [{ partition: 43, replicas: [44, 45] }],
        configEntries: [{ name: 'config', value: 'value' }],
      },
    ],
    validateOnly: true,
    timeout: 46,
  },
  DeleteTopics: { topics: ['topic-a', 'topic-b'], timeout: 41 },
  DeleteRecords: {
    topics: [{ topic: 'topic-a', partitions: [{ partition: 41, offset: '42' }] }],
    timeout: 43,
  },
  InitProducerId: { transactionalId: 'transactional-id', transactionTimeout: 41 },
  AddPartitionsToTxn: { ...TXN, topics: [{ topic: 'topic-a', partitions: [41, 42] }] },
  AddOffsetsToTxn: { ...TXN, groupId: 'group-id' },
  EndTxn: { ...TXN, transactionResult: true },
  TxnOffsetCommit: {
    ...TXN,
    groupId: 'group-id',
    topics: [{ topic: 'topic-a', partitions: [{ partition: 41, offset: '42', metadata: 'meta' }] }],
  },
  DescribeConfigs: {
    resources: [{ type: 2, name: 'topic-a', configNames: ['config'] }],
    includeSynonyms: true,
  },
  AlterConfigs: {
    resources: [{ type: 2, name: 'topic-a', configEntries: [{ name: 'config', value: 'value' }] }],
    validateOnly: true,
  },
  // kafkajs has the length in the token.
  SaslAuthenticate: { authBytes: Buffer.from('\0\0\0\u0005token') },
  CreatePartitions: {
    topicPartitions: [{ topic: 'topic-a', count: 41, assignments: [[42, 43]] }],
    validateOnly: true,
    timeout: 44,
  },
  DeleteGroups: ['group-a', 'group-b'],
  AlterPartitionReassignments: {
    topics: [{ topic: 'topic-a', partitionAssignment: [{ partition: 41, replicas: [42, 43] }] }],
    timeout: 44,
  },
  ListPartitionReassignments: {
    topics: [{ topic: 'topic-a', partitions: [41, 42] }],
    timeout: 43,
  },
};

/** What stands in a decoded request although it was not sent: defaults of kafkajs, and of fields of other versions. */
const NOT_SENT = new Set(
  ['', '-1', '0', '1000', '2147483647', String(Number.MAX_SAFE_INTEGER), ZERO_UUID].concat(
    ['true', 'false', 'null'],
    Buffer.from('token').toString('hex'),
  ),
);

const APIS = ALL_APIS.flatMap((api) => {
  const name = api.key === API_KEYS.FindCoordinator ? 'GroupCoordinator' : api.name;
  const definitions = requests[name];
  if (definitions === undefined || !(name in ARGUMENTS)) return [];
  return definitions.versions
    .map(Number)
    .filter((version) => version >= api.request.minVersion && version <= api.request.maxVersion)
    .map((version) => ({ name, version, api, definitions }));
});

test('covers most of what kafkajs has', () => {
  expect(APIS.length).toBeGreaterThan(80);
});

describe.each(APIS)('$name v$version', ({ name, version, api, definitions }) => {
  const create = definitions.protocol({ version: String(version) });

  test('requests of kafkajs are decoded, and encoded to the same bytes', async () => {
    const { buffer } = await create(ARGUMENTS[name]).request.encode();
    // kafkajs writes the tagged fields of a flexible header as part of the body.
    const start = version >= api.flexibleSince ? 1 : 0;
    const value = decodeMessage(api.request, version, buffer, { start });
    expect(encodeMessage(api.request, version, value)).toEqual(buffer.subarray(start));
    const sent = leaves(ARGUMENTS[name] ?? []);
    const decoded = leaves(value);
    expect(decoded.filter((leaf) => !sent.includes(leaf) && !NOT_SENT.has(leaf))).toEqual([]);
    // An older version has fewer fields than there are arguments.
    const arrived = sent.filter((leaf) => decoded.includes(leaf));
    expect(arrived.length).toBeGreaterThanOrEqual(Math.floor(sent.length / 3));
  });

  test('kafkajs decodes our responses', async () => {
    const ours = distinctMessage(api.response, version);
    const bytes = encodeMessage(api.response, version, ours);
    const prefix = version >= api.flexibleSince ? [0] : [];
    const theirs = await create(ARGUMENTS[name]).response.decode(
      Buffer.concat([Buffer.from(prefix), bytes]),
    );
    const sent = leaves(ours);
    const prefixed = sent.map((hex) => `0000000a${hex}`);
    const known = new Set([...sent, ...prefixed, ...NOT_SENT, 'undefined']);
    const read = leaves(theirs);
    expect(read.filter((leaf) => !known.has(leaf))).toEqual([]);
    expect(read.length).toBeGreaterThan(0);
  });
});

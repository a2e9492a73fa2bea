/**
 * Consumer groups as the protocol has them, request by request, in every version. The same tests run against Apache
 * Kafka (`npm run test:kafka`); what only Millrace does, or only a broker of our own can be made to show, says so.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  consumerProtocolAssignment,
  consumerProtocolSubscription,
} from '../../src/wire/kafka/internal/consumer-protocol.ts';
import { ZERO_UUID } from '../../src/wire/kafka/schema.ts';
import { encodeVersioned } from '../../src/wire/kafka/versioned.ts';
import { nameOf, RawClient, type ResponseOf } from '../groups/raw-client.ts';
import {
  BESIDE_EACH_OTHER,
  type BrokerUnderTest,
  startBrokerUnderTest,
  uniqueName,
} from './broker-under-test.ts';

/** Kafka's lower limit; ours is set lower, for the test that waits for it. */
const SESSION_MS = 6_000;
const SHORT_SESSION_MS = 1_000;
const REBALANCE_MS = 20_000;
const FIRST = 0;

let broker: BrokerUnderTest;
let topic: string;
let topicId: string;
let sessionMinMs: number;
/** Open until all tests have ended. */
const open: RawClient[] = [];

beforeAll(async () => {
  broker = await startBrokerUnderTest([`group.min.session.timeout.ms=${SHORT_SESSION_MS}`]);
  sessionMinMs = broker.kind === 'millrace' ? SHORT_SESSION_MS : SESSION_MS;
  ({ topic, topicId } = await createTopic(3));
  // Apache Kafka makes the topics of its coordinators when they are first asked for.
  for (const keyType of [0, 1]) {
    const body = { keyType, coordinatorKeys: ['any'] };
    await until(async () => {
      const answer = await (await client()).send(10, 4, body);
      return nameOf(answer.coordinators[FIRST]) === 'NONE';
    });
  }
  await until(async () => (await commit(uniqueName('first'), 1)) === 'NONE');
});
afterAll(async () => {
  for (const client of open) client.close();
  await broker?.stop();
});

async function client(): Promise<RawClient> {
  const opened = await RawClient.open(broker.host, broker.port);
  open.push(opened);
  return opened;
}

async function createTopic(
  numPartitions: number,
): Promise<{ readonly topic: string; readonly topicId: string }> {
  const name = uniqueName('groups');
  const created = await (await client()).send(19, 7, {
    topics: [{ name, numPartitions, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 10_000,
  });
  expect(nameOf(created.topics[FIRST])).toBe('NONE');
  await until(async () => {
    const metadata = await (await client()).send(3, 12, { topics: [{ name }] });
    return metadata.topics[FIRST]?.partitions.length === numPartitions;
  });
  return { topic: name, topicId: created.topics[FIRST]?.topicId ?? '' };
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}

const subscription = (...topics: string[]): Buffer =>
  encodeVersioned(consumerProtocolSubscription, 1, { topics });
const assignment = (...partitions: number[]): Buffer =>
  encodeVersioned(consumerProtocolAssignment, 1, { assignedPartitions: [{ topic, partitions }] });

interface Member {
  readonly client: RawClient;
  readonly groupId: string;
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly generationId: number;
  readonly joined: ResponseOf<11>;
}

interface JoinOptions {
  readonly client?: RawClient;
  readonly memberId?: string;
  readonly groupInstanceId?: string;
  readonly version?: number;
  readonly protocols?: readonly string[];
  readonly protocolType?: string;
  readonly sessionTimeoutMs?: number;
  readonly topics?: readonly string[];
}

/** One JoinGroup. */
async function joinOnce(groupId: string, options: JoinOptions = {}): Promise<Member> {
  const connection = options.client ?? (await client());
  const { memberId = '', groupInstanceId = null, version = 5 } = options;
  const metadata = subscription(...(options.topics ?? [topic]));
  const joined = await connection.send(11, version, {
    groupId,
    sessionTimeoutMs: options.sessionTimeoutMs ?? SESSION_MS,
    rebalanceTimeoutMs: REBALANCE_MS,
    memberId,
    groupInstanceId,
    protocolType: options.protocolType ?? 'consumer',
    protocols: (options.protocols ?? ['range']).map((name) => ({ name, metadata })),
  });
  const { generationId } = joined;
  const identity = { memberId: joined.memberId, groupInstanceId, generationId };
  return { client: connection, groupId, ...identity, joined };
}

/** JoinGroup, and again with the id that it was given. */
async function join(groupId: string, options: JoinOptions = {}): Promise<Member> {
  const member = await joinOnce(groupId, options);
  if (nameOf(member.joined) !== 'MEMBER_ID_REQUIRED') return member;
  return joinOnce(groupId, { ...options, client: member.client, memberId: member.memberId });
}

function sync(
  member: Member,
  assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[] = [],
  version = 4,
  protocol: { readonly protocolType?: string; readonly protocolName?: string } = {},
): Promise<ResponseOf<14>> {
  return member.client.send(14, version, { ...withoutClient(member), ...protocol, assignments });
}

function heartbeat(member: Member, version = 3): Promise<ResponseOf<12>> {
  return member.client.send(12, version, withoutClient(member));
}

function withoutClient({ groupId, memberId, groupInstanceId, generationId }: Member) {
  return { groupId, memberId, groupInstanceId, generationId };
}

/** Everybody joins one after the other, and gets one partition. */
async function stable<const Joiners extends readonly JoinOptions[]>(
  groupId: string,
  joiners: Joiners,
): Promise<{ readonly [Index in keyof Joiners]: Member }> {
  let members: Member[] = [];
  for (const joiner of joiners) {
    const before = members.map((member, index) => rejoin(member, joiners[index]));
    members = await Promise.all([...before, join(groupId, joiner)]);
  }
  const assignments = members.map(({ memberId }, index) => ({
    memberId,
    assignment: assignment(index),
  }));
  const synced = await Promise.all(
    members.map((member) =>
      sync(member, member.joined.leader === member.memberId ? assignments : []),
    ),
  );
  expect(synced.map(nameOf)).toEqual(members.map(() => 'NONE'));
  return members as { readonly [Index in keyof Joiners]: Member };
}

/** As soon as the group rebalances. */
async function rejoin(member: Member, options: JoinOptions = {}): Promise<Member> {
  await until(async () => nameOf(await heartbeat(member)) === 'REBALANCE_IN_PROGRESS');
  const { groupInstanceId, memberId } = member;
  const identity = groupInstanceId === null ? { memberId } : { memberId, groupInstanceId };
  return joinOnce(member.groupId, { ...options, ...identity, client: member.client });
}

async function described(groupId: string): Promise<ResponseOf<15>['groups'][number] | undefined> {
  const answer = await (await client()).send(15, 5, {
    groups: [groupId],
    includeAuthorizedOperations: false,
  });
  return answer.groups[FIRST];
}

interface CommitOptions {
  readonly member?: Member;
  readonly version?: number;
  readonly partition?: number;
  readonly metadata?: string | null;
  readonly name?: string;
}

async function commit(groupId: string, offset: number, options: CommitOptions = {}) {
  const { member, version = 8, partition = 0, metadata = '' } = options;
  const answer = await (member?.client ?? (await client())).send(8, version, {
    groupId,
    generationIdOrMemberEpoch: member?.generationId ?? -1,
    memberId: member?.memberId ?? '',
    groupInstanceId: version >= 7 ? (member?.groupInstanceId ?? null) : null,
    topics: [
      {
        name: options.name ?? topic,
        topicId,
        partitions: [
          {
            partitionIndex: partition,
            committedOffset: offset,
            committedLeaderEpoch: 0,
            committedMetadata: metadata,
          },
        ],
      },
    ],
  });
  return nameOf(answer.topics[FIRST]?.partitions[FIRST]);
}

/** OffsetFetch of one partition, as what every version has of it. */
async function fetched(
  groupId: string,
  options: {
    readonly version?: number;
    readonly partition?: number;
    readonly stable?: boolean;
  } = {},
) {
  const { version = 7, partition = 0 } = options;
  const topics = [{ name: topic, topicId, partitionIndexes: [partition] }];
  const answer = await (await client()).send(9, version, {
    ...(version >= 8 ? { groups: [{ groupId, topics }] } : { groupId, topics }),
    ...(version >= 7 ? { requireStable: options.stable ?? false } : {}),
  });
  const group = version >= 8 ? answer.groups[FIRST] : answer;
  const found = group?.topics[FIRST]?.partitions[FIRST];
  return { error: nameOf(found), offset: found?.committedOffset, metadata: found?.metadata };
}

const NO_OFFSET = { error: 'NONE', offset: -1, metadata: '' };

describe('membership', BESIDE_EACH_OTHER, () => {
  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])('JoinGroup v%i', async (version) => {
    const groupId = uniqueName('join');
    const first = await joinOnce(groupId, { version });
    expect(nameOf(first.joined)).toBe(version >= 4 ? 'MEMBER_ID_REQUIRED' : 'NONE');
    const member = version >= 4 ? await join(groupId, { version }) : first;
    expect(member.joined).toMatchObject({
      errorCode: 0,
      generationId: 1,
      protocolType: version >= 7 ? 'consumer' : null,
      protocolName: 'range',
      leader: member.memberId,
      skipAssignment: false,
      members: [
        { memberId: member.memberId, groupInstanceId: null, metadata: subscription(topic) },
      ],
    });
    expect(member.memberId).toMatch(/^raw-[0-9a-zA-Z_-]+$/);
  });

  test.each([0, 1, 2, 3, 4, 5])('SyncGroup v%i', async (version) => {
    const member = await join(uniqueName('sync'));
    const mine = [{ memberId: member.memberId, assignment: assignment(0, 1, 2) }];
    const protocol = version >= 5 ? { protocolType: 'consumer', protocolName: 'range' } : {};
    const wrong = [{}, { protocolType: 'consumer' }, { ...protocol, protocolName: 'sticky' }];
    for (const each of version >= 5 ? wrong : []) {
      expect(nameOf(await sync(member, mine, version, each))).toBe('INCONSISTENT_GROUP_PROTOCOL');
    }
    expect(await sync(member, mine, version, protocol)).toEqual({
      throttleTimeMs: 0,
      errorCode: 0,
      protocolType: version >= 5 ? 'consumer' : null,
      protocolName: version >= 5 ? 'range' : null,
      assignment: assignment(0, 1, 2),
    });
    const group = await described(member.groupId);
    expect(group?.groupState).toBe('Stable');
  });

  test.each([0, 1, 2, 3, 4])('Heartbeat v%i', async (version) => {
    const [member] = await stable(uniqueName('heartbeat'), [{}]);
    const answers = [
      member,
      { ...member, generationId: 7 },
      { ...member, memberId: 'ghost' },
      { ...member, groupId: uniqueName('nowhere') },
      { ...member, groupId: '' },
    ].map(async (each) => nameOf(await heartbeat(each, version)));
    expect(await Promise.all(answers)).toEqual([
      'NONE',
      'ILLEGAL_GENERATION',
      'UNKNOWN_MEMBER_ID',
      'UNKNOWN_MEMBER_ID',
      'INVALID_GROUP_ID',
    ]);
  });

  test.each([0, 1, 2, 3, 4, 5])('LeaveGroup v%i', async (version) => {
    const groupId = uniqueName('leave');
    const [member] = await stable(groupId, [{}]);
    const leave = async (memberId: string, from = groupId) => {
      const body = version >= 3 ? { members: [{ memberId }] } : { memberId };
      return member.client.send(13, version, { groupId: from, ...body });
    };
    const error = (answer: ResponseOf<13>) =>
      version >= 3 ? [nameOf(answer), nameOf(answer.members[FIRST])] : [nameOf(answer)];
    const unknown = version >= 3 ? ['NONE', 'UNKNOWN_MEMBER_ID'] : ['UNKNOWN_MEMBER_ID'];
    expect(error(await leave('ghost'))).toEqual(unknown);
    expect(error(await leave('ghost', uniqueName('nowhere')))).toEqual(unknown);
    expect(nameOf(await leave('ghost', ''))).toBe('INVALID_GROUP_ID');
    expect(nameOf(await leave(member.memberId))).toBe('NONE');
    expect(await described(groupId)).toMatchObject({ groupState: 'Empty', members: [] });
    expect(nameOf(await heartbeat(member))).toBe('UNKNOWN_MEMBER_ID');
  });

  test('refuses what cannot be a member', async () => {
    const groupId = uniqueName('refused');
    await stable(groupId, [{ protocols: ['range', 'sticky'] }]);
    const refused = [
      joinOnce('', {}),
      joinOnce(groupId, { memberId: 'ghost' }),
      joinOnce(uniqueName('nowhere'), { memberId: 'ghost' }),
      joinOnce(groupId, { sessionTimeoutMs: sessionMinMs - 1 }),
      joinOnce(groupId, { sessionTimeoutMs: 1_800_001 }),
      joinOnce(groupId, { protocols: ['roundrobin'] }),
      joinOnce(groupId, { protocolType: 'connect' }),
      joinOnce(uniqueName('empty'), { protocols: [] }),
      joinOnce(uniqueName('empty'), { protocolType: '' }),
    ].map(async (each) => nameOf((await each).joined));
    expect(await Promise.all(refused)).toEqual([
      'INVALID_GROUP_ID',
      'UNKNOWN_MEMBER_ID',
      'UNKNOWN_MEMBER_ID',
      'INVALID_SESSION_TIMEOUT',
      'INVALID_SESSION_TIMEOUT',
      'INCONSISTENT_GROUP_PROTOCOL',
      'INCONSISTENT_GROUP_PROTOCOL',
      'INCONSISTENT_GROUP_PROTOCOL',
      'INCONSISTENT_GROUP_PROTOCOL',
    ]);
  });

  test('a second member makes the first rejoin, and the leader sees both', async () => {
    const groupId = uniqueName('two');
    const [first] = await stable(groupId, [{}]);
    const joining = join(groupId);
    const again = await rejoin(first);
    const second = await joining;
    expect([again.generationId, second.generationId]).toEqual([2, 2]);
    expect(second.joined).toMatchObject({ leader: first.memberId, members: [] });
    expect(again.joined.members.map(({ memberId }) => memberId).sort()).toEqual(
      [first.memberId, second.memberId].sort(),
    );
    const waiting = sync(second);
    const mine = [{ memberId: second.memberId, assignment: assignment(1) }];
    expect(nameOf(await sync({ ...first, generationId: 1 }))).toBe('ILLEGAL_GENERATION');
    expect((await sync(again, mine)).assignment).toEqual(Buffer.alloc(0));
    expect((await waiting).assignment).toEqual(assignment(1));
  });

  test('syncs that wait are sent back to join when another member comes', async () => {
    const groupId = uniqueName('back');
    const [first] = await stable(groupId, [{}]);
    const [again, second] = await Promise.all([rejoin(first), join(groupId)]);
    const waiting = sync(second);
    const third = join(groupId);
    expect(nameOf(await waiting)).toBe('REBALANCE_IN_PROGRESS');
    expect(nameOf(await sync(again))).toBe('REBALANCE_IN_PROGRESS');
    const joins = [again, second].map(({ client: same, memberId }) =>
      joinOnce(groupId, { client: same, memberId }),
    );
    const all = await Promise.all([...joins, third]);
    expect(all.map(({ generationId }) => generationId)).toEqual([3, 3, 3]);
  });

  test('a follower that joins unchanged learns the generation, a leader makes a rebalance', async () => {
    const groupId = uniqueName('unchanged');
    const [leader, follower] = await stable(groupId, [{}, {}]);
    const same = await joinOnce(groupId, { client: follower.client, memberId: follower.memberId });
    expect(same.joined).toMatchObject({ generationId: 2, members: [], leader: leader.memberId });
    expect((await described(groupId))?.groupState).toBe('Stable');
    const joining = joinOnce(groupId, { client: leader.client, memberId: leader.memberId });
    expect((await rejoin(follower)).generationId).toBe(3);
    expect((await joining).generationId).toBe(3);
  });

  test('a member that falls silent is out after its session timeout', async () => {
    const groupId = uniqueName('silent');
    const [living] = await stable(groupId, [{}, { sessionTimeoutMs: sessionMinMs }]);
    await until(async () => nameOf(await heartbeat(living)) === 'REBALANCE_IN_PROGRESS');
    const { memberId } = living;
    const again = await joinOnce(groupId, { client: living.client, memberId });
    expect(again.joined.members).toHaveLength(1);
  });
});

describe('static members', BESIDE_EACH_OTHER, () => {
  test('come back with their assignment and without a rebalance; the former id is fenced', async () => {
    const groupId = uniqueName('static');
    const members = await stable(groupId, [{ groupInstanceId: 'a' }, { groupInstanceId: 'b' }]);
    const [leader, follower] = members;
    const back = await join(groupId, { groupInstanceId: 'b' });
    expect(back.joined).toMatchObject({ errorCode: 0, generationId: 2, members: [] });
    expect(back.memberId).not.toBe(follower.memberId);
    expect((await sync(back)).assignment).toEqual(assignment(1));
    const fenced = [
      nameOf(await heartbeat(follower)),
      nameOf(await sync(follower)),
      nameOf(
        (await joinOnce(groupId, { memberId: follower.memberId, groupInstanceId: 'b' })).joined,
      ),
      await commit(groupId, 1, { member: follower }),
    ];
    expect(fenced).toEqual(fenced.map(() => 'FENCED_INSTANCE_ID'));
    expect(nameOf(await heartbeat(leader))).toBe('NONE');
    expect((await described(groupId))?.groupState).toBe('Stable');
  });

  test('a leader that comes back is not told to assign, or to skip it', async () => {
    const groupId = uniqueName('static-leader');
    const [leader] = await stable(groupId, [{ groupInstanceId: 'a' }, { groupInstanceId: 'b' }]);
    const old = await join(groupId, { groupInstanceId: 'a', version: 8 });
    expect(old.joined).toMatchObject({ leader: leader.memberId, members: [], generationId: 2 });
    const modern = await join(groupId, { groupInstanceId: 'a', version: 9 });
    expect(modern.joined).toMatchObject({ leader: modern.memberId, skipAssignment: true });
    expect(modern.joined.members).toHaveLength(2);
    expect((await sync(modern)).assignment).toEqual(assignment(0));
  });

  test('are removed by instance id', async () => {
    const groupId = uniqueName('static-removed');
    await stable(groupId, [{ groupInstanceId: 'a' }]);
    const left = await (await client()).send(13, 5, {
      groupId,
      members: [
        { memberId: '', groupInstanceId: 'a', reason: 'by hand' },
        { memberId: '', groupInstanceId: 'z' },
      ],
    });
    expect(left.members.map(nameOf)).toEqual(['NONE', 'UNKNOWN_MEMBER_ID']);
    expect((await described(groupId))?.groupState).toBe('Empty');
  });
});

describe('offsets', BESIDE_EACH_OTHER, () => {
  test.each([2, 3, 4, 5, 6, 7, 8, 9, 10])('OffsetCommit v%i', async (version) => {
    const groupId = uniqueName('commit');
    expect(await commit(groupId, 7, { version, metadata: 'note' })).toBe('NONE');
    expect(await fetched(groupId)).toEqual({ error: 'NONE', offset: 7, metadata: 'note' });
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])('OffsetFetch v%i', async (version) => {
    const groupId = uniqueName('fetch');
    expect(await fetched(groupId, { version })).toEqual(NO_OFFSET);
    await commit(groupId, 7, { metadata: null });
    expect(await fetched(groupId, { version })).toEqual({ error: 'NONE', offset: 7, metadata: '' });
    expect(await fetched(groupId, { version, partition: 1 })).toEqual(NO_OFFSET);
  });

  test('of all topics, and of several groups at once', async () => {
    const groups = [uniqueName('all'), uniqueName('all'), uniqueName('none')];
    await commit(groups[0] ?? '', 1, { partition: 0 });
    await commit(groups[0] ?? '', 2, { partition: 2 });
    await commit(groups[1] ?? '', 3, { partition: 1 });
    const answer = await (await client()).send(9, 8, {
      groups: groups.map((groupId) => ({ groupId, topics: null })),
    });
    const offsets = answer.groups.map(({ topics }) =>
      topics.flatMap(({ partitions }) =>
        partitions.map(
          ({ partitionIndex, committedOffset }) => `${partitionIndex}: ${committedOffset}`,
        ),
      ),
    );
    expect(offsets.map((each) => each.sort())).toEqual([['0: 1', '2: 2'], ['1: 3'], []]);
    const one = await (await client()).send(9, 5, { groupId: groups[1] ?? '', topics: null });
    expect(one.topics).toMatchObject([{ name: topic, partitions: [{ committedOffset: 3 }] }]);
  });

  test('topics are found by id', async () => {
    const groupId = uniqueName('by-id');
    await commit(groupId, 5, { version: 10 });
    const unknown = '11111111-2222-4333-8444-555555555555';
    const answer = await (await client()).send(9, 10, {
      groups: [
        {
          groupId,
          topics: [topicId, unknown].map((id) => ({ topicId: id, partitionIndexes: [0] })),
        },
      ],
    });
    const found = answer.groups[FIRST]?.topics.map((each) => [
      each.topicId,
      nameOf(each.partitions[FIRST]),
      each.partitions[FIRST]?.committedOffset,
    ]);
    expect(found).toEqual([
      [topicId, 'NONE', 5],
      [unknown, 'UNKNOWN_TOPIC_ID', -1],
    ]);
    const refused = await (await client()).send(8, 10, {
      groupId,
      memberId: '',
      topics: [
        {
          topicId: unknown,
          partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: '' }],
        },
      ],
    });
    expect(nameOf(refused.topics[FIRST]?.partitions[FIRST])).toBe('UNKNOWN_TOPIC_ID');
  });

  test('are refused for unknown topics, long metadata and strangers', async () => {
    const groupId = uniqueName('refused');
    expect(await commit(groupId, 1, { name: uniqueName('nothing') })).toBe(
      'UNKNOWN_TOPIC_OR_PARTITION',
    );
    expect(await commit(groupId, 1, { metadata: 'x'.repeat(4_097) })).toBe(
      'OFFSET_METADATA_TOO_LARGE',
    );
    expect(await commit(groupId, 1, { metadata: 'x'.repeat(4_096) })).toBe('NONE');
    const busy = uniqueName('busy');
    const [member] = await stable(busy, [{}]);
    expect(await commit(busy, 1)).toBe('UNKNOWN_MEMBER_ID');
    expect(await commit(busy, 1, { member: { ...member, memberId: 'ghost' } })).toBe(
      'UNKNOWN_MEMBER_ID',
    );
    expect(await commit(busy, 1, { member: { ...member, generationId: 9 } })).toBe(
      'ILLEGAL_GENERATION',
    );
    expect(await commit(busy, 1, { member })).toBe('NONE');
    const nowhere = { ...member, groupId: uniqueName('nowhere') };
    expect(await commit(nowhere.groupId, 1, { member: nowhere })).toBe('ILLEGAL_GENERATION');
    expect(await commit(nowhere.groupId, 1, { member: nowhere, version: 9 })).toBe(
      'GROUP_ID_NOT_FOUND',
    );
  });

  test('are taken from members that rejoin, and not before they have an assignment', async () => {
    const groupId = uniqueName('between');
    const [member] = await stable(groupId, [{}]);
    const joining = join(groupId);
    await until(async () => nameOf(await heartbeat(member)) === 'REBALANCE_IN_PROGRESS');
    expect(await commit(groupId, 5, { member })).toBe('NONE');
    const again = await joinOnce(groupId, { client: member.client, memberId: member.memberId });
    await joining;
    expect(await commit(groupId, 6, { member: again })).toBe('REBALANCE_IN_PROGRESS');
    expect((await fetched(groupId)).offset).toBe(5);
  });

  test.each([
    [true, 9],
    [false, 5],
  ])('of a transaction are unstable until it ends (committed: %s)', async (committed, offset) => {
    const groupId = uniqueName('transaction');
    const transactionalId = uniqueName('id');
    await commit(groupId, 5);
    const producer = await client();
    let identity = { producerId: -1, producerEpoch: -1 };
    await until(async () => {
      const answer = await producer.send(22, 3, { transactionalId, transactionTimeoutMs: 30_000 });
      identity = { producerId: answer.producerId, producerEpoch: answer.producerEpoch };
      return nameOf(answer) === 'NONE';
    });
    const transaction = { transactionalId, ...identity, groupId };
    await until(async () => nameOf(await producer.send(25, 3, transaction)) === 'NONE');
    const partitions = [{ partitionIndex: 0, committedOffset: 9, committedMetadata: 'tx' }];
    const written = await producer.send(28, 3, {
      ...transaction,
      topics: [{ name: topic, partitions }],
    });
    expect(nameOf(written.topics[FIRST]?.partitions[FIRST])).toBe('NONE');
    expect((await fetched(groupId)).offset).toBe(5);
    expect((await fetched(groupId, { stable: true })).error).toBe('UNSTABLE_OFFSET_COMMIT');
    expect((await fetched(groupId, { stable: true, partition: 1 })).error).toBe('NONE');
    const ended = await producer.send(26, 3, { transactionalId, ...identity, committed });
    expect(nameOf(ended)).toBe('NONE');
    await until(async () => (await fetched(groupId, { stable: true })).error === 'NONE');
    expect((await fetched(groupId)).offset).toBe(offset);
  });
});

describe('administration', BESIDE_EACH_OTHER, () => {
  test.each([0, 1, 2, 3, 4, 5, 6])('DescribeGroups v%i', async (version) => {
    const groupId = uniqueName('describe');
    const missing = uniqueName('missing');
    const [member] = await stable(groupId, [{ groupInstanceId: 'a' }]);
    const answer = await (await client()).send(15, version, {
      groups: [groupId, missing],
      includeAuthorizedOperations: version >= 3,
    });
    // In whatever order.
    const described = answer.groups.find((group) => group.groupId === groupId);
    const unknown = answer.groups.find((group) => group.groupId === missing);
    expect(described).toMatchObject({
      errorCode: 0,
      groupState: 'Stable',
      protocolType: 'consumer',
      protocolData: 'range',
      members: [
        {
          memberId: member.memberId,
          groupInstanceId: version >= 4 ? 'a' : null,
          clientId: 'raw',
          clientHost: '/127.0.0.1',
          memberMetadata: subscription(topic),
          memberAssignment: assignment(0),
        },
      ],
      authorizedOperations: version >= 3 ? 3400 : -2147483648,
    });
    expect(unknown).toMatchObject({
      groupState: 'Dead',
      protocolType: '',
      members: [],
    });
    expect(nameOf(unknown)).toBe(version >= 6 ? 'GROUP_ID_NOT_FOUND' : 'NONE');
    expect(unknown?.errorMessage).toBe(version >= 6 ? `Group ${missing} not found.` : null);
  });

  test.each([0, 1, 2, 3, 4, 5])('ListGroups v%i', async (version) => {
    const busy = uniqueName('list-busy');
    const idle = uniqueName('list-idle');
    await stable(busy, [{}]);
    await commit(idle, 1);
    const list = async (statesFilter: string[] = [], typesFilter: string[] = []) => {
      const answer = await (await client()).send(16, version, { statesFilter, typesFilter });
      return answer.groups.filter(({ groupId }) => [busy, idle].includes(groupId));
    };
    const all = await list();
    expect(all.map(({ groupId }) => groupId).sort()).toEqual([busy, idle].sort());
    expect(all.find(({ groupId }) => groupId === busy)).toEqual({
      groupId: busy,
      protocolType: 'consumer',
      groupState: version >= 4 ? 'Stable' : '',
      groupType: version >= 5 ? 'classic' : '',
    });
    expect(all.find(({ groupId }) => groupId === idle)?.protocolType).toBe('');
    if (version < 4) return;
    const ids = (groups: Awaited<ReturnType<typeof list>>) => groups.map(({ groupId }) => groupId);
    expect(ids(await list(['stable', 'Dead']))).toEqual([busy]);
    expect(ids(await list(['eMpTy']))).toEqual([idle]);
    expect(ids(await list(['nonsense']))).toEqual([]);
    if (version < 5) return;
    expect(ids(await list(['Stable'], ['Classic']))).toEqual([busy]);
    expect(ids(await list([], ['consumer']))).toEqual([]);
  });

  test.each([0, 1, 2])('DeleteGroups v%i', async (version) => {
    const [busy, idle, missing] = [uniqueName('busy'), uniqueName('idle'), uniqueName('missing')];
    await stable(busy, [{}]);
    await commit(idle, 1);
    const answer = await (await client()).send(42, version, { groupsNames: [busy, idle, missing] });
    const results = answer.results.map((each) => [each.groupId, nameOf(each)] as const);
    expect(Object.fromEntries(results)).toEqual({
      [busy]: 'NON_EMPTY_GROUP',
      [idle]: 'NONE',
      [missing]: 'GROUP_ID_NOT_FOUND',
    });
    expect(await fetched(idle)).toEqual(NO_OFFSET);
    expect((await described(idle))?.groupState).toBe('Dead');
  });

  test('OffsetDelete', async () => {
    const groupId = uniqueName('offset-delete');
    const other = (await createTopic(1)).topic;
    const [member] = await stable(groupId, [{}]);
    await commit(groupId, 1, { member });
    await commit(groupId, 1, { member, name: other });
    const remove = async (from: string, ...names: string[]) =>
      (await client()).send(47, 0, {
        groupId: from,
        topics: names.map((name) => ({
          name,
          partitions: [{ partitionIndex: 0 }, { partitionIndex: 9 }],
        })),
      });
    const missing = uniqueName('nothing');
    const answer = await remove(groupId, topic, other, missing);
    const errorAt = ({ partitions }: (typeof answer.topics)[number], index: number) =>
      nameOf(partitions.find(({ partitionIndex }) => partitionIndex === index));
    const errors = answer.topics.map((each) => [each.name, errorAt(each, 0)]);
    expect(nameOf(answer)).toBe('NONE');
    expect(Object.fromEntries(errors)).toEqual({
      [topic]: 'GROUP_SUBSCRIBED_TO_TOPIC',
      [other]: 'NONE',
      [missing]: 'UNKNOWN_TOPIC_OR_PARTITION',
    });
    const noSuch = answer.topics.filter(({ name }) => name === other);
    expect(noSuch.map((each) => errorAt(each, 9))).toEqual(['UNKNOWN_TOPIC_OR_PARTITION']);
    expect(nameOf(await remove('', topic))).toBe('INVALID_GROUP_ID');
    expect((await fetched(groupId)).offset).toBe(1);
    expect(nameOf(await remove(uniqueName('nowhere'), topic))).toBe('GROUP_ID_NOT_FOUND');
    await member.client.send(13, 5, { groupId, members: [{ memberId: member.memberId }] });
    const [removed] = (await remove(groupId, topic)).topics;
    expect(removed === undefined ? undefined : errorAt(removed, 0)).toBe('NONE');
    expect(await fetched(groupId)).toEqual(NO_OFFSET);
  });

  test.each([0, 1, 2, 3, 4, 5, 6])('FindCoordinator v%i', async (version) => {
    const raw = await client();
    const find = async (keyType: number, key: string) => {
      const body = version >= 4 ? { keyType, coordinatorKeys: [key] } : { keyType, key };
      const answer = await raw.send(10, version, version >= 1 ? body : { key });
      return version >= 4 ? answer.coordinators[FIRST] : answer;
    };
    await until(async () => nameOf(await find(0, 'group')) === 'NONE');
    expect(await find(0, 'group')).toMatchObject({ host: broker.host, port: broker.port });
    if (version < 1) return;
    await until(async () => nameOf(await find(1, 'transaction')) === 'NONE');
    expect(nameOf(await find(1, ''))).toBe('NONE');
    expect(nameOf(await find(7, 'something'))).toBe('INVALID_REQUEST');
  });

  test('offsets of a deleted topic are gone, also for a topic of the same name', async () => {
    const groupId = uniqueName('topic-deleted');
    const doomed = await createTopic(1);
    await commit(groupId, 5, { name: doomed.topic });
    await commit(groupId, 6);
    const deleted = await (await client()).send(20, 6, {
      topics: [{ name: doomed.topic, topicId: ZERO_UUID }],
      timeoutMs: 10_000,
    });
    expect(nameOf(deleted.responses[FIRST])).toBe('NONE');
    const names = async () => {
      const answer = await (await client()).send(9, 7, { groupId, topics: null });
      return answer.topics.map(({ name }) => name);
    };
    await until(async () => (await names()).length === 1);
    expect(await names()).toEqual([topic]);
  });
});

describe('on a broker of our own', () => {
  test('members, assignments and offsets outlive a kill -9', async ({ skip }) => {
    if (broker.kind !== 'millrace') skip();
    const groupId = uniqueName('killed');
    const members = await stable(groupId, [{}, { groupInstanceId: 'a' }]);
    const [member] = members;
    expect(await commit(groupId, 42, { member, metadata: 'kept' })).toBe('NONE');
    await broker.kill('SIGKILL');
    await broker.restart();
    const reconnected = await Promise.all(
      members.map(async (each) => ({ ...each, client: await client() })),
    );
    expect(
      await Promise.all(reconnected.map(async (each) => nameOf(await heartbeat(each)))),
    ).toEqual(['NONE', 'NONE']);
    const synced = await Promise.all(reconnected.map((each) => sync(each)));
    expect(synced.map((each) => each.assignment)).toEqual([assignment(0), assignment(1)]);
    expect(await fetched(groupId)).toEqual({ error: 'NONE', offset: 42, metadata: 'kept' });
    expect((await described(groupId))?.groupState).toBe('Stable');
  });

  test('a new member of an old client is gone with its connection', async ({ skip }) => {
    if (broker.kind !== 'millrace') skip();
    const groupId = uniqueName('gone');
    const [member] = await stable(groupId, [{}]);
    const doomed = await client();
    const lost = joinOnce(groupId, { client: doomed, version: 3 });
    await until(async () => nameOf(await heartbeat(member)) === 'REBALANCE_IN_PROGRESS');
    doomed.reset();
    await expect(lost).rejects.toThrow('ended');
    await until(async () => (await described(groupId))?.members.length === 1);
    const { memberId } = member;
    const again = await joinOnce(groupId, { client: member.client, memberId });
    expect(again.joined.members).toHaveLength(1);
  });
});

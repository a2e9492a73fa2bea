import { describe, expect, test } from 'vitest';
import {
  CoordinatorUnderTest,
  ORDERS_ID,
  SESSION_MS,
  toCommit,
  Watched,
} from '../../../test/groups/coordinator-under-test.ts';
import { MillraceError } from '../../core/errors.ts';
import type { ErrorName } from '../../wire/kafka/error-codes.ts';
import type { OffsetToCommit } from './group-types.ts';

const MINUTE_MS = 60_000;
const P7 = { producerId: 7, producerEpoch: 0 };

/** Commits in a transaction of producer 7 and waits for the log. */
async function commitInTransaction(
  under: CoordinatorUnderTest,
  groupId: string,
  offset: Partial<OffsetToCommit>,
  member: Partial<Parameters<typeof under.groups.commitTransactionalOffsets>[0]> = {},
): Promise<readonly ErrorName[]> {
  const watched = new Watched(
    under.groups.commitTransactionalOffsets({
      groupId,
      generation: -1,
      memberId: '',
      instanceId: null,
      ...P7,
      offsets: [toCommit(offset)],
      ...member,
    }),
  );
  await under.time.advance(under.writeMs * 3);
  return watched.promise;
}

async function end(under: CoordinatorUnderTest, committed: boolean, producer = P7): Promise<void> {
  const ending = under.groups.completeTransaction(producer, committed, 0);
  await under.time.advance(under.writeMs * 3);
  await ending;
}

async function settled<T>(under: CoordinatorUnderTest, promise: Promise<T>): Promise<T> {
  await under.time.advance(under.writeMs * 3);
  return promise;
}

function keyOf(partition: number, topic = 'orders'): { topic: string; partition: number } {
  return { topic, partition };
}

describe('commits', () => {
  test('count when they are durable, with their metadata, epoch and time', async () => {
    const under = await CoordinatorUnderTest.open();
    under.writeMs = 50;
    const offset = toCommit({ offset: 42, leaderEpoch: 3, metadata: 'bookmark' });
    const from = { memberId: '', instanceId: null, generation: -1, retentionMs: -1 };
    const commit = new Watched(
      under.groups.commitOffsets({ groupId: 'g', ...from, offsets: [offset] }),
    );
    await under.time.advance(49);
    expect([commit.isAnswered, under.offset('g')]).toEqual([false, -1]);
    await under.time.advance(1);
    expect(commit.value).toEqual(['NONE']);
    expect(under.groups.committedOffset('g', keyOf(0))).toMatchObject({
      offset: 42,
      leaderEpoch: 3,
      metadata: 'bookmark',
      commitTimestampMs: Date.UTC(2026, 0, 1) + 3,
      expireTimestampMs: -1,
    });
    await under.crash();
    expect(under.groups.committedOffset('g', keyOf(0))).toMatchObject({
      offset: 42,
      leaderEpoch: 3,
      metadata: 'bookmark',
      commitTimestampMs: Date.UTC(2026, 0, 1) + 3,
      topicId: ORDERS_ID,
    });
  });

  test('are taken from outside of a group without members, which they create', async () => {
    const under = await CoordinatorUnderTest.open();
    expect(await under.commit('simple', [{ offset: 1 }])).toEqual(['NONE']);
    expect(under.groups.list()).toEqual([
      { groupId: 'simple', protocolType: '', state: 'Empty', type: 'classic' },
    ]);
    expect(await under.commit('', [{ offset: 2 }])).toEqual(['NONE']);
    expect(under.offset('')).toBe(2);
    await under.crash();
    expect(under.groups.list().map(({ groupId }) => groupId)).toEqual(['simple', '']);
  });

  test('are refused to who is not a member of the current generation', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member, other] = await under.stable('g', [{}, { instanceId: 'i' }]);
    const commit = async (as: Parameters<typeof under.commit>[2]): Promise<unknown> =>
      (await under.commit('g', [{ offset: 1 }], as))[0];
    expect(await commit({})).toBe('UNKNOWN_MEMBER_ID');
    expect(await commit({ ...member, memberId: 'ghost' })).toBe('UNKNOWN_MEMBER_ID');
    expect(await commit({ ...member, generation: 0 })).toBe('ILLEGAL_GENERATION');
    expect(await commit({ ...member, generation: -1 })).toBe('ILLEGAL_GENERATION');
    expect(await commit({ ...member, instanceId: 'i' })).toBe('FENCED_INSTANCE_ID');
    expect(under.offset('g')).toBe(-1);
    expect(await commit(member)).toBe('NONE');
    expect(await commit({ ...other, instanceId: 'i' })).toBe('NONE');
    expect((await under.commit('nowhere', [{}], { generation: 1, memberId: 'm' }))[0]).toBe(
      'ILLEGAL_GENERATION',
    );
    expect(under.groups.describe('nowhere')).toBeUndefined();
  });

  test('of members are taken while they rejoin, and refused until they have an assignment', async () => {
    const under = await CoordinatorUnderTest.open();
    const [one, two] = await under.stable('g', [{}, {}]);
    const join = under.join('g', { memberId: one.memberId });
    expect(await under.commit('g', [{ offset: 5 }], two)).toEqual(['NONE']);
    under.join('g', { memberId: two.memberId });
    await under.time.advance(1);
    const next = await join.promise;
    expect(await under.commit('g', [{ offset: 6 }], next)).toEqual(['REBALANCE_IN_PROGRESS']);
    expect(under.offset('g')).toBe(5);
  });

  test('are signs of life', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g');
    for (let ms = 0; ms < 3 * SESSION_MS; ms += SESSION_MS / 2) {
      await under.time.advance(SESSION_MS / 2);
      expect(await under.commit('g', [{ offset: ms }], member)).toEqual(['NONE']);
    }
    expect(under.heartbeat('g', member)).toBe('NONE');
  });

  test('with metadata that is too long are refused one by one', async () => {
    const under = await CoordinatorUnderTest.open();
    const errors = await under.commit('g', [
      { partition: 0, offset: 1, metadata: 'é'.repeat(32) },
      { partition: 1, offset: 1, metadata: 'é'.repeat(33) },
      { partition: 2, offset: 1, metadata: null },
    ]);
    expect(errors).toEqual(['NONE', 'OFFSET_METADATA_TOO_LARGE', 'NONE']);
    expect([0, 1, 2].map((partition) => under.offset('g', partition))).toEqual([1, -1, 1]);
    expect(under.groups.committedOffset('g', keyOf(2))?.metadata).toBe('');
  });

  test('that the log refuses change nothing and leave no group behind', async () => {
    const under = await CoordinatorUnderTest.open();
    under.log.failure = new MillraceError('ML_DISK_FULL', 'full');
    expect(await under.commit('g', [{ offset: 1 }])).toEqual(['COORDINATOR_NOT_AVAILABLE']);
    under.log.failure = new MillraceError('ML_FSYNC_FAILED', 'gone');
    expect(await under.commit('g', [{ offset: 1 }])).toEqual(['NOT_COORDINATOR']);
    expect(under.groups.list()).toEqual([]);
  });

  test('of many partitions go into several batches', async () => {
    const under = await CoordinatorUnderTest.open();
    const offsets = Array.from({ length: 2_500 }, (_, partition) => ({ partition, offset: 9 }));
    expect(new Set(await under.commit('g', offsets))).toEqual(new Set(['NONE']));
    expect(under.disk.batches).toHaveLength(3);
    await under.crash();
    expect(under.groups.partitionsWithOffsets('g')).toHaveLength(2_500);
  });

  test('an offset of a topic that was deleted and created again is not that of the new one', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.commit('g', [{ offset: 9 }]);
    under.topics.set('orders', '00000000-0000-4000-8000-000000000009');
    expect([under.offset('g'), under.groups.partitionsWithOffsets('g')]).toEqual([-1, []]);
    await under.crash();
    expect([under.offset('g'), under.groups.list()]).toEqual([-1, []]);
  });
});

describe('transactions', () => {
  test('count when they commit, and never when they abort', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.commit('g', [{ offset: 1 }]);
    expect(await commitInTransaction(under, 'g', { offset: 2 })).toEqual(['NONE']);
    expect([under.offset('g'), under.groups.isUnstable('g', keyOf(0))]).toEqual([1, true]);
    expect(under.groups.openTransactions()).toEqual([P7]);
    await end(under, true);
    expect([under.offset('g'), under.groups.isUnstable('g', keyOf(0))]).toEqual([2, false]);
    await commitInTransaction(under, 'g', { offset: 3 });
    await end(under, false);
    expect([under.offset('g'), under.groups.isUnstable('g', keyOf(0))]).toEqual([2, false]);
    expect(under.groups.openTransactions()).toEqual([]);
    await under.crash();
    expect(under.offset('g')).toBe(2);
  });

  test('are unstable from the moment that they are asked for', async () => {
    const under = await CoordinatorUnderTest.open();
    const commit = commitInTransaction(under, 'g', { offset: 2 });
    expect(under.groups.isUnstable('g', keyOf(0))).toBe(true);
    expect(under.groups.isUnstable('g', keyOf(1))).toBe(false);
    await commit;
    expect(under.offset('g')).toBe(-1);
  });

  test('that are open at a restart stay open, and end as their producer says', async () => {
    const under = await CoordinatorUnderTest.open();
    await commitInTransaction(under, 'g', { offset: 2 });
    await under.crash();
    expect([under.offset('g'), under.groups.isUnstable('g', keyOf(0))]).toEqual([-1, true]);
    expect(under.groups.openTransactions()).toEqual([P7]);
    await end(under, true);
    expect(under.offset('g')).toBe(2);
    await under.crash();
    expect([under.offset('g'), under.groups.isUnstable('g', keyOf(0))]).toEqual([2, false]);
  });

  test('do not undo what was committed after them', async () => {
    const under = await CoordinatorUnderTest.open();
    await commitInTransaction(under, 'g', { offset: 2 });
    await under.commit('g', [{ offset: 3 }]);
    await end(under, true);
    expect(under.offset('g')).toBe(3);
    await under.crash();
    expect(under.offset('g')).toBe(3);
  });

  test('ends are written once, however often they are asked for', async () => {
    const under = await CoordinatorUnderTest.open();
    await commitInTransaction(under, 'g', { offset: 2 });
    under.writeMs = 50;
    const ends = [1, 2].map(
      () => new Watched(under.groups.completeTransaction(P7, true, 0).then(() => 'ended')),
    );
    await under.time.advance(49);
    expect(ends.map(({ isAnswered }) => isAnswered)).toEqual([false, false]);
    await under.time.advance(1);
    expect(ends.map(({ isAnswered }) => isAnswered)).toEqual([true, true]);
    await end(under, true);
    expect(under.disk.batches.filter(({ kind }) => kind === 'marker')).toHaveLength(1);
  });

  test('what a producer commits after its end belongs to its next transaction', async () => {
    const under = await CoordinatorUnderTest.open();
    await commitInTransaction(under, 'g', { offset: 2 });
    under.writeMs = 50;
    const ending = under.groups.completeTransaction(P7, false, 0);
    const next = commitInTransaction(under, 'g', { offset: 3 });
    await ending;
    expect([await next, under.offset('g')]).toEqual([['NONE'], -1]);
    expect(under.groups.isUnstable('g', keyOf(0))).toBe(true);
    await end(under, true);
    expect(under.offset('g')).toBe(3);
  });

  test('an end that cannot be written leaves the transaction open', async () => {
    const under = await CoordinatorUnderTest.open();
    await commitInTransaction(under, 'g', { offset: 2 });
    under.log.failure = new MillraceError('ML_DISK_FULL', 'full');
    await expect(under.groups.completeTransaction(P7, true, 0)).rejects.toThrow('full');
    under.log.failure = undefined;
    expect(under.groups.openTransactions()).toEqual([P7]);
    await end(under, true);
    expect(under.offset('g')).toBe(2);
  });

  test('an end or a commit of an older epoch is not the open transaction', async () => {
    const under = await CoordinatorUnderTest.open();
    await commitInTransaction(under, 'g', { offset: 2 }, { producerEpoch: 5 });
    await end(under, true, { producerId: 7, producerEpoch: 4 });
    expect(under.offset('g')).toBe(-1);
    expect(await commitInTransaction(under, 'g', { offset: 9 }, { producerEpoch: 4 })).toEqual([
      'INVALID_PRODUCER_EPOCH',
    ]);
    await end(under, true, { producerId: 7, producerEpoch: 6 });
    expect(under.offset('g')).toBe(2);
  });

  test('members are checked when they say who they are, in any state of the group', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g');
    const commit = async (as: Parameters<typeof commitInTransaction>[3]): Promise<unknown> =>
      (await commitInTransaction(under, 'g', { offset: 1 }, as))[0];
    expect(await commit({})).toBe('NONE');
    expect(await commit({ ...member, generation: 3 })).toBe('ILLEGAL_GENERATION');
    expect(await commit({ generation: 1, memberId: 'ghost' })).toBe('UNKNOWN_MEMBER_ID');
    expect(await commit({ ...member, instanceId: null })).toBe('NONE');
  });
});

describe('deleting', () => {
  test('a group goes with its offsets, also with those that are not durable yet', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.commit('g', [{ partition: 0, offset: 1 }]);
    await commitInTransaction(under, 'g', { partition: 1, offset: 1 });
    const flying = under.commit('g', [{ partition: 2, offset: 1 }]);
    const deleting = under.groups.deleteGroup('g');
    expect((await under.commit('g', [{ offset: 2 }]))[0]).toBe('COORDINATOR_NOT_AVAILABLE');
    expect([await flying, await settled(under, deleting)]).toEqual([['NONE'], 'NONE']);
    await end(under, true);
    expect([0, 1, 2].map((partition) => under.offset('g', partition))).toEqual([-1, -1, -1]);
    expect([under.groups.list(), under.groups.describe('g')]).toEqual([[], undefined]);
    await under.crash();
    expect(under.groups.list()).toEqual([]);
    expect(await under.groups.deleteGroup('g')).toBe('GROUP_ID_NOT_FOUND');
  });

  test('a group with members stays', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g');
    expect(await under.groups.deleteGroup('g')).toBe('NON_EMPTY_GROUP');
    expect(under.heartbeat('g', member)).toBe('NONE');
  });

  test('a group whose deletion cannot be written lives on', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.commit('g', [{ offset: 1 }]);
    under.log.failure = new MillraceError('ML_DISK_FULL', 'full');
    expect(await under.groups.deleteGroup('g')).toBe('COORDINATOR_NOT_AVAILABLE');
    under.log.failure = undefined;
    expect(under.groups.describe('g')?.state).toBe('Empty');
    expect(under.offset('g')).toBe(1);
    expect((await under.commit('g', [{ offset: 2 }]))[0]).toBe('NONE');
  });

  test('a group can be made again once it is gone', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.commit('g', [{ offset: 1 }]);
    await settled(under, under.groups.deleteGroup('g'));
    await under.commit('g', [{ partition: 1, offset: 5 }]);
    await under.crash();
    expect(under.groups.partitionsWithOffsets('g')).toEqual([keyOf(1)]);
  });

  test('single offsets go, unless members consume the topic', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g', [{ topics: ['orders'] }]);
    await under.commit(
      'g',
      [
        { topic: 'orders', offset: 1 },
        { topic: 'payments', offset: 1 },
      ],
      member,
    );
    const keys = [keyOf(0, 'orders'), keyOf(0, 'payments'), keyOf(9, 'payments')];
    expect(await settled(under, under.groups.deleteOffsets('g', keys))).toEqual({
      error: 'NONE',
      partitions: ['GROUP_SUBSCRIBED_TO_TOPIC', 'NONE', 'NONE'],
    });
    expect(under.groups.partitionsWithOffsets('g')).toEqual([keyOf(0, 'orders')]);
    await under.crash();
    expect(under.groups.partitionsWithOffsets('g')).toEqual([keyOf(0, 'orders')]);
  });

  test('single offsets of a group with members that are not consumers stay', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.stable('g', [{ protocolType: 'connect' }]);
    expect(await under.groups.deleteOffsets('g', [keyOf(0)])).toEqual({
      error: 'NON_EMPTY_GROUP',
      partitions: [],
    });
    expect((await under.groups.deleteOffsets('nowhere', [keyOf(0)])).error).toBe(
      'GROUP_ID_NOT_FOUND',
    );
  });

  test('when the topics of members cannot be known, all count as consumed', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.stable('g', [{ metadata: Buffer.from([0, 1, 2]) }]);
    expect((await under.groups.deleteOffsets('g', [keyOf(0)])).partitions).toEqual([
      'GROUP_SUBSCRIBED_TO_TOPIC',
    ]);
  });

  test('offsets of a deleted topic go, in every group, and nobody else is touched', async () => {
    const under = await CoordinatorUnderTest.open();
    for (const group of ['a', 'b']) {
      await under.commit(group, [
        { topic: 'orders', offset: 1 },
        { topic: 'payments', offset: 1 },
      ]);
    }
    await commitInTransaction(under, 'b', { topic: 'orders', partition: 3, offset: 1 });
    under.topics.delete('orders');
    await settled(under, under.groups.onTopicsDeleted([{ id: ORDERS_ID, name: 'orders' }]));
    await end(under, true);
    under.topics.set('orders', ORDERS_ID);
    for (const group of ['a', 'b']) {
      expect(under.groups.partitionsWithOffsets(group)).toEqual([keyOf(0, 'payments')]);
    }
    await under.crash();
    expect(under.groups.partitionsWithOffsets('a')).toEqual([keyOf(0, 'payments')]);
  });

  test('offsets of a topic that went while the process was down are dropped at the start', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.commit('g', [
      { topic: 'orders', offset: 1 },
      { topic: 'payments', offset: 1 },
    ]);
    under.topics.delete('orders');
    await under.crash();
    under.topics.set('orders', ORDERS_ID);
    await under.crash();
    expect(under.groups.partitionsWithOffsets('g')).toEqual([keyOf(0, 'payments')]);
  });
});

describe('expiry', () => {
  test('offsets of a simple group expire one by one, counted from their commit; then the group goes', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.commit('g', [{ partition: 0, offset: 1 }]);
    await under.time.advance(30 * MINUTE_MS);
    await under.commit('g', [{ partition: 1, offset: 1 }]);
    await under.time.advance(31 * MINUTE_MS);
    await settled(under, under.groups.expireOffsets());
    expect(under.groups.partitionsWithOffsets('g')).toEqual([keyOf(1)]);
    // By itself, with its own timer.
    await under.time.advance(40 * MINUTE_MS);
    expect(under.groups.list()).toEqual([]);
    await under.crash();
    expect(under.groups.list()).toEqual([]);
  });

  test('offsets of a group with members stay, and are counted from when it became empty', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g');
    await under.commit('g', [{ offset: 1 }], member);
    for (let ms = 0; ms < 90 * MINUTE_MS; ms += SESSION_MS / 2) {
      under.heartbeat('g', member);
      await under.time.advance(SESSION_MS / 2);
    }
    expect(under.offset('g')).toBe(1);
    const leaving = under.groups.leave('g', [
      { memberId: member.memberId, instanceId: null, reason: null },
    ]);
    await settled(under, leaving);
    await under.time.advance(59 * MINUTE_MS);
    expect(under.offset('g')).toBe(1);
    await under.crash();
    await under.time.advance(12 * MINUTE_MS);
    expect(under.groups.list()).toEqual([]);
  });

  test('of topics that members no longer consume go by their commit', async () => {
    const under = await CoordinatorUnderTest.open({ groupMaxSessionTimeoutMs: 36_000_000 });
    const [member] = await under.stable('g', [
      { topics: ['orders'], sessionTimeoutMs: 36_000_000 },
    ]);
    await under.commit(
      'g',
      [
        { topic: 'orders', offset: 1 },
        { topic: 'payments', offset: 1 },
      ],
      member,
    );
    await under.time.advance(71 * MINUTE_MS);
    expect(under.groups.partitionsWithOffsets('g')).toEqual([keyOf(0, 'orders')]);
    expect(under.groups.describe('g')?.state).toBe('Stable');
  });

  test('a retention that the client asked for wins', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.commit('g', [{ partition: 0, offset: 1 }], { retentionMs: 15 * MINUTE_MS });
    await under.commit('g', [{ partition: 1, offset: 1 }], { retentionMs: 600 * MINUTE_MS });
    await under.crash();
    await under.time.advance(20 * MINUTE_MS);
    expect(under.groups.partitionsWithOffsets('g')).toEqual([keyOf(1)]);
    await under.time.advance(100 * MINUTE_MS);
    expect(under.groups.partitionsWithOffsets('g')).toEqual([keyOf(1)]);
  });

  test('an open transaction keeps offsets', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.commit('g', [{ offset: 1 }]);
    await commitInTransaction(under, 'g', { offset: 2 });
    await under.time.advance(120 * MINUTE_MS);
    expect(under.offset('g')).toBe(1);
    await end(under, true);
    expect(under.offset('g')).toBe(2);
    await under.time.advance(71 * MINUTE_MS);
    expect(under.groups.list()).toEqual([]);
  });

  test('a clock that jumps ahead expires nothing for a day', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.commit('g', [{ offset: 1 }]);
    under.time.skewMs = 48 * 60 * MINUTE_MS;
    await under.time.advance(12 * 60 * MINUTE_MS);
    expect(under.offset('g')).toBe(1);
    expect(under.logger.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    await under.time.advance(13 * 60 * MINUTE_MS);
    expect(under.groups.list()).toEqual([]);
  });
});

test('records that are damaged or of another kind are named and left out', async () => {
  const under = await CoordinatorUnderTest.open();
  await under.commit('g', [{ offset: 1 }]);
  const batch = { kind: 'records', baseOffset: 1, timestampMs: 0, producer: undefined } as const;
  const unknown = { key: Buffer.from([0, 9, 1]), value: Buffer.from([0]) };
  const damaged = { key: Buffer.from([0, 1, 0, 9]), value: Buffer.from([0, 3]) };
  const [first] = under.disk.batches;
  const key = first?.kind === 'records' ? first.records[0]?.key : undefined;
  const badValue = { key: key ?? Buffer.alloc(0), value: Buffer.from([0, 3, 1]) };
  under.disk.batches.push({ ...batch, records: [unknown, damaged, badValue, unknown] });
  under.logger.lines.length = 0;
  await under.crash();
  expect(under.offset('g')).toBe(1);
  expect(under.logger.lines.map(({ level, fields }) => [level, fields['records']])).toEqual([
    ['error', undefined],
    ['error', undefined],
    ['warn', 2],
  ]);
});

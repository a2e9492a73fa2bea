import { describe, expect, test } from 'vitest';
import {
  CoordinatorUnderTest,
  REBALANCE_MS,
  SESSION_MS,
  subscription,
} from '../../../test/groups/coordinator-under-test.ts';
import { MEMBER_METADATA_BYTES_MAX, NEW_MEMBER_JOIN_TIMEOUT_MS } from '../../core/limits.ts';
import { MillraceError } from '../../core/errors.ts';

const NOBODY = { generation: -1, protocolType: null, protocolName: null, members: [] };

describe('joining', () => {
  test('a first member waits for the initial delay, leads, and sees itself', async () => {
    const under = await CoordinatorUnderTest.open();
    const join = under.join('g');
    await under.time.advance(99);
    expect(join.isAnswered).toBe(false);
    await under.time.advance(1);
    const { memberId } = await join.promise;
    expect(memberId).toMatch(/^client-[0-9a-f-]{36}$/);
    expect(join.value).toEqual({
      error: 'NONE',
      memberId,
      generation: 1,
      protocolType: 'consumer',
      protocolName: 'range',
      leaderId: memberId,
      skipAssignment: false,
      members: [{ memberId, instanceId: null, metadata: subscription('orders') }],
    });
  });

  test('the initial delay grows with every new member, up to the rebalance timeout', async () => {
    const under = await CoordinatorUnderTest.open();
    const joins = [under.join('g', { rebalanceTimeoutMs: 450 })];
    for (let index = 0; index < 9; index += 1) {
      await under.time.advance(60);
      if (!joins[0]?.isAnswered) joins.push(under.join('g', { rebalanceTimeoutMs: 450 }));
    }
    // Delays of 100 ms: 0-100, 100-200, ..., until 450 ms are used up.
    expect(under.time.events.nowMs).toBeGreaterThanOrEqual(450);
    expect(joins.every(({ isAnswered }) => isAnswered)).toBe(true);
    expect(new Set(joins.map(({ value }) => value?.generation))).toEqual(new Set([1]));
    expect(joins.length).toBeGreaterThan(5);
  });

  test('a member that must know its id is told it, and joins with it', async () => {
    const under = await CoordinatorUnderTest.open();
    const asked = await under.join('g', { mustKnowId: true }).promise;
    expect(asked).toMatchObject({ ...NOBODY, error: 'MEMBER_ID_REQUIRED' });
    const join = under.join('g', { mustKnowId: true, memberId: asked.memberId });
    await under.time.advance(200);
    expect(join.value).toMatchObject({ error: 'NONE', memberId: asked.memberId, generation: 1 });
  });

  test('an id that is not joined with is taken back after the session timeout', async () => {
    const under = await CoordinatorUnderTest.open();
    const { memberId } = await under.join('g', { mustKnowId: true }).promise;
    expect(under.groups.list()).toHaveLength(1);
    await under.time.advance(SESSION_MS);
    expect(under.groups.list()).toEqual([]);
    expect((await under.join('g', { memberId }).promise).error).toBe('UNKNOWN_MEMBER_ID');
  });

  test('a rebalance waits for an id that was given, and goes on without it when time is up', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g');
    await under.join('g', { mustKnowId: true, sessionTimeoutMs: 5_000 }).promise;
    const join = under.join('g', { memberId: member.memberId });
    await under.time.advance(4_999);
    expect(join.isAnswered).toBe(false);
    await under.time.advance(1);
    expect(join.value).toMatchObject({ error: 'NONE', generation: 2 });
  });

  test.each([
    ['a group id', { groupId: '' }, 'INVALID_GROUP_ID'],
    ['a known member id', { memberId: 'ghost' }, 'UNKNOWN_MEMBER_ID'],
    ['a session timeout that is long enough', { sessionTimeoutMs: 999 }, 'INVALID_SESSION_TIMEOUT'],
    [
      'a session timeout below the limit',
      { sessionTimeoutMs: 1_800_001 },
      'INVALID_SESSION_TIMEOUT',
    ],
    ['a protocol type', { protocolType: '' }, 'INCONSISTENT_GROUP_PROTOCOL'],
    ['a protocol', { protocols: [] }, 'INCONSISTENT_GROUP_PROTOCOL'],
    [
      'metadata of a reasonable size',
      { metadata: Buffer.alloc(MEMBER_METADATA_BYTES_MAX + 1) },
      'INVALID_REQUEST',
    ],
  ])(
    'refuses a join without %s and forgets the group',
    async (_, {
      groupId,
      ...joiner
    }: {
      groupId?: string;
    } & Parameters<CoordinatorUnderTest['join']>[1], error) => {
      const under = await CoordinatorUnderTest.open();
      expect(await under.join(groupId ?? 'g', joiner).promise).toMatchObject({ ...NOBODY, error });
      expect(under.groups.list()).toEqual([]);
    },
  );

  test.each([
    ['another protocol type', { protocolType: 'connect' }],
    ['no protocol that all members know', { protocols: ['sticky'] }],
  ])('refuses a member with %s', async (_, joiner) => {
    const under = await CoordinatorUnderTest.open();
    const members = await under.stable('g', [
      { protocols: ['range', 'roundrobin'] },
      { protocols: ['range'] },
    ]);
    expect((await under.join('g', joiner).promise).error).toBe('INCONSISTENT_GROUP_PROTOCOL');
    const compatible = under.join('g', { protocols: ['sticky', 'range'] });
    for (const { memberId } of members) under.join('g', { memberId, protocols: ['range'] });
    await under.time.advance(1);
    expect(compatible.value).toMatchObject({ error: 'NONE', protocolName: 'range' });
  });

  test('the protocol is the one that most members prefer among those that all know', async () => {
    const under = await CoordinatorUnderTest.open();
    const members = await under.stable('g', [
      { protocols: ['sticky', 'range', 'roundrobin'] },
      { protocols: ['roundrobin', 'range'] },
      { protocols: ['exotic', 'roundrobin', 'range'] },
    ]);
    expect(members.map(({ protocolName }) => protocolName)).toEqual(
      Array.from({ length: 3 }, () => 'roundrobin'),
    );
  });

  test('a full group refuses new members, and lets members and returning instances in', async () => {
    const under = await CoordinatorUnderTest.open({ groupMaxSize: 2 });
    const [first, second] = await under.stable('g', [{}, { instanceId: 'i' }]);
    expect(await under.join('g').promise).toMatchObject({
      error: 'GROUP_MAX_SIZE_REACHED',
      memberId: '',
    });
    expect(await under.join('g', { instanceId: 'j' }).promise).toMatchObject({
      error: 'GROUP_MAX_SIZE_REACHED',
    });
    const returning = under.join('g', { instanceId: 'i' });
    await under.time.advance(10);
    expect(returning.value).toMatchObject({ error: 'NONE', generation: 1 });
    const again = under.join('g', { memberId: first.memberId, topics: ['payments'] });
    await under.time.advance(10);
    expect(under.heartbeat('g', { memberId: second.memberId, generation: 1 })).toBe(
      'UNKNOWN_MEMBER_ID',
    );
    expect(again.isAnswered).toBe(false);
  });

  test('an oversized group gives its last members back', async () => {
    const under = await CoordinatorUnderTest.open();
    const members = await under.stable('g', [{}, {}, {}]);
    const smaller = await CoordinatorUnderTest.open({ groupMaxSize: 2 }, under.disk);
    expect(smaller.groups.describe('g')?.state).toBe('PreparingRebalance');
    const joins = members.map(({ memberId }) => smaller.join('g', { memberId }));
    await smaller.time.advance(1);
    expect(joins.map(({ value }) => value?.error)).toEqual([
      'NONE',
      'NONE',
      'GROUP_MAX_SIZE_REACHED',
    ]);
  });

  test('a join that is sent twice is answered twice', async () => {
    const under = await CoordinatorUnderTest.open();
    const [one, two] = await under.stable('g', [{}, {}]);
    const memberId = one.memberId;
    const first = under.join('g', { memberId });
    const second = under.join('g', { memberId });
    await under.time.advance(1);
    expect(first.value).toMatchObject({ error: 'REBALANCE_IN_PROGRESS', memberId });
    expect(second.isAnswered).toBe(false);
    under.join('g', { memberId: two.memberId });
    await under.time.advance(1);
    expect(second.value).toMatchObject({ error: 'NONE', generation: 2 });
  });

  test('a member that lost its answer gets it again, and the generation goes on', async () => {
    const under = await CoordinatorUnderTest.open();
    const join = under.join('g');
    await under.time.advance(200);
    const again = under.join('g', { memberId: join.value?.memberId ?? '' });
    await under.time.advance(1);
    expect(again.value).toEqual(join.value);
  });

  test('in a stable group a follower that joins unchanged only learns the generation', async () => {
    const under = await CoordinatorUnderTest.open();
    const [leader, follower] = await under.stable('g', [{}, {}]);
    const same = await under.join('g', { memberId: follower.memberId }).promise;
    expect(same).toMatchObject({ generation: 1, leaderId: leader.memberId, members: [] });
    expect(under.groups.describe('g')?.state).toBe('Stable');
    under.join('g', { memberId: leader.memberId });
    expect(under.groups.describe('g')?.state).toBe('PreparingRebalance');
  });

  test('a new member that never learned its id is removed when its connection ends', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g');
    const connection = new AbortController();
    const lost = under.join('g', { signal: connection.signal });
    await under.time.advance(5);
    connection.abort();
    await under.time.advance(1);
    expect(lost.value?.error).toBe('UNKNOWN_MEMBER_ID');
    const join = under.join('g', { memberId: member.memberId });
    await under.time.advance(1);
    expect(join.value?.members).toHaveLength(1);
  });

  test('a new member that waits too long is answered with an error', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g', [{ rebalanceTimeoutMs: 2_000_000 }]);
    const join = under.join('g');
    for (let ms = 0; ms < NEW_MEMBER_JOIN_TIMEOUT_MS - 1_000; ms += 5_000) {
      expect(under.heartbeat('g', { memberId: member.memberId, generation: 1 })).toBe(
        'REBALANCE_IN_PROGRESS',
      );
      await under.time.advance(5_000);
    }
    await under.time.advance(1_000);
    expect(join.value?.error).toBe('UNKNOWN_MEMBER_ID');
  });
});

describe('rebalancing', () => {
  test('who does not come back within the rebalance timeout is out', async () => {
    const under = await CoordinatorUnderTest.open();
    const [one, two] = await under.stable('g', [{}, {}]);
    const join = under.join('g', { memberId: one.memberId });
    for (let ms = 0; ms < REBALANCE_MS - 1_000; ms += 1_000) {
      await under.time.advance(1_000);
      expect(under.heartbeat('g', { memberId: two.memberId, generation: 1 })).toBe(
        'REBALANCE_IN_PROGRESS',
      );
    }
    expect(join.isAnswered).toBe(false);
    await under.time.advance(1_000);
    expect(join.value).toMatchObject({ generation: 2, leaderId: one.memberId });
    expect(join.value?.members).toHaveLength(1);
    expect(under.heartbeat('g', { memberId: two.memberId, generation: 1 })).toBe(
      'UNKNOWN_MEMBER_ID',
    );
  });

  test('a leader that does not come back is followed by a member that did', async () => {
    const under = await CoordinatorUnderTest.open();
    const [leader, follower] = await under.stable('g', [{}, {}]);
    const join = under.join('g', { memberId: follower.memberId, topics: ['payments'] });
    await under.time.advance(REBALANCE_MS);
    expect(leader.leaderId).toBe(leader.memberId);
    expect(join.value).toMatchObject({ generation: 2, leaderId: follower.memberId });
  });

  test('a member that falls silent is removed after its session timeout, and the others rebalance', async () => {
    const under = await CoordinatorUnderTest.open();
    const [one, two] = await under.stable('g', [{}, {}]);
    for (let ms = 0; ms < SESSION_MS - 1_000; ms += 1_000) {
      await under.time.advance(1_000);
      expect(under.heartbeat('g', one)).toBe('NONE');
    }
    await under.time.advance(1_000);
    expect(under.heartbeat('g', one)).toBe('REBALANCE_IN_PROGRESS');
    expect(under.heartbeat('g', two)).toBe('UNKNOWN_MEMBER_ID');
  });

  test('heartbeats that wait while the process stands still are heard before anybody is expelled', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g');
    await under.time.advance(10);
    under.heartbeat('g', member);
    await under.time.advance(SESSION_MS - 1);
    // Behind the timer of the session in the queue of events, as a heartbeat in a socket is after a pause.
    let answer: string | undefined;
    under.time.events.after(1, undefined, () => {
      answer = under.heartbeat('g', member);
    });
    await under.time.advance(1);
    expect(answer).toBe('NONE');
    expect(under.groups.describe('g')?.state).toBe('Stable');
  });

  test('an empty group is stored as such before the last leave is answered', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g');
    under.writeMs = 50;
    let answered: unknown;
    void under.groups
      .leave('g', [{ memberId: member.memberId, instanceId: null, reason: 'bye' }])
      .then((result) => {
        answered = result;
      });
    await under.time.advance(49);
    expect(answered).toBeUndefined();
    await under.time.advance(2);
    expect(answered).toEqual({
      error: 'NONE',
      members: [{ memberId: member.memberId, instanceId: null, error: 'NONE' }],
    });
    await under.crash();
    expect(under.groups.describe('g')).toMatchObject({ state: 'Empty', members: [] });
  });

  test('those who leave are told each for itself, and what they wait for is answered', async () => {
    const under = await CoordinatorUnderTest.open();
    const [one, two] = await under.stable('g', [{}, { instanceId: 'i' }]);
    const pending = await under.join('g', { mustKnowId: true }).promise;
    const join = under.join('g', { memberId: one.memberId });
    const result = await under.groups.leave('g', [
      { memberId: '', instanceId: 'j', reason: null },
      { memberId: 'ghost', instanceId: null, reason: null },
      { memberId: pending.memberId, instanceId: null, reason: null },
      { memberId: '', instanceId: null, reason: null },
    ]);
    expect(result.members.map(({ error }) => error)).toEqual([
      'UNKNOWN_MEMBER_ID',
      'UNKNOWN_MEMBER_ID',
      'NONE',
      'UNKNOWN_MEMBER_ID',
    ]);
    const fenced = await under.groups.leave('g', [
      { memberId: one.memberId, instanceId: 'i', reason: null },
    ]);
    expect(fenced.members[0]?.error).toBe('FENCED_INSTANCE_ID');
    const leaving = under.groups.leave('g', [
      { memberId: one.memberId, instanceId: null, reason: null },
      { memberId: '', instanceId: 'i', reason: null },
    ]);
    await under.time.advance(10);
    expect((await leaving).members.map(({ error }) => error)).toEqual(['NONE', 'NONE']);
    expect(join.value?.error).toBe('UNKNOWN_MEMBER_ID');
    expect(two.generation).toBe(1);
    expect(under.groups.describe('g')?.state).toBe('Empty');
  });

  test('after the last member has gone a new one starts afresh, with another protocol type', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g');
    const leaving = under.groups.leave('g', [
      { memberId: member.memberId, instanceId: null, reason: null },
    ]);
    await under.time.advance(10);
    await leaving;
    const [next] = await under.stable('g', [{ protocolType: 'connect', protocols: ['v1'] }]);
    expect(next).toMatchObject({ error: 'NONE', generation: 3, protocolType: 'connect' });
  });
});

describe('assignments', () => {
  test('are durable before anybody is told', async () => {
    const under = await CoordinatorUnderTest.open();
    const [leader, follower] = await under.joined('g', [{}, {}]);
    under.writeMs = 50;
    const early = under.sync('g', follower);
    const late = under.sync('g', leader, { [leader.memberId]: 'a', [follower.memberId]: 'b' });
    await under.time.advance(49);
    expect([early.isAnswered, late.isAnswered]).toEqual([false, false]);
    expect(under.groups.describe('g')?.state).toBe('CompletingRebalance');
    await under.time.advance(1);
    expect(early.value).toMatchObject({ error: 'NONE', protocolType: 'consumer' });
    expect([late, early].map(({ value }) => value?.assignment.toString())).toEqual(['a', 'b']);
    expect(under.groups.describe('g')?.state).toBe('Stable');
  });

  test('a member that the leader left out has an empty one', async () => {
    const under = await CoordinatorUnderTest.open();
    const [leader, follower] = await under.joined('g', [{}, {}]);
    under.sync('g', leader, { [leader.memberId]: 'all', stranger: 'some' });
    await under.time.advance(10);
    const synced = await under.sync('g', follower).promise;
    expect(synced).toMatchObject({ error: 'NONE', assignment: Buffer.alloc(0) });
  });

  test('a rebalance that begins while they are stored sends everybody back', async () => {
    const under = await CoordinatorUnderTest.open();
    const join = under.join('g');
    await under.time.advance(200);
    const leader = await join.promise;
    under.writeMs = 50;
    const sync = under.sync('g', leader, { [leader.memberId]: 'a' });
    const other = under.join('g');
    await under.time.advance(1);
    expect(sync.value?.error).toBe('REBALANCE_IN_PROGRESS');
    await under.time.advance(100);
    expect(under.groups.describe('g')?.state).toBe('PreparingRebalance');
    under.join('g', { memberId: leader.memberId });
    await under.time.advance(1);
    expect(other.value).toMatchObject({ error: 'NONE', generation: 2 });
  });

  test('when they cannot be stored everybody is told and rebalances', async () => {
    const under = await CoordinatorUnderTest.open();
    const join = under.join('g');
    await under.time.advance(200);
    const leader = await join.promise;
    under.log.failure = new MillraceError('ML_DISK_FULL', 'full');
    const sync = under.sync('g', leader, { [leader.memberId]: 'a' });
    await under.time.advance(10);
    expect(sync.value?.error).toBe('COORDINATOR_NOT_AVAILABLE');
    under.log.failure = undefined;
    const again = under.join('g', { memberId: leader.memberId });
    await under.time.advance(10);
    expect(again.value).toMatchObject({ error: 'NONE', generation: 2 });
  });

  test('a sync of another generation, group, member or protocol is refused', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g');
    const errors = [
      under.sync('g', { ...member, generation: 0 }),
      under.sync('g', { ...member, generation: 2 }),
      under.sync('g', { ...member, memberId: 'ghost' }),
      under.sync('g', { ...member, instanceId: 'i' }),
      under.sync('nowhere', member),
      under.sync('', member),
      under.sync('g', member, {}, { type: 'connect' }),
      under.sync('g', member, {}, { name: 'sticky' }),
      under.sync('g', member, {}, { type: 'consumer', name: 'range' }),
    ].map(async ({ promise }) => (await promise).error);
    expect(await Promise.all(errors)).toEqual([
      'ILLEGAL_GENERATION',
      'ILLEGAL_GENERATION',
      'UNKNOWN_MEMBER_ID',
      'UNKNOWN_MEMBER_ID',
      'UNKNOWN_MEMBER_ID',
      'INVALID_GROUP_ID',
      'INCONSISTENT_GROUP_PROTOCOL',
      'INCONSISTENT_GROUP_PROTOCOL',
      'NONE',
    ]);
  });

  test('a repeated sync replaces the one that waits', async () => {
    const under = await CoordinatorUnderTest.open();
    const [leader, follower] = await under.joined('g', [{}, {}]);
    const first = under.sync('g', follower);
    const second = under.sync('g', follower);
    expect((await first.promise).error).toBe('REBALANCE_IN_PROGRESS');
    under.sync('g', leader, { [follower.memberId]: 'mine' });
    await under.time.advance(10);
    expect(second.value?.assignment.toString()).toBe('mine');
  });

  test('who joins and does not sync within the rebalance timeout is out', async () => {
    const under = await CoordinatorUnderTest.open();
    const [leader, follower] = await under.joined('g', [{}, {}]);
    const sync = under.sync('g', follower);
    // The leader lives, but never assigns.
    for (let ms = 0; ms < REBALANCE_MS - 500; ms += 500) {
      under.heartbeat('g', leader);
      await under.time.advance(500);
    }
    expect(sync.value?.error).toBeUndefined();
    await under.time.advance(500);
    expect(sync.value?.error).toBe('REBALANCE_IN_PROGRESS');
    expect(under.heartbeat('g', leader)).toBe('UNKNOWN_MEMBER_ID');
  });
});

describe('static members', () => {
  test('come back to their assignment without a rebalance, and the former id is fenced', async () => {
    const under = await CoordinatorUnderTest.open();
    const [leader, member] = await under.stable('g', [{ instanceId: 'a' }, { instanceId: 'b' }]);
    under.writeMs = 50;
    const back = under.join('g', { instanceId: 'b', mustKnowId: true });
    await under.time.advance(49);
    expect(back.isAnswered).toBe(false);
    await under.time.advance(2);
    expect(back.value).toMatchObject({
      error: 'NONE',
      generation: 1,
      leaderId: leader.memberId,
      members: [],
    });
    expect(back.value?.memberId).not.toBe(member.memberId);
    expect(back.value?.memberId).toMatch(/^b-/);
    const synced = await under.sync('g', { ...(await back.promise), instanceId: 'b' }).promise;
    expect(synced.assignment.toString()).toBe(member.memberId);
    expect(under.heartbeat('g', { ...member, instanceId: 'b' })).toBe('FENCED_INSTANCE_ID');
    expect((await under.sync('g', { ...member, instanceId: 'b' }).promise).error).toBe(
      'FENCED_INSTANCE_ID',
    );
    expect(
      (await under.join('g', { memberId: member.memberId, instanceId: 'b' }).promise).error,
    ).toBe('FENCED_INSTANCE_ID');
    expect(await under.commit('g', [{}], { ...member, instanceId: 'b' })).toEqual([
      'FENCED_INSTANCE_ID',
    ]);
    expect(under.groups.describe('g')?.state).toBe('Stable');
  });

  test('a leader that comes back leads on, and skips the assignment when it knows how', async () => {
    const under = await CoordinatorUnderTest.open();
    const [leader] = await under.stable('g', [{ instanceId: 'a' }, { instanceId: 'b' }]);
    const old = under.join('g', { instanceId: 'a' });
    await under.time.advance(10);
    // It must not learn that it leads: it would assign, and nobody would hear of it.
    expect(old.value).toMatchObject({ leaderId: leader.memberId, skipAssignment: false });
    expect(old.value?.members).toEqual([]);
    const modern = under.join('g', { instanceId: 'a', canSkipAssignment: true });
    await under.time.advance(10);
    expect(modern.value).toMatchObject({ leaderId: modern.value?.memberId, skipAssignment: true });
    expect(modern.value?.members).toHaveLength(2);
  });

  test('a return that changes the protocol rebalances', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.stable('g', [{ instanceId: 'a', protocols: ['range', 'sticky'] }]);
    const back = under.join('g', { instanceId: 'a', protocols: ['sticky'] });
    await under.time.advance(10);
    expect(back.value).toMatchObject({ generation: 2, protocolName: 'sticky' });
  });

  test('a return while assignments are awaited rebalances', async () => {
    const under = await CoordinatorUnderTest.open();
    const [leader, follower] = await under.joined('g', [{ instanceId: 'a' }, { instanceId: 'b' }]);
    const waiting = under.sync('g', { ...follower, instanceId: 'b' });
    const back = under.join('g', { instanceId: 'b' });
    expect((await waiting.promise).error).toBe('FENCED_INSTANCE_ID');
    expect((await under.sync('g', { ...leader, instanceId: 'a' }).promise).error).toBe(
      'REBALANCE_IN_PROGRESS',
    );
    under.join('g', { memberId: leader.memberId, instanceId: 'a' });
    await under.time.advance(10);
    expect(back.value).toMatchObject({ error: 'NONE', generation: 2 });
  });

  test('a return during which a rebalance begins is a part of it', async () => {
    const under = await CoordinatorUnderTest.open();
    const [leader] = await under.stable('g', [{}, { instanceId: 'b' }]);
    under.writeMs = 50;
    const back = under.join('g', { instanceId: 'b' });
    const again = under.join('g', { memberId: leader.memberId });
    await under.time.advance(1);
    expect([back.value, again.value]).toMatchObject([{ generation: 2 }, { generation: 2 }]);
    await under.time.advance(100);
    expect(under.groups.describe('g')?.state).toBe('CompletingRebalance');
  });

  test('a return that cannot be stored is refused and may be tried again', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.stable('g', [{ instanceId: 'a' }]);
    under.log.failure = new MillraceError('ML_DISK_FULL', 'full');
    const back = under.join('g', { instanceId: 'a' });
    await under.time.advance(1);
    expect(back.value).toMatchObject({ error: 'COORDINATOR_NOT_AVAILABLE', memberId: '' });
    under.log.failure = undefined;
    const again = under.join('g', { instanceId: 'a' });
    await under.time.advance(10);
    expect(again.value).toMatchObject({ error: 'NONE', generation: 1 });
  });

  test('an instance that joins twice at once is fenced in its first join', async () => {
    const under = await CoordinatorUnderTest.open();
    const first = under.join('g', { instanceId: 'a' });
    await under.time.advance(10);
    const second = under.join('g', { instanceId: 'a' });
    await under.time.advance(300);
    expect(first.value?.error).toBe('FENCED_INSTANCE_ID');
    expect(second.value).toMatchObject({ error: 'NONE', generation: 1 });
  });

  test('stay members of a rebalance that they are absent from, until their session ends', async () => {
    const under = await CoordinatorUnderTest.open();
    const [leader, absent] = await under.stable('g', [
      {},
      { instanceId: 'b', sessionTimeoutMs: 120_000 },
    ]);
    const join = under.join('g', { memberId: leader.memberId });
    await under.time.advance(REBALANCE_MS);
    expect(join.value?.members.map(({ memberId }) => memberId)).toContain(absent.memberId);
  });

  test('a rebalance that only absent static members are left of ends with their sessions', async () => {
    const under = await CoordinatorUnderTest.open();
    const [one, two] = await under.stable('g', [
      { instanceId: 'a', sessionTimeoutMs: 100_000 },
      { instanceId: 'b', sessionTimeoutMs: 100_000 },
    ]);
    const join = under.join('g', { memberId: one.memberId, instanceId: 'a' });
    await under.time.advance(1);
    const leaving = under.groups.leave('g', [
      { memberId: one.memberId, instanceId: 'a', reason: null },
    ]);
    await leaving;
    expect(join.value?.error).toBe('UNKNOWN_MEMBER_ID');
    await under.time.advance(50_000);
    expect(under.groups.describe('g')).toMatchObject({
      state: 'PreparingRebalance',
      members: [{ memberId: two.memberId }],
    });
    await under.time.advance(60_000);
    expect(under.groups.describe('g')?.state).toBe('Empty');
  });
});

describe('a restart', () => {
  test('keeps members, generation and assignments, and gives everybody a session', async () => {
    const under = await CoordinatorUnderTest.open();
    const members = await under.stable('g', [{}, { instanceId: 'i' }]);
    const before = under.groups.describe('g');
    await under.time.advance(SESSION_MS - 1_000);
    await under.crash();
    expect(under.groups.describe('g')).toEqual(before);
    await under.time.advance(SESSION_MS - 1_000);
    expect(members.map((member) => under.heartbeat('g', member))).toEqual(['NONE', 'NONE']);
    const synced = members.map(
      async (member) => (await under.sync('g', member).promise).assignment,
    );
    expect((await Promise.all(synced)).map(String)).toEqual(
      members.map(({ memberId }) => memberId),
    );
    await under.time.advance(SESSION_MS + 100);
    expect(under.groups.describe('g')).toMatchObject({ state: 'Empty', members: [] });
  });

  test('returns to the last generation that had assignments', async () => {
    const under = await CoordinatorUnderTest.open();
    const [member] = await under.stable('g');
    const join = under.join('g', { memberId: member.memberId });
    await under.time.advance(1);
    expect(join.value?.generation).toBe(2);
    await under.crash();
    expect(under.heartbeat('g', { ...member, generation: 2 })).toBe('ILLEGAL_GENERATION');
    expect(under.heartbeat('g', member)).toBe('NONE');
  });

  test('keeps the id that a static member came back with', async () => {
    const under = await CoordinatorUnderTest.open();
    await under.stable('g', [{ instanceId: 'a' }]);
    const back = under.join('g', { instanceId: 'a' });
    await under.time.advance(10);
    await under.crash();
    expect(under.heartbeat('g', { ...(await back.promise), instanceId: 'a' })).toBe('NONE');
  });
});

test('a close answers all that waits, and refuses what comes later', async () => {
  const under = await CoordinatorUnderTest.open();
  const [member] = await under.stable('g');
  const join = under.join('g');
  await under.groups.close();
  await under.time.advance(1);
  expect(join.value?.error).toBe('NOT_COORDINATOR');
  expect(under.heartbeat('g', member)).toBe('NOT_COORDINATOR');
  expect((await under.join('h').promise).error).toBe('NOT_COORDINATOR');
  expect(under.time.events.nextMs()).toBeUndefined();
});

test('requests of members do not keep the memory of their bytes', async () => {
  const under = await CoordinatorUnderTest.open();
  const metadata = subscription('orders');
  const join = under.join('g', { metadata });
  const sent = Buffer.from(metadata);
  metadata.fill(0);
  await under.time.advance(200);
  expect(join.value?.members[0]?.metadata).toEqual(sent);
});

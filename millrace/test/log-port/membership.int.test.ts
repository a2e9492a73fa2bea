/** What every log promises the members of a group. */
import { expect, test } from 'vitest';
import type {
  GroupMembership,
  Log,
  MemberAssignment,
  MemberOptions,
  TopicPartition,
} from '../../src/client/log.ts';
import { codeOf, describeWays, newTopic, readAll, signal, uniqueName, values } from './ways.ts';

/** Deals out the partitions of a topic in turn, to members in the order of their ids. */
function inTurn(topic: string, count: number): MemberOptions['assign'] {
  return async (members) => {
    const assigned = new Map<string, MemberAssignment>();
    const ids = members.map(({ memberId }) => memberId).toSorted();
    for (const [index, memberId] of ids.entries()) {
      const partitions: TopicPartition[] = [];
      for (let partition = index; partition < count; partition += ids.length)
        partitions.push({ topic, partition });
      const told = members.map(({ userData }) => userData.toString()).toSorted();
      assigned.set(memberId, { partitions, userData: Buffer.from(told.join(' ')) });
    }
    return assigned;
  };
}

/** A member, and how to wait for the next time that its group deals out anew. */
function member(
  log: Log,
  topic: string,
  group: string,
  options: Partial<MemberOptions> & { readonly data?: string } = {},
): { readonly membership: GroupMembership; readonly rebalance: Promise<void> } {
  const rebalance = signal();
  const membership = log.member({
    group,
    protocols: ['in-turn'],
    sessionMs: 6_000,
    topics: () => [topic],
    userData: () => Buffer.from(options.data ?? ''),
    assign: inTurn(topic, 4),
    onRebalance: () => rebalance.give(),
    ...options,
  });
  return { membership, rebalance: rebalance.given };
}

function numbers(partitions: readonly TopicPartition[]): number[] {
  return partitions.map(({ partition }) => partition).toSorted((a, b) => a - b);
}

describeWays('membership', (way) => {
  test('one member has everything; a second one shares, and each is told what the leader has for it', async () => {
    const log = way.log();
    const topic = await newTopic(log, 4);
    const group = uniqueName('group');
    const first = member(log, topic, group, { data: 'one' });
    const alone = await first.membership.join();
    expect(numbers(alone.partitions)).toEqual([0, 1, 2, 3]);
    expect(alone.isLeader).toBe(true);
    expect(alone.userData.toString()).toBe('one');
    expect(first.membership.isRebalancing).toBe(false);
    const before = first.membership.identity;
    const second = member(log, topic, group, { data: 'two' });
    const joining = second.membership.join();
    await first.rebalance;
    expect(first.membership.isRebalancing).toBe(true);
    const shared = await Promise.all([first.membership.join(), joining]);
    expect(shared.map(({ partitions }) => partitions.length)).toEqual([2, 2]);
    expect(numbers(shared.flatMap(({ partitions }) => [...partitions]))).toEqual([0, 1, 2, 3]);
    expect(shared.map(({ isLeader }) => isLeader)).toEqual([true, false]);
    expect(shared.map(({ userData }) => userData.toString())).toEqual(['one two', 'one two']);
    expect(first.membership.identity.generation).toBeGreaterThan(before.generation);
    expect(first.membership.identity.memberId).toBe(before.memberId);
    await first.membership.leave();
    await second.rebalance;
    const left = await second.membership.join();
    expect(numbers(left.partitions)).toEqual([0, 1, 2, 3]);
    await second.membership.leave();
    await log.deleteGroup(group);
  });

  test('a static member that comes back has its partitions at once, and the others do not notice', async () => {
    const log = way.log();
    const topic = await newTopic(log, 4);
    const group = uniqueName('group');
    const leader = member(log, topic, group, { instanceId: 'leader' });
    await leader.membership.join();
    const follower = member(log, topic, group, { instanceId: 'follower' });
    const joining = follower.membership.join();
    await leader.rebalance;
    const [ofLeader, ofFollower] = await Promise.all([leader.membership.join(), joining]);
    const { generation } = follower.membership.identity;
    await follower.membership.leave('keep');
    const again = member(log, topic, group, { instanceId: 'follower' });
    const back = await again.membership.join();
    expect(back).toMatchObject({ partitions: ofFollower.partitions, isLeader: false });
    expect(again.membership.identity.generation).toBe(generation);
    // The one that leads, too.
    await leader.membership.leave('keep');
    const leads = member(log, topic, group, { instanceId: 'leader' });
    expect((await leads.membership.join()).partitions).toEqual(ofLeader.partitions);
    expect(leads.membership.identity.generation).toBe(generation);
    expect(again.membership.isRebalancing).toBe(false);
    await Promise.all([again.membership.leave(), leads.membership.leave()]);
  });

  test('two processes with one instance id: the one before is fenced', async () => {
    const log = way.log();
    const topic = await newTopic(log, 4);
    const group = uniqueName('group');
    const zombie = member(log, topic, group, { instanceId: 'same' });
    await zombie.membership.join();
    const heir = member(log, topic, group, { instanceId: 'same' });
    await heir.membership.join();
    expect(await codeOf(zombie.membership.join())).toBe('ML_GROUP_FENCED');
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    const offsets = [{ topic, partition: 0, offset: 1, metadata: '' }];
    const committing = producer.commit({ group: zombie.membership.identity, offsets });
    expect(await codeOf(committing)).toBe('ML_GROUP_LOST');
    await producer.abort();
    await producer.commit({ group: heir.membership.identity, offsets });
    await zombie.membership.leave();
    expect(heir.membership.isRebalancing).toBe(false);
    await heir.membership.leave();
    await producer.close();
  });

  test('who commits in a generation that is over has lost the group, and nothing of its transaction counts', async () => {
    const log = way.log();
    const topic = await newTopic(log, 4);
    const group = uniqueName('group');
    const first = member(log, topic, group);
    await first.membership.join();
    const stale = first.membership.identity;
    const second = member(log, topic, group);
    const joining = second.membership.join();
    await first.rebalance;
    await Promise.all([first.membership.join(), joining]);
    const producer = await log.producer({ transactionalId: uniqueName('id') });
    const offsets = [{ topic, partition: 0, offset: 8, metadata: '' }];
    producer.append(topic, 0, 1, null, 'stale');
    expect(await codeOf(producer.commit({ group: stale, offsets }))).toBe('ML_GROUP_LOST');
    await producer.abort();
    const nobody = { ...first.membership.identity, memberId: 'nobody' };
    expect(await codeOf(producer.commit({ group: nobody, offsets }))).toBe('ML_GROUP_LOST');
    await producer.abort();
    expect(await log.committed(group, [{ topic, partition: 0 }])).toEqual([undefined]);
    producer.append(topic, 0, 1, null, 'fresh');
    await producer.commit({ group: first.membership.identity, offsets });
    expect(values(await readAll(log, [topic]))).toEqual(['fresh']);
    const [committed] = await log.committed(group, [{ topic, partition: 0 }]);
    expect(committed?.offset).toBe(8);
    // Offsets of a group with members are theirs.
    const set = log.setCommitted(group, [{ topic, partition: 0, offset: 1 }]);
    expect(await codeOf(set)).toBe('ML_BROKER_REFUSED');
    expect(await codeOf(log.deleteGroup(group))).toBe('ML_BROKER_REFUSED');
    await Promise.all([first.membership.leave(), second.membership.leave()]);
    await producer.close();
  });

  test('a member commits without a transaction, and only in its generation', async () => {
    const log = way.log();
    const topic = await newTopic(log, 4);
    const group = uniqueName('group');
    const told: unknown[] = [];
    const deal = inTurn(topic, 4);
    const assign: MemberOptions['assign'] = (members, protocol) => {
      told.push([protocol, members.map(({ topics }) => topics)]);
      return deal(members, protocol);
    };
    const first = member(log, topic, group, { protocols: ['newer', 'in-turn'], assign });
    await first.membership.join();
    const at = (offset: number) => [{ topic, partition: 1, offset, metadata: 'm' }];
    await first.membership.commit(at(7));
    const second = member(log, topic, group);
    const joining = second.membership.join();
    await first.rebalance;
    await Promise.all([first.membership.join(), joining]);
    // The second one knows the other protocol alone.
    expect(told).toEqual([
      ['newer', [[topic]]],
      ['in-turn', [[topic], [topic]]],
    ]);
    await second.membership.leave();
    expect(await codeOf(second.membership.commit(at(9)))).toBe('ML_GROUP_LOST');
    const [committed] = await log.committed(group, [{ topic, partition: 1 }]);
    expect(committed).toEqual({ offset: 7, metadata: 'm' });
    await first.membership.leave();
  });

  test('a member can leave while it waits for the others, and what its assignment throws comes out of join', async () => {
    const log = way.log();
    const topic = await newTopic(log, 4);
    const group = uniqueName('group');
    const first = member(log, topic, group);
    await first.membership.join();
    const second = member(log, topic, group);
    const joining = codeOf(second.membership.join());
    await first.rebalance;
    await second.membership.leave();
    expect(await joining).not.toBe(undefined);
    expect(numbers((await first.membership.join()).partitions)).toEqual([0, 1, 2, 3]);
    await first.membership.leave();
    const failing = member(log, topic, uniqueName('group'), {
      assign: () => Promise.reject(new TypeError('cannot deal out')),
    });
    await expect(failing.membership.join()).rejects.toThrow('cannot deal out');
    await failing.membership.leave();
    await failing.membership.leave();
  });
});

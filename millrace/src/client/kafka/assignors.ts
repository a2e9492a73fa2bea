/**
 * How the leader of a consumer group deals out partitions: `range` and `roundrobin`, as the Java client does, so that a group may
 * have members of both kinds.
 *
 * Source: org.apache.kafka.clients.consumer.RangeAssignor, RoundRobinAssignor.
 */

export interface GroupMemberTopics {
  readonly memberId: string;
  readonly topics: readonly string[];
}

/** Partitions by topic. */
export type Assignment = ReadonlyMap<string, readonly number[]>;

type Assignor = (
  members: readonly GroupMemberTopics[],
  partitionCounts: ReadonlyMap<string, number>,
) => Map<string, Assignment>;

/** By name of the protocol, the preferred first. */
export const ASSIGNORS: Readonly<Record<string, Assignor>> = {
  range: assignRange,
  roundrobin: assignRoundRobin,
};

/** Topic by topic: neighbouring partitions to each member, the first members get one more when it does not come out even. */
function assignRange(
  members: readonly GroupMemberTopics[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, Assignment> {
  const assigned = new Map(members.map(({ memberId }) => [memberId, new Map<string, number[]>()]));
  for (const topic of topicsOf(members)) {
    const takers = sorted(members.filter(({ topics }) => topics.includes(topic)));
    const count = partitionCounts.get(topic) ?? 0;
    const each = Math.floor(count / takers.length);
    const more = count % takers.length;
    let next = 0;
    for (const [index, { memberId }] of takers.entries()) {
      const take = each + (index < more ? 1 : 0);
      const partitions = Array.from({ length: take }, (_, offset) => next + offset);
      if (take > 0) assigned.get(memberId)?.set(topic, partitions);
      next += take;
    }
  }
  return assigned;
}

/** All partitions of all topics, one by one, to the members in turn. */
function assignRoundRobin(
  members: readonly GroupMemberTopics[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, Assignment> {
  const assigned = new Map(members.map(({ memberId }) => [memberId, new Map<string, number[]>()]));
  const circle = sorted(members);
  let turn = 0;
  for (const topic of topicsOf(members)) {
    for (let partition = 0; partition < (partitionCounts.get(topic) ?? 0); partition++) {
      while (circle[turn % circle.length]?.topics.includes(topic) !== true) turn++;
      const topics = assigned.get(circle[turn % circle.length]?.memberId ?? '');
      const partitions = topics?.get(topic) ?? [];
      partitions.push(partition);
      topics?.set(topic, partitions);
      turn++;
    }
  }
  return assigned;
}

function topicsOf(members: readonly GroupMemberTopics[]): string[] {
  return [...new Set(members.flatMap(({ topics }) => topics))].toSorted();
}

function sorted(members: readonly GroupMemberTopics[]): GroupMemberTopics[] {
  return members.toSorted((a, b) => (a.memberId < b.memberId ? -1 : 1));
}

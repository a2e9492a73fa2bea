import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ASSIGNORS, type Assignment, type GroupMemberTopics } from './assignors.ts';

const TOPICS = ['a', 'b', 'c'];

const groups = fc.record({
  members: fc.uniqueArray(
    fc.record({
      memberId: fc.string({ minLength: 1, maxLength: 4 }),
      topics: fc.uniqueArray(fc.constantFrom(...TOPICS)),
    }),
    { minLength: 1, maxLength: 6, selector: (member) => member.memberId },
  ),
  counts: fc.tuple(fc.nat(9), fc.nat(9), fc.nat(9)),
});

function owners(assigned: ReadonlyMap<string, Assignment>, topic: string): Map<number, string[]> {
  const found = new Map<number, string[]>();
  for (const [memberId, topics] of assigned) {
    for (const partition of topics.get(topic) ?? []) {
      found.set(partition, [...(found.get(partition) ?? []), memberId]);
    }
  }
  return found;
}

function subscribers(members: readonly GroupMemberTopics[], topic: string): string[] {
  return members.filter(({ topics }) => topics.includes(topic)).map(({ memberId }) => memberId);
}

test.each(Object.keys(ASSIGNORS))(
  '%s gives each partition to exactly one member that wants its topic',
  (name) => {
    fc.assert(
      fc.property(groups, ({ members, counts }) => {
        const partitionCounts = new Map(TOPICS.map((topic, index) => [topic, counts[index] ?? 0]));
        const assigned = ASSIGNORS[name]?.(members, partitionCounts) ?? new Map();
        for (const [topic, count] of partitionCounts) {
          const wanting = subscribers(members, topic);
          const found = owners(assigned, topic);
          expect(found.size).toBe(wanting.length === 0 ? 0 : count);
          for (const [partition, holders] of found) {
            expect(partition).toBeLessThan(count);
            expect(holders).toHaveLength(1);
            expect(wanting).toContain(holders[0]);
          }
        }
      }),
    );
  },
);

test.each(Object.keys(ASSIGNORS))('%s deals evenly when all want the same', (name) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.nat(20), (memberCount, count) => {
      const members = Array.from({ length: memberCount }, (_, index) => ({
        memberId: `m${index}`,
        topics: ['a'],
      }));
      const assigned = ASSIGNORS[name]?.(members, new Map([['a', count]])) ?? new Map();
      const sizes = [...assigned.values()].map((topics) => topics.get('a')?.length ?? 0);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }),
  );
});

test('range keeps neighbours together', () => {
  const members = ['y', 'x'].map((memberId) => ({ memberId, topics: ['a'] }));
  const assigned = ASSIGNORS['range']?.(members, new Map([['a', 5]]));
  expect(assigned?.get('x')?.get('a')).toEqual([0, 1, 2]);
  expect(assigned?.get('y')?.get('a')).toEqual([3, 4]);
});

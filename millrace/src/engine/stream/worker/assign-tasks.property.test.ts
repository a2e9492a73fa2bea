import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parameters } from '../../../../test/flow/generators.ts';
import type { TaskId } from '../topology.ts';
import { assignTasks, taskName, type StageSize, type TaskMember } from './assign-tasks.ts';

const stages = fc
  .array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 })
  .map((sizes) => sizes.map((partitions, id): StageSize => ({ id, partitions })));
/** Tasks that there are, that are not there any more, that another one claims, too. */
const tasks = fc.array(
  fc.record({ stage: fc.integer({ min: 0, max: 6 }), partition: fc.integer({ min: 0, max: 10 }) }),
  { maxLength: 8 },
);
const members = fc
  .uniqueArray(fc.record({ label: fc.string({ minLength: 1, maxLength: 3 }), tasks }), {
    selector: ({ label }) => label,
    minLength: 1,
    maxLength: 7,
  })
  .map((list): TaskMember[] => list);

function counts(
  assigned: ReadonlyMap<string, readonly TaskId[]>,
  isCounted: (task: TaskId) => boolean,
): number[] {
  return [...assigned.values()].map((list) => list.filter(isCounted).length);
}

function spread(values: readonly number[]): number {
  return Math.max(...values) - Math.min(...values);
}

function ownersOf(assigned: ReadonlyMap<string, readonly TaskId[]>): Map<string, string> {
  return new Map(
    [...assigned].flatMap(([label, list]) =>
      list.map((task): [string, string] => [taskName(task), label]),
    ),
  );
}

function asMembers(assigned: ReadonlyMap<string, readonly TaskId[]>): TaskMember[] {
  return [...assigned].map(([label, list]) => ({ label, tasks: list }));
}

test('every task has exactly one member, and every member is there', () => {
  fc.assert(
    fc.property(stages, members, (sizes, group) => {
      const assigned = assignTasks(sizes, group);
      const all = [...assigned.values()].flat().map(taskName).toSorted();
      const wanted = sizes
        .flatMap(({ id, partitions }) =>
          Array.from({ length: partitions }, (_, partition) => taskName({ stage: id, partition })),
        )
        .toSorted();
      expect(all).toEqual(wanted);
      expect([...assigned.keys()].toSorted()).toEqual(group.map(({ label }) => label).toSorted());
    }),
    parameters(300),
  );
});

test('no member has two tasks more than another, of a stage and of all', () => {
  fc.assert(
    fc.property(stages, members, (sizes, group) => {
      const assigned = assignTasks(sizes, group);
      expect(spread(counts(assigned, () => true))).toBeLessThanOrEqual(1);
      for (const { id } of sizes) {
        expect(spread(counts(assigned, ({ stage }) => stage === id))).toBeLessThanOrEqual(1);
      }
    }),
    parameters(300),
  );
});

test('when nothing changed nothing moves, in whatever order the members are told', () => {
  fc.assert(
    fc.property(stages, members, (sizes, group) => {
      const first = assignTasks(sizes, group);
      const again = assignTasks(sizes, asMembers(first).toReversed());
      expect(ownersOf(again)).toEqual(ownersOf(first));
    }),
    parameters(300),
  );
});

test('when a member leaves, those of one stage that stay keep all they had', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), members, (partitions, group) => {
      const sizes = [{ id: 0, partitions }];
      const first = assignTasks(sizes, group);
      const left = asMembers(first).slice(1);
      if (left.length === 0) return;
      const owners = ownersOf(assignTasks(sizes, left));
      for (const { label, tasks: had } of left) {
        for (const task of had) expect(owners.get(taskName(task))).toBe(label);
      }
    }),
    parameters(300),
  );
});

test('a member that comes gets its share, and no task moves between the others', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), members, (partitions, group) => {
      const sizes = [{ id: 0, partitions }];
      const first = assignTasks(sizes, group);
      const before = ownersOf(first);
      const after = ownersOf(
        assignTasks(sizes, [...asMembers(first), { label: 'newcomer', tasks: [] }]),
      );
      for (const [task, owner] of after) {
        if (owner !== 'newcomer') expect(before.get(task)).toBe(owner);
      }
    }),
    parameters(300),
  );
});

test('a group without members is given nothing', () => {
  expect(assignTasks([{ id: 0, partitions: 3 }], []).size).toBe(0);
});

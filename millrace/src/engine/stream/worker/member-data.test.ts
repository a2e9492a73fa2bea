import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parameters } from '../../../../test/flow/generators.ts';
import { countingTopology } from '../../../../test/stream/worker/counting-task.ts';
import type { MillraceError } from '../../../core/errors.ts';
import {
  dealOut,
  decodeAssignment,
  decodeMember,
  encodeAssignment,
  encodeMember,
  layoutOf,
  type MemberData,
} from './member-data.ts';

const topology = countingTopology(4);
const task = fc.record({
  stage: fc.integer({ min: 0, max: 9 }),
  partition: fc.integer({ min: 0, max: 999 }),
});
const member = fc.record({
  label: fc.string(),
  address: fc.option(fc.string(), { nil: undefined }),
  layout: fc.string(),
  tasks: fc.uniqueArray(task, { selector: ({ stage, partition }) => `${stage} ${partition}` }),
});

function byStage(data: MemberData): MemberData {
  return { ...data, tasks: data.tasks.toSorted((a, b) => a.stage - b.stage) };
}

function memberOf(label: string, layout: string, partitions: readonly number[]): MemberData {
  return {
    label,
    address: undefined,
    layout,
    tasks: partitions.map((partition) => ({ stage: 0, partition })),
  };
}

test('what members tell survives its bytes', () => {
  fc.assert(
    fc.property(member, fc.array(member), (data, others) => {
      expect(decodeMember(encodeMember(data))).toEqual(byStage(data));
      const members = others.map(byStage).map(({ label, address, tasks }) => ({
        label,
        address,
        tasks,
      }));
      const assignment = { layout: data.layout, members, refused: [data.label] };
      expect(decodeAssignment(encodeAssignment(assignment), 'f')).toEqual(assignment);
    }),
    parameters(200),
  );
});

test('bytes of strangers are no member, and no assignment, and nothing worse', () => {
  const bytes = fc.oneof(
    fc.uint8Array().map((array) => Buffer.from(array)),
    fc.json().map((text) => Buffer.from(text)),
    fc.tuple(member, fc.nat(), fc.nat(255)).map(([data, at, byte]) => {
      const encoded = encodeMember(data);
      encoded[at % encoded.length] = byte;
      return encoded;
    }),
  );
  fc.assert(
    fc.property(bytes, (some) => {
      decodeMember(some);
      try {
        decodeAssignment(some, 'f');
      } catch (error) {
        expect((error as MillraceError).code).toBe('ML_FLOW_CHANGED');
      }
    }),
    parameters(500),
  );
});

test('who runs another version of the flow is refused, whoever leads', () => {
  const own = layoutOf(topology);
  const members = [
    { memberId: 'm1', data: memberOf('a-0', own, [0, 1, 2, 3]) },
    { memberId: 'm2', data: memberOf('b-0', 'other', []) },
    { memberId: 'm3', data: undefined },
  ];
  const { data, tasks } = dealOut(topology, members);
  expect(data.refused).toEqual(['b-0', 'm3']);
  expect(tasks.get('m1')).toHaveLength(4);
  expect(tasks.get('m2')).toEqual([]);
  const ledByTheOther = dealOut(topology, [
    { memberId: 'm1', data: memberOf('a-0', 'running', [0, 1, 2, 3]) },
    { memberId: 'm2', data: memberOf('b-0', own, []) },
  ]);
  expect(ledByTheOther.data.layout).toBe('running');
  expect(ledByTheOther.data.refused).toEqual(['b-0']);
  expect(ledByTheOther.tasks.get('m1')).toHaveLength(4);
});

test('the text of functions does not change the layout, stages and state do', () => {
  expect(layoutOf(countingTopology(4))).toBe(layoutOf(topology));
  expect(layoutOf(countingTopology(5))).not.toBe(layoutOf(topology));
});

import { expect, test } from 'vitest';
import { memorySink, memorySource } from '../../../../test/batch/in-memory.ts';
import { PARTITION_BYTES } from '../../../core/limits.ts';
import { ByteWriter } from '../../../core/byte-writer.ts';
import { encodeKey } from '../../../core/key-codec.ts';
import type { FlowBuilder } from '../../../flow/builder.ts';
import { flow } from '../../../flow/flow.ts';
import type { Plan } from '../../../flow/plan.ts';
import type { Split } from '../../../flow/source.ts';
import type { Stream } from '../../../flow/streams.ts';
import { buildStages } from './plan-stages.ts';
import { planTasks, type TaskPlan } from './plan-tasks.ts';
import { type ExchangeOutput, type StageGraph, TASKS_PER_LANE, type TaskResult } from '../stage.ts';

interface Planned {
  readonly plan: Plan;
  readonly graph: StageGraph;
}

function planned(build: (f: FlowBuilder, numbers: Stream<number>) => void): Planned {
  const plan = flow('f', (f) => {
    build(f, f.read(memorySource<number>([])));
  }).plan();
  return {
    plan,
    graph: buildStages(plan, { sourceBytes: {}, partitions: 4, memoryBytes: 2 ** 28 }),
  };
}

function tasksOf(
  { plan, graph }: Planned,
  stage: number,
  context: {
    readonly splitBytes?: readonly number[];
    readonly results?: Record<number, TaskResult[]>;
  },
): TaskPlan[] {
  const splits: Split[] = (context.splitBytes ?? []).map((bytes, index) => ({
    index,
    bytes,
    label: '',
    data: null,
  }));
  const bySource = Object.fromEntries(
    plan.nodes.filter(({ kind }) => kind === 'source').map(({ id }) => [id, splits]),
  );
  const { results = {} } = context;
  return planTasks(plan, graph, stage, {
    splits: bySource,
    results,
    packBytes: 100,
    memoryBytes: 1,
  });
}

function output(
  exchange: number,
  lane: number,
  path: string,
  records: readonly number[],
  bytes = 1,
): ExchangeOutput {
  const segments = records.map((count, partition) => ({
    path: `${path}-${partition}`,
    position: 0,
    bytes: count,
    records: count,
    indexPosition: 0,
    indexBytes: 0,
  }));
  const keys = Array.from({ length: 100 }, (_, key) => {
    const writer = new ByteWriter();
    encodeKey(key, writer);
    return { hash: key, key: writer.buffer.toString('base64', 0, writer.length) };
  });
  return { exchange, lane, runs: [{ segments }], records: 1, bytes, sample: keys };
}

function result(...exchanges: readonly ExchangeOutput[]): TaskResult {
  return {
    exchanges,
    writes: [],
    skipped: { records: 0, parts: [] },
    counters: {},
    metrics: {
      recordsIn: 0,
      bytesIn: 0,
      recordsOut: 0,
      bytesOut: 0,
      spills: 0,
      spilledBytes: 0,
      memoryBytesMax: 0,
      elapsedMs: 0,
    },
  };
}

const paths = (tasks: readonly TaskPlan[]): string[][] =>
  tasks.map(({ reads }) => reads.flatMap(({ runs }) => runs.map(({ path }) => path)));

test('small splits are packed with their neighbours', () => {
  const plan = planned((_, numbers) => numbers.write(memorySink()));
  const packs = (...splitBytes: number[]): number[][] =>
    tasksOf(plan, 0, { splitBytes }).map(({ splits }) =>
      splits.flatMap(({ splits: some }) => some.map(({ index }) => index)),
    );
  expect(packs(50, 50, 1, 200, 1, 99, 1)).toEqual([[0, 1], [2], [3], [4, 5], [6]]);
  expect(packs(0, 0, 0)).toEqual([[0, 1, 2]]);
  expect(packs()).toEqual([[]]);
});

test('tasks that write have numbers in the order of the output', () => {
  const plan = planned((_, numbers) => numbers.union(numbers.map((n) => n)).write(memorySink()));
  expect(
    tasksOf(plan, 0, { splitBytes: [100, 100] }).map(({ writes }) =>
      writes.map(({ task }) => task),
    ),
  ).toEqual([
    [0, TASKS_PER_LANE],
    [1, TASKS_PER_LANE + 1],
  ]);
});

test('a partition is read by lane, then by task; empty ones need no task', () => {
  const plan = planned((_, numbers) => {
    numbers
      .union(numbers.map((n) => n))
      .keyBy((n) => n)
      .count('counts')
      .entries()
      .write(memorySink());
  });
  const results = {
    0: [
      result(output(0, 0, 'a', [1, 0, 2, 0]), output(0, 1, 'b', [0, 0, 1, 0])),
      result(output(0, 0, 'c', [0, 0, 1, 0]), output(0, 1, 'd', [1, 0, 0, 0])),
    ],
  };
  const tasks = tasksOf(plan, 1, { results });
  expect(paths(tasks)).toEqual([
    ['a-0', 'd-0'],
    ['a-2', 'c-2', 'b-2'],
  ]);
  expect(tasks.map(({ task }) => task)).toEqual([0, 1]);
});

test('a table has a part for every partition, and a stage at least one task', () => {
  const table = planned((_, numbers) => {
    numbers.keyBy((n) => n).write(memorySink({ arrangement: 'by-key' }));
  });
  const results = { 0: [result(output(0, 0, 'a', [0, 0, 2, 0]))] };
  expect(paths(tasksOf(table, 1, { results }))).toEqual([[], [], ['a-2'], []]);
  const count = planned((_, numbers) => {
    numbers
      .keyBy((n) => n)
      .count('counts')
      .entries()
      .write(memorySink());
  });
  expect(
    paths(tasksOf(count, 1, { results: { 0: [result(output(0, 0, 'a', [0, 0, 0, 0]))] } })),
  ).toEqual([[]]);
});

test('a sort has as many ranges as its bytes ask for, whoever wrote them', () => {
  const plan = planned((_, numbers) => numbers.sort('sorted', (n) => n).write(memorySink()));
  const ranges = (...bytes: number[]): unknown[] =>
    tasksOf(plan, 1, {
      results: { 0: bytes.map((each, at) => result(output(0, 0, `run${at}`, [1], each))) },
    }).map(({ reads }) => reads[0]?.range);
  expect(ranges(PARTITION_BYTES)).toEqual([undefined]);
  const cut = ranges(3 * PARTITION_BYTES);
  expect(cut).toHaveLength(3);
  expect(cut[0]).toMatchObject({ from: undefined });
  expect(cut[2]).toMatchObject({ to: undefined });
  expect((cut[0] as { to: string }).to).toBe((cut[1] as { from: string }).from);
  expect(ranges(PARTITION_BYTES, PARTITION_BYTES, PARTITION_BYTES)).toEqual(cut);
});

/**
 * One program, one answer: whatever the disorder within its bound, the partitions, the workers, and what dies when, a run without end that has
 * seen all records has written the windows and tables that a bounded run writes.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FlowBuilder } from '../../src/flow/builder.ts';
import { flow } from '../../src/flow/flow.ts';
import { MemoryCluster } from '../../src/testing/memory-cluster.ts';
import { runs } from '../runs.ts';
import { type BoundedRecord, runBounded } from './bounded-in-memory.ts';
import {
  END,
  END_USER,
  OUT_OF_ORDER,
  programs,
  recordsOf,
  SOURCES,
  summed,
} from './one-answer/programs.ts';
import { send, written } from './tasks/cluster.ts';
import { Choices, play } from './tasks/schedules.ts';

const PROGRAMS = programs();

const scenario = fc.record({
  partitions: fc.integer({ min: 1, max: 3 }),
  workers: fc.integer({ min: 1, max: 3 }),
  raw: fc.array(
    fc.record({
      topic: fc.constantFrom(...SOURCES),
      user: fc.constantFrom('a', 'b', 'c', 'd'),
      n: fc.integer({ min: 0, max: 9 }),
      deletes: fc.boolean(),
      step: fc.nat(5),
      back: fc.nat(OUT_OF_ORDER),
    }),
    { maxLength: 60, size: 'max' },
  ),
  choices: fc.array(fc.nat(10_000), { maxLength: 400, size: 'max' }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer S> ? S : never;

async function runStream(
  build: (f: FlowBuilder) => void,
  topics: Readonly<Record<string, readonly BoundedRecord[]>>,
  { partitions, workers, choices }: Scenario,
): Promise<{ readonly key: unknown; readonly value: unknown }[]> {
  const cluster = await MemoryCluster.open({
    plan: flow('test', build).plan(),
    topics: { clicks: partitions, views: partitions, users: partitions, out: 1 },
    workers,
  });
  const pending = Object.entries(topics).flatMap(([name, records]) =>
    records.map((record) => ({ name, record })),
  );
  const half = Math.floor(pending.length / 2);
  const everywhere = (at: number): void => {
    for (const name of Object.keys(topics))
      for (let partition = 0; partition < partitions; partition++)
        send(cluster, name, [
          { key: END_USER, value: { user: END_USER, n: -1 }, time: at, partition },
        ]);
  };
  // A partition that has never had a record does not hold up time: what came to it later would be late.
  everywhere(0);
  for (const { name, record } of pending.slice(0, half)) send(cluster, name, [record]);
  await play(cluster, new Choices(choices));
  for (const { name, record } of pending.slice(half)) send(cluster, name, [record]);
  await play(cluster, new Choices(choices.toReversed()));
  everywhere(END);
  await cluster.run();
  const found = written(cluster, 'out');
  await cluster.close();
  return found;
}

test.each(Object.keys(PROGRAMS))('%s', async (name) => {
  const program = PROGRAMS[name];
  if (program === undefined) throw new Error(name);
  await fc.assert(
    fc.asyncProperty(scenario, async (given) => {
      const topics = recordsOf(given.raw, given.partitions);
      const bounded = await runBounded(
        flow('test', program.build).plan(),
        topics,
        given.partitions,
      );
      const stream = await runStream(program.build, topics, given);
      expect(summed(stream, program.results)).toEqual(
        summed(bounded.get('out') ?? [], program.results),
      );
    }),
    { numRuns: runs(15) },
  );
});

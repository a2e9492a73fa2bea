import { expect, test } from 'vitest';
import { memorySink, memorySource } from '../../../../test/batch/in-memory.ts';
import { flow } from '../../../flow/flow.ts';
import type { Plan } from '../../../flow/plan.ts';
import type { FlowBuilder } from '../../../flow/builder.ts';
import type { Stream } from '../../../flow/streams.ts';
import { PARTITION_BYTES, PARTITIONS_MAX } from '../../../core/limits.ts';
import { explainStages } from './explain-stages.ts';
import { buildStages } from './plan-stages.ts';
import type { PlanFacts, StageGraph } from '../stage.ts';

const FACTS: PlanFacts = { sourceBytes: {}, partitions: 3, memoryBytes: 2 ** 30 };

function planOf(build: (f: FlowBuilder, lines: Stream<string>) => void): Plan {
  return flow('f', (f) => {
    build(f, f.read(memorySource<string>([])));
  }).plan();
}

function graphOf(
  build: (f: FlowBuilder, lines: Stream<string>) => void,
  facts = FACTS,
): StageGraph {
  return buildStages(planOf(build), facts);
}

test('what lies between exchanges is one stage', () => {
  const plan = planOf((_, lines) => {
    lines
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .keyBy((line) => line)
      .count('words')
      .top(3)
      .write(memorySink());
  });
  expect(explainStages(plan, buildStages(plan, FACTS))).toBe(
    [
      'stage 0  read memory → map-1 → filter-2 → keyBy-3 → words',
      '  tasks  packs of splits',
      '  to     stage 1, for words: by hash of the key into 3 partitions, sorted, combined before: a hot key is few records per task',
      'stage 1  words → map-5 → words-top',
      '  tasks  one per partition',
      '  to     stage 2, for words-top: into one partition, sorted, only the first 3 of each task',
      'stage 2  words-top → write memory',
      '  tasks  one',
      '  write  memory',
    ].join('\n'),
  );
});

test('a stream that is used twice is computed once', () => {
  const { stages } = graphOf((_, lines) => {
    const parsed = lines.map((line) => line.length);
    parsed.write(memorySink());
    parsed
      .keyBy((length) => length)
      .count('lengths')
      .entries()
      .write(memorySink());
    parsed.sort('sorted', (length) => length).write(memorySink());
  });
  const [first] = stages;
  expect(stages).toHaveLength(3);
  expect(first?.steps.filter(({ node }) => node === 1)).toHaveLength(1);
  expect([first?.exchangesOut.length, first?.writes.length]).toEqual([2, 1]);
});

test('the inputs of a union are lanes of one sink, in order', () => {
  const { stages } = graphOf((_, lines) => {
    const counts = lines
      .keyBy((line) => line)
      .count('counts')
      .entries()
      .map(({ key }) => key);
    counts
      .union(
        lines,
        lines.map((line) => line.trim()),
      )
      .write(memorySink());
  });
  expect(stages).toHaveLength(2);
  const writes = stages.flatMap(({ id, steps, writes: nodes }) =>
    steps.filter(({ node }) => nodes.includes(node)).map(({ lane }) => ({ stage: id, lane })),
  );
  expect(writes).toEqual([
    { stage: 0, lane: 1 },
    { stage: 0, lane: 2 },
    { stage: 1, lane: 0 },
  ]);
});

test('a stream that waits for something made of itself is computed twice', () => {
  const { stages } = graphOf((f, lines) => {
    const total = f.broadcast('total', lines.count('count'));
    lines.with(total, (line, [count]) => `${line} ${count}`).write(memorySink());
    lines.map((line) => line.length).write(memorySink());
  });
  const sources = stages.filter(({ sources: nodes }) => nodes.length > 0);
  expect(sources.map(({ writes }) => writes.length)).toEqual([1, 1]);
  expect(stages.map(({ id }) => id)).toEqual(stages.map((_, index) => index));
});

test('a sink that wants one part takes it from a single task without an exchange', () => {
  const single = memorySink({ arrangement: 'single' });
  expect(graphOf((_, lines) => lines.write(single)).exchanges.map(({ kind }) => kind)).toEqual([
    'gather',
  ]);
  expect(
    graphOf((_, lines) => lines.top('t', 3, (line) => line).write(single)).exchanges.map(
      ({ name }) => name,
    ),
  ).toEqual(['t']);
});

test('partitions follow from the input bytes alone, within bounds', () => {
  const partitions = (bytes: number, memoryBytes: number): number | undefined =>
    graphOf(
      (_, lines) => {
        lines
          .keyBy((line) => line)
          .count('words')
          .entries()
          .write(memorySink());
      },
      { sourceBytes: { 0: bytes }, partitions: undefined, memoryBytes },
    ).exchanges[0]?.partitions;
  expect(partitions(0, 2 ** 30)).toBe(1);
  expect(partitions(PARTITION_BYTES + 1, 2 ** 30)).toBe(2);
  expect(partitions(PARTITION_BYTES + 1, 2 ** 24)).toBe(2);
  expect(partitions(2 ** 45, 2 ** 30)).toBe(PARTITIONS_MAX);
});

test('unions that multiply are refused', () => {
  expect(() =>
    graphOf((_, lines) => {
      let stream = lines;
      for (let round = 0; round < 12; round++) stream = stream.union(stream);
      stream.write(memorySink());
    }),
  ).toThrow(expect.objectContaining({ code: 'ML_FLOW_INVALID' }));
});

test('what leads nowhere does not run', () => {
  const { stages } = graphOf((_, lines) => {
    const { long } = lines.branch({ long: (line: string) => line.length > 80 });
    lines.keyBy((line) => line).count('unused');
    long.write(memorySink());
  });
  expect(stages).toHaveLength(1);
  expect(stages[0]?.steps).toHaveLength(3);
});

/**
 * Flows at random, written in the public language and run by the engine in this process, give what the oracle gives: record for record,
 * in the same order, however the input is cut, however many partitions there are, however little memory.
 * MILLRACE_SEED=n repeats a run, MILLRACE_RUNS=n makes n times as many.
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Key } from '../../src/core/key-order.ts';
import { Failures } from '../../src/engine/batch/operators/failures.ts';
import { SampleOperator } from '../../src/engine/batch/operators/sample-operator.ts';
import { buildStages } from '../../src/engine/batch/planning/plan-stages.ts';
import type { StageGraph } from '../../src/engine/batch/stage.ts';
import { flow } from '../../src/flow/flow.ts';
import type { Plan, PlanNode, SampleNode } from '../../src/flow/plan.ts';
import {
  type MemorySink,
  type MemorySource,
  memorySink,
  memorySource,
  runPlan,
} from '../batch/in-memory.ts';
import { mixedKey, parameters, records } from './generators.ts';
import {
  evaluate,
  OracleLimit,
  type OracleOptions,
  type OracleRecord,
  type OracleResult,
} from './oracle.ts';
import { build, randomSteps, type Row, type Step } from './random-flow.ts';

const data = records(
  mixedKey.filter((key) => !Object.is(key, -0)),
  [(rank) => rank, (rank) => rank * 7, () => 3],
  24,
).map((rows) => rows.map(({ key, value }): Row => ({ k: key ?? null, n: value % 97 })));

interface Program {
  readonly plan: Plan;
  readonly sinks: readonly MemorySink[];
}

/** The last stream of each kind is written, and one on the way: it is used twice. */
function programOf(sources: readonly MemorySource<Row>[], steps: readonly Step[]): Program {
  const sinks = [memorySink(), memorySink(), memorySink({ arrangement: 'single' })];
  let names = 0;
  const plan = flow('random', (f) => {
    const rows = sources.map((source) => f.read(source));
    const keyed = rows.map((stream) => stream.keyBy(({ k }): Key => k));
    const world = build({ f, rows, keyed, name: () => `s${names++}` }, steps);
    const [first, second, third] = sinks;
    if (first === undefined || second === undefined || third === undefined) return;
    world.rows.at(-1)?.write(first);
    world.keyed.at(-1)?.entries().write(second);
    world.rows.at(Math.floor(world.rows.length / 2))?.write(third);
  }).plan();
  return { plan, sinks };
}

/** What the oracle has to know of the run: partitions, strategies, and which records a sample keeps. */
function oracleOptions(
  plan: Plan,
  graph: StageGraph,
  sources: readonly MemorySource<Row>[],
): OracleOptions {
  const isOuter = (node: PlanNode): boolean => plan.nodes[node.id] === node;
  const strategies = new Map(
    graph.stages.flatMap(({ joins }) => joins.map(({ node, strategy }) => [node, strategy])),
  );
  return {
    records: (node) => sources.find((source) => source.source() === node.source)?.records ?? [],
    // The exchanges of the body of an iteration have one partition each.
    partitions: (node) =>
      (isOuter(node) ? graph.exchanges.find((into) => into.node === node.id)?.partitions : 1) ?? 1,
    strategy: (node) => (isOuter(node) ? strategies.get(node.id) : node.strategy) ?? 'sort-merge',
    isSampled,
    recordsMax: 1_500,
  };
}

/** The graph depends on the plan and the input alone: known before anything runs. */
function stagesOf(
  plan: Plan,
  sources: readonly MemorySource<Row>[],
  { partitions, memoryBytes }: { readonly partitions: number; readonly memoryBytes: number },
): StageGraph {
  const sourceBytes = Object.fromEntries(
    plan.nodes.map((node) => [
      node.id,
      node.kind === 'source'
        ? (sources.find((source) => source.source() === node.source)?.records.length ?? 0)
        : 0,
    ]),
  );
  return buildStages(plan, { sourceBytes, partitions, memoryBytes });
}

/** Asks the operator of the engine: which records a sample keeps is defined by its hash alone. */
function isSampled(node: SampleNode, { value, key }: OracleRecord): boolean {
  let isKept = false;
  const next = {
    push: () => {
      isKept = true;
      return true;
    },
    drain: () => Promise.resolve(),
  };
  const failures = new Failures({ open: undefined, recordsMax: 0 });
  new SampleOperator(node, next, failures).push(value, key);
  return isKept;
}

function expectOutputs(program: Program, expected: OracleResult): void {
  const writes = program.plan.nodes.filter((node) => node.kind === 'write');
  expect(expected.outputs.size).toBe(writes.length);
  for (const write of writes) {
    const sink = program.sinks.find((each) => each.sink() === write.sink);
    const got = sink?.records().map(({ key, value }) => ({ key, value }));
    const wanted = expected.outputs.get(write.id);
    // The message of a difference is made only when there is one: it is slow.
    if (!isDeepStrictEqual(got, wanted)) expect(got).toEqual(wanted);
  }
}

const settings = fc.record({
  splitRecords: fc.constantFrom(1, 3, 8, 1_000),
  partitions: fc.constantFrom(1, 2, 5),
  memoryBytes: fc.constantFrom(200_000, 64 * 1024 * 1024),
  hotKeyBytes: fc.constantFrom(100, 400, 16 * 1024 * 1024),
});

test('a flow gives what its plan means, in every detail of the order', async () => {
  let compared = 0;
  const runs = parameters(150);
  await fc.assert(
    fc.asyncProperty(data, data, randomSteps, settings, async (left, right, steps, options) => {
      const sources = [memorySource(left), memorySource(right)];
      const program = programOf(sources, steps);
      const graph = stagesOf(program.plan, sources, options);
      let expected: OracleResult;
      try {
        expected = await evaluate(program.plan, oracleOptions(program.plan, graph, sources));
      } catch (error) {
        if (error instanceof OracleLimit) return;
        throw error;
      }
      await runPlan(program.plan, options);
      expectOutputs(program, expected);
      compared++;
    }),
    runs,
  );
  // Flows that grow too large are left out: few of them do.
  expect(compared).toBeGreaterThan(runs.numRuns / 2);
});

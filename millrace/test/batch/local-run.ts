/**
 * Runs a whole plan in this process, stage by stage and task by task, for tests of the engine below the driver. Nothing is
 * committed: who calls says where sinks write and takes their parts from the results.
 */
import { assert } from '../../src/core/errors.ts';
import { SPLIT_BYTES } from '../../src/core/limits.ts';
import type { Plan } from '../../src/flow/plan.ts';
import type { Split } from '../../src/flow/source.ts';
import type { RunStorage } from '../../src/engine/batch/exchange.ts';
import { buildStages } from '../../src/engine/batch/planning/plan-stages.ts';
import { planTasks, type TaskPlan } from '../../src/engine/batch/planning/plan-tasks.ts';
import type { runTask, TaskEnvironment } from '../../src/engine/batch/task/run-task.ts';
import type { Exchange, Stage, StageGraph, TaskResult } from '../../src/engine/batch/stage.ts';

export interface LocalRunOptions {
  readonly plan: Plan;
  readonly environment: TaskEnvironment;
  /** What runs a task: given, since what runs tasks also calls this. */
  readonly runTask: typeof runTask;
  /** Runs that nobody reads any more are removed from here: what `environment.storage` gives. */
  readonly storage: RunStorage;
  /** For one task at a time. */
  readonly memoryBytes: number;
  /** The directory of the parts of a task that writes: exists, empty. */
  readonly writeDirectory: (node: number, task: number) => string;
  /** The same for dead letters; undefined: the first failure ends the run. */
  readonly skippedDirectory?: ((stage: number, task: number) => string) | undefined;
  /** Default: chosen by the size of the input. */
  readonly partitions?: number | undefined;
  /** As `TaskPlanContext.hotKeyBytes`. */
  readonly hotKeyBytes?: number | undefined;
  /** Default SPLIT_BYTES; splits are packed up to as much. */
  readonly splitBytes?: number | undefined;
  /** Splits are packed into tasks up to so many bytes. Default: `splitBytes`. */
  readonly packBytes?: number | undefined;
}

export interface LocalRun {
  readonly graph: StageGraph;
  /** In task order, by stage. */
  readonly results: Readonly<Record<number, readonly TaskResult[]>>;
}

/** @throws {MillraceError} what planning the sources, or a task, throws */
export async function runLocally(options: LocalRunOptions): Promise<LocalRun> {
  const { plan, environment, storage, memoryBytes, splitBytes = SPLIT_BYTES } = options;
  const splits = await planSources(plan, environment, splitBytes);
  const graph = buildStages(plan, {
    sourceBytes: Object.fromEntries(
      Object.entries(splits).map(([node, ofNode]) => [
        node,
        ofNode.reduce((sum, { bytes }) => sum + bytes, 0),
      ]),
    ),
    partitions: options.partitions,
    memoryBytes,
  });
  const results: Record<number, readonly TaskResult[]> = {};
  const { hotKeyBytes } = options;
  const { packBytes = splitBytes } = options;
  const context = { splits, results, packBytes, memoryBytes, hotKeyBytes };
  for (const stage of graph.stages) {
    const done: TaskResult[] = [];
    let skippedRecordsMax = plan.onError.kind === 'skip' ? plan.onError.recordsMax : 0;
    for (const task of planTasks(plan, graph, stage.id, context)) {
      const result = await runOne(options, graph, task, skippedRecordsMax);
      skippedRecordsMax -= result.skipped.records;
      done.push(result);
    }
    results[stage.id] = done;
    for (const exchange of readLastBy(graph, stage)) remove(exchange, results, storage);
  }
  return { graph, results };
}

function runOne(
  options: LocalRunOptions,
  graph: StageGraph,
  task: TaskPlan,
  skippedRecordsMax: number,
): Promise<TaskResult> {
  const { plan, environment, writeDirectory, skippedDirectory } = options;
  const spec = {
    ...task,
    attempt: 1,
    directory: environment.directory,
    writes: task.writes.map((write) => ({
      ...write,
      directory: writeDirectory(write.node, write.task),
    })),
    skippedDirectory: skippedDirectory?.(task.stage, task.task),
    skippedRecordsMax,
  };
  return options.runTask(plan, graph, spec, environment);
}

async function planSources(
  plan: Plan,
  { env, directory, brokers }: TaskEnvironment,
  splitBytes: number,
): Promise<Record<number, readonly Split[]>> {
  const splits: Record<number, readonly Split[]> = {};
  for (const node of plan.nodes)
    if (node.kind === 'source')
      splits[node.id] = (await node.source.plan({ env, directory, splitBytes, brokers })).splits;
  return splits;
}

/** Exchanges that no later stage reads. */
function readLastBy(graph: StageGraph, stage: Stage): Exchange[] {
  return [...stage.exchangesIn, ...stage.broadcastsIn].flatMap((id) => {
    const exchange = graph.exchanges[id];
    assert(exchange !== undefined, `no exchange ${id}`);
    return Math.max(...exchange.consumers) === stage.id ? [exchange] : [];
  });
}

function remove(
  exchange: Exchange,
  results: Readonly<Record<number, readonly TaskResult[]>>,
  storage: RunStorage,
): void {
  const paths = new Set<string>();
  for (const producer of exchange.producers)
    for (const result of results[producer] ?? [])
      for (const output of result.exchanges)
        if (output.exchange === exchange.id)
          for (const run of output.runs) for (const { path } of run.segments) paths.add(path);
  for (const path of paths) storage.remove(path);
}

/**
 * Which tasks a stage has, once the stages before it are done: packs of splits, partitions of hash exchanges, ranges of keys of a sorted
 * sequence, or one. Their order is that of the stream.
 */
import { assert } from '../../../core/errors.ts';
import { PARTITION_BYTES, PARTITIONS_MAX, SAMPLE_RECORDS } from '../../../core/limits.ts';
import type { Plan } from '../../../flow/plan.ts';
import type { Split } from '../../../flow/source.ts';
import { mergeSamples, pickBoundaries } from '../exchange/sampling.ts';
import { hasUniqueKeys } from '../joins/choose-join.ts';
import { exchangeStats, type JoinTaskRange, splitJoinTasks } from '../joins/hot-keys.ts';
import {
  type Exchange,
  type ExchangeOutput,
  type ExchangeRead,
  type RunSegment,
  type Stage,
  type StageGraph,
  TASKS_PER_LANE,
  type TaskResult,
  type TaskSpec,
  type TaskWrite,
} from '../stage.ts';

export interface TaskPlanContext {
  /** Splits of each source node, in order, by node id. */
  readonly splits: Readonly<Record<number, readonly Split[]>>;
  /** Results of the stages that are done, in task order, by stage id. */
  readonly results: Readonly<Record<number, readonly TaskResult[]>>;
  /** Small splits are packed into a task until it has about so many bytes. */
  readonly packBytes: number;
  /** What one task may hold in memory. */
  readonly memoryBytes: number;
  /** Bytes from which a key of a join is hot; default JOIN_HOT_KEY_BYTES. */
  readonly hotKeyBytes?: number | undefined;
}

/** A task before it has an attempt and its directories. */
export type TaskPlan = Omit<
  TaskSpec,
  'attempt' | 'directory' | 'writes' | 'skippedDirectory' | 'skippedRecordsMax'
> & { readonly writes: readonly Omit<TaskWrite, 'directory'>[] };

type Inputs = Pick<TaskPlan, 'splits' | 'reads'>;

/** The tasks of a stage, in order: at least one. The same for the same results, whoever computed them. */
export function planTasks(
  plan: Plan,
  graph: StageGraph,
  stageId: number,
  context: TaskPlanContext,
): TaskPlan[] {
  const stage = graph.stages[stageId];
  assert(stage !== undefined, `no stage ${stageId}`);
  const inputs =
    stage.exchangesIn.length === 0
      ? splitInputs(stage, context)
      : exchangeInputs(plan, graph, stage, context);
  assert(inputs.length < TASKS_PER_LANE, `stage ${stageId} has ${inputs.length} tasks`);
  const broadcasts = stage.broadcastsIn.map((id) =>
    readOf(outputsOf(graph, id, context), id, 0, undefined),
  );
  return inputs.map((input, task) => ({
    stage: stageId,
    task,
    ...input,
    broadcasts,
    writes: stage.steps
      .filter((step) => plan.nodes[step.node]?.kind === 'write' && step.exchange === undefined)
      .map(({ node, lane }) => ({ node, task: lane * TASKS_PER_LANE + task })),
    memoryBytes: context.memoryBytes,
  }));
}

function splitInputs(stage: Stage, context: TaskPlanContext): Inputs[] {
  const [node] = stage.sources;
  assert(node !== undefined, `stage ${stage.id} reads nothing`);
  return packs(context.splits[node] ?? [], context.packBytes).map((splits) => ({
    splits: [{ node, splits }],
    reads: [],
  }));
}

/** Neighbours together while they have at most `packBytes`. One empty pack when there are no splits. */
function packs(splits: readonly Split[], packBytes: number): Split[][] {
  const result: Split[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const split of splits) {
    const last = result.at(-1);
    if (last === undefined || bytes + split.bytes > packBytes) {
      result.push([split]);
      bytes = split.bytes;
    } else {
      last.push(split);
      bytes += split.bytes;
    }
  }
  return result.length === 0 ? [[]] : result;
}

function exchangeInputs(
  plan: Plan,
  graph: StageGraph,
  stage: Stage,
  context: TaskPlanContext,
): Inputs[] {
  const sources = stage.exchangesIn.map((id) => {
    const exchange = graph.exchanges[id];
    assert(exchange !== undefined, `no exchange ${id}`);
    return { exchange, outputs: outputsOf(graph, id, context) };
  });
  const [first] = sources;
  assert(first !== undefined, `stage ${stage.id} reads no exchange`);
  const partitions = Array.from({ length: first.exchange.partitions }, (_, index) => index);
  const rangesOf = joinRanges(plan, stage, sources, context);
  const tasks =
    first.exchange.kind === 'range'
      ? ranges(first.exchange, first.outputs)
      : partitions.flatMap((partition) =>
          rangesOf(partition).map((range) =>
            sources.map(({ exchange, outputs }, side) =>
              readOf(outputs, exchange.id, partition, side === 0 ? range.left : range.right),
            ),
          ),
        );
  // A sink by key has a part for each partition; elsewhere what is empty needs no task.
  const keepsEmpty = plan.nodes[first.exchange.node]?.kind === 'write';
  const busy = tasks.filter((reads) => keepsEmpty || reads.some(({ runs }) => runs.length > 0));
  return (busy.length > 0 ? busy : tasks.slice(0, 1)).map((reads) => ({ splits: [], reads }));
}

interface ExchangeSource {
  readonly exchange: Exchange;
  readonly outputs: readonly ExchangeOutput[];
}

/** Which keys of a partition each task has: all, unless a join shares a hot key among several. */
function joinRanges(
  plan: Plan,
  stage: Stage,
  [left, right]: readonly ExchangeSource[],
  context: TaskPlanContext,
): (partition: number) => JoinTaskRange[] {
  const node = plan.nodes[left?.exchange.node ?? -1];
  const isMerged = stage.joins.some(
    (join) => join.node === node?.id && join.strategy === 'sort-merge',
  );
  const isShared = node?.kind === 'join' && node.splitsHotKeys && isMerged;
  if (!isShared || left === undefined || right === undefined)
    return () => [{ left: undefined, right: undefined }];
  const sides = {
    node,
    left: exchangeStats(left.outputs, left.exchange.partitions),
    right: exchangeStats(right.outputs, right.exchange.partitions),
    isLeftUnique: hasUniqueKeys(plan, node.inputs[0] ?? -1),
    hotKeyBytes: context.hotKeyBytes,
  };
  return (partition) => splitJoinTasks({ ...sides, partition });
}

/** Of a sorted sequence: ranges of keys with about PARTITION_BYTES each, by the sample. */
function ranges(exchange: Exchange, outputs: readonly ExchangeOutput[]): ExchangeRead[][] {
  const bytes = outputs.reduce((sum, output) => sum + output.bytes, 0);
  const count = Math.min(Math.max(Math.ceil(bytes / PARTITION_BYTES), 1), PARTITIONS_MAX);
  const sample = mergeSamples(
    outputs.map((output) => output.sample),
    SAMPLE_RECORDS,
  );
  const cuts = count === 1 ? [] : pickBoundaries(sample, count);
  return [...cuts, undefined].map((to, index) => {
    const from = index === 0 ? undefined : cuts[index - 1];
    const range =
      from === undefined && to === undefined ? undefined : { from, to, slice: undefined };
    return [readOf(outputs, exchange.id, 0, range)];
  });
}

/** What was written into an exchange, in the order of the stream: by lane, then by task. */
function outputsOf(graph: StageGraph, id: number, context: TaskPlanContext): ExchangeOutput[] {
  const producers = graph.exchanges[id]?.producers ?? [];
  return producers.flatMap((stage, lane) =>
    (context.results[stage] ?? []).flatMap((result) =>
      result.exchanges.filter((output) => output.exchange === id && output.lane === lane),
    ),
  );
}

function readOf(
  outputs: readonly ExchangeOutput[],
  exchange: number,
  partition: number,
  range: ExchangeRead['range'],
): ExchangeRead {
  const runs: RunSegment[] = [];
  for (const output of outputs)
    for (const run of output.runs) {
      const segment = run.segments[partition];
      if (segment !== undefined && segment.records > 0) runs.push(segment);
    }
  return { exchange, partition, runs, range };
}

/**
 * Which tasks a stage has, once the stages before it are done.
 */
import type { Plan } from '../../flow/plan.ts';
import type { Split } from '../../flow/source.ts';
import type { StageGraph, TaskResult, TaskSpec, TaskWrite } from './stage.ts';

export interface TaskPlanContext {
  /** Splits of each source node, in order, by node id. */
  readonly splits: Readonly<Record<number, readonly Split[]>>;
  /** Results of the stages that are done, in task order, by stage id. */
  readonly results: Readonly<Record<number, readonly TaskResult[]>>;
  /** Small splits are packed into a task until it has about so many bytes. */
  readonly packBytes: number;
  /** What one task may hold in memory. */
  readonly memoryBytes: number;
}

/** A task before it has an attempt and its directories. */
export type TaskPlan = Omit<
  TaskSpec,
  'attempt' | 'directory' | 'writes' | 'skippedDirectory' | 'skippedRecordsMax'
> & { readonly writes: readonly Omit<TaskWrite, 'directory'>[] };

/** The tasks of a stage, in order: at least one. The same for the same results, whoever computed them. */
export function planTasks(
  _plan: Plan,
  graph: StageGraph,
  stageId: number,
  context: TaskPlanContext,
): TaskPlan[] {
  const stage = graph.stages[stageId];
  return [
    {
      stage: stageId,
      task: 0,
      splits: (stage?.sources ?? []).map((node) => ({ node, splits: context.splits[node] ?? [] })),
      reads: [],
      broadcasts: [],
      writes: [],
      memoryBytes: context.memoryBytes,
    },
  ];
}

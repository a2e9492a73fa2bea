/** Runs one task in this process. */
import type { Env } from '../../core/env.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Plan } from '../../flow/plan.ts';
import type { RunStorage } from './exchange.ts';
import type { StageGraph, TaskProgress, TaskResult, TaskSpec } from './stage.ts';

/** What a task needs of the process that it runs in. */
export interface TaskEnvironment {
  readonly env: Env;
  /** Directory that relative paths of sources start from. */
  readonly directory: string;
  /** `--brokers`. */
  readonly brokers: string | undefined;
  /** Where runs are kept: called once per task with the directory of the attempt. Opens the runs of other tasks too. */
  storage(directory: string): RunStorage;
  /** The task ends with ML_ABORTED soon after it fires. */
  readonly signal: AbortSignal;
  /** Called after each chunk of input. */
  onProgress(progress: TaskProgress): void;
}

/**
 * Runs one attempt at one task and resolves when its runs and parts are written. After a rejection files may be left in the directories of
 * the attempt: their owner removes them. One task at a time per plan object: the counters of the plan are its.
 */
export function runTask(
  plan: Plan,
  _graph: StageGraph,
  spec: TaskSpec,
  _environment: TaskEnvironment,
): Promise<TaskResult> {
  return Promise.reject(
    new MillraceError('ML_ASSERT', `stage ${spec.stage} of ${plan.name} cannot run yet`),
  );
}

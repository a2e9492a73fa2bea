/** What runs attempts at tasks: this process (`local-runner.ts`), or others (`worker-pool.ts`). */
import type { TaskProgress, TaskResult, TaskSpec } from '../stage.ts';

export interface TaskRunner {
  /** Attempts that it runs at the same time. */
  readonly slots: number;
  /**
   * Runs one attempt; never more than `slots` at a time.
   * @throws {MillraceError} what the task failed with; ML_WORKER_LOST; ML_ABORTED
   */
  run(spec: TaskSpec, hooks: AttemptHooks): Promise<TaskResult>;
  /** All attempts that run end soon, with ML_ABORTED or ML_WORKER_LOST. */
  cancel(): void;
}

export interface AttemptHooks {
  /** Who runs it, once that is known. */
  readonly started: (worker: WorkerInfo) => void;
  readonly progress: (progress: TaskProgress) => void;
}

export interface WorkerInfo {
  /** From 1; 0 is the process of the driver. */
  readonly worker: number;
  readonly pid: number;
}

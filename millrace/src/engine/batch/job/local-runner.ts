/** Runs tasks in the process of the driver: small jobs, for which starting a process would take longer than their work. */
import { MillraceError } from '../../../core/errors.ts';
import type { Plan } from '../../../flow/plan.ts';
import { runTask, type TaskEnvironment } from '../task/run-task.ts';
import type { StageGraph, TaskResult, TaskSpec } from '../stage.ts';
import type { AttemptHooks, TaskRunner } from './task-runner.ts';
import { watchStrays } from '../workers/stray-errors.ts';

export type LocalEnvironment = Omit<TaskEnvironment, 'signal' | 'onProgress'>;

export class LocalRunner implements TaskRunner {
  readonly slots = 1;
  readonly #plan: Plan;
  readonly #graph: StageGraph;
  readonly #environment: LocalEnvironment;
  #cancel = new AbortController();

  constructor(plan: Plan, graph: StageGraph, environment: LocalEnvironment) {
    this.#plan = plan;
    this.#graph = graph;
    this.#environment = environment;
  }

  async run(spec: TaskSpec, hooks: AttemptHooks): Promise<TaskResult> {
    const { signal } = this.#cancel;
    if (signal.aborted) throw new MillraceError('ML_ABORTED', 'the job was cancelled');
    hooks.started({ worker: 0, pid: process.pid });
    return watchStrays(this.#environment.env.timers, () =>
      runTask(this.#plan, this.#graph, spec, {
        ...this.#environment,
        signal,
        onProgress: hooks.progress,
      }),
    );
  }

  cancel(): void {
    this.#cancel.abort();
  }
}

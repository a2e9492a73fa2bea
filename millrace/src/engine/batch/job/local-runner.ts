/** Runs tasks in the process of the driver: small jobs, for which starting a process would take longer than their work. */
import { MillraceError } from '../../../core/errors.ts';
import { WORKER_CANCEL_MS } from '../../../core/limits.ts';
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
  readonly #cancel = new AbortController();
  /** Rejects when a task that is cancelled takes too long: it may wait for a promise of the user that takes its time. */
  readonly #givenUp: Promise<never>;
  #giveUp: () => void = () => {};

  constructor(plan: Plan, graph: StageGraph, environment: LocalEnvironment) {
    this.#plan = plan;
    this.#graph = graph;
    this.#environment = environment;
    this.#givenUp = new Promise((_resolve, reject) => {
      this.#giveUp = () => {
        reject(cancelled());
      };
    });
    this.#givenUp.catch(() => {});
  }

  async run(spec: TaskSpec, hooks: AttemptHooks): Promise<TaskResult> {
    const { signal } = this.#cancel;
    if (signal.aborted) throw cancelled();
    hooks.started({ worker: 0, pid: process.pid });
    const task = watchStrays(this.#environment.env.timers, () =>
      runTask(this.#plan, this.#graph, spec, {
        ...this.#environment,
        signal,
        onProgress: hooks.progress,
      }),
    );
    task.catch(() => {}); // When it is given up nobody hears how it ended.
    return Promise.race([task, this.#givenUp]);
  }

  cancel(): void {
    this.#cancel.abort();
    this.#environment.env.timers.after(WORKER_CANCEL_MS, this.#giveUp);
  }
}

function cancelled(): MillraceError {
  return new MillraceError('ML_ABORTED', 'the job was cancelled');
}

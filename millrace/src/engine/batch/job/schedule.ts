/**
 * Which task runs when. A stage can run when those that make its exchanges are done; its tasks run side by side, those of several
 * stages too; earlier stages first. An attempt that failed is tried again when another one can end otherwise.
 *
 * Invariant: the result of a task is that of exactly one attempt, and nobody sees anything of the others. Results are in task order,
 * whatever the order in which they came.
 */
import { assert, MillraceError, type ErrorCode } from '../../../core/errors.ts';
import { saysRetriable } from '../workers/messages.ts';
import type { JobEvent } from './job-events.ts';
import type { TaskPlan } from '../planning/plan-tasks.ts';
import type { Stage, StageGraph, TaskResult, TaskSpec } from '../stage.ts';
import type { TaskRunner } from './task-runner.ts';

export type StageResults = Readonly<Record<number, readonly TaskResult[]>>;

export interface ScheduleOptions {
  readonly graph: StageGraph;
  /** The tasks of a stage whose inputs are done. */
  readonly tasksOf: (stage: Stage, results: StageResults) => readonly TaskPlan[];
  /** Makes the directories of an attempt. */
  readonly prepare: (
    task: TaskPlan,
    attempt: number,
    skippedRecordsMax: number,
  ) => Promise<TaskSpec>;
  /** Removes what a failed attempt has left. */
  readonly discard: (spec: TaskSpec) => Promise<void>;
  /** All that read what this stage has sent are done: its runs can go. */
  readonly release: (stage: Stage) => void;
  readonly runner: TaskRunner;
  readonly attemptsMax: number;
  /** Records that the job may skip; undefined: skipping is not allowed. */
  readonly skippedRecordsMax: number | undefined;
  readonly onEvent: (event: JobEvent) => void;
  readonly signal: AbortSignal;
}

/** Runs all stages. @throws {MillraceError} of the first task that failed for good; ML_ABORTED when the signal fired */
export function runStages(options: ScheduleOptions): Promise<StageResults> {
  return new Schedule(options).run();
}

/**
 * Failures that another attempt may not meet: the worker ended, or the machine failed to read or write. A function of the user, or
 * input that cannot be decoded, fails the same way each time, so that trying again only wastes time: unless what the function
 * threw says `retriable: true`.
 */
export function mayEndOtherwise(error: unknown): boolean {
  // What failed beside the task leaves a process in which the task may still be running.
  if (error instanceof MillraceError && error.fields['isStray'] === true) return false;
  if (saysRetriable(error instanceof Error ? error.cause : undefined)) return true;
  if (!(error instanceof MillraceError)) return saysRetriable(error);
  // Trying again at once does not make room.
  if (error.code === 'ML_DISK_FULL') return false;
  return error.retriable || RETRIED.has(error.code);
}

const RETRIED: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['ML_IO']);

interface Pending {
  readonly task: TaskPlan;
  readonly attempt: number;
}

class StageState {
  readonly stage: Stage;
  /** Stages that have to be done before. */
  readonly needs: Set<number>;
  /** undefined until it can run. */
  tasks: readonly TaskPlan[] | undefined;
  readonly results: (TaskResult | undefined)[] = [];
  remaining = 0;
  /** Stages that still read what it has sent. */
  readonly readers = new Set<number>();

  constructor(stage: Stage, needs: Set<number>) {
    this.stage = stage;
    this.needs = needs;
  }
}

class Schedule {
  readonly #options: ScheduleOptions;
  readonly #states: readonly StageState[];
  readonly #results: Record<number, readonly TaskResult[]> = {};
  #queue: Pending[] = [];
  #running = 0;
  #skipped = 0;
  #doneStages = 0;
  #failure: { readonly error: unknown } | undefined;
  #settle: () => void = () => {};

  constructor(options: ScheduleOptions) {
    this.#options = options;
    const { stages, exchanges } = options.graph;
    this.#states = stages.map((stage) => {
      const inputs = [...stage.exchangesIn, ...stage.broadcastsIn];
      return new StageState(stage, new Set(inputs.flatMap((id) => exchanges[id]?.producers ?? [])));
    });
    for (const state of this.#states) {
      for (const producer of state.needs) this.#states[producer]?.readers.add(state.stage.id);
    }
  }

  async run(): Promise<StageResults> {
    const { signal } = this.#options;
    const abort = (): void => {
      this.#fail(
        new MillraceError('ML_ABORTED', 'the job was cancelled', { cause: signal.reason }),
      );
      this.#pump();
    };
    const settled = new Promise<void>((resolve) => {
      this.#settle = resolve;
    });
    signal.addEventListener('abort', abort, { once: true });
    try {
      if (signal.aborted) abort();
      else this.#attempt(() => this.#openStages());
      this.#pump();
      await settled;
    } finally {
      signal.removeEventListener('abort', abort);
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    return this.#results;
  }

  /** Plans the tasks of every stage that has become ready. */
  #openStages(): void {
    for (const state of this.#states) {
      if (state.tasks !== undefined || state.needs.size > 0) continue;
      const { stage } = state;
      const tasks = this.#options.tasksOf(stage, this.#results);
      assert(tasks.length > 0, `stage ${stage.id} has no tasks`);
      state.tasks = tasks;
      state.remaining = tasks.length;
      this.#options.onEvent({
        kind: 'stageStarted',
        stage: stage.id,
        tasks: tasks.length,
        bytes: tasks.reduce((sum, task) => sum + inputBytes(task), 0),
      });
      this.#queue.push(...tasks.map((task) => ({ task, attempt: 0 })));
    }
    this.#queue.sort((a, b) => a.task.stage - b.task.stage || a.task.task - b.task.task);
  }

  #pump(): void {
    while (this.#failure === undefined && this.#running < this.#options.runner.slots) {
      const next = this.#queue.shift();
      if (next === undefined) break;
      this.#running++;
      // It never rejects.
      void this.#runAttempt(next).then(() => {
        this.#running--;
        this.#pump();
      });
    }
    const isDone = this.#doneStages === this.#states.length;
    if (this.#running === 0 && (isDone || this.#failure !== undefined)) this.#settle();
  }

  async #runAttempt({ task, attempt }: Pending): Promise<void> {
    const { runner, onEvent, skippedRecordsMax } = this.#options;
    const at = { stage: task.stage, task: task.task, attempt };
    let spec: TaskSpec | undefined;
    try {
      const skippable = Math.max(0, (skippedRecordsMax ?? 0) - this.#skipped);
      spec = await this.#options.prepare(task, attempt, skippable);
      // The job may have failed meanwhile.
      if (this.#failure !== undefined) return;
      const result = await runner.run(spec, {
        started: (worker) => {
          onEvent({ kind: 'taskStarted', ...at, ...worker });
        },
        progress: (progress) => {
          onEvent({ kind: 'taskProgress', ...at, ...progress });
        },
      });
      this.#attempt(() => this.#take(task, attempt, result));
    } catch (error) {
      await this.#failed({ task, attempt }, spec, error);
    }
  }

  #take(task: TaskPlan, attempt: number, result: TaskResult): void {
    const state = this.#states[task.stage];
    if (state === undefined || this.#failure !== undefined) return;
    this.#skipped += result.skipped.records;
    const limit = this.#options.skippedRecordsMax;
    if (limit !== undefined && this.#skipped > limit) {
      throw new MillraceError(
        'ML_TOO_MANY_SKIPPED',
        `${this.#skipped} records were skipped; the program allows ${limit}`,
        { fields: { records: this.#skipped, limit } },
      );
    }
    state.results[task.task] = result;
    state.remaining--;
    this.#options.onEvent({
      kind: 'taskDone',
      stage: task.stage,
      task: task.task,
      attempt,
      result,
    });
    if (state.remaining === 0) this.#finishStage(state);
  }

  #finishStage(state: StageState): void {
    const { id } = state.stage;
    this.#results[id] = state.results.filter((result) => result !== undefined);
    this.#doneStages++;
    this.#options.onEvent({ kind: 'stageDone', stage: id });
    for (const other of this.#states) {
      other.needs.delete(id);
      if (other.readers.delete(id) && other.readers.size === 0) this.#options.release(other.stage);
    }
    this.#openStages();
  }

  async #failed(
    { task, attempt }: Pending,
    spec: TaskSpec | undefined,
    error: unknown,
  ): Promise<void> {
    if (this.#failure !== undefined) return;
    const isLast = attempt + 1 >= this.#options.attemptsMax;
    const retries = mayEndOtherwise(error) && !isLast;
    const { onEvent } = this.#options;
    onEvent({ kind: 'taskFailed', stage: task.stage, task: task.task, attempt, error, retries });
    if (!retries) {
      this.#fail(isLast && attempt > 0 ? this.#exhausted(task, attempt + 1, error) : error);
      return;
    }
    try {
      if (spec !== undefined) await this.#options.discard(spec);
      // In front of all others: what waits for this stage waits for it.
      if (this.#failure === undefined) this.#queue.unshift({ task, attempt: attempt + 1 });
    } catch (cleanError) {
      this.#fail(cleanError);
    }
  }

  #exhausted(task: TaskPlan, attempts: number, cause: unknown): MillraceError {
    const stage = this.#options.graph.stages[task.stage];
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new MillraceError(
      'ML_TASK_FAILED',
      `task ${task.task} of '${stage?.label ?? task.stage}' failed ${attempts} times; the last time: ${reason}`,
      {
        cause,
        fields: { stage: task.stage, task: task.task, attempts },
        ...(cause instanceof MillraceError ? { hint: cause.hint } : {}),
      },
    );
  }

  #attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The first failure is the job's. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#queue = [];
    this.#options.runner.cancel();
  }
}

/** Bytes that a task is going to read, as far as that is known. */
export function inputBytes(task: TaskPlan): number {
  let bytes = 0;
  for (const { splits } of task.splits) for (const split of splits) bytes += split.bytes;
  for (const { runs } of task.reads) for (const run of runs) bytes += run.bytes;
  return bytes;
}

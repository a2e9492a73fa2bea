/**
 * Runs a job: plan, stages, commit, in that order; and whatever happens, nothing of it stays but its record and, when all went well,
 * its outputs.
 */
import { Background } from '../../../core/background.ts';
import type { ProcessLauncher } from '../../../core/child-process.ts';
import type { Env } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import {
  IN_PROCESS_INPUT_BYTES_MAX,
  JOB_MEMORY_BYTES,
  JOB_MEMORY_BYTES_MIN,
  REAPER_DELAY_MS,
  TASK_ATTEMPTS,
  TASK_MEMORY_SHARE,
  WORKERS_MAX,
} from '../../../core/limits.ts';
import { ownIdentity, startReaper, type Reaper } from '../../../core/processes.ts';
import { explainPlan } from '../../../flow/explain.ts';
import type { Flow } from '../../../flow/flow-types.ts';
import type { Plan } from '../../../flow/plan.ts';
import type { PlanContext, Until } from '../../../flow/source.ts';
import { OutputCommit, type CommittedOutput } from '../commit/commit.ts';
import { explainStages } from '../planning/explain-stages.ts';
import { fileStorage } from '../exchange/run-storage.ts';
import { planInputs, packBytes, splitBytes, takeInputs, type PlannedInputs } from './job-inputs.ts';
import { collectParts, outputsOf, prepareAttempt } from './job-outputs.ts';
import { JobDirectory, tidyJobs } from './job-directory.ts';
import type { JobEvent } from './job-events.ts';
import type { JobStatus, JobSummary } from './job-summary.ts';
import { JobTally } from './job-tally.ts';
import { boundPlan } from '../../bounded/bound-plan.ts';
import { buildPlan, loadedModules, loadProgram } from '../program/load-program.ts';
import { LocalRunner } from './local-runner.ts';
import { errorToMessage } from '../workers/messages.ts';
import { buildStages } from '../planning/plan-stages.ts';
import { planTasks } from '../planning/plan-tasks.ts';
import type { ProgramRef } from '../program/program.ts';
import { runStages } from './schedule.ts';
import type { PlanFacts, StageGraph, TaskSpec } from '../stage.ts';
import type { TaskRunner } from './task-runner.ts';
import { workerCommand, workerEnvironment } from '../workers/worker-command.ts';
import { WorkerPool } from '../workers/worker-pool.ts';

export interface JobOptions {
  readonly env: Env;
  readonly launcher: ProcessLauncher;
  /** A program, or a flow of this process: the latter runs in this process only. */
  readonly program: ProgramRef | { readonly flow: Flow; readonly settings: ProgramRef['settings'] };
  /** Where relative paths start: absolute. */
  readonly directory: string;
  /** Where the job keeps its record and its temporary files: absolute. */
  readonly dataDirectory: string;
  /** Worker processes, 1 to WORKERS_MAX; 0: run in this process. undefined: as many as there are cores and tasks, or none for a
   * small input. */
  readonly workers?: number | undefined;
  /** Processors that may be used when nobody says how many workers. */
  readonly cores: number;
  /** For all processes together. Default JOB_MEMORY_BYTES. */
  readonly memoryBytes?: number | undefined;
  /** Partitions of hash exchanges; default: from the size of the input. */
  readonly partitions?: number | undefined;
  /** Size of splits and of what a task reads; default: from the size of the input. */
  readonly splitBytes?: number | undefined;
  readonly overwrite?: boolean | undefined;
  readonly brokers?: string | undefined;
  /** How far topics are read. Default: to their end. */
  readonly until?: Until | undefined;
  /** Node that runs the workers, and their environment. */
  readonly node: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Takes what sinks write to stdout, when everything else is committed. */
  readonly writeStdout: (bytes: Uint8Array) => Promise<void>;
  /** Must not throw. */
  readonly onEvent?: ((event: JobEvent) => void) | undefined;
  /** Cancels the job. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a job to its end.
 * @throws {MillraceError} what it failed with, ML_ABORTED when it was cancelled; the event `ended` has come before, and no output
 * has changed
 */
export async function runJob(options: JobOptions): Promise<JobSummary> {
  const memoryBytes = options.memoryBytes ?? JOB_MEMORY_BYTES;
  if (memoryBytes < JOB_MEMORY_BYTES_MIN) {
    throw new MillraceError(
      'ML_MEMORY_TOO_SMALL',
      `a job needs at least ${JOB_MEMORY_BYTES_MIN} bytes of memory, not ${memoryBytes}`,
      { fields: { memoryBytes } },
    );
  }
  const { workers } = options;
  if (workers !== undefined && workers > WORKERS_MAX) {
    throw new MillraceError('ML_USAGE', `a job has at most ${WORKERS_MAX} workers`);
  }
  return new Job(options, memoryBytes).run();
}

class Job {
  readonly #options: JobOptions;
  readonly #env: Env;
  readonly #memoryBytes: number;
  readonly #startedMs: number;
  readonly #startedAt: string;
  readonly #startCpu = process.cpuUsage();
  readonly #signal: AbortSignal;
  readonly #background: Background;
  #pool: WorkerPool | undefined;
  #reaper: Reaper | undefined;
  #workers = 0;
  #explained = '';
  #inputBytes = 0;
  #outputs: readonly CommittedOutput[] = [];

  constructor(options: JobOptions, memoryBytes: number) {
    this.#options = options;
    this.#env = options.env;
    this.#memoryBytes = memoryBytes;
    this.#startedMs = options.env.clock.monotonicMs();
    this.#startedAt = new Date(options.env.clock.nowMs()).toISOString();
    this.#signal = options.signal ?? new AbortController().signal;
    // Old files that cannot be removed are left to the next job.
    this.#background = new Background(() => {});
  }

  async run(): Promise<JobSummary> {
    const { program, workers } = this.#options;
    try {
      // They load the engine while the program is loaded and planned here.
      if ('path' in program && workers !== undefined && workers > 0) this.#startPool(workers);
      const flow =
        'path' in program
          ? (await this.#unlessCancelled(loadProgram(program, this.#env.fs))).flow
          : program.flow;
      const plan = boundPlan(buildPlan(flow, program.settings));
      this.#options.onEvent?.({ kind: 'built', plan });
      return await this.#runPlan(plan);
    } finally {
      this.#reaper?.close();
      await this.#pool?.close();
    }
  }

  async #runPlan(plan: Plan): Promise<JobSummary> {
    const { dataDirectory } = this.#options;
    const directory = new JobDirectory(this.#env, dataDirectory);
    const tally = new JobTally(
      this.#env.clock,
      plan.counters.map(({ name }) => name),
    );
    const emit = (event: JobEvent): void => {
      tally.take(event);
      this.#options.onEvent?.(event);
    };
    const finish = async (status: JobStatus, error?: unknown): Promise<JobSummary> => {
      await this.#background.settled();
      const summary = this.#summary(directory, plan, tally, status, error);
      recordEnd(directory, summary);
      emit({ kind: 'ended', summary });
      return summary;
    };
    directory.record(this.#summary(directory, plan, tally, 'running'));
    directory.makeTemporary();
    this.#background.run('tidy', tidyJobs(this.#env.fs, dataDirectory, directory.id));
    try {
      await this.#execute(plan, directory, tally, emit);
    } catch (cause) {
      await this.#pool?.close();
      await this.#cleanUp(directory);
      const error = whyCancelled(this.#signal) ?? ofJob(cause);
      const isCancelled = error instanceof MillraceError && error.code === 'ML_ABORTED';
      await finish(isCancelled ? 'cancelled' : 'failed', error);
      throw error;
    }
    await this.#cleanUp(directory);
    return finish('succeeded');
  }

  async #execute(
    plan: Plan,
    directory: JobDirectory,
    tally: JobTally,
    emit: (event: JobEvent) => void,
  ): Promise<void> {
    const { env } = this.#options;
    // It may wait for a person who types.
    const context: PlanContext = {
      env,
      directory: this.#options.directory,
      splitBytes: splitBytes(this.#options.splitBytes),
      brokers: this.#options.brokers,
      until: this.#options.until,
      spoolDirectory: directory.temporary,
    };
    const inputs = await this.#unlessCancelled(planInputs(plan, context));
    this.#inputBytes = inputs.bytes;
    const facts: PlanFacts = {
      sourceBytes: inputs.sourceBytes,
      partitions: this.#options.partitions,
      memoryBytes: this.#memoryBytes,
    };
    const graph = buildStages(plan, facts);
    this.#explained = `${explainPlan(plan)}\n\n${explainStages(plan, graph)}`;
    this.#workers = this.#chooseWorkers(inputs, graph);
    const commit = await this.#begin(plan, inputs, directory);
    try {
      emit({
        kind: 'planned',
        job: directory.id,
        flow: plan.name,
        graph,
        workers: this.#workers,
        inputBytes: inputs.bytes,
      });
      const runner = this.#runner(plan, graph, facts, emit);
      const results = await runStages({
        graph,
        tasksOf: (stage, done) =>
          planTasks(plan, graph, stage.id, {
            splits: inputs.splits,
            results: done,
            packBytes: packBytes({
              wanted: this.#options.splitBytes,
              inputBytes: inputs.bytes,
              sourceBytes: inputs.sourceBytes[stage.sources[0] ?? -1] ?? 0,
              writes: stage.writes.length > 0,
              workers: this.#workers,
            }),
            memoryBytes: this.#taskMemory(),
          }),
        prepare: (task, attempt, skippedRecordsMax) =>
          Promise.resolve(
            prepareAttempt({ plan, directory, commit, task, attempt, skippedRecordsMax }),
          ),
        discard: (spec) => this.#discard(spec),
        release: ({ id }) => {
          this.#background.run('release', env.fs.removeDirectory(directory.stageDirectory(id)));
        },
        runner,
        attemptsMax: TASK_ATTEMPTS,
        skippedRecordsMax: plan.onError.kind === 'skip' ? plan.onError.recordsMax : undefined,
        onEvent: emit,
        signal: this.#signal,
      });
      tally.takeExchanges(graph, results);
      emit({ kind: 'committing' });
      this.#outputs = await commit.commit(
        collectParts(plan, graph, results),
        this.#options.writeStdout,
      );
      await takeInputs(plan, inputs, context);
    } catch (error) {
      // A killed worker may still be writing where things are removed.
      await this.#pool?.close();
      await commit.abort();
      throw error;
    }
  }

  async #begin(plan: Plan, inputs: PlannedInputs, directory: JobDirectory): Promise<OutputCommit> {
    return OutputCommit.begin(this.#env, {
      jobId: directory.id,
      directory: this.#options.directory,
      outputs: outputsOf(plan),
      inputs: inputs.files,
      modules: 'path' in this.#options.program ? loadedModules() : [],
      overwrite: this.#options.overwrite === true,
      brokers: this.#options.brokers,
      describe: { pid: process.pid, startedMs: this.#env.clock.nowMs() },
      scratch: directory.temporary,
    });
  }

  /** In this process, or by workers: started now unless they were before. */
  #runner(
    plan: Plan,
    graph: StageGraph,
    facts: PlanFacts,
    emit: (event: JobEvent) => void,
  ): TaskRunner {
    const { env, directory, brokers } = this.#options;
    if (this.#workers === 0) {
      return new LocalRunner(plan, graph, {
        env,
        directory,
        brokers,
        storage: (path) => fileStorage(env.fs, path),
      });
    }
    const pool = this.#pool ?? this.#startPool(this.#workers);
    this.#emit = emit;
    for (const event of this.#early.splice(0)) emit(event);
    pool.prepare({ facts, fingerprint: plan.fingerprint });
    return pool;
  }

  /** Events of workers that were started before there was a job. */
  readonly #early: JobEvent[] = [];
  #emit: ((event: JobEvent) => void) | undefined;

  #startPool(size: number): WorkerPool {
    const { launcher, program, directory, brokers, node, environment, env } = this.#options;
    if (!('path' in program)) throw new MillraceError('ML_ASSERT', 'workers need a program');
    const pool = new WorkerPool({
      launcher,
      timers: env.timers,
      command: workerCommand(node, this.#memoryBytes / size),
      directory,
      environment: workerEnvironment(environment),
      init: { program, directory, brokers: brokers ?? null },
      size,
      onEvent: (event) => {
        if (event.kind === 'workerStarted') this.#reaper?.watch(event.pid);
        if (this.#emit === undefined) this.#early.push(event);
        else this.#emit(event);
      },
      onExit: (pid) => this.#reaper?.forget(pid),
    });
    this.#pool = pool;
    env.timers.after(REAPER_DELAY_MS, () => {
      if (pool.pids.length === 0) return;
      this.#reaper = startReaper(pool.pids);
    });
    return pool;
  }

  #chooseWorkers(inputs: PlannedInputs, graph: StageGraph): number {
    const { program, workers, cores } = this.#options;
    if (!('path' in program)) return 0;
    if (workers !== undefined) return workers;
    if (inputs.bytes <= IN_PROCESS_INPUT_BYTES_MAX) return 0;
    const widest = graph.exchanges.map(({ kind, partitions }) =>
      kind === 'range' ? cores : partitions,
    );
    return Math.max(1, Math.min(cores, Math.max(inputs.splitCount, ...widest)));
  }

  #taskMemory(): number {
    return Math.floor((this.#memoryBytes / Math.max(1, this.#workers)) * TASK_MEMORY_SHARE);
  }

  async #discard(spec: TaskSpec): Promise<void> {
    const { fs } = this.#env;
    await fs.removeDirectory(spec.directory);
    for (const { directory } of spec.writes) await fs.removeDirectory(directory);
    if (spec.skippedDirectory !== undefined) await fs.removeDirectory(spec.skippedDirectory);
  }

  /** What cannot be removed now is removed by the next job. */
  async #cleanUp(directory: JobDirectory): Promise<void> {
    try {
      await this.#background.settled();
      await directory.removeTemporary();
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
    }
  }

  /** As `work`, which is left alone when the job is cancelled. */
  async #unlessCancelled<Result>(work: Promise<Result>): Promise<Result> {
    const signal = this.#signal;
    let abort: () => void = () => {};
    const cancelled = new Promise<never>((_resolve, reject) => {
      abort = () => {
        reject(whyCancelled(signal) ?? new MillraceError('ML_ABORTED', 'the job was cancelled'));
      };
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
    });
    // Whichever settles second has nobody who listens.
    for (const promise of [work, cancelled]) promise.catch(() => {});
    try {
      return await Promise.race([work, cancelled]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #summary(
    directory: JobDirectory,
    plan: Plan,
    tally: JobTally,
    status: JobStatus,
    error?: unknown,
  ): JobSummary {
    const { program } = this.#options;
    const usage = this.#pool?.usage ?? [];
    const cpu = process.cpuUsage(this.#startCpu);
    const { maxRSS } = process.resourceUsage();
    return {
      id: directory.id,
      status,
      flow: plan.name,
      program: 'path' in program ? program.path : '',
      directory: this.#options.directory,
      process: ownIdentity(),
      startedAt: this.#startedAt,
      elapsedMs: Math.round(this.#env.clock.monotonicMs() - this.#startedMs),
      parameters: plan.parameters,
      fingerprint: plan.fingerprint,
      workers: this.#workers,
      memoryBytes: this.#memoryBytes,
      plan: this.#explained,
      stages: tally.stages,
      exchanges: tally.exchanges,
      counters: tally.counters,
      outputs: this.#outputs.map(({ path, records, bytes, files, isDirectory }) => ({
        path,
        records,
        bytes,
        files,
        isDirectory,
      })),
      skippedRecords: tally.skippedRecords,
      retries: tally.retries,
      workersLost: tally.workersLost,
      inputBytes: this.#inputBytes,
      residentBytesMax: usage.reduce((sum, each) => sum + each.residentBytesMax, maxRSS * 1024),
      cpuMs: Math.round(
        usage.reduce((sum, each) => sum + each.cpuMs, (cpu.user + cpu.system) / 1000),
      ),
      error: error === undefined ? null : errorToMessage(error),
    };
  }
}

/** What a job was cancelled for says more than that it was. */
function whyCancelled(signal: AbortSignal): MillraceError | undefined {
  const { reason } = signal as { readonly reason: unknown };
  return reason instanceof MillraceError ? reason : undefined;
}

/** A full disk may be why the job has ended: what has happened to its outputs does not depend on the record. */
function recordEnd(directory: JobDirectory, summary: JobSummary): void {
  try {
    directory.record(summary);
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
  }
}

/** An error in the words of a job, where those of a broker would mislead. */
function ofJob(error: unknown): unknown {
  if (!(error instanceof MillraceError) || error.code !== 'ML_DISK_FULL') return error;
  // Where stdout leads is full: by then the outputs have changed.
  if (error.fields['path'] === '-') return error;
  return new MillraceError(error.code, error.message, {
    cause: error,
    fields: error.fields,
    hint: 'No output was changed. `df -h` shows the device of that path: free space there, or let --data name a directory on another one, then run the job again',
  });
}

/**
 * Runs a flow without end in this process: one worker in this thread, or several in threads of their own; they share the work with each
 * other and with other processes through the group of the flow. What stops one stops all: the first error is that of the flow.
 */
import type { Timers } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import {
  STREAM_COMMIT_INTERVAL_MS,
  STREAM_SESSION_MS,
  STREAM_TOPIC_CHECK_MS,
  STREAM_TRANSACTION_MS,
  STREAM_TRANSACTION_MS_MAX,
  STREAM_USED_MS,
  STREAM_WORKERS_MAX,
} from '../../../core/stream-limits.ts';
import type { TaskId, Topology } from '../topology.ts';
import { taskName } from '../worker/assign-tasks.ts';
import type { AssignmentData } from '../worker/member-data.ts';
import type { WorkerEvent } from '../worker/worker-types.ts';
import type { TaskAnswer, TaskQuestion } from './answer-question.ts';
import { type FlowInstance, openInstance } from './flow-instance.ts';
import { flowMetrics } from './flow-metrics.ts';
import { checkTopics } from './flow-topics.ts';
import type { FlowEvent, FlowMetrics, RunFlowOptions, RunningFlow } from './flow-types.ts';
import { elsewhere, startLocalWorker } from './local-worker.ts';
import { type PreparedFlow, prepareFlow } from './prepare-flow.ts';
import { startThreadWorker } from './thread-worker.ts';
import type { ThreadStart, WorkerSettings } from './thread-messages.ts';
import type { WorkerHandle } from './worker-handle.ts';
import { adoptEpoch, markUsed, readClaims, saveClaims } from './worker-directory.ts';

/**
 * Starts a flow. Returns at once: `ready` and `done` say what becomes of it.
 * @throws {MillraceError} ML_CONFIG_INVALID
 */
export function runFlow(options: RunFlowOptions): RunningFlow {
  const workers = options.workers ?? 0;
  if (!Number.isInteger(workers) || workers < 0 || workers > STREAM_WORKERS_MAX) {
    throw new MillraceError(
      'ML_CONFIG_INVALID',
      `a flow has 0 to ${STREAM_WORKERS_MAX} worker threads, not ${workers}`,
      { hint: 'Correct --workers', fields: { workers } },
    );
  }
  return new FlowRun(options);
}

class FlowRun implements RunningFlow {
  readonly name: string;
  readonly ready: Promise<void>;
  readonly done: Promise<void>;
  readonly #options: RunFlowOptions;
  readonly #stopping = new AbortController();
  #workers: readonly WorkerHandle[] = [];
  /** Of each worker whether it has processed. */
  readonly #isReady = new Set<number>();
  #becomeReady: () => void = () => {};
  #topology: Topology | undefined;
  #assignment: AssignmentData | undefined;
  #generation = 0;

  constructor(options: RunFlowOptions) {
    this.#options = options;
    this.name = options.plan.name;
    const isReady = new Promise<void>((resolve) => {
      this.#becomeReady = resolve;
    });
    this.done = this.#run();
    this.ready = Promise.race([isReady, this.done]);
    // Who waits for neither is told by `done` alone; a rejection that nobody takes would end the process.
    this.ready.catch(() => {});
    this.done.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const worker of this.#workers) worker.stop();
    await this.done.catch(() => {});
  }

  metrics(): FlowMetrics {
    const known = this.#workers.flatMap((worker) => worker.status() ?? []);
    return flowMetrics(this.name, known);
  }

  assignment(): AssignmentData | undefined {
    return this.#assignment;
  }

  topology(): Topology | undefined {
    return this.#topology;
  }

  /** Of global tables, which are of no stage, any worker with work has all. */
  ask(task: TaskId, question: TaskQuestion): Promise<TaskAnswer> {
    const name = taskName(task);
    const worker = this.#workers.find((handle) =>
      handle.status()?.tasks.some((status) => task.stage < 0 || taskName(status.task) === name),
    );
    return worker === undefined
      ? Promise.reject(elsewhere(this.name, task))
      : worker.ask(task, question);
  }

  get #workerCount(): number {
    return Math.max(1, this.#options.workers ?? 0);
  }

  async #run(): Promise<void> {
    const { log, plan, dataDirectory, partitions, waitForTopics } = this.#options;
    const { signal } = this.#stopping;
    const instance = await openInstance(log.env, dataDirectory, plan.name);
    try {
      const prepared = await prepareFlow(log, plan, {
        partitions,
        onMissing:
          waitForTopics === false
            ? undefined
            : (topics) => {
                this.#tell({ kind: 'waiting', topics });
              },
        signal,
      });
      this.#topology = prepared.topology;
      const { directory } = instance;
      await adoptEpoch(log.env, directory, prepared.epoch, this.#workerCount);
      if (!signal.aborted) await this.#work(prepared, instance);
    } catch (error) {
      // Stopped before there was anything to stop.
      const isStopped =
        signal.aborted && error instanceof MillraceError && error.code === 'ML_ABORTED';
      if (!isStopped) throw error;
    } finally {
      instance.release();
    }
  }

  async #work(prepared: PreparedFlow, instance: FlowInstance): Promise<void> {
    this.#workers = Array.from({ length: this.#workerCount }, (_, index) =>
      this.#start(prepared, instance, index),
    );
    const all = this.#workers.map((worker) => worker.done);
    const ends: PromiseSettledResult<unknown>[] = await Promise.allSettled([
      Promise.race([Promise.all(all), this.#watch(prepared, instance)]),
    ]);
    this.#stopping.abort();
    for (const worker of this.#workers) worker.stop();
    ends.push(...(await Promise.allSettled(all)));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  #start(prepared: PreparedFlow, instance: FlowInstance, index: number): WorkerHandle {
    const { log, atStep, workers } = this.#options;
    const settings = this.#settings(instance, index);
    const onEvent = (event: WorkerEvent): void => {
      this.#onEvent(instance, index, event);
    };
    if ((workers ?? 0) === 0) {
      return startLocalWorker({
        log,
        topology: prepared.topology,
        settings,
        onEvent,
        atStep: atStep === undefined ? undefined : (step) => atStep(step, index),
      });
    }
    return startThreadWorker(this.#threadStart(prepared, settings), onEvent);
  }

  #threadStart(prepared: PreparedFlow, settings: WorkerSettings): ThreadStart {
    const { plan, program, connection } = this.#options;
    if (program === undefined || connection === undefined) {
      throw new MillraceError(
        'ML_CONFIG_INVALID',
        'a flow that was built in this process can only run in this thread: workers: 0',
        { hint: 'Export the flow from a module, and run that with `millrace run`' },
      );
    }
    return {
      program,
      fingerprint: plan.fingerprint,
      partitionsByTopic: prepared.partitionsByTopic,
      connection:
        connection.kind === 'port' ? { kind: 'port', port: connection.port() } : connection,
      worker: settings,
    };
  }

  #settings(instance: FlowInstance, index: number): WorkerSettings {
    const { log, plan, address, from, commitIntervalMs, sessionMs, partitions } = this.#options;
    const directory = `${instance.directory}/worker-${index}`;
    log.env.fs.makeDirectory(directory);
    return {
      label: `${instance.id}-${index}`,
      directory,
      state: this.#options.state ?? 'disk',
      claims: readClaims(log.env, directory),
      address,
      from: from ?? 'beginning',
      commitIntervalMs: commitIntervalMs ?? STREAM_COMMIT_INTERVAL_MS,
      sessionMs: sessionMs ?? STREAM_SESSION_MS,
      transactionMs: transactionMs(plan),
      partitions,
    };
  }

  #onEvent(instance: FlowInstance, worker: number, event: WorkerEvent): void {
    if (event.kind === 'assigned') {
      if (event.generation >= this.#generation) this.#assignment = event.data;
      this.#generation = Math.max(this.#generation, event.generation);
      saveClaims(this.#options.log.env, `${instance.directory}/worker-${worker}`, event.tasks);
    }
    if (event.kind === 'running') {
      this.#isReady.add(worker);
      if (this.#isReady.size === this.#workerCount) this.#becomeReady();
    }
    this.#tell({ kind: 'worker', worker, event });
  }

  #tell(event: FlowEvent): void {
    this.#options.onEvent?.(event);
  }

  /**
   * Looks now and then whether the topics are still the same, and says that the state here is in use. Resolves when the flow stops.
   * @throws {MillraceError} ML_TOPIC_MISSING, ML_TOPIC_CHANGED
   */
  async #watch({ sources, epoch }: PreparedFlow, { directory }: FlowInstance): Promise<void> {
    const { log } = this.#options;
    const { clock, timers } = log.env;
    let markMs = clock.monotonicMs() + STREAM_USED_MS;
    while (await isAfter(timers, STREAM_TOPIC_CHECK_MS, this.#stopping.signal)) {
      // The workers meet what passes, too, and say so. A mark that is not written costs time at the next start, and nothing else.
      await passing(checkTopics(log, sources));
      if (clock.monotonicMs() < markMs) continue;
      markMs += STREAM_USED_MS;
      await passing(markUsed(log.env, directory, epoch));
    }
  }
}

/** False when it was called off. */
async function isAfter(timers: Timers, delayMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await timers.sleep(delayMs, signal);
    return true;
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'ML_ABORTED') return false;
    throw error;
  }
}

async function passing(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof MillraceError && error.retriable)) throw error;
  }
}

/** A transaction may have to wait for calls of the program that wait themselves; brokers allow no more than a bound. */
function transactionMs(plan: RunFlowOptions['plan']): number {
  let longest = 0;
  for (const node of plan.nodes)
    if (node.kind === 'asyncMap') longest = Math.max(longest, node.timeoutMs * node.attempts);
  return Math.min(STREAM_TRANSACTION_MS + longest, STREAM_TRANSACTION_MS_MAX);
}

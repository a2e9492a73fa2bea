/**
 * Worker processes of one job: started in the beginning, replaced when they end, killed at the end. A worker runs one attempt at a
 * time; what it writes to its standard output and error is passed on line by line, never taken for data.
 */
import type { ChildExit, ChildProcess, ProcessLauncher } from '../../../core/child-process.ts';
import type { Timers } from '../../../core/env.ts';
import { MillraceError } from '../../../core/errors.ts';
import {
  WORKER_CANCEL_MS,
  WORKER_LAST_LINES,
  WORKER_START_FAILURES_MAX,
  WORKER_START_KILLS_MAX,
} from '../../../core/limits.ts';
import type { JobEvent } from '../job/job-events.ts';
import { OutputLines } from './output-lines.ts';
import type { InitMessage, PlanMessage, WorkerUsage } from './messages.ts';
import type { TaskResult, TaskSpec } from '../stage.ts';
import type { AttemptHooks, TaskRunner } from '../job/task-runner.ts';
import { WorkerLink } from './worker-link.ts';

export interface WorkerPoolOptions {
  readonly launcher: ProcessLauncher;
  readonly timers: Timers;
  readonly command: readonly [string, ...string[]];
  readonly directory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly init: InitMessage;
  readonly size: number;
  readonly onEvent: (event: JobEvent) => void;
  /** A worker process has ended, expected or not. */
  readonly onExit: (pid: number) => void;
}

interface Worker {
  /** From 1; a replacement gets a new number. */
  readonly number: number;
  readonly pid: number;
  readonly link: WorkerLink;
  readonly kill: () => void;
}

interface Waiter {
  readonly take: (worker: Worker) => void;
  readonly reject: (error: unknown) => void;
}

export class WorkerPool implements TaskRunner {
  readonly slots: number;
  readonly #options: WorkerPoolOptions;
  readonly #workers = new Set<Worker>();
  readonly #idle: Worker[] = [];
  readonly #waiters: Waiter[] = [];
  readonly #usage = new Map<number, WorkerUsage>();
  #plan: PlanMessage | undefined;
  #launched = 0;
  #startFailures = 0;
  #startKills = 0;
  #isClosing = false;
  /** Why no worker can do anything. */
  #failure: Error | undefined;
  #onEmpty: () => void = () => {};

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.slots = options.size;
    for (let index = 0; index < options.size; index++) this.#launch();
  }

  /** Process ids of the workers that live. */
  get pids(): readonly number[] {
    return [...this.#workers].map(({ pid }) => pid);
  }

  /** What all workers there have been took, by their own account. */
  get usage(): readonly WorkerUsage[] {
    return [...this.#usage.values()];
  }

  /** Tells all workers, and those to come, what the stages are built from. Once, before `run`. */
  prepare(plan: PlanMessage): void {
    this.#plan = plan;
    for (const { link } of this.#workers) link.prepare(plan);
  }

  async run(spec: TaskSpec, hooks: AttemptHooks): Promise<TaskResult> {
    const worker = await this.#acquire();
    hooks.started({ worker: worker.number, pid: worker.pid });
    try {
      const { result, usage } = await worker.link.run(spec, hooks.progress);
      this.#usage.set(worker.number, usage);
      return result;
    } finally {
      if (this.#workers.has(worker)) this.#offer(worker);
    }
  }

  cancel(): void {
    this.#isClosing = true;
    this.#rejectWaiters(cancelled());
    for (const worker of this.#workers) {
      if (worker.link.isBusy) worker.link.cancel();
      else worker.kill();
    }
    this.#options.timers.after(WORKER_CANCEL_MS, () => {
      this.#killAll();
    });
  }

  /** Ends all workers; resolves when they have ended and can write nothing any more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#killAll();
    if (this.#workers.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  #killAll(): void {
    for (const worker of this.#workers) worker.kill();
  }

  #acquire(): Promise<Worker> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#isClosing) return Promise.reject(cancelled());
    const worker = this.#idle.shift();
    if (worker !== undefined) return Promise.resolve(worker);
    return new Promise((take, reject) => {
      this.#waiters.push({ take, reject });
      this.#refill();
    });
  }

  #offer(worker: Worker): void {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#idle.push(worker);
    else waiter.take(worker);
  }

  /** Replaces workers that have ended, if somebody waits for one. */
  #refill(): void {
    if (this.#isClosing || this.#waiters.length === 0) return;
    while (this.#workers.size < this.slots && this.#failure === undefined) this.#launch();
  }

  #launch(): void {
    const { launcher, command, directory, environment, init, onEvent } = this.#options;
    const number = ++this.#launched;
    let isDying = false;
    const lines = new OutputLines((line) => {
      // What V8 says when its heap is full is for people who work on V8: the error says it better.
      isDying ||= HEAP_REPORT.test(line);
      if (!isDying) onEvent({ kind: 'output', worker: number, line });
    });
    const child: ChildProcess = launcher.launch(
      { command, directory, environment, output: 'handlers' },
      {
        data: (chunk) => {
          link.receive(chunk);
        },
        output: (stream, chunk) => {
          lines.push(stream, chunk);
        },
        closed: (exit) => {
          lines.end();
          this.#ended(worker, exit, lines.last);
        },
      },
    );
    const kill = (): void => {
      child.kill();
    };
    const link = new WorkerLink(
      {
        send: (frame) => {
          child.write(frame);
        },
        onReady: () => {
          this.#startFailures = this.#startKills = 0;
          this.#offer(worker);
        },
        onFailed: (error) => {
          this.#fail(error);
          kill();
        },
        onLog: (line) => {
          onEvent({ kind: 'output', worker: number, line });
        },
      },
      init,
    );
    const worker: Worker = { number, pid: child.pid ?? 0, link, kill };
    this.#workers.add(worker);
    if (this.#plan !== undefined) link.prepare(this.#plan);
    if (child.pid !== undefined) onEvent({ kind: 'workerStarted', worker: number, pid: child.pid });
  }

  #ended(worker: Worker, exit: ChildExit, lastLines: readonly string[]): void {
    const { number, pid, link } = worker;
    const { wasReady } = link;
    this.#workers.delete(worker);
    this.#options.onExit(pid);
    const index = this.#idle.indexOf(worker);
    if (index >= 0) this.#idle.splice(index, 1);
    const error = lostError(number, pid, exit, lastLines, wasReady);
    link.end(error);
    if (this.#workers.size === 0) this.#onEmpty();
    if (this.#isClosing) return;
    this.#options.onEvent({ kind: 'workerLost', worker: number, pid, reason: error.message });
    if (!wasReady && this.#cannotStart(exit)) this.#fail(error);
    this.#refill();
  }

  /** Whether it makes no sense to start another one, after one that ended before it was ready. */
  #cannotStart({ signal }: ChildExit): boolean {
    if (signal === undefined) return ++this.#startFailures >= WORKER_START_FAILURES_MAX;
    return ++this.#startKills >= WORKER_START_KILLS_MAX;
  }

  /** No worker can be had: all that wait fail, and go on failing. */
  #fail(error: Error): void {
    this.#failure ??= error;
    this.#rejectWaiters(error);
  }

  #rejectWaiters(error: Error): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }
}

function cancelled(): MillraceError {
  return new MillraceError('ML_ABORTED', 'the job was cancelled');
}

const HEAP_REPORT = /^(?:<--- Last few GCs|FATAL ERROR: .*heap)/;

/** What can be said about the end of a worker. */
function lostError(
  number: number,
  pid: number,
  exit: ChildExit,
  lastLines: readonly string[],
  wasReady: boolean,
): MillraceError {
  const when = wasReady || exit.error !== undefined ? '' : ' before it was ready';
  const process = pid > 0 ? ` (process ${pid})` : '';
  const isHeap = lastLines.some((line) => line.includes('heap out of memory'));
  const how = isHeap ? 'ran out of memory' : howItEnded(exit);
  const { error } = exit;
  const hint = isHeap
    ? 'The functions of the program hold more than a worker may: raise --memory, or lower --workers'
    : exit.code !== undefined
      ? 'Look at what the worker wrote last, and for what ends a process in the program'
      : error instanceof MillraceError
        ? error.hint
        : undefined;
  const said = lastLines.slice(-WORKER_LAST_LINES).join('\n');
  return new MillraceError('ML_WORKER_LOST', `worker ${number}${process} ${how}${when}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(said === '' ? {} : { cause: new Error(`it wrote last:\n${said}`) }),
    // Who cannot start once cannot start again; then the pool gives up.
    retriable: wasReady,
    fields: { worker: number, pid },
  });
}

function howItEnded({ code, signal, error }: ChildExit): string {
  if (error !== undefined) return `could not be started: ${error.message}`;
  return signal === undefined ? `ended with exit code ${code ?? '?'}` : `was ended by ${signal}`;
}

/**
 * What a worker process runs: the engine behind a session, on the pipe to the driver. It ends when the pipe does, so that a driver
 * that was killed leaves nobody behind.
 */
import { openParentPipe } from '../../../core/child-process.ts';
import { realEnv } from '../../../core/real-env.ts';
import type { Plan } from '../../../flow/plan.ts';
import { fileStorage } from '../exchange/run-storage.ts';
import { programChanged } from './fingerprint.ts';
import { boundPlan } from '../../bounded/bound-plan.ts';
import { buildPlan, loadProgram } from '../program/load-program.ts';
import type { DoneMessage, InitMessage, PlanMessage } from './messages.ts';
import { buildStages } from '../planning/plan-stages.ts';
import { exitProcess } from '../program/process-exit.ts';
import { runTask } from '../task/run-task.ts';
import type { StageGraph, TaskProgress, TaskSpec } from '../stage.ts';
import { watchStrays } from './stray-errors.ts';
import { WorkerSession, type SessionEngine } from './worker-session.ts';

const BROKEN_EXIT_CODE = 70;

/** The engine of this process. */
class Engine implements SessionEngine {
  readonly #env = realEnv();
  #init: InitMessage | undefined;
  #plan: Plan | undefined;
  #graph: StageGraph | undefined;

  async load(init: InitMessage): Promise<string> {
    this.#init = init;
    const { flow } = await loadProgram(init.program, this.#env.fs);
    this.#plan = boundPlan(buildPlan(flow, init.program.settings));
    return this.#plan.fingerprint;
  }

  prepare({ facts, fingerprint }: PlanMessage): void {
    const plan = this.#plan;
    if (plan === undefined || plan.fingerprint !== fingerprint) {
      throw programChanged(this.#init?.program.path ?? '');
    }
    this.#graph = buildStages(plan, facts);
  }

  async run(
    spec: TaskSpec,
    onProgress: (progress: TaskProgress) => void,
    signal: AbortSignal,
  ): Promise<DoneMessage> {
    const [plan, graph, init] = [this.#plan, this.#graph, this.#init];
    if (plan === undefined || graph === undefined || init === undefined) {
      throw new Error('a task came before the plan');
    }
    const result = await watchStrays(this.#env.timers, () =>
      runTask(plan, graph, spec, {
        env: this.#env,
        directory: init.directory,
        brokers: init.brokers ?? undefined,
        storage: (directory) => fileStorage(this.#env.fs, directory),
        signal,
        onProgress,
      }),
    );
    const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
    return {
      result,
      usage: { residentBytesMax: maxRSS * 1024, cpuMs: (userCPUTime + systemCPUTime) / 1000 },
    };
  }
}

const session = new WorkerSession({
  engine: new Engine(),
  send: (frame) => {
    pipe.write(frame);
  },
  onBroken: (error) => {
    process.stderr.write(`${String(error.stack)}\n`);
    exitProcess(BROKEN_EXIT_CODE);
  },
});
const pipe = openParentPipe(
  (chunk) => {
    session.receive(chunk);
  },
  () => exitProcess(),
);

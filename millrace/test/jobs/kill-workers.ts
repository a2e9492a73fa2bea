/**
 * Runs a job from the sources and kills workers as it is told, for the tests beside it: `node kill-workers.ts '<JSON of KillPlan>'`.
 * A process of its own, because a program has to be loaded by Node, not by the test runner. Prints what happened as JSON.
 */
import { realLauncher } from '../../src/core/child-process.ts';
import { realEnv } from '../../src/core/real-env.ts';
import { runJob } from '../../src/engine/batch/job/driver.ts';
import type { JobEvent } from '../../src/engine/batch/job/job-events.ts';
import type { JobSummary } from '../../src/engine/batch/job/job-summary.ts';
import { errorToMessage, type ErrorMessage } from '../../src/engine/batch/workers/messages.ts';

export interface KillPlan {
  readonly program: string;
  readonly directory: string;
  readonly data: string;
  readonly workers: number;
  readonly settings?: Readonly<Record<string, string>>;
  readonly splitBytes: number;
  readonly partitions: number;
  /** Worker that runs an attempt of these tasks is killed at that event, so often. */
  readonly kills: readonly {
    readonly at: 'taskStarted' | 'taskProgress' | 'taskDone';
    readonly stage: number;
    /** undefined: any task. */
    readonly task?: number;
    readonly times: number;
  }[];
}

export interface KillReport {
  readonly summary: JobSummary | undefined;
  readonly error: ErrorMessage | undefined;
  readonly killed: number;
  readonly retried: number;
}

async function main(plan: KillPlan): Promise<void> {
  const left = plan.kills.map(({ times }) => times);
  const runners = new Map<string, number>();
  let summary: JobSummary | undefined;
  let error: ErrorMessage | undefined;
  let killed = 0;
  let retried = 0;
  const onEvent = (event: JobEvent): void => {
    if (event.kind === 'ended') summary = event.summary;
    if (event.kind === 'taskFailed' && event.retries) retried++;
    if (event.kind === 'taskStarted') runners.set(`${event.stage}.${event.task}`, event.pid);
    for (const [index, kill] of plan.kills.entries()) {
      if (event.kind !== kill.at || event.stage !== kill.stage || left[index] === 0) continue;
      if (kill.task !== undefined && kill.task !== event.task) continue;
      const pid = runners.get(`${event.stage}.${event.task}`);
      if (pid === undefined || pid === process.pid) continue;
      left[index] = (left[index] ?? 0) - 1;
      killed++;
      process.kill(pid, 'SIGKILL');
    }
  };
  try {
    await runJob({
      env: realEnv(),
      launcher: realLauncher,
      program: { path: plan.program, settings: plan.settings ?? {} },
      directory: plan.directory,
      dataDirectory: plan.data,
      workers: plan.workers,
      splitBytes: plan.splitBytes,
      partitions: plan.partitions,
      cores: plan.workers,
      overwrite: true,
      node: process.execPath,
      environment: process.env,
      writeStdout: () => Promise.resolve(),
      onEvent,
    });
  } catch (failure) {
    error = errorToMessage(failure);
  }
  const report: KillReport = { summary, error, killed, retried };
  process.stdout.write(JSON.stringify(report));
}

await main(JSON.parse(process.argv[2] ?? '') as KillPlan);

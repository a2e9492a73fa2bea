/** `millrace run` of a flow that has an end, by itself or by `--until`: by the batch engine. */
import { availableParallelism } from 'node:os';
import { realLauncher } from '../core/child-process.ts';
import type { Env } from '../core/env.ts';
import { runJob } from '../engine/batch/job/driver.ts';
import type { JobEvent } from '../engine/batch/job/job-events.ts';
import type { JobSummary } from '../engine/batch/job/job-summary.ts';
import type { ProgramRef } from '../engine/batch/program/program.ts';
import type { Plan } from '../flow/plan.ts';
import type { Until } from '../flow/source.ts';
import type { ProgramProcess } from './program-process.ts';
import { parseLimits, type RunFlags } from './run-options.ts';
import { brokersOf } from './brokers.ts';
import { LOOPBACK, openTopicLog } from './topic-log.ts';

export interface JobRun {
  readonly env: Env;
  readonly plan: Plan;
  readonly program: ProgramRef;
  readonly flags: RunFlags;
  readonly until: Until | undefined;
  /** Absolute. */
  readonly dataDirectory: string;
  readonly process: ProgramProcess;
  readonly onEvent: (event: JobEvent) => void;
  /** Takes lines for the person. */
  readonly say: (line: string) => void;
}

/** @throws {MillraceError} what the job has failed with */
export async function runBounded(run: JobRun): Promise<JobSummary> {
  const { env, plan, flags, dataDirectory, say } = run;
  const named = brokersOf(flags.brokers);
  if (named !== undefined || !touchesTopics(plan)) return start(run, named);
  // Tasks may be in other processes.
  const topics = await openTopicLog(env, {
    brokers: undefined,
    dataDirectory,
    kafka: LOOPBACK,
    say,
  });
  try {
    return await start(run, topics.brokers);
  } finally {
    await topics.close();
  }
}

function start(run: JobRun, brokers: string | undefined): Promise<JobSummary> {
  const { env, program, flags, until, dataDirectory } = run;
  return runJob({
    env,
    launcher: realLauncher,
    program,
    directory: process.cwd(),
    dataDirectory,
    ...parseLimits(flags),
    cores: availableParallelism(),
    overwrite: flags.overwrite,
    brokers,
    until,
    node: process.execPath,
    environment: process.env,
    writeStdout: run.process.stdout,
    onEvent: run.onEvent,
    signal: run.process.signal,
  });
}

/** Whether the plan reads or writes any. */
export function touchesTopics({ nodes, onError }: Plan): boolean {
  if (onError.kind === 'skip' && onError.sink.topic !== undefined) return true;
  return nodes.some((node) => {
    if (node.kind === 'source') return node.source.topic !== undefined;
    return node.kind === 'write' && node.sink.topic !== undefined;
  });
}

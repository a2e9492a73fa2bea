/** `millrace run`: a program, to its end or without one. */
import { resolve } from 'node:path';
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { realEnv } from '../core/real-env.ts';
import type { JobEvent } from '../engine/batch/job/job-events.ts';
import type { JobSummary } from '../engine/batch/job/job-summary.ts';
import { buildPlan, loadProgram } from '../engine/batch/program/load-program.ts';
import { exitProcess } from '../engine/batch/program/process-exit.ts';
import type { ProgramRef } from '../engine/batch/program/program.ts';
import { errorToMessage } from '../engine/batch/workers/messages.ts';
import { sourceTopics } from '../engine/stream/runner/prepare-flow.ts';
import type { Plan } from '../flow/plan.ts';
import type { Until } from '../flow/source.ts';
import { hasTopics } from '../flow/stream-faults.ts';
import { dataDirectory } from './data-directory.ts';
import { EXIT, report, say } from './io.ts';
import { formatJobError, formatSummary } from './job-report.ts';
import {
  columns,
  type Ending,
  openProgramProcess,
  type ParentTold,
  type ProgramProcess,
  reasonOf,
  tellParent,
} from './program-process.ts';
import { runBounded } from './run-job.ts';
import { parseLimits, parseParameters, type RunFlags } from './run-options.ts';
import { RunProgress } from './run-progress.ts';
import { runStream } from './run-stream.ts';
import { checkBounded, checkUntil, parseStream, parseUntil } from './stream-options.ts';
import type { StreamProgress } from './stream-progress.ts';
import { watchProgram } from './watch.ts';

/** Sets the exit code. @throws {MillraceError} ML_USAGE */
export async function run(program: string, flags: RunFlags): Promise<void> {
  const env = realEnv();
  const asked = {
    path: resolve(program),
    until: flags.until === undefined ? undefined : parseUntil(flags.until, env.clock),
    settings: parseParameters(flags.set ?? []),
  };
  parseLimits(flags);
  if (flags.watch === true) {
    await watchProgram(env, asked.path);
    return;
  }
  const parent = flags.watched === true ? tellParent() : undefined;
  const outcome = new Outcome(env, flags);
  const ownProcess = openProgramProcess(env, outcome);
  try {
    await runProgram({ env, flags, ...asked }, { outcome, ownProcess, parent });
    process.exitCode = EXIT.ok;
  } catch (error) {
    process.exitCode = outcome.fail(error);
  }
  if (flags.json === true) await outcome.printJson(ownProcess.stdout);
  await parent?.end();
  ownProcess.close();
  // Whatever the program still has open: the run has ended.
  exitProcess();
}

interface Asked {
  readonly env: Env;
  readonly flags: RunFlags;
  readonly path: string;
  readonly settings: ProgramRef['settings'];
  readonly until: Until | undefined;
}

interface Surroundings {
  readonly outcome: Outcome;
  readonly ownProcess: ProgramProcess;
  readonly parent: ParentTold | undefined;
}

async function runProgram(
  { env, flags, path, settings, until }: Asked,
  { outcome, ownProcess, parent }: Surroundings,
): Promise<void> {
  const program: ProgramRef = { path, flow: flags.flow, settings };
  const { flow } = await unlessCancelled(loadProgram(program, env.fs), ownProcess.signal);
  const plan = buildPlan(flow, settings);
  const common = {
    env,
    plan,
    program,
    flags,
    dataDirectory: dataDirectory(flags.data),
    process: ownProcess,
  };
  const readsTopics = hasTopics(plan);
  if (readsTopics && until === undefined) {
    const options = parseStream(flags, env.clock);
    outcome.isStream = true;
    // It may go on for long: what it was made of is watched meanwhile.
    parent?.tell();
    const onProgress = (progress: StreamProgress): void => {
      outcome.showStream(progress);
    };
    await runStream({ ...common, options, onProgress });
    outcome.isSettled = true;
    return;
  }
  checkBounded(flags, plan, readsTopics);
  if (until !== undefined) checkUntil(until, sourceTopics(plan));
  const summary = await runBounded({
    ...common,
    until,
    onEvent: (event) => {
      outcome.take(event);
    },
    say: (line) => {
      outcome.say(`${line}\n`);
    },
  });
  if (flags.quiet !== true && flags.json !== true) outcome.say(formatSummary(summary, columns()));
}

/** A program may take long to load. */
async function unlessCancelled<Result>(
  work: Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  const cancelled = new Promise<never>((_resolve, reject) => {
    const fail = (): void => {
      reject(reasonOf(signal) ?? new MillraceError('ML_ABORTED', 'the run was cancelled'));
    };
    if (signal.aborted) fail();
    signal.addEventListener('abort', fail);
  });
  return Promise.race([work, cancelled]);
}

/** What there is to say of a run. */
class Outcome implements Ending {
  isSettled = false;
  /** It has no end, and JSON is a line for each event. */
  isStream = false;
  readonly #progress: RunProgress;
  #stream: StreamProgress | undefined;
  #plan: Plan | undefined;
  #summary: JobSummary | undefined;
  #error: unknown;

  constructor(env: Env, flags: RunFlags) {
    const isTerminal = process.stderr.isTTY;
    this.#progress = new RunProgress({
      env,
      write: (text) => void process.stderr.write(text),
      isTerminal,
      hasColour: isTerminal && process.env['NO_COLOR'] === undefined,
      columns,
      isQuiet: flags.quiet === true,
    });
  }

  showStream(progress: StreamProgress): void {
    this.#stream = progress;
  }

  take(event: JobEvent): void {
    if (event.kind === 'built') this.#plan = event.plan;
    if (event.kind === 'ended') {
      this.isSettled = true;
      this.#summary = event.summary;
    }
    this.#progress.take(event);
  }

  say(text: string): void {
    this.#progress.stop();
    process.stderr.write(text);
  }

  /** Says why the run has failed; returns the exit code. */
  fail(error: unknown): number {
    this.isSettled = true;
    this.#error = error;
    this.#progress.stop();
    this.#stream?.close();
    if (!(error instanceof MillraceError)) return report(error);
    if (error.code === 'ML_ABORTED') {
      say('cancelled; no output was changed');
      return EXIT.interrupted;
    }
    say(formatJobError(error));
    return error.code === 'ML_USAGE' || error.code === 'ML_CONFIG_INVALID'
      ? EXIT.usage
      : EXIT.failed;
  }

  /** One document, on stdout unless that is where the records go; of a run without end the last event, when it has failed. */
  async printJson(stdout: (text: string) => Promise<void>): Promise<void> {
    const error = errorToMessage(this.#error);
    if (this.isStream) {
      if (this.#error !== undefined)
        await stdout(`${JSON.stringify({ event: 'failed', error })}\n`);
      return;
    }
    const text = `${JSON.stringify(this.#summary ?? { status: 'failed', error })}\n`;
    const isTaken = this.#plan?.nodes.some(
      (node) => node.kind === 'write' && node.sink.target.kind === 'stdout',
    );
    if (isTaken === true) process.stderr.write(text);
    else await stdout(text);
  }
}

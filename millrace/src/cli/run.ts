/** `millrace run`: a program over bounded inputs, to its end. */
import { Console } from 'node:console';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { openParentPipe, realLauncher } from '../core/child-process.ts';
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { endWhenStuck } from '../core/processes.ts';
import { realEnv } from '../core/real-env.ts';
import { systemError } from '../core/system-error.ts';
import { runJob } from '../engine/batch/job/driver.ts';
import type { JobEvent } from '../engine/batch/job/job-events.ts';
import type { JobSummary } from '../engine/batch/job/job-summary.ts';
import { loadedModules } from '../engine/batch/program/load-program.ts';
import { errorToMessage } from '../engine/batch/workers/messages.ts';
import { exitProcess } from '../engine/batch/program/process-exit.ts';
import { onUnwatchedStray, strayError } from '../engine/batch/workers/stray-errors.ts';
import type { Plan } from '../flow/plan.ts';
import { dataDirectory } from './data-directory.ts';
import { EXIT, OutputClosed, report, say } from './io.ts';
import { formatJobError, formatSummary } from './job-report.ts';
import { parseLimits, parseParameters, type RunFlags } from './run-options.ts';
import { RunProgress } from './run-progress.ts';
import { watchProgram } from './watch.ts';

/** Where there is no terminal. */
const COLUMNS = 100;
/** Ctrl-C reaches `npm` and its child, which passes it on: the second one of these is the same. */
const SAME_SIGNAL_MS = 500;
/** For so long a job may put away what it has, when an error that nobody waits for ends it. */
const STRAY_MS = 2_000;
/** A program that is in a loop is given up so long after Ctrl-C. */
const STUCK_SECONDS = 3;
const STUCK =
  'cancelled: the program was in the middle of something, and was ended. No output was changed; the next job removes what is left';

/** Sets the exit code. @throws {MillraceError} ML_USAGE */
export async function run(program: string, flags: RunFlags): Promise<void> {
  const path = resolve(program);
  const limits = parseLimits(flags);
  const settings = parseParameters(flags.set ?? []);
  const env = realEnv();
  if (flags.watch === true) {
    await watchProgram(env, path);
    return;
  }
  const tellModules = flags.watched === true ? tellParent() : undefined;
  const stdout = keepStdout();
  const outcome = new Outcome(env, flags);
  const stuck = isAtTerminal() ? endWhenStuck(STUCK_SECONDS, STUCK) : undefined;
  const cancel = new AbortController();
  cancelOnSignal(env, () => {
    // Who hears of it is not stuck.
    stuck?.close();
    cancel.abort();
  });
  expectEnd(env, outcome, cancel);
  onUnwatchedStray((error) => {
    const stray = strayError(error);
    cancel.abort(stray);
    // A program that is still loading does not hear of it.
    env.timers.after(STRAY_MS, () => exitProcess(outcome.fail(stray)));
  });
  try {
    const summary = await runJob({
      env,
      launcher: realLauncher,
      program: { path, flow: flags.flow, settings },
      directory: process.cwd(),
      dataDirectory: dataDirectory(flags.data),
      ...limits,
      cores: availableParallelism(),
      overwrite: flags.overwrite,
      brokers: flags.brokers ?? process.env['MILLRACE_BROKERS'],
      node: process.execPath,
      environment: process.env,
      writeStdout: stdout,
      onEvent: (event) => {
        outcome.take(event);
      },
      signal: cancel.signal,
    });
    process.exitCode = EXIT.ok;
    if (flags.quiet !== true && flags.json !== true) outcome.say(formatSummary(summary, columns()));
  } catch (error) {
    process.exitCode = outcome.fail(error);
  }
  if (flags.json === true) await outcome.printJson(stdout);
  await tellModules?.();
  stuck?.close();
  // Whatever the program still has open: the job has ended.
  exitProcess();
}

/** Somebody may press Ctrl-C, which goes to the whole process group. */
function isAtTerminal(): boolean {
  return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
}

/** What there is to say of a run. */
class Outcome {
  isSettled = false;
  readonly #progress: RunProgress;
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

  /** Says why the job has failed; returns the exit code. */
  fail(error: unknown): number {
    this.isSettled = true;
    this.#error = error;
    this.#progress.stop();
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

  /** One document, on stdout unless that is where the records go. */
  async printJson(stdout: (text: string) => Promise<void>): Promise<void> {
    const failed = { status: 'failed', error: errorToMessage(this.#error) };
    const text = `${JSON.stringify(this.#summary ?? failed)}\n`;
    const isTaken = this.#plan?.nodes.some(
      (node) => node.kind === 'write' && node.sink.target.kind === 'stdout',
    );
    if (isTaken === true) process.stderr.write(text);
    else await stdout(text);
  }
}

function columns(): number {
  // A terminal that nobody has given a size says 0.
  return process.stderr.isTTY && process.stderr.columns > 0 ? process.stderr.columns : COLUMNS;
}

/**
 * Standard output is for data: whatever a program prints while it runs in this process goes to standard error from here on.
 * Returns what writes data.
 */
function keepStdout(): (chunk: string | Uint8Array) => Promise<void> {
  const { stdout, stderr } = process;
  const write = stdout.write.bind(stdout);
  stdout.write = stderr.write.bind(stderr);
  globalThis.console = new Console({ stdout: stderr, stderr });
  return (chunk) =>
    new Promise((done, fail) => {
      write(chunk, (error) => {
        if (error === null || error === undefined) done();
        else if ((error as NodeJS.ErrnoException).code === 'EPIPE') fail(new OutputClosed());
        else fail(stdoutError(error));
      });
    });
}

/** By then everything else has taken its place. */
function stdoutError(cause: Error): MillraceError {
  const { code, message } = systemError(cause, 'write to stdout');
  return new MillraceError(code, message, {
    cause,
    hint: 'What was to be written to files is in its place; make room where stdout leads, then run it again with --overwrite',
    fields: { path: '-' },
  });
}

/** Fires at the first SIGINT or SIGTERM; a second one ends the process there and then. What it leaves the next job removes. */
function cancelOnSignal(env: Env, cancel: () => void): void {
  let sinceMs: number | undefined;
  // Not SIGHUP: who started it with nohup wants it to go on.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      const nowMs = env.clock.monotonicMs();
      if (sinceMs === undefined) {
        sinceMs = nowMs;
        cancel();
      } else if (nowMs - sinceMs > SAME_SIGNAL_MS) exitProcess(EXIT.interrupted);
    });
  }
}

/** A program may wait for something that never happens: then Node has nothing left to do, and ends, and nobody knows why. */
function expectEnd(env: Env, outcome: Outcome, cancel: AbortController): void {
  const error = new MillraceError(
    'ML_PROGRAM_INVALID',
    'the program waits for something that never happens',
    {
      hint: 'Look for a promise that is never resolved, where the program is loaded or in a function',
    },
  );
  // The job puts away what it has; when that waits, too, nothing more can be done.
  process.on('beforeExit', () => {
    if (outcome.isSettled || cancel.signal.aborted) return;
    cancel.abort(error);
    void env.timers.sleep(STRAY_MS);
  });
  process.on('exit', () => {
    if (!outcome.isSettled) process.exitCode = outcome.fail(error);
  });
}

/** Tells the watching parent which modules were loaded; ends with it. */
function tellParent(): () => Promise<void> {
  const pipe = openParentPipe(
    () => {},
    () => exitProcess(EXIT.interrupted),
  );
  return () => pipe.end(Buffer.from(JSON.stringify(loadedModules())));
}

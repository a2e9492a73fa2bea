/** The process of a program that is run: its standard output, its signals, and its end, however that comes. */
import { Console } from 'node:console';
import { openParentPipe } from '../core/child-process.ts';
import type { Env } from '../core/env.ts';
import { MillraceError } from '../core/errors.ts';
import { endWhenStuck } from '../core/processes.ts';
import { systemError } from '../core/system-error.ts';
import { loadedModules } from '../engine/batch/program/load-program.ts';
import { exitProcess } from '../engine/batch/program/process-exit.ts';
import { onUnwatchedStray, strayError } from '../engine/batch/workers/stray-errors.ts';
import { EXIT, OutputClosed } from './io.ts';

/** Where there is no terminal. */
const COLUMNS = 100;
/** Ctrl-C reaches `npm` and its child, which passes it on: the second one of these is the same. */
const SAME_SIGNAL_MS = 500;
/** For so long a run may put away what it has, when an error that nobody waits for ends it. */
const STRAY_MS = 2_000;
/** A program that is in a loop is given up so long after Ctrl-C. */
const STUCK_SECONDS = 3;
const STUCK =
  'cancelled: the program was in the middle of something, and was ended. No output was changed; the next job removes what is left';

/** What a run says at its end. */
export interface Ending {
  readonly isSettled: boolean;
  /** Says why it has failed; returns the exit code. */
  fail(error: unknown): number;
}

export interface ProgramProcess {
  /** Ctrl-C, SIGTERM, or an error that nobody waits for, which is the reason then. */
  readonly signal: AbortSignal;
  /** Writes data to standard output. */
  readonly stdout: (chunk: string | Uint8Array) => Promise<void>;
  /** Nobody has to be ended by force any more. */
  close(): void;
}

/** Once. */
export function openProgramProcess(env: Env, ending: Ending): ProgramProcess {
  const stdout = keepStdout();
  const stuck = isAtTerminal() ? endWhenStuck(STUCK_SECONDS, STUCK) : undefined;
  const cancel = new AbortController();
  const cut = cancelOnSignal(env, () => {
    // Who hears of it is not stuck.
    stuck?.close();
    cancel.abort();
  });
  expectEnd(env, ending, { cancel, cut });
  onUnwatchedStray((error) => {
    const stray = strayError(error);
    cancel.abort(stray);
    // A program that is still loading does not hear of it.
    env.timers.after(STRAY_MS, () => exitProcess(ending.fail(stray)));
  });
  return { signal: cancel.signal, stdout, close: () => stuck?.close() };
}

/** Why it was called off, when that is an error of the program; undefined: somebody wanted it. */
export function reasonOf(signal: AbortSignal): MillraceError | undefined {
  return signal.reason instanceof MillraceError ? signal.reason : undefined;
}

/** Cells of a line of standard error. */
export function columns(): number {
  // A terminal that nobody has given a size says 0.
  return process.stderr.isTTY && process.stderr.columns > 0 ? process.stderr.columns : COLUMNS;
}

export interface ParentTold {
  /** Which modules are loaded so far; for runs that go on. */
  tell(): void;
  /** The same, at the end. */
  end(): Promise<void>;
}

/** Tells the watching parent which modules were loaded, one JSON array a line; ends with it. Once. */
export function tellParent(): ParentTold {
  const pipe = openParentPipe(
    () => {},
    () => exitProcess(EXIT.interrupted),
  );
  const line = (): Buffer => Buffer.from(`${JSON.stringify(loadedModules())}\n`);
  return { tell: () => pipe.write(line()), end: () => pipe.end(line()) };
}

/** Somebody may press Ctrl-C, which goes to the whole process group. */
function isAtTerminal(): boolean {
  return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
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

/**
 * Fires at the first SIGINT or SIGTERM; a second one ends the process there and then, which is what the
 * signal that is returned tells. What it leaves the next job removes.
 */
function cancelOnSignal(env: Env, cancel: () => void): AbortSignal {
  let sinceMs: number | undefined;
  const cut = new AbortController();
  // Not SIGHUP: who started it with nohup wants it to go on.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      const nowMs = env.clock.monotonicMs();
      if (sinceMs === undefined) {
        sinceMs = nowMs;
        cancel();
      } else if (nowMs - sinceMs > SAME_SIGNAL_MS) {
        cut.abort();
        exitProcess(EXIT.interrupted);
      }
    });
  }
  return cut.signal;
}

/** A program may wait for something that never happens: then Node has nothing left to do, and ends, and nobody knows why. */
function expectEnd(
  env: Env,
  ending: Ending,
  { cancel, cut }: { readonly cancel: AbortController; readonly cut: AbortSignal },
): void {
  const error = new MillraceError(
    'ML_PROGRAM_INVALID',
    'the program waits for something that never happens',
    {
      hint: 'Look for a promise that is never resolved, where the program is loaded or in a function',
    },
  );
  // The job puts away what it has; when that waits, too, nothing more can be done.
  process.on('beforeExit', () => {
    if (ending.isSettled || cancel.signal.aborted) return;
    cancel.abort(error);
    void env.timers.sleep(STRAY_MS);
  });
  process.on('exit', () => {
    if (!ending.isSettled && !cut.aborted) process.exitCode = ending.fail(error);
  });
}

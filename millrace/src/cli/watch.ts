/**
 * `millrace run --watch`: runs the program again whenever it, or a module that it imports, has changed; each time in a process of its
 * own, so that nothing of the last time is left. A run that is still going on is cancelled first. Errors do not end it.
 */
import { realLauncher, type ChildProcess } from '../core/child-process.ts';
import type { Env } from '../core/env.ts';
import { markFiles, whenChanged } from '../core/watch-files.ts';
import { say } from './io.ts';
import { formatCount } from './numbers.ts';

/** How long a run may take to clean up when it is cancelled. */
const STOP_MS = 2_000;

/** Until it is interrupted, which ends the process. */
export async function watchProgram(env: Env, path: string): Promise<void> {
  let child: ChildProcess | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      const exit = (): void => process.exit();
      stop(env, child, ended).then(exit, exit);
    });
  }
  let modules: readonly string[] = [path];
  let ended: Promise<void> = Promise.resolve();
  for (;;) {
    // What changes while it is loaded counts as changed.
    let marks = markFiles(env.fs, modules);
    const told = new Told();
    const run = new Promise<void>((resolve) => {
      child = launchRun(told, () => {
        child = undefined;
        resolve();
      });
    });
    ended = run;
    /** Watches what the run has told of: those that were watched before keep their marks. */
    const widen = (): void => {
      modules = parseModules(told.text, path);
      const known = new Map(marks);
      marks = new Map(
        [...markFiles(env.fs, modules)].map(([name, mark]) => [name, known.get(name) ?? mark]),
      );
    };
    let first = await firstChange(env, marks, [run, told.once]);
    if (first === undefined && child !== undefined) {
      // It has no end, and has said what it is made of.
      widen();
      first = await firstChange(env, marks, [run]);
    }
    if (first === undefined) {
      widen();
      say(`watching ${formatCount(modules.length, 'file')}; Ctrl-C ends it`);
      const changed = await whenChanged(env, marks, new AbortController().signal);
      say(`${changed} has changed`);
    } else {
      say(`${first} has changed`);
      await stop(env, child, run);
    }
  }
}

/** What a run says of its modules. */
class Told {
  text = '';
  /** Resolves when it has said something. */
  readonly once: Promise<void>;
  #resolve: () => void = () => {};

  constructor() {
    this.once = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  take(chunk: Buffer): void {
    this.text += chunk.toString('utf8');
    if (this.text.endsWith('\n')) this.#resolve();
  }
}

function launchRun(told: Told, onEnd: () => void): ChildProcess {
  return realLauncher.launch(
    {
      command: [process.execPath, ...process.execArgv, ...childArguments(process.argv.slice(1))],
      directory: process.cwd(),
      environment: process.env,
      output: 'inherit',
    },
    {
      data: (chunk) => {
        told.take(chunk);
      },
      output: () => {},
      closed: onEnd,
    },
  );
}

/** The file that has changed; undefined: something else came first. */
async function firstChange(
  env: Env,
  marks: Parameters<typeof whenChanged>[1],
  others: readonly Promise<void>[],
): Promise<string | undefined> {
  const watching = new AbortController();
  const first = await Promise.race([
    ...others.map((other) => other.then(() => undefined)),
    whenChanged(env, marks, watching.signal).catch(() => undefined),
  ]);
  watching.abort();
  return first;
}

/** Lets a run clean up; one that is stuck in a loop does not hear that it should. */
async function stop(
  env: Env,
  child: ChildProcess | undefined,
  ended: Promise<void>,
): Promise<void> {
  child?.interrupt();
  await Promise.race([ended, env.timers.sleep(STOP_MS)]);
  child?.kill();
  await ended;
}

/** The command line of this process for the child: it overwrites, and tells what it has loaded instead of watching. */
function childArguments(args: readonly string[]): string[] {
  return [...args.filter((arg) => arg !== '--watch' && arg !== '-w'), '--overwrite', '--watched'];
}

/** Of the last line that is whole. */
function parseModules(told: string, path: string): readonly string[] {
  try {
    const end = told.lastIndexOf('\n');
    const value: unknown = JSON.parse(told.slice(told.lastIndexOf('\n', end - 1) + 1, end));
    const names = Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
    return [...new Set([path, ...names])];
  } catch {
    // It was killed before it could tell.
    return [path];
  }
}

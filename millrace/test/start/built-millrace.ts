/**
 * The command as it is published, for tests that run it: bundled from the sources of now, started as a process, observed from outside.
 * Test files share the bundle of the same sources. What a test file leaves running, and its directories, are gone after it.
 */
import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll } from 'vitest';
import { bundle } from '../../scripts/build.ts';
import type { HostedCommand, HostedResult } from './command-host.ts';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));
const COMMAND_HOST = fileURLToPath(new URL('command-host.ts', import.meta.url));
/** Commands that ask a broker, or read records, and end: nothing in them is about their process. */
const HOSTED = /^(?:job \w+|topic \w+|group \w+|queue \w+|user \w+|vhost \w+|produce|consume)\b/;
/** Processes that run programs, at most. */
const HOSTS = 2;
/** Below the package's own node_modules, so that its dependencies are found. */
const STAGES = join(PACKAGE, 'node_modules/.cache/built');
const DAY_MS = 86_400_000;

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** All of stdin; default nothing. */
  readonly input?: string | Uint8Array;
  /** Added to the environment, from which everything of Millrace is taken out but a free port for AMQP. */
  readonly env?: Readonly<Record<string, string>>;
  /** Another Node than the one that runs the tests. */
  readonly node?: string;
  /** Working directory. */
  readonly cwd?: string;
  /** In a process that runs many: for a program that neither needs standard input nor leaves anything behind in its process. */
  readonly isHosted?: boolean;
}

/** A process of the command. */
export class Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Finished>;
  stdout = '';
  stderr = '';
  readonly #waiters = new Set<() => void>();

  constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child;
    child.stdin.on('error', () => {}); // It may end without reading all of it.
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#wake();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr });
        this.#wake();
      });
    });
  }

  /** Resolves with the match as soon as that stream has shown it. */
  async shows(stream: 'stdout' | 'stderr', pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this[stream]);
      if (match !== null) return match;
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`ended without showing ${pattern}:\n${this.stdout}\n${this.stderr}`);
      }
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  async end(signal: NodeJS.Signals): Promise<Finished> {
    this.child.kill(signal);
    return this.ended;
  }

  /** Ends the process group that it leads, when it was started `detached`. */
  async endAll(signal: NodeJS.Signals): Promise<Finished> {
    const { pid } = this.child;
    if (pid !== undefined) process.kill(-pid, signal);
    return this.ended;
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
    this.#waiters.clear();
  }
}

/** A process that runs commands one after the other. */
class CommandHost {
  /** Until the command that it runs has ended; for ever when that has ended it. */
  isBusy = false;
  /** Resolves when that command has ended. */
  free: Promise<unknown> = Promise.resolve();
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;

  constructor(cli: string, env: NodeJS.ProcessEnv) {
    this.#child = spawn(process.execPath, [COMMAND_HOST, pathToFileURL(cli).href], {
      env,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#ended = new Promise((_resolve, reject) => {
      this.#child.once('exit', (code, signal) => {
        reject(new Error(`the host of commands has ended: ${code ?? signal}`));
      });
    });
    // Nobody may be waiting.
    this.#ended.catch(() => {});
  }

  run(command: HostedCommand): Promise<Finished> {
    this.isBusy = true;
    const finished = this.#run(command);
    this.free = finished.catch(() => {});
    return finished;
  }

  async #run(command: HostedCommand): Promise<Finished> {
    const result = new Promise<HostedResult>((resolve) => {
      this.#child.once('message', (message) => {
        resolve(message as HostedResult);
      });
    });
    this.#child.send(command);
    const { isSpent, ...finished } = await Promise.race([result, this.#ended]);
    this.isBusy = isSpent;
    return { signal: null, ...finished };
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}

export interface BuiltMillrace {
  /** Path of `bin/millrace.js`. */
  readonly bin: string;
  /** A directory that is removed after the tests of the file. */
  directory(): Promise<string>;
  launch(args: readonly string[], options?: RunOptions): Running;
  /**
   * To the end. Commands that only ask or read, and those that may be hosted, are run as a process of their own the first time in a test
   * file, which shows that they end, and then in one that runs them all.
   */
  run(args: readonly string[], options?: RunOptions): Promise<Finished>;
  /** `millrace start` on a directory and a free port of loopback, until it is ready. */
  start(data: string, args?: readonly string[], options?: RunOptions): Promise<Broker>;
}

export interface Broker extends Running {
  /** `127.0.0.1:PORT` */
  readonly address: string;
}

/** For a test file, at its top level. */
export function builtMillrace(): BuiltMillrace {
  const running = new Set<Running>();
  const hosts = new Set<CommandHost>();
  /** Commands that have run as a process of their own. */
  const seen = new Set<string>();
  const directories: string[] = [];
  let stage = '';
  beforeAll(async () => {
    stage = await stageOfNow();
  });
  afterAll(async () => {
    for (const host of hosts) host.end();
    await Promise.all([...running].map((each) => each.end('SIGKILL')));
    for (const directory of directories) await rm(directory, { recursive: true, force: true });
  });

  function environment(options: RunOptions): Record<string, string> {
    return {
      ...cleanEnvironment(),
      // The same few files over and over: compiled once.
      NODE_COMPILE_CACHE: join(stage, 'compiled'),
      // Not the port of RabbitMQ, which this machine, or another test, may have taken.
      MILLRACE_AMQP: '127.0.0.1:0',
      ...options.env,
    };
  }

  function launch(args: readonly string[], options: RunOptions = {}): Running {
    const bin = join(stage, 'bin/millrace.js');
    const child = spawn(options.node ?? process.execPath, [bin, ...args], {
      env: environment(options),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const launched = new Running(child);
    running.add(launched);
    void launched.ended.then(() => running.delete(launched));
    if (options.input !== undefined) child.stdin.end(options.input);
    return launched;
  }

  async function host(args: readonly string[], options: RunOptions): Promise<Finished> {
    const idleHost = (): CommandHost | undefined => [...hosts].find(({ isBusy }) => !isBusy);
    let chosen = idleHost();
    // Members of a group wait for one another, programs do not.
    while (chosen === undefined && options.isHosted === true && hosts.size >= HOSTS) {
      await Promise.race([...hosts].map(({ free }) => free));
      chosen = idleHost();
    }
    chosen ??= new CommandHost(join(stage, 'dist/cli.js'), environment({}));
    hosts.add(chosen);
    try {
      return await chosen.run({
        args,
        cwd: options.cwd ?? process.cwd(),
        env: environment(options),
        input: Buffer.from(options.input ?? '').toString('base64'),
      });
    } finally {
      // It has not come back.
      if (chosen.isBusy) hosts.delete(chosen);
    }
  }

  function run(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    const command = options.isHosted === true ? args[0] : HOSTED.exec(args.join(' '))?.[0];
    if (command !== undefined && options.node === undefined) {
      if (seen.has(command)) return host(args, options);
      seen.add(command);
    }
    return launch(args, { input: '', ...options }).ended;
  }

  return {
    get bin() {
      return join(stage, 'bin/millrace.js');
    },
    directory: async () => {
      const directory = await mkdtemp(join(tmpdir(), 'millrace-test-'));
      directories.push(directory);
      return directory;
    },
    launch,
    run,
    start: async (data, args = [], options = {}) => {
      const broker = launch(
        ['start', '--data', data, '--kafka', '127.0.0.1:0', '--log-format', 'text', ...args],
        options,
      );
      const [, address = ''] = await broker.shows('stderr', /^ {2}kafka +(\S+:\d+)$/m);
      return Object.assign(broker, { address });
    },
  };
}

/** Of all that goes into the bundle. */
function fingerprint(): string {
  const hash = createHash('sha256');
  const sources = globSync(['src/**/*.ts', 'bin/*.js', 'scripts/build.ts', 'package.json'], {
    cwd: PACKAGE,
    exclude: ['**/*.test.ts', '**/*.spec.ts'],
  });
  for (const name of sources.toSorted())
    hash.update(`${name}\n`).update(readFileSync(join(PACKAGE, name)));
  return hash.digest('hex').slice(0, 20);
}

/** The package as built from the sources of now, by the test file that needs it first. */
async function stageOfNow(): Promise<string> {
  for (;;) {
    const now = fingerprint();
    const stage = join(STAGES, now);
    if (existsSync(stage)) return stage;
    await removeOldStages();
    const building = await mkdtemp(join(STAGES, 'building-'));
    await chmod(building, 0o755);
    await mkdir(join(building, 'bin'));
    await copyFile(join(PACKAGE, 'bin/millrace.js'), join(building, 'bin/millrace.js'));
    await copyFile(join(PACKAGE, 'package.json'), join(building, 'package.json'));
    await bundle(join(building, 'dist'));
    // Somebody may have changed a source meanwhile, or have been faster.
    if (fingerprint() === now) await rename(building, stage).catch(() => {});
    await rm(building, { recursive: true, force: true });
  }
}

async function removeOldStages(): Promise<void> {
  await mkdir(STAGES, { recursive: true });
  for (const name of await readdir(STAGES)) {
    const path = join(STAGES, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && found.mtimeMs < Date.now() - DAY_MS)
      await rm(path, { recursive: true, force: true });
  }
}

/** Without what the person who runs the tests has set for their own Millrace. */
function cleanEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && isNeutral(entry[0]),
    ),
  );
}

function isNeutral(name: string): boolean {
  return !name.startsWith('MILLRACE_') && name !== 'NO_COLOR' && name !== 'FORCE_COLOR';
}

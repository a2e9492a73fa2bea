/** `millrace start` on a directory of its own, to be ended and started again. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Launch {
  /** A command, with its arguments, that runs the process. Default: none. */
  readonly under?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export class BrokerProcess {
  /** The port of the first start, and of all later ones. */
  port = 0;
  readonly directory = mkdtempSync(join(tmpdir(), 'millrace-broker-'));
  private child: ChildProcess | undefined;
  private ending: Promise<Ending> | undefined;
  private output = '';

  /** Resolves when clients can connect; or with how the process ended, if it did before. */
  async start({ under = [], env = {} }: Launch = {}): Promise<Ending | undefined> {
    const args = [MAIN, 'start', '--data', this.directory, '--kafka', `127.0.0.1:${this.port}`];
    const [command, ...rest] = [...under, process.execPath, ...args, '--log-format', 'text'];
    const child = spawn(command ?? process.execPath, rest, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.child = child;
    this.output = '';
    const ending = new Promise<Ending>((resolve) => {
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    this.ending = ending;
    const ready = new Promise<undefined>((resolve) => {
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
        const line = /kafka +127\.0\.0\.1:(\d+)/.exec(this.output);
        if (line === null) return;
        this.port = Number(line[1]);
        resolve(undefined);
      });
    });
    return Promise.race([ready, ending]);
  }

  /** What the process has written to its standard error since its start. */
  get log(): string {
    return this.output;
  }

  /** Resolves when the process has ended. */
  async ended(): Promise<Ending> {
    if (this.ending === undefined) throw new Error('the broker was not started');
    return this.ending;
  }

  async kill(signal: NodeJS.Signals): Promise<Ending> {
    this.child?.kill(signal);
    return this.ended();
  }

  async remove(): Promise<void> {
    if (this.child !== undefined) await this.kill('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Whether calls of a process can be made to fail here: there is an strace, and it may trace. */
export function hasStrace(): boolean {
  return spawnSync('strace', ['-o', '/dev/null', '-e', 'trace=none', 'true']).status === 0;
}

/** The n-th sync of the process fails. One thread: strace counts calls per thread. */
export function failingSync(nth: number): Required<Launch> {
  return {
    under:
      `strace -f -o /dev/null -e trace=fdatasync,fsync -e inject=fdatasync,fsync:error=EIO:when=${nth}`.split(
        ' ',
      ),
    env: { UV_THREADPOOL_SIZE: '1' },
  };
}

/** A process of a flow (`flow-process.ts`), which is started, killed, stopped, woken up and started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const PROCESS = fileURLToPath(new URL('./flow-process.ts', import.meta.url));

export interface FlowChildOptions {
  /** `host:port` */
  readonly broker: string;
  readonly program: string;
  /** Of this process alone. */
  readonly directory: string;
  /** Threads; 0: none but its own. */
  readonly workers: number;
  readonly sessionMs: number;
  /** For the program. */
  readonly env: Readonly<Record<string, string>>;
}

export class FlowChild {
  /** Resolves when the process that runs now has restored its tasks; rejects when it ends before. */
  ready: Promise<void> = Promise.resolve();
  /** All that its processes have said. */
  said = '';
  readonly #options: FlowChildOptions;
  #child: ChildProcess | undefined;

  constructor(options: FlowChildOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  start(): void {
    const { broker, directory, program, workers, sessionMs, env } = this.#options;
    const args = [PROCESS, broker, directory, program, String(workers), String(sessionMs)];
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.ready = new Promise((resolve, reject) => {
      child.once('exit', () => reject(new Error(`it ended:\n${this.said.slice(-3_000)}`)));
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          this.said += text;
          if (text.includes('ready')) resolve();
          if (process.env['MILLRACE_TEST_LOG'] !== undefined) process.stderr.write(text);
        });
    });
    this.ready.catch(() => {});
    this.#child = child;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** @returns its exit code; null: a signal ended it */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) return null;
    if (!this.isRunning) return child.exitCode;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(signal);
    await ended;
    return child.exitCode;
  }
}

/**
 * What a suite of a foreign client is to `npm run test:amqp-clients`: where its tests come from, how they run, and which of them are left
 * out, each for a reason that is said.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { BenchFailure } from '../failure.ts';
import { track } from '../process.ts';
import type { Address } from '../clients/receiving-socket.ts';

export interface TestOutcome {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** What a failure says. */
  readonly said: string;
}

export interface LeftOut {
  /** Names of tests, as the suite's own tool takes them. */
  readonly tests: readonly string[];
  readonly why: string;
}

/** The broker that a suite meets. */
export interface BrokerAtHand extends Address {
  /** Kills it and starts it again, with what it had. */
  restart(): Promise<void>;
}

export interface ClientSuite {
  readonly name: string;
  readonly version: string;
  /** Commands that it cannot do without, and what brings them. */
  readonly tools: Readonly<Record<string, string>>;
  readonly leftOut: readonly LeftOut[];
  /** Fills `folder`, which is empty and is kept. */
  fetch(folder: string): Promise<void>;
  /** Runs all but what is left out. */
  run(folder: string, broker: BrokerAtHand): Promise<readonly TestOutcome[]>;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Is given every line of standard output, and may answer on standard input. */
  readonly onLine?: (line: string, child: ChildProcess) => void;
}

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  /** Both outputs. */
  readonly said: string;
}

/** Runs a command to its end, whatever that is. It is ended with us. */
export function runTool(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const child = track(
    spawn(command, args, {
      stdio: 'pipe',
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...process.env, ...options.environment },
    }),
  );
  let stdout = '';
  let said = '';
  let line = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    said += text;
    const lines = (line + text).split('\n');
    line = lines.pop() ?? '';
    for (const whole of lines) options.onLine?.(whole, child);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (said += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, said }));
  });
}

/** @throws {BenchFailure} with what it said, when it fails */
export async function mustRun(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, stdout, said } = await runTool(command, args, options);
  if (code === 0) return stdout;
  throw new BenchFailure(`${command} ${args.join(' ')} failed:\n${said}`);
}

/** Lines `pass <name>` and `fail <name>: <why>` of our own programs; one that ends otherwise has failed as a whole. */
export async function runProgram(
  command: string,
  args: readonly string[],
  broker: BrokerAtHand,
  options: RunOptions = {},
): Promise<TestOutcome[]> {
  const outcomes: TestOutcome[] = [];
  const { code, said } = await runTool(command, args, {
    ...options,
    environment: { ...options.environment, AMQP_HOST: broker.host, AMQP_PORT: String(broker.port) },
    onLine: (line, child) => {
      const result = /^(pass|fail) ([^:]+)(?:: (.*))?$/.exec(line);
      if (line === 'restart the broker') void broker.restart().then(() => child.stdin?.write('\n'));
      else if (result !== null)
        outcomes.push({
          name: result[2] ?? '',
          outcome: result[1] === 'pass' ? 'passed' : 'failed',
          said: result[3] ?? '',
        });
    },
  });
  const failed = outcomes.some(({ outcome }) => outcome === 'failed');
  if (outcomes.length === 0 || (code !== 0 && !failed))
    outcomes.push({ name: 'the program', outcome: 'failed', said });
  return outcomes;
}

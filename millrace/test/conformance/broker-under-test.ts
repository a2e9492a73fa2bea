/**
 * The broker that the conformance tests talk to: a Millrace of its own for each test file, as a user would start it; or, with
 * MILLRACE_TEST_BROKER=host:port, whatever answers there. `npm run test:kafka` runs the same tests against Apache Kafka, which is
 * how we know that they ask for what Kafka does.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

export interface BrokerUnderTest {
  readonly kind: 'millrace' | 'other';
  readonly host: string;
  readonly port: number;
  /** `host:port` */
  readonly address: string;
  /** Ends the process with a signal; no more than that. Only for a Millrace. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts again on the same directory and port. Only for a Millrace. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startBrokerUnderTest(
  settings: readonly string[] = [],
): Promise<BrokerUnderTest> {
  const given = process.env['MILLRACE_TEST_BROKER'];
  if (given !== undefined) return otherBroker(given);
  const dir = mkdtempSync(join(tmpdir(), 'millrace-test-'));
  let running = await launch(dir, 0, settings);
  const port = running.port;
  return {
    kind: 'millrace',
    host: '127.0.0.1',
    port,
    address: `127.0.0.1:${port}`,
    kill: async (signal) => end(running.child, signal),
    restart: async () => {
      running = await launch(dir, port, settings);
    },
    stop: async () => {
      await end(running.child, 'SIGTERM');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function otherBroker(address: string): BrokerUnderTest {
  const at = address.lastIndexOf(':');
  const refuse = (): Promise<never> =>
    Promise.reject(new Error('only a Millrace of our own can be killed'));
  return {
    kind: 'other',
    host: address.slice(0, at),
    port: Number(address.slice(at + 1)),
    address,
    kill: refuse,
    restart: refuse,
    stop: () => Promise.resolve(),
  };
}

interface Running {
  readonly child: ChildProcess;
  readonly port: number;
}

async function launch(dir: string, port: number, settings: readonly string[]): Promise<Running> {
  const args = [
    MAIN,
    'start',
    '--data',
    dir,
    '--kafka',
    `127.0.0.1:${port}`,
    '--log-format',
    'text',
  ];
  for (const setting of settings) args.push('--set', setting);
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let seen = '';
  return new Promise((resolve, reject) => {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      seen += text;
      const ready = /kafka +127\.0\.0\.1:(\d+)/.exec(seen);
      if (ready !== null) resolve({ child, port: Number(ready[1]) });
      if (process.env['MILLRACE_TEST_LOG'] !== undefined) process.stderr.write(text);
    });
    child.once('exit', (code, signal) =>
      reject(new Error(`millrace start ended (${code ?? signal}):\n${seen}`)),
    );
  });
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  await ended;
}

let names = 0;

/** A name that no other test, and no earlier run, has used. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${process.pid}-${Date.now().toString(36)}-${names++}`;
}

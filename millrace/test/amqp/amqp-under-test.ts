/**
 * The broker that the AMQP suites talk to: a Millrace of its own for each test file, as a user would start it; or, with
 * MILLRACE_TEST_AMQP=host:port, whatever answers there. `npm run test:rabbitmq` runs the same suites against RabbitMQ, which is how we
 * know that they ask for what RabbitMQ does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const HOST = '127.0.0.1';

export interface AmqpUnderTest {
  readonly kind: 'millrace' | 'other';
  readonly host: string;
  readonly port: number;
  /** `amqp://guest:guest@host:port`; a virtual host may be put behind it. */
  readonly url: string;
  /** Of Kafka's protocol; 0 for another broker. */
  readonly kafkaPort: number;
  /** Ends the process with a signal; no more than that. Only for a Millrace. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Starts again on the same directory and ports. Only for a Millrace. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startAmqpUnderTest(args: readonly string[] = []): Promise<AmqpUnderTest> {
  const given = process.env['MILLRACE_TEST_AMQP'];
  return given === undefined ? startMillraceUnderTest(args) : otherBroker(given);
}

/**
 * A Millrace, whatever the environment says.
 * @param under a command, with its arguments, that runs the process on the directory
 */
export async function startMillraceUnderTest(
  more: readonly string[] = [],
  under: (dir: string) => readonly string[] = () => [],
): Promise<AmqpUnderTest> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-amqp-'));
  const args = { under: under(dir), more };
  let running = await launch(dir, { amqp: 0, kafka: 0 }, args);
  const { ports } = running;
  return {
    ...place(HOST, ports.amqp),
    kind: 'millrace',
    kafkaPort: ports.kafka,
    kill: async (signal) => end(running.child, signal),
    restart: async () => {
      running = await launch(dir, ports, args);
    },
    stop: async () => {
      await end(running.child, 'SIGTERM');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function otherBroker(address: string): AmqpUnderTest {
  const at = address.lastIndexOf(':');
  const refuse = (): Promise<never> =>
    Promise.reject(new Error('only a Millrace of our own can be killed'));
  return {
    ...place(address.slice(0, at), Number(address.slice(at + 1))),
    kind: 'other',
    kafkaPort: 0,
    kill: refuse,
    restart: refuse,
    stop: () => Promise.resolve(),
  };
}

function place(host: string, port: number): Pick<AmqpUnderTest, 'host' | 'port' | 'url'> {
  return { host, port, url: `amqp://guest:guest@${host}:${port}` };
}

interface Ports {
  readonly amqp: number;
  readonly kafka: number;
}

interface Running {
  readonly child: ChildProcess;
  readonly ports: Ports;
}

async function launch(
  dir: string,
  ports: Ports,
  { under, more }: { readonly under: readonly string[]; readonly more: readonly string[] },
): Promise<Running> {
  const args = [...under, process.execPath, MAIN, 'start', '--data', dir, '--log-format', 'text'];
  args.push('--kafka', `${HOST}:${ports.kafka}`, '--amqp', `${HOST}:${ports.amqp}`, ...more);
  const [command = process.execPath, ...rest] = args;
  const child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
  let seen = '';
  return new Promise((resolve, reject) => {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      seen += text;
      const amqp = /\bamqp +(?:amqp:\/\/)?127\.0\.0\.1:(\d+)/.exec(seen);
      const kafka = /\bkafka +127\.0\.0\.1:(\d+)/.exec(seen);
      if (amqp !== null && kafka !== null)
        resolve({ child, ports: { amqp: Number(amqp[1]), kafka: Number(kafka[1]) } });
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

/**
 * The broker that the AMQP suites talk to: a Millrace of its own for each test file, as a user would start it; or, with
 * MILLRACE_TEST_AMQP=host:port, whatever answers there. `npm run test:rabbitmq` runs the same suites against RabbitMQ, which is how we
 * know that they ask for what RabbitMQ does.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endChild, type Launched, launchMillrace } from '../launched-millrace.ts';

export { uniqueName } from '../launched-millrace.ts';

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
  const ports = running.ready;
  return {
    ...place(HOST, ports.amqp),
    kind: 'millrace',
    kafkaPort: ports.kafka,
    kill: async (signal) => endChild(running.child, signal),
    restart: async () => {
      running = await launch(dir, ports, args);
    },
    stop: async () => {
      await endChild(running.child, 'SIGTERM');
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

function launch(
  dir: string,
  ports: Ports,
  { under, more }: { readonly under: readonly string[]; readonly more: readonly string[] },
): Promise<Launched<Ports>> {
  const args = ['--kafka', `${HOST}:${ports.kafka}`, '--amqp', `${HOST}:${ports.amqp}`, ...more];
  const readyIn = (said: string): Ports | undefined => {
    const amqp = /\bamqp +(?:amqp:\/\/)?127\.0\.0\.1:(\d+)/.exec(said);
    const kafka = /\bkafka +127\.0\.0\.1:(\d+)/.exec(said);
    return amqp === null || kafka === null
      ? undefined
      : { amqp: Number(amqp[1]), kafka: Number(kafka[1]) };
  };
  return launchMillrace(dir, args, readyIn, under);
}

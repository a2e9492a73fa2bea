/**
 * The broker that the conformance tests talk to: a Millrace of its own for each test file, as a user would start it; or, with
 * MILLRACE_TEST_BROKER=host:port, whatever answers there. `npm run test:kafka` runs the same tests against Apache Kafka, which is
 * how we know that they ask for what Kafka does.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endChild, type Launched, launchMillrace } from '../launched-millrace.ts';

export { uniqueName } from '../launched-millrace.ts';

const OTHER_BROKER = process.env['MILLRACE_TEST_BROKER'];

/** Of tests that mostly wait, with topics and groups of their own. Apache Kafka that has just been started gets its clients one by one. */
export const BESIDE_EACH_OTHER = { concurrent: OTHER_BROKER === undefined };

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
  if (OTHER_BROKER !== undefined) return otherBroker(OTHER_BROKER);
  const dir = mkdtempSync(join(tmpdir(), 'millrace-test-'));
  let running = await launch(dir, 0, settings);
  const port = running.ready;
  return {
    kind: 'millrace',
    host: '127.0.0.1',
    port,
    address: `127.0.0.1:${port}`,
    kill: async (signal) => endChild(running.child, signal),
    restart: async () => {
      running = await launch(dir, port, settings);
    },
    stop: async () => {
      await endChild(running.child, 'SIGTERM');
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

function launch(dir: string, port: number, settings: readonly string[]): Promise<Launched<number>> {
  const args = ['--kafka', `127.0.0.1:${port}`, ...settings.flatMap((each) => ['--set', each])];
  return launchMillrace(dir, args, (said) => {
    const ready = /kafka +127\.0\.0\.1:(\d+)/.exec(said);
    return ready === null ? undefined : Number(ready[1]);
  });
}

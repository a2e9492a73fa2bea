/** The broker of `npm run test:amqp-clients`: a Millrace from the sources, or Debian's RabbitMQ; it can be killed and comes back. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { answersAmqp } from '../clients/amqp-connection.ts';
import { freePort, untilAnswering } from '../peers/peer.ts';
import { startRabbitMq } from '../peers/rabbitmq.ts';
import { start } from '../process.ts';
import type { BrokerAtHand } from './client-suite.ts';

const MAIN = fileURLToPath(new URL('../../../millrace/src/cli/main.ts', import.meta.url));
const HOST = '127.0.0.1';

export type BrokerName = 'millrace' | 'rabbitmq';

export interface TestedBroker extends BrokerAtHand {
  stop(): Promise<void>;
}

interface Life {
  readonly pid: number;
  stop(): Promise<void>;
}

/** @throws {BenchFailure} when it does not come up */
export async function startBroker(name: BrokerName, dataDir: string): Promise<TestedBroker> {
  const port = await freePort();
  const live = (): Promise<Life> =>
    name === 'millrace' ? startMillrace(dataDir, port) : startRabbitMq({ dataDir, port });
  let life = await live();
  return {
    host: HOST,
    port,
    restart: async () => {
      process.kill(life.pid, 'SIGKILL');
      await life.stop();
      life = await live();
    },
    stop: () => life.stop(),
  };
}

async function startMillrace(dataDir: string, port: number): Promise<Life> {
  const address = `${HOST}:${port}`;
  const started = start({
    command: process.execPath,
    args: [
      MAIN,
      'start',
      '--data',
      join(dataDir, 'data'),
      '--kafka',
      `${HOST}:0`,
      '--amqp',
      address,
      // Some tests run against nothing else, and Celery holds back.
      '--set',
      'millrace.amqp.product=RabbitMQ 3.13.0',
    ],
    logFile: join(dataDir, 'broker.log'),
  });
  try {
    await untilAnswering(started, { host: HOST, port }, performance.now(), answersAmqp);
  } catch (error) {
    await started.stop();
    throw error;
  }
  return { pid: started.pid, stop: () => started.stop() };
}

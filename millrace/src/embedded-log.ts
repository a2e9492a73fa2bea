/**
 * A log in this process: a broker on a directory, reached through a pipe in memory instead of a socket. Threads reach it over message
 * ports. When asked to it listens on a port, too, for Kafka clients.
 */
import type { MessagePort } from 'node:worker_threads';
import { connectLog } from './client/kafka/kafka-log.ts';
import type { Log } from './client/log.ts';
import { IN_PROCESS_ADDRESS } from './client/port-log.ts';
import type { Connection, Env } from './core/env.ts';
import { keepAlive } from './core/keep-alive.ts';
import { connectionPair } from './core/pipe.ts';
import { acceptFromPort } from './core/port-connections.ts';
import { openServedBroker, type ServedBroker, type ServedBrokerOptions } from './served-broker.ts';

export type EmbeddedLogOptions = Omit<ServedBrokerOptions, 'env'>;

export interface EmbeddedLog extends Log {
  readonly broker: Pick<ServedBroker, 'dataDir' | 'clusterId' | 'address' | 'amqpAddress'>;
  /** One more connection to the broker, for what speaks its protocol in this thread. */
  connect(): Connection;
  /** The same for what speaks AMQP. It logs in as from this machine. */
  connectAmqp(): Connection;
  /** For one thread, which makes a log of it with `connectPort`. The port ends with this log, or with the thread. */
  port(): MessagePort;
}

/**
 * @throws {MillraceError} ML_DIR_LOCKED, ML_CONFIG_INVALID, ML_INSECURE_BIND, ML_ADDRESS_IN_USE, ML_DISK_FULL, ML_STATE_DAMAGED,
 * ML_DATA_NEWER
 * @example
 * const log = await openEmbedded(realEnv(), { dataDir: './data' });
 * await log.createTopics([{ name: 'orders', partitions: 3, configs: {} }]);
 * await log.close();
 */
export async function openEmbedded(env: Env, options: EmbeddedLogOptions): Promise<EmbeddedLog> {
  const broker = await openServedBroker({ ...options, env });
  const serve = (connection: Connection): void => broker.serve(connection, IN_PROCESS_ADDRESS);
  const connect = (): Connection => {
    const [client, server] = connectionPair(env.timers, 'in-process');
    serve(server);
    return client;
  };
  const connectAmqp = (): Connection => {
    const [client, server] = connectionPair(env.timers, 'in-process');
    broker.serveAmqp(server);
    return client;
  };
  const closePorts: (() => void)[] = [];
  // As a socket would: who waits for records, and for nothing else, is not to end.
  const alive = keepAlive(env.timers);
  try {
    const log = await connectLog(env, {
      label: options.dataDir,
      bootstrap: [IN_PROCESS_ADDRESS],
      connect: async () => connect(),
      onClosed: async () => {
        alive.close();
        for (const close of closePorts) close();
        await broker.close();
      },
    });
    const { dataDir, clusterId, address, amqpAddress } = broker;
    const port = (): MessagePort => {
      const accepting = acceptFromPort(env.timers, 'thread', serve);
      closePorts.push(() => accepting.close());
      return accepting.port;
    };
    return Object.assign(log, {
      broker: { dataDir, clusterId, address, amqpAddress },
      connect,
      connectAmqp,
      port,
    });
  } catch (error) {
    alive.close();
    await broker.close();
    throw error;
  }
}

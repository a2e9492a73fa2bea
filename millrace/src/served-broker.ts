/** A broker on a directory together with the server in front of it: with a port, or without one for who is in the same process. */
import { resolve } from 'node:path';
import { openBroker } from './broker/open-broker.ts';
import { type BrokerSettings, parseSettings } from './broker/settings.ts';
import { describeKafka } from './core/directory-lock.ts';
import type { Connection, Env } from './core/env.ts';
import { type Logger, silentLogger } from './core/log.ts';
import { refuseOpenBind } from './core/open-bind.ts';
import { realEnv } from './core/real-env.ts';
import { type Advertised, openKafkaServer } from './server/kafka/server.ts';

export interface ServedBrokerOptions {
  readonly dataDir: string;
  /** Where Kafka clients connect. undefined: nowhere. */
  readonly kafka?: {
    readonly host: string;
    readonly port: number;
    readonly advertised?: Advertised;
  };
  readonly insecure?: boolean;
  readonly repair?: boolean;
  readonly settings?: BrokerSettings | Readonly<Record<string, string | number | boolean>>;
  readonly logger?: Logger;
  readonly onFatal?: (error: unknown) => void;
  readonly env?: Env;
}

export interface ServedBroker {
  /** Absolute path of the data directory. */
  readonly dataDir: string;
  readonly clusterId: string;
  /** Where it listens. */
  readonly address: Advertised | undefined;
  /** Serves a connection from within the process. */
  serve(connection: Connection, advertised: Advertised): void;
  /** Idempotent. */
  close(): Promise<void>;
}

/** What each of the options means is said at `StartBrokerOptions`; so are the errors. */
export async function openServedBroker(options: ServedBrokerOptions): Promise<ServedBroker> {
  const { kafka, insecure, repair } = options;
  if (kafka !== undefined && insecure !== true) refuseOpenBind(kafka.host);
  const settings = settingsOf(options.settings);
  const env = options.env ?? realEnv();
  const logger = options.logger ?? silentLogger;
  const broker = await openBroker(env, {
    dataDir: resolve(options.dataDir),
    settings,
    logger,
    onFatal: options.onFatal ?? rethrow,
    ...(repair === true ? { store: { repair: true } } : {}),
  });
  try {
    const server = await openKafkaServer({
      env,
      broker,
      logger,
      ...(kafka === undefined ? {} : { listen: { host: kafka.host, port: kafka.port } }),
      ...(kafka?.advertised === undefined ? {} : { advertised: kafka.advertised }),
    });
    tellAddress(env, broker.dataDir, server.address, logger);
    let closing: Promise<void> | undefined;
    return {
      dataDir: broker.dataDir,
      clusterId: broker.clusterId,
      address: server.address,
      serve: (connection, advertised) => server.serve(connection, advertised),
      close: () => (closing ??= server.close().then(() => broker.close())),
    };
  } catch (error) {
    await broker.close();
    throw error;
  }
}

/** Who finds the directory in use is told where its log can be reached. */
function tellAddress(
  env: Env,
  directory: string,
  address: Advertised | undefined,
  logger: Logger,
): void {
  if (address === undefined) return;
  const { host, port } = address;
  try {
    describeKafka(env.fs, directory, `${host.includes(':') ? `[${host}]` : host}:${port}`);
  } catch (error) {
    // As where there is no space: others have to be told by somebody.
    logger.warn('where it listens could not be noted for others', { error });
  }
}

function settingsOf(given: ServedBrokerOptions['settings']): BrokerSettings {
  if (given === undefined) return parseSettings({});
  return 'topicDefaults' in given ? (given as BrokerSettings) : parseSettings(given);
}

function rethrow(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

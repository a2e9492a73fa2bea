/** A broker on a directory together with the server in front of it: with a port, or without one for who is in the same process. */
import { resolve } from 'node:path';
import type { Broker } from './broker/broker.ts';
import { openBroker } from './broker/open-broker.ts';
import { type BrokerSettings, parseSettings } from './broker/settings.ts';
import { addressText } from './core/address-text.ts';
import { describeKafka } from './core/directory-lock.ts';
import type { Connection, Env } from './core/env.ts';
import { type Logger, silentLogger } from './core/log.ts';
import { MillraceError } from './core/errors.ts';
import { refuseOpenBind, refuseUnencryptedBind } from './core/open-bind.ts';
import { realEnv } from './core/real-env.ts';
import { type AmqpServer, openAmqpServer } from './server/amqp/server.ts';
import { type Advertised, type KafkaServer, openKafkaServer } from './server/kafka/server.ts';

export interface ServedBrokerOptions {
  readonly dataDir: string;
  /** Where Kafka clients connect. undefined: nowhere. */
  readonly kafka?: {
    readonly host: string;
    readonly port: number;
    readonly advertised?: Advertised;
  };
  /** Where AMQP clients connect. undefined: nowhere. */
  readonly amqp?: {
    readonly host: string;
    readonly port: number;
    /** Nobody has asked for this address: when somebody else has it, that is a warning, and AMQP has no port. */
    readonly isDefault?: boolean;
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
  /** Where it listens for Kafka clients. */
  readonly address: Advertised | undefined;
  /** Where it listens for AMQP clients. */
  readonly amqpAddress: Advertised | undefined;
  /** Serves a connection from within the process that speaks Kafka's protocol. */
  serve(connection: Connection, advertised: Advertised): void;
  /** Serves a connection from within the process that speaks AMQP. */
  serveAmqp(connection: Connection): void;
  /** Idempotent. */
  close(): Promise<void>;
}

/** What each of the options means is said at `StartBrokerOptions`; so are the errors. */
export async function openServedBroker(options: ServedBrokerOptions): Promise<ServedBroker> {
  const { kafka, amqp, insecure, repair } = options;
  if (kafka !== undefined && insecure !== true) refuseOpenBind(kafka.host);
  if (amqp !== undefined && insecure !== true) refuseUnencryptedBind(amqp.host);
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
    return await serve(broker, { ...options, env, logger });
  } catch (error) {
    await broker.close();
    throw error;
  }
}

type ServeOptions = ServedBrokerOptions & { readonly env: Env; readonly logger: Logger };

async function serve(broker: Broker, options: ServeOptions): Promise<ServedBroker> {
  const { env, logger } = options;
  const kafkaServer = await serveKafka(broker, options);
  let amqpServer: AmqpServer;
  try {
    amqpServer = await serveAmqp(broker, options);
  } catch (error) {
    await kafkaServer.close();
    throw error;
  }
  tellAddress(env, broker.dataDir, kafkaServer.address, logger);
  const closeAll = async (): Promise<void> => {
    await Promise.all([amqpServer.close(), kafkaServer.close()]);
    await broker.close();
  };
  let closing: Promise<void> | undefined;
  return {
    dataDir: broker.dataDir,
    clusterId: broker.clusterId,
    address: kafkaServer.address,
    amqpAddress: amqpServer.address,
    serve: (connection, advertised) => kafkaServer.serve(connection, advertised),
    serveAmqp: (connection) => amqpServer.serve(connection),
    close: () => (closing ??= closeAll()),
  };
}

function serveKafka(broker: Broker, options: ServeOptions): Promise<KafkaServer> {
  const { env, logger, kafka } = options;
  return openKafkaServer({
    env,
    broker,
    logger,
    ...(kafka === undefined ? {} : { listen: { host: kafka.host, port: kafka.port } }),
    ...(kafka?.advertised === undefined ? {} : { advertised: kafka.advertised }),
  });
}

async function serveAmqp(broker: Broker, options: ServeOptions): Promise<AmqpServer> {
  const { env, logger, amqp } = options;
  if (amqp === undefined) return openAmqpServer({ env, broker, logger });
  const { host, port } = amqp;
  try {
    return await openAmqpServer({ env, broker, logger, listen: { host, port } });
  } catch (error) {
    const isTaken = error instanceof MillraceError && error.code === 'ML_ADDRESS_IN_USE';
    if (!isTaken || amqp.isDefault !== true) throw error;
    logger.warn(
      `somebody else listens on ${host}:${port}, as a RabbitMQ would: AMQP clients cannot connect to this broker`,
      { host, port, hint: 'Choose another address with --amqp host:port, or none with --amqp off' },
    );
    return openAmqpServer({ env, broker, logger });
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
  try {
    describeKafka(env.fs, directory, addressText(address));
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

/** The front door of the library: a Millrace in this process, on a directory; or a connection to brokers. What is behind is loaded when it is called. */
import { resolve } from 'node:path';
import { addressText, hostText } from './core/address-text.ts';
import type { Connection, Env } from './core/env.ts';
import { type Logger, silentLogger } from './core/log.ts';
import { checkOptionNames, type OptionNames } from './core/option-names.ts';
import { realEnv } from './core/real-env.ts';
import type { Millrace } from './door/millrace.ts';
import { DIRECT_OPTIONS, type DirectOptions, openDirect } from './open-direct.ts';

export interface OpenMillraceOptions extends DirectOptions {
  /** Everything is kept there; created when absent. Relative to the working directory of the process. */
  readonly dir: string;
  /** Where Kafka clients reach it, too: by default 127.0.0.1 and a port that the system chooses. Default false: nowhere. */
  readonly kafka?: { readonly host?: string; readonly port?: number } | false;
  /** Where AMQP 0-9-1 clients reach its queues, too: by default 127.0.0.1 and a port that the system chooses. Default false: nowhere. */
  readonly amqp?: { readonly host?: string; readonly port?: number } | false;
  /** Of the broker, by name, as in docs/reference/settings.md. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** Default: says nothing. */
  readonly logger?: Logger;
  /** The device failed and nothing more can be acknowledged: end the process. Default: throws, which ends it. */
  readonly onFatal?: (error: unknown) => void;
}

export interface ConnectMillraceOptions extends DirectOptions {
  /**
   * `host:port`, several of them with commas between: a Millrace, or Apache Kafka. Default: port 9092 where `amqp` is, which is connected to
   * only when topics are used; 127.0.0.1:9092 when that is not said either.
   */
  readonly brokers?: string;
  /**
   * Where its queues are: `host:port`, or `amqp://user:password@host:port/vhost`. Connected to when a queue is used. Default: port 5672 where
   * the first of the brokers is.
   */
  readonly amqp?: string;
  /** Who uses its queues, unless `amqp` says that. Default guest, with the password guest, who may come from the broker's own machine only. */
  readonly user?: string;
  readonly password?: string;
  /** The virtual host of the queues, unless `amqp` says that. Default `/`. */
  readonly vhost?: string;
  /** Where flows keep their state on this machine. Default ./millrace-data. */
  readonly dir?: string;
  /** What the brokers call this program in their logs. Default `millrace`. */
  readonly clientId?: string;
  /** Default: says nothing. */
  readonly logger?: Logger;
}

const OPEN_OPTIONS: OptionNames<OpenMillraceOptions> = {
  ...DIRECT_OPTIONS,
  dir: true,
  kafka: true,
  amqp: true,
  settings: true,
  logger: true,
  onFatal: true,
};
const LISTEN_OPTIONS = { host: true, port: true } as const;
const CONNECT_OPTIONS: OptionNames<ConnectMillraceOptions> = {
  ...DIRECT_OPTIONS,
  brokers: true,
  amqp: true,
  user: true,
  password: true,
  vhost: true,
  dir: true,
  clientId: true,
  logger: true,
};

/**
 * Opens a Millrace in this process, without sockets unless they are asked for. It is the only one on its directory, and keeps the process
 * alive until it is closed. What was acknowledged survives whatever ends the process.
 * @throws {MillraceError} ML_DIR_LOCKED, ML_CONFIG_INVALID, ML_INSECURE_BIND, ML_ADDRESS_IN_USE, ML_PERMISSION, ML_DISK_FULL,
 * ML_STATE_DAMAGED, ML_DATA_NEWER
 * @example
 * await using millrace = await openMillrace({ dir: './data' });
 * await millrace.produce('greetings', { key: 'en', value: 'hello' });
 * for await (const { key, value } of millrace.consume('greetings', { until: 'now' })) process.stdout.write(`${key}: ${value}\n`);
 */
export async function openMillrace(options: OpenMillraceOptions): Promise<Millrace> {
  checkOptionNames('openMillrace', options, OPEN_OPTIONS);
  const { kafka = false, amqp = false, insecure, settings, onFatal } = options;
  const { logger = silentLogger } = options;
  if (kafka !== false) checkOptionNames('kafka', kafka, LISTEN_OPTIONS);
  if (amqp !== false) checkOptionNames('amqp', amqp, LISTEN_OPTIONS);
  const [{ openEmbedded }, { makeMillrace }, { IN_PROCESS_ADDRESS }] = await Promise.all([
    import('./embedded-log.ts'),
    import('./door/millrace.ts'),
    import('./client/port-log.ts'),
  ]);
  const env = realEnv();
  const log = await openEmbedded(env, {
    dataDir: options.dir,
    logger,
    ...(kafka === false ? {} : { kafka: { host: '127.0.0.1', port: 0, ...kafka } }),
    ...(amqp === false ? {} : { amqp: { host: '127.0.0.1', port: 0, ...amqp } }),
    ...(insecure === undefined ? {} : { insecure }),
    ...(settings === undefined ? {} : { settings }),
    ...(onFatal === undefined ? {} : { onFatal }),
  });
  const { address, amqpAddress, dataDir } = log.broker;
  return makeMillrace({
    log,
    ...(await openDirect(env, log, options, logger)),
    logger,
    kafka: address === undefined ? undefined : addressText(address),
    amqp: amqpAddress === undefined ? undefined : addressText(amqpAddress),
    connectQueues: async () => {
      const { connectAmqp } = await import('./client/amqp/client.ts');
      // Nobody pulls the plug of a pipe.
      return connectAmqp(env, { connect: () => log.connectAmqp(), heartbeatSeconds: 0 });
    },
    dataDirectory: dataDir,
    connection: { kind: 'port', port: () => log.port() },
    batch: {
      env: withoutSockets(env, () => log.connect()),
      brokers: addressText(IN_PROCESS_ADDRESS),
    },
  });
}

/**
 * Connects to brokers, of Millrace or of Apache Kafka (2.4 or newer): the same as `openMillrace`, with the log elsewhere. Where only `amqp` is
 * said it connects to nothing until it is used, and a program that uses queues alone needs no other port.
 * @throws {MillraceError} ML_CONNECT_FAILED, ML_USAGE for addresses that are none, ML_CONFIG_INVALID
 * @example
 * await using millrace = await connectMillrace({ brokers: '127.0.0.1:9092' });
 * const names = await millrace.admin.topics();
 */
export async function connectMillrace(options: ConnectMillraceOptions = {}): Promise<Millrace> {
  checkOptionNames('connectMillrace', options, CONNECT_OPTIONS);
  const { dir = './millrace-data', clientId } = options;
  const { logger = silentLogger } = options;
  const [
    { connectKafka },
    { DEFAULT_BROKERS, parseAddresses },
    { parseAmqpAddress },
    { makeMillrace },
  ] = await Promise.all([
    import('./client/kafka/kafka-log.ts'),
    import('./client/kafka/addresses.ts'),
    import('./client/amqp/amqp-address.ts'),
    import('./door/millrace.ts'),
  ]);
  // Of two that are not both said, one is where the other is.
  const [first] = parseAddresses(options.brokers ?? DEFAULT_BROKERS);
  const queues = parseAmqpAddress(options.amqp ?? hostText(first?.host ?? '127.0.0.1'), options);
  const brokers = options.brokers ?? `${hostText(queues.host)}:9092`;
  const env = realEnv();
  const log = await connectKafka(env, {
    brokers,
    whenAsked: options.brokers === undefined && options.amqp !== undefined,
    ...(clientId === undefined ? {} : { clientId }),
  });
  return makeMillrace({
    log,
    ...(await openDirect(env, log, options, logger)),
    logger,
    kafka: brokers,
    amqp: addressText(queues),
    connectQueues: async () => {
      const { connectAmqp } = await import('./client/amqp/client.ts');
      return connectAmqp(env, { ...queues, label: clientId ?? 'millrace' });
    },
    dataDirectory: resolve(dir),
    connection: { kind: 'brokers', brokers },
    batch: { env, brokers },
  });
}

/** A machine on which the log of this process is the only thing that can be connected to. */
function withoutSockets(env: Env, connect: () => Connection): Env {
  const { net } = env;
  return {
    ...env,
    net: {
      listen: (options, onConnection) => net.listen(options, onConnection),
      connect: async () => connect(),
      datagrams: (options, onDatagram) => net.datagrams(options, onDatagram),
    },
  };
}

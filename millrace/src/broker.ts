/**
 * `millrace/broker`: a broker in this process, on a directory, with a port that Kafka clients talk to, and one for AMQP clients.
 */
import type { BrokerSettings } from './broker/settings.ts';
import type { Env } from './core/env.ts';
import type { Logger } from './core/log.ts';
import { openServedBroker } from './served-broker.ts';

export type { BrokerSettings } from './broker/settings.ts';
export { parseSettings } from './broker/settings.ts';
export { type ErrorCode, MillraceError } from './core/errors.ts';
export type { Logger, LogFields, LogLevel } from './core/log.ts';

export interface StartBrokerOptions {
  /** The data directory; created when absent. Relative to the working directory of the process. */
  readonly data: string;
  /** Where Kafka clients connect. Default 127.0.0.1, port 9092; port 0 lets the system choose. */
  readonly kafka?: {
    readonly host?: string;
    readonly port?: number;
    /** What clients are told to connect to. Default: the address they listen on. */
    readonly advertised?: { readonly host: string; readonly port: number };
  };
  /** Where AMQP 0-9-1 clients connect, RabbitMQ's: by default 127.0.0.1, port 5672; port 0 lets the system choose. Default false: nowhere. */
  readonly amqp?: { readonly host?: string; readonly port?: number } | false;
  /** Allows to listen beyond this machine although everybody who reaches the Kafka port may read and write, and passwords of AMQP users
   * are sent for all to see. Default false. */
  readonly insecure?: boolean;
  /** After damage that a start refuses (ML_JOURNAL_DAMAGED, ML_CHECKPOINT_DAMAGED): reads everything, keeps what is good, and
   * logs what is lost. Default false: a person decides. */
  readonly repair?: boolean;
  /** By name, as in docs/reference/settings.md, or parsed by `parseSettings`. */
  readonly settings?: BrokerSettings | Readonly<Record<string, string | number | boolean>>;
  /** Default: says nothing. */
  readonly logger?: Logger;
  /** The device failed and nothing more can be acknowledged: end the process. Default: throws, which ends it. */
  readonly onFatal?: (error: unknown) => void;
  /** The machine to run on; for tests. */
  readonly env?: Env;
}

export interface RunningBroker {
  /** Absolute path of the data directory. */
  readonly dataDir: string;
  readonly host: string;
  readonly port: number;
  /** Where AMQP clients connect; undefined when they cannot. */
  readonly amqp: { readonly host: string; readonly port: number } | undefined;
  readonly clusterId: string;
  /** Answers what is being worked on, then closes everything; what was acknowledged is safe either way. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a broker.
 * @throws {MillraceError} ML_INSECURE_BIND, ML_CONFIG_INVALID, ML_DIR_LOCKED, ML_ADDRESS_IN_USE, ML_ADDRESS_UNAVAILABLE,
 * ML_PERMISSION, ML_DISK_FULL, ML_STATE_DAMAGED, ML_DATA_NEWER
 * @example
 * const broker = await startBroker({ data: './data', kafka: { port: 0 } });
 * process.stdout.write(`kafka clients connect to ${broker.host}:${broker.port}\n`);
 * await broker.close();
 */
export async function startBroker(options: StartBrokerOptions): Promise<RunningBroker> {
  const { data, amqp = false, ...others } = options;
  const kafka = { host: '127.0.0.1', port: 9092, ...options.kafka };
  const broker = await openServedBroker({
    ...others,
    dataDir: data,
    kafka,
    ...(amqp === false ? {} : { amqp: { host: '127.0.0.1', port: 5672, ...amqp } }),
  });
  const { dataDir, clusterId, amqpAddress } = broker;
  const { host, port } = broker.address ?? kafka;
  return {
    dataDir,
    clusterId,
    host,
    port,
    amqp: amqpAddress === undefined ? undefined : addressOf(amqpAddress),
    close: () => broker.close(),
  };
}

function addressOf({ host, port }: { readonly host: string; readonly port: number }): {
  readonly host: string;
  readonly port: number;
} {
  return { host, port };
}

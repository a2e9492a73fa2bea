/**
 * `millrace/broker`: a broker in this process, on a directory, with a port that Kafka clients talk to.
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
  /** Allows to listen beyond this machine although everybody who reaches the port may read and write. Default false. */
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
  const kafka = { host: '127.0.0.1', port: 9092, ...options.kafka };
  const broker = await openServedBroker({
    ...options,
    dataDir: options.data,
    kafka,
  });
  const { dataDir, clusterId } = broker;
  const { host, port } = broker.address ?? kafka;
  return { dataDir, clusterId, host, port, close: () => broker.close() };
}

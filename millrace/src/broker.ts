/**
 * `millrace/broker`: a broker in this process, on a directory, with a port that Kafka clients talk to.
 */
import { resolve } from 'node:path';
import { openBroker } from './broker/open-broker.ts';
import { type BrokerSettings, parseSettings } from './broker/settings.ts';
import type { Env } from './core/env.ts';
import { MillraceError } from './core/errors.ts';
import { type Logger, silentLogger } from './core/log.ts';
import { realEnv } from './core/real-env.ts';
import { listenKafka } from './server/kafka/server.ts';

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
  const host = options.kafka?.host ?? '127.0.0.1';
  if (options.insecure !== true) refuseOpenBind(host);
  const settings = settingsOf(options.settings);
  const env = options.env ?? realEnv();
  const logger = options.logger ?? silentLogger;
  const broker = await openBroker(env, {
    dataDir: resolve(options.data),
    settings,
    logger,
    onFatal: options.onFatal ?? rethrow,
    ...(options.repair === true ? { store: { repair: true } } : {}),
  });
  try {
    const advertised = options.kafka?.advertised;
    const server = await listenKafka({
      env,
      broker,
      logger,
      host,
      port: options.kafka?.port ?? 9092,
      ...(advertised === undefined ? {} : { advertised }),
    });
    let closing: Promise<void> | undefined;
    return {
      dataDir: broker.dataDir,
      host: server.host,
      port: server.port,
      clusterId: broker.clusterId,
      close: () => (closing ??= server.close().then(() => broker.close())),
    };
  } catch (error) {
    await broker.close();
    throw error;
  }
}

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1|\[::1\]|::ffff:127(?:\.\d{1,3}){3})$/i;

/** @throws {MillraceError} ML_INSECURE_BIND for an address that others can reach */
function refuseOpenBind(host: string): void {
  if (LOOPBACK.test(host)) return;
  throw new MillraceError(
    'ML_INSECURE_BIND',
    `listening on ${host} would let everybody who reaches it read and write: there is no authentication`,
    { fields: { host } },
  );
}

function settingsOf(given: StartBrokerOptions['settings']): BrokerSettings {
  if (given === undefined) return parseSettings({});
  return 'topicDefaults' in given ? (given as BrokerSettings) : parseSettings(given);
}

function rethrow(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}

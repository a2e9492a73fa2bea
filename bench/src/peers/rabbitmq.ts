/**
 * RabbitMQ, as Debian has it, as a peer: one node on loopback, of its own in everything (ports, name, cookie, directories, no plugins), so
 * that another one on this machine is not met. Settings are those of the distribution.
 *
 * It is ended by its own process ids: the virtual machine's, and that of the port mapper that was started for it alone.
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answersAmqp } from '../clients/amqp-connection.ts';
import { BenchFailure } from '../failure.ts';
import { start } from '../process.ts';
import { freePort, type RunningPeer, untilAnswering } from './peer.ts';

const LIBRARY = '/usr/lib/rabbitmq/lib';
const HOST = '127.0.0.1';

export interface StartRabbitMqOptions {
  /** Made when it does not exist; what an earlier start left there is used, by a node of the same `name`. */
  readonly dataDir: string;
  /** Lines of rabbitmq.conf. Default: none. */
  readonly settings?: readonly string[];
  /** Default: a free one. */
  readonly port?: number;
}

/** undefined where it is not installed. */
export function rabbitMqVersion(): string | undefined {
  if (!existsSync(LIBRARY) || !existsSync('/usr/bin/erl')) return undefined;
  const names = readdirSync(LIBRARY).filter((name) => name.startsWith('rabbitmq_server-'));
  return names[0]?.slice('rabbitmq_server-'.length);
}

/**
 * Starts it and resolves when a client has logged in.
 * @throws {BenchFailure} when it is not installed, or does not come up
 */
export async function startRabbitMq(options: StartRabbitMqOptions): Promise<RunningPeer> {
  const { dataDir, settings = [] } = options;
  const version = rabbitMqVersion();
  if (version === undefined)
    throw new BenchFailure('RabbitMQ is not installed (Debian: apt-get install rabbitmq-server)');
  mkdirSync(dataDir, { recursive: true });
  writeFileSync(join(dataDir, 'rabbitmq.conf'), settings.map((line) => `${line}\n`).join(''));
  writeFileSync(join(dataDir, 'enabled_plugins'), '[].\n');
  const port = options.port ?? (await freePort());
  const [distributionPort, mapperPort] = [await freePort(), await freePort()];
  const environment = {
    HOME: dataDir,
    ERL_EPMD_PORT: String(mapperPort),
    ERL_EPMD_ADDRESS: HOST,
    RABBITMQ_NODENAME: 'millrace-peer@localhost',
    RABBITMQ_NODE_IP_ADDRESS: HOST,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: join(dataDir, 'mnesia'),
    RABBITMQ_LOG_BASE: join(dataDir, 'log'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_CONFIG_FILE: join(dataDir, 'rabbitmq'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dataDir, 'enabled_plugins'),
    // The script becomes the virtual machine, instead of waiting for it: its process id is the one to measure and to end.
    RUNNING_UNDER_SYSTEMD: 'true',
  };
  const logFile = join(dataDir, 'broker.log');
  const mapper = start({
    command: 'epmd',
    args: ['-port', String(mapperPort)],
    logFile,
    environment,
  });
  const command = join(LIBRARY, `rabbitmq_server-${version}`, 'sbin/rabbitmq-server');
  const startedAtMs = performance.now();
  const started = start({ command, args: [], logFile, environment });
  const stop = async (): Promise<void> => {
    await started.stop();
    await mapper.stop();
  };
  try {
    const at = { host: HOST, port };
    const startMs = await untilAnswering(started, at, startedAtMs, answersAmqp);
    return { ...at, pid: started.pid, startMs, logFile, usage: () => started.usage(), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

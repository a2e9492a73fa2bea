/**
 * Apache Kafka as a peer: one process that is broker and controller (KRaft), on loopback, on a data directory of its
 * own. Also runs Kafka's command line tools from the same jars, for the benchmarks and for compatibility suites.
 *
 * Settings are those of the distribution's own `server.properties`, plus what one node needs.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { BenchFailure } from '../failure.ts';
import { start, track } from '../process.ts';
import { type KafkaJars, kafkaJars } from './kafka-jars.ts';
import { freePort, type PeerVariant, type RunningPeer, untilAnswering } from './peer.ts';

/** A fixed id, so that a formatted directory can be kept and copied. */
const CLUSTER_ID = 'MillraceBenchmarkPeer0';
const NODE_ID = 1;
const HOST = '127.0.0.1';

/** The distribution gives the broker a heap of 1 GiB and each tool 512 MiB. */
const BROKER_HEAP = ['-Xmx1G', '-Xms1G'];
const TOOL_HEAP = ['-Xmx512M'];

/** Of the distribution's `config/server.properties`. */
const DISTRIBUTED_SETTINGS: Readonly<Record<string, string>> = {
  'num.network.threads': '3',
  'num.io.threads': '8',
  'socket.send.buffer.bytes': '102400',
  'socket.receive.buffer.bytes': '102400',
  'socket.request.max.bytes': '104857600',
  'num.partitions': '1',
  'num.recovery.threads.per.data.dir': '2',
  'offsets.topic.replication.factor': '1',
  'share.coordinator.state.topic.replication.factor': '1',
  'share.coordinator.state.topic.min.isr': '1',
  'transaction.state.log.replication.factor': '1',
  'transaction.state.log.min.isr': '1',
  'log.retention.hours': '168',
  'log.segment.bytes': '1073741824',
  'log.retention.check.interval.ms': '300000',
};

/** So that a run does not wait: files of deleted topics go soon, and a first consumer does not sit out a delay. */
const PROMPT_SETTINGS: Readonly<Record<string, string>> = {
  'log.segment.delete.delay.ms': '1000',
  'group.initial.rebalance.delay.ms': '0',
};

/** Makes every append wait for fsync before it is acknowledged. */
const SYNC_BEFORE_ACK: Readonly<Record<string, string>> = {
  'log.flush.interval.messages': '1',
};

export interface StartKafkaOptions {
  /** Empty or absent: it is formatted. Otherwise what an earlier `startKafka` left. */
  readonly dataDir: string;
  /** Added to, and winning over, the settings of the distribution. */
  readonly settings?: Readonly<Record<string, string>>;
  /** JVM options of the heap. Default: `-Xmx1G -Xms1G`, as in the distribution. */
  readonly heap?: readonly string[];
}

export interface KafkaToolOptions {
  /** Called with every line of standard output as it comes. */
  readonly onLine?: (line: string) => void;
  /** Ends the tool when it fires; the result then has `exitCode` undefined. */
  readonly signal?: AbortSignal;
  readonly heap?: readonly string[];
  /** Whether to keep standard output in the result. Default true; false for output without end. */
  readonly keepStdout?: boolean;
}

export interface KafkaToolResult {
  /** undefined when the tool was ended by the signal. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Starts Apache Kafka and resolves when it has answered its first request. The files of `dataDir` are formatted
 * beforehand and not counted in `startMs`.
 * @throws {BenchFailure} when Java or Maven is missing, or the broker does not come up
 */
export async function startKafka(options: StartKafkaOptions): Promise<RunningPeer> {
  const jars = await kafkaJars();
  const { dataDir } = options;
  const logDir = join(dataDir, 'kraft');
  if (!existsSync(join(logDir, 'meta.properties'))) await format(jars, logDir);
  const port = await freePort();
  const controllerPort = await freePort();
  const properties = join(dataDir, 'server.properties');
  writeProperties(properties, {
    ...serverSettings({ logDir, port, controllerPort }),
    ...options.settings,
  });
  const logFile = join(dataDir, 'broker.log');
  const startedAtMs = performance.now();
  const started = start({
    command: 'java',
    args: jars.javaArgs(options.heap ?? BROKER_HEAP, 'kafka.Kafka', [properties]),
    logFile,
  });
  try {
    const startMs = await untilAnswering(started, { host: HOST, port }, startedAtMs);
    return {
      host: HOST,
      port,
      pid: started.pid,
      startMs,
      logFile,
      usage: () => started.usage(),
      stop: () => started.stop(),
    };
  } catch (error) {
    await started.stop();
    throw error;
  }
}

/** Runs a command line tool of Kafka, such as `org.apache.kafka.tools.TopicCommand`, to its end. */
export async function runKafkaTool(
  className: string,
  args: readonly string[],
  options: KafkaToolOptions = {},
): Promise<KafkaToolResult> {
  const jars = await kafkaJars();
  const child = track(
    spawn('java', jars.javaArgs(options.heap ?? TOOL_HEAP, className, args), {
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
  const end = (): void => void child.kill('SIGKILL');
  options.signal?.addEventListener('abort', end, { once: true });
  let stdout = '';
  let stderr = '';
  let partialLine = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (options.keepStdout !== false) stdout += text;
    const lines = (partialLine + text).split('\n');
    partialLine = lines.pop() ?? '';
    for (const line of lines) options.onLine?.(line);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  try {
    const exitCode = await new Promise<number | undefined>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? undefined));
    });
    if (partialLine !== '') options.onLine?.(partialLine);
    return { exitCode, stdout, stderr };
  } finally {
    options.signal?.removeEventListener('abort', end);
  }
}

/** Kafka as a column of a benchmark. */
export async function kafkaVariant(
  name: 'kafka' | 'kafka-sync',
  settings: Readonly<Record<string, string>> = {},
): Promise<PeerVariant> {
  const jars = await kafkaJars();
  const sync = name === 'kafka-sync';
  return {
    name,
    durability: sync
      ? 'fsync of the segment before the ack'
      : 'page cache before the ack (default)',
    topicConfig: {},
    version: jars.version,
    start: (dataDir) =>
      startKafka({ dataDir, settings: { ...(sync ? SYNC_BEFORE_ACK : {}), ...settings } }),
  };
}

interface ServerPlace {
  readonly logDir: string;
  readonly port: number;
  readonly controllerPort: number;
}

function serverSettings(place: ServerPlace): Readonly<Record<string, string>> {
  return {
    'process.roles': 'broker,controller',
    'node.id': String(NODE_ID),
    'controller.quorum.voters': `${NODE_ID}@${HOST}:${place.controllerPort}`,
    listeners: `PLAINTEXT://${HOST}:${place.port},CONTROLLER://${HOST}:${place.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://${HOST}:${place.port}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': place.logDir,
    ...DISTRIBUTED_SETTINGS,
    ...PROMPT_SETTINGS,
  };
}

function writeProperties(file: string, settings: Readonly<Record<string, string>>): void {
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`);
  writeFileSync(file, lines.join(''));
}

/** Formatting costs a start of the JVM, so a formatted directory is kept in the cache and copied. */
async function format(jars: KafkaJars, logDir: string): Promise<void> {
  const template = join(jars.folder, 'formatted');
  if (!existsSync(template)) {
    const work = mkdtempSync(join(jars.folder, 'format-'));
    const target = join(work, 'kraft');
    const properties = join(work, 'server.properties');
    // The ports stand for any: with a static voter they are not written to the directory.
    writeProperties(properties, serverSettings({ logDir: target, port: 1, controllerPort: 2 }));
    const args = ['format', '--cluster-id', CLUSTER_ID, '--config', properties];
    const result = await runKafkaTool('kafka.tools.StorageTool', args);
    if (result.exitCode !== 0) {
      throw new BenchFailure(`Kafka's storage could not be formatted:\n${result.stderr}`);
    }
    if (!existsSync(template)) renameSync(target, template);
    rmSync(work, { recursive: true, force: true });
  }
  mkdirSync(logDir, { recursive: true });
  cpSync(template, logDir, { recursive: true });
}

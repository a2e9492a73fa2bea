/**
 * Who runs the queries. Each run is a fresh process on a fresh copy of the filled topics.
 *
 *   embedded, embedded-2     `millrace run` on its own log, in one thread, and with two worker threads
 *   tcp                      `millrace run` on a Millrace broker in another process
 *   kafka-streams            Kafka Streams on a Millrace broker: the same log
 *   tcp-kafka, kafka-streams-kafka   both on Apache Kafka
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Address } from '../clients/receiving-socket.ts';
import { makeTopic } from '../clients/wire-load.ts';
import { prepareKafkaStreams, type KafkaStreamsProgram } from '../peers/kafka-streams.ts';
import { startKafka } from '../peers/kafka.ts';
import { type MillraceProgram, startMillrace } from '../peers/millrace.ts';
import { freePort, type RunningPeer } from '../peers/peer.ts';
import { type Started, start } from '../process.ts';
import type { SideName } from './side-names.ts';
import { fillTopics, KEPT, PARTITIONS } from './topics-data.ts';

const PROGRAM = fileURLToPath(new URL('programs/nexmark.ts', import.meta.url));
const HOST = '127.0.0.1';
/** The group of the flow, and the application id. */
export const GROUP = 'nexmark';
export const OUTPUT = { name: 'output', partitionCount: PARTITIONS } as const;
export const BIDS = { name: 'bids', partitionCount: PARTITIONS } as const;

export interface RunOptions {
  readonly query: string;
  readonly state: 'disk' | 'memory';
  readonly commitIntervalMs: number;
  /** Of Node, for a Millrace side. */
  readonly nodeArgs?: readonly string[];
}

/** A side that is running. */
export interface RunningSide {
  /** Where its log can be watched. */
  readonly address: Address;
  /** What runs the query; in embedded sides the log, too. */
  readonly engine: Started;
  /** undefined: the log is in the engine. */
  readonly broker: RunningPeer | undefined;
  /** Ends the engine in order, and starts it again; its broker goes on. */
  restart(forget: boolean): Promise<RunningSide>;
  /** Ends all. */
  stop(): Promise<void>;
}

export interface SideContext {
  readonly program: MillraceProgram;
  /** Where filled topics are kept. */
  readonly cache: string;
  /** Of this run alone; emptied before it. */
  readonly work: string;
  /** In the topics. */
  readonly bids: number;
}

type LogKind = 'millrace' | 'kafka';

export async function startSide(
  name: SideName,
  context: SideContext,
  options: RunOptions,
): Promise<RunningSide> {
  const kind = name.endsWith('-kafka') ? 'kafka' : 'millrace';
  const filled = await filledLog(kind, context);
  rmSync(context.work, { recursive: true, force: true });
  mkdirSync(context.work, { recursive: true });
  const logDirectory = join(context.work, 'log');
  execFileSync('cp', ['-r', '--reflink=auto', filled, logDirectory]);
  execFileSync('sync', ['-f', context.work]);
  if (name === 'embedded' || name === 'embedded-2')
    return startEmbedded(context, logDirectory, options, name === 'embedded' ? 0 : 2);
  const broker = await startLog(kind, context.program, logDirectory);
  try {
    const streams = name.startsWith('kafka-streams') ? await prepareKafkaStreams() : undefined;
    return startOnBroker(context, broker, options, streams);
  } catch (error) {
    await broker.stop();
    throw error;
  }
}

async function startEmbedded(
  context: SideContext,
  logDirectory: string,
  options: RunOptions,
  workers: number,
): Promise<RunningSide> {
  const port = await freePort();
  const data = join(logDirectory, 'data');
  const engine = startFlow(context, options, [
    ['--data', data],
    ['--kafka', `${HOST}:${port}`],
    ['--workers', String(workers)],
  ]);
  return {
    address: { host: HOST, port },
    engine,
    broker: undefined,
    restart: async (forget) => {
      await engine.stop();
      if (forget) forgetState(data);
      return startEmbedded(context, logDirectory, options, workers);
    },
    stop: () => engine.stop(),
  };
}

function startOnBroker(
  context: SideContext,
  broker: RunningPeer,
  options: RunOptions,
  streams: KafkaStreamsProgram | undefined,
): RunningSide {
  const state = join(context.work, 'state');
  const bootstrap = `${broker.host}:${broker.port}`;
  const engine =
    streams === undefined
      ? startFlow(context, options, [
          ['--brokers', bootstrap],
          ['--data', state],
        ])
      : streams.start({
          bootstrap,
          query: options.query,
          output: OUTPUT.name,
          stateDirectory: state,
          threads: 1,
          commitIntervalMs: options.commitIntervalMs,
          state: options.state,
          logFile: join(context.work, 'engine.log'),
        });
  return {
    address: broker,
    engine,
    broker,
    restart: async (forget) => {
      await engine.stop();
      if (forget) forgetState(state);
      return startOnBroker(context, broker, options, streams);
    },
    stop: async () => {
      await engine.stop();
      await broker.stop();
    },
  };
}

/** All but who the process is: a stranger would wait until the session of its predecessor is over. */
function forgetState(data: string): void {
  for (const name of ['flows/nexmark/0/worker-0', 'nexmark'])
    rmSync(join(data, name), { recursive: true, force: true });
}

function startFlow(
  context: SideContext,
  options: RunOptions,
  where: readonly (readonly string[])[],
): Started {
  return start({
    command: process.execPath,
    args: [
      ...(options.nodeArgs ?? []),
      join(context.program.folder, 'bin', 'millrace.js'),
      'run',
      PROGRAM,
      ['--set', `query=${options.query}`],
      ['--set', `output=${OUTPUT.name}`],
      ['--commit-interval', `${options.commitIntervalMs}ms`],
      ['--state', options.state],
      ...where,
      '--json',
    ].flat(),
    logFile: join(context.work, 'engine.log'),
  });
}

function startLog(kind: LogKind, program: MillraceProgram, dataDir: string): Promise<RunningPeer> {
  return kind === 'kafka' ? startKafka({ dataDir }) : startMillrace({ dataDir, program });
}

/** Of what says which records there are. */
function contentDigest(): string {
  const hash = createHash('sha256');
  for (const name of ['nexmark.ts', 'topics-data.ts', 'stream-batch.ts'])
    hash.update(readFileSync(new URL(name, import.meta.url)));
  return hash.digest('hex').slice(0, 8);
}

/** The directory of a broker that holds the topics, filled when it is not in the cache. */
async function filledLog(kind: LogKind, context: SideContext): Promise<string> {
  const directory = join(context.cache, `streams-${kind}-${context.bids}-${contentDigest()}`);
  if (existsSync(directory)) return directory;
  process.stderr.write(`Filling ${kind} with ${context.bids.toLocaleString('en-US')} bids, once\n`);
  const partial = `${directory}.new`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  const broker = await startLog(kind, context.program, partial);
  try {
    await makeTopic(broker, { ...OUTPUT, config: KEPT });
    await fillTopics(broker, context.bids);
  } finally {
    await broker.stop();
  }
  renameSync(partial, directory);
  return directory;
}

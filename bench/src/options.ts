/** The command line of the benchmarks. Pure: it reads arguments and says what was asked. */
import { parseArgs } from 'node:util';
import { BenchFailure } from './failure.ts';
import {
  QUEUE_CLIENTS,
  QUEUE_SCENARIOS,
  QUEUE_SIDES,
  type QueueClientName,
  type QueueScenarioName,
  type QueueSideName,
} from './queues/side-names.ts';
import { QUERIES } from './streams/queries.ts';
import { SIDES as STREAM_SIDES, type SideName as StreamSideName } from './streams/side-names.ts';

const SCENARIOS = ['start', 'memory', 'produce', 'consume', 'latency'] as const;
export type ScenarioName = (typeof SCENARIOS)[number];

const BATCH_SCENARIOS = ['top-urls', 'word-count', 'sort', 'join', 'shuffle'] as const;

const STREAM_SCENARIOS = [...QUERIES, 'latency', 'state'] as const;
const STREAM_SIDES_DEFAULT = ['embedded', 'embedded-2', 'tcp', 'kafka-streams'] as const;

const SIDES = ['millrace', 'millrace-os', 'kafka', 'kafka-sync'] as const;
export type SideName = (typeof SIDES)[number];

const CLIENTS = ['wire', 'kcat', 'java'] as const;
export type ClientName = (typeof CLIENTS)[number];

export interface BrokerOptions {
  readonly kind: 'broker';
  readonly scenarios: readonly ScenarioName[];
  readonly sides: readonly SideName[];
  readonly clients: readonly ClientName[];
  readonly partitionCounts: readonly number[];
  readonly recordSizes: readonly number[];
  /** Records per second of the latency scenario. */
  readonly rates: readonly number[];
  readonly repeats: number;
  /** Length of one measured window of produce or latency, seconds. */
  readonly seconds: number;
  /** Bytes of values in the topics that are consumed. */
  readonly consumeBytes: number;
  readonly quick: boolean;
  /** How long to wait for others to leave the machine alone before each measurement; 0 does not look. */
  readonly patienceSeconds: number;
  /** Whether to compile Millrace before. */
  readonly build: boolean;
}

export interface ProfileOptions {
  readonly kind: 'profile';
  readonly load: 'produce' | 'consume';
  readonly partitionCount: number;
  readonly recordBytes: number;
  readonly seconds: number;
  readonly flush: 'commit' | 'os';
  /** How many functions to print. */
  readonly top: number;
  readonly build: boolean;
}

export interface BatchOptions {
  readonly kind: 'batch';
  readonly scenarios: readonly string[];
  /** Only these sides; undefined: all. */
  readonly sides: readonly string[] | undefined;
  /** Of the data: 1 is what the titles say. */
  readonly scale: number;
  readonly repeats: number;
  /** What sorts and shuffles may use, such as 256M. */
  readonly memory: string;
  /** Where outputs and temporary files go; undefined: the system's folder for those. */
  readonly directory: string | undefined;
  readonly build: boolean;
}

export interface StreamsOptions {
  readonly kind: 'streams';
  /** Queries, and `latency` and `state`. */
  readonly scenarios: readonly string[];
  readonly sides: readonly StreamSideName[];
  readonly bids: number;
  /** Of the state scenario. */
  readonly keys: number;
  /** Bids per second of the latency scenario. */
  readonly rate: number;
  readonly seconds: number;
  readonly repeats: number;
  readonly commitMs: number;
  readonly state: 'disk' | 'memory';
  readonly directory: string | undefined;
  /** Where processor profiles of Millrace's sides go; undefined: none are made. */
  readonly profile: string | undefined;
  readonly build: boolean;
}

export interface QueuesOptions {
  readonly kind: 'queues';
  readonly scenarios: readonly QueueScenarioName[];
  readonly sides: readonly QueueSideName[];
  readonly clients: readonly QueueClientName[];
  readonly bodyBytes: number;
  /** Messages a second where latencies are measured. */
  readonly rate: number;
  /** Messages that wait before somebody consumes. */
  readonly backlog: number;
  readonly repeats: number;
  /** Length of one measured window, seconds. */
  readonly seconds: number;
  readonly directory: string | undefined;
  readonly build: boolean;
}

interface DumpLogOptions {
  readonly kind: 'dump-log';
  readonly directory: string;
}

interface HelpOptions {
  readonly kind: 'help';
}

export type Options =
  | BrokerOptions
  | BatchOptions
  | StreamsOptions
  | QueuesOptions
  | ProfileOptions
  | DumpLogOptions
  | HelpOptions;

export const HELP = `usage: npm run bench -- <command> [options]

  broker                 Millrace and Apache Kafka side by side: a table of ratios, and JSON in bench/results/
    --quick              less than three minutes (default: up to 25 minutes)
    --only LIST          of ${SCENARIOS.join(', ')}
    --peer kafka|none    what to compare with (default kafka)
    --sides LIST         of ${SIDES.join(', ')} (default: all that --peer allows)
    --clients LIST       of ${CLIENTS.join(', ')}; default wire,kcat; docs/how-to/benchmarks.md says why
    --partitions LIST    numbers of partitions (default 1,32,256; quick 32)
    --sizes LIST         bytes of a record (default 100,1024)
    --rates LIST         records per second of the latency scenario (default 1000,10000; quick 1000)
    --repeats N          (default 3; quick 1)
    --seconds N          length of one measurement (default 2; quick 1)
    --patience SECONDS   before each measurement, wait up to so long for a quiet machine (default: do not)
    --no-build           measure what is in millrace/dist

  batch                  the batch engine beside awk, sort, mawk and DuckDB on the same data; results are compared
    --only LIST          of ${BATCH_SCENARIOS.join(', ')}
    --sides LIST         by their names in the table (default: all)
    --scale NUMBER       size of the data (default 1: up to 4 GiB; 0.01 for a try)
    --repeats N          (default 3)
    --memory SIZE        of sorts and shuffles (default 256M)
    --directory PATH     for outputs and temporary files
    --no-build           measure what is in millrace/dist

  streams                the stream engine beside Kafka Streams on the same log; results are compared with an oracle
    --only LIST          of ${STREAM_SCENARIOS.join(', ')}
    --sides LIST         of ${STREAM_SIDES.join(', ')}
                         (default ${STREAM_SIDES_DEFAULT.join(',')})
    --bids N             in the topics (default 2000000)
    --keys N             of the state scenario (default 1000000)
    --rate N --seconds N of the latency scenario (default 10000 and 10)
    --repeats N          (default 3)
    --commit MS          milliseconds between commits (default 100)
    --state disk|memory  where state is (default disk)
    --profile DIRECTORY  for processor profiles of the sides of Millrace
    --directory PATH --no-build

  queues                 queues beside RabbitMQ's, classic and quorum, over AMQP; what is delivered is checked
    --only LIST          of ${QUEUE_SCENARIOS.join(', ')}
    --sides LIST         of ${QUEUE_SIDES.join(', ')}
    --clients LIST       of ${QUEUE_CLIENTS.join(', ')}
    --size N             bytes of a message (default 1024)
    --rate N             messages per second where latencies are measured (default 2000)
    --backlog N          messages that wait before somebody consumes (default 200000)
    --seconds N          length of one measurement (default 2)
    --repeats N          (default 3)
    --directory PATH --no-build

  profile produce|consume    where Millrace spends its time under a load
    --partitions N --size N --seconds N --flush commit|os --top N --no-build

  dump-log DIRECTORY     Kafka's DumpLogSegments over the segments below DIRECTORY: can it read them, are they sound
`;

/** What a message needs to be known again. */
const BODY_BYTES_MIN = 16;

const FULL = {
  partitionCounts: [1, 32, 256],
  recordSizes: [100, 1024],
  rates: [1000, 10_000],
  clients: ['wire', 'kcat'],
  repeats: 3,
  seconds: 2,
  consumeBytes: 250e6,
} as const;

const QUICK = {
  partitionCounts: [32],
  recordSizes: [100, 1024],
  rates: [1000],
  clients: ['wire', 'kcat'],
  repeats: 1,
  seconds: 1,
  consumeBytes: 100e6,
} as const;

/** @throws {BenchFailure} on an argument that means nothing */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = readArguments(args);
  const [command, target] = positionals;
  if (values.help === true || command === undefined || command === 'help') return { kind: 'help' };
  if (command === 'broker') return brokerOptions(values);
  if (command === 'batch') return batchOptions(values);
  if (command === 'streams') return streamsOptions(values);
  if (command === 'queues') return queuesOptions(values);
  if (command === 'profile') {
    return {
      kind: 'profile',
      load: oneOf('profile', target, ['produce', 'consume']),
      partitionCount: positive('--partitions', values.partitions ?? '32'),
      recordBytes: positive('--size', values.size ?? '1024'),
      seconds: positive('--seconds', values.seconds ?? '10'),
      flush: oneOf('--flush', values.flush ?? 'commit', ['commit', 'os']),
      top: positive('--top', values.top ?? '25'),
      build: values['no-build'] !== true,
    };
  }
  if (command === 'dump-log') {
    if (target === undefined)
      throw new BenchFailure('dump-log needs the directory of the segments');
    return { kind: 'dump-log', directory: target };
  }
  throw new BenchFailure(`unknown command '${command}'\n\n${HELP}`);
}

type Values = ReturnType<typeof readArguments>['values'];

function readArguments(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        quick: { type: 'boolean' },
        only: { type: 'string' },
        peer: { type: 'string' },
        sides: { type: 'string' },
        clients: { type: 'string' },
        partitions: { type: 'string' },
        sizes: { type: 'string' },
        size: { type: 'string' },
        rates: { type: 'string' },
        repeats: { type: 'string' },
        seconds: { type: 'string' },
        patience: { type: 'string' },
        flush: { type: 'string' },
        top: { type: 'string' },
        scale: { type: 'string' },
        memory: { type: 'string' },
        directory: { type: 'string' },
        bids: { type: 'string' },
        keys: { type: 'string' },
        backlog: { type: 'string' },
        rate: { type: 'string' },
        commit: { type: 'string' },
        state: { type: 'string' },
        profile: { type: 'string' },
        'no-build': { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new BenchFailure(`${(error as Error).message}\n\n${HELP}`);
  }
}

function brokerOptions(values: Values): BrokerOptions {
  const quick = values.quick === true;
  const base = quick ? QUICK : FULL;
  const peer = oneOf('--peer', values.peer ?? 'kafka', ['kafka', 'none']);
  const sides: readonly SideName[] = peer === 'none' ? ['millrace', 'millrace-os'] : SIDES;
  return {
    kind: 'broker',
    scenarios: listOf('--only', values.only, SCENARIOS, SCENARIOS),
    sides: listOf('--sides', values.sides, SIDES, sides),
    clients: listOf('--clients', values.clients, CLIENTS, base.clients),
    partitionCounts: numbers('--partitions', values.partitions, base.partitionCounts),
    recordSizes: numbers('--sizes', values.sizes, base.recordSizes),
    rates: numbers('--rates', values.rates, base.rates),
    repeats: positive('--repeats', values.repeats ?? String(base.repeats)),
    seconds: positive('--seconds', values.seconds ?? String(base.seconds)),
    consumeBytes: base.consumeBytes,
    quick,
    patienceSeconds: values.patience === undefined ? 0 : positive('--patience', values.patience),
    build: values['no-build'] !== true,
  };
}

function batchOptions(values: Values): BatchOptions {
  const scale = Number(values.scale ?? '1');
  if (!(scale > 0))
    throw new BenchFailure(`--scale is a number above 0, not '${values.scale ?? ''}'`);
  return {
    kind: 'batch',
    scenarios: listOf('--only', values.only, BATCH_SCENARIOS, BATCH_SCENARIOS),
    sides: values.sides?.split(',').map((name) => name.trim()),
    scale,
    repeats: positive('--repeats', values.repeats ?? '3'),
    memory: values.memory ?? '256M',
    directory: values.directory,
    build: values['no-build'] !== true,
  };
}

function streamsOptions(values: Values): StreamsOptions {
  return {
    kind: 'streams',
    scenarios: listOf('--only', values.only, STREAM_SCENARIOS, STREAM_SCENARIOS),
    sides: listOf('--sides', values.sides, STREAM_SIDES, STREAM_SIDES_DEFAULT),
    bids: positive('--bids', values.bids ?? '2000000'),
    keys: positive('--keys', values.keys ?? '1000000'),
    rate: positive('--rate', values.rate ?? '10000'),
    seconds: positive('--seconds', values.seconds ?? '10'),
    repeats: positive('--repeats', values.repeats ?? '3'),
    commitMs: positive('--commit', values.commit ?? '100'),
    state: oneOf('--state', values.state ?? 'disk', ['disk', 'memory']),
    directory: values.directory,
    profile: values.profile,
    build: values['no-build'] !== true,
  };
}

function queuesOptions(values: Values): QueuesOptions {
  const bodyBytes = positive('--size', values.size ?? '1024');
  if (bodyBytes < BODY_BYTES_MIN)
    throw new BenchFailure(`--size is at least ${BODY_BYTES_MIN}, not '${values.size ?? ''}'`);
  return {
    kind: 'queues',
    scenarios: listOf('--only', values.only, QUEUE_SCENARIOS, QUEUE_SCENARIOS),
    sides: listOf('--sides', values.sides, QUEUE_SIDES, QUEUE_SIDES),
    clients: listOf('--clients', values.clients, QUEUE_CLIENTS, QUEUE_CLIENTS),
    bodyBytes,
    rate: positive('--rate', values.rate ?? '2000'),
    backlog: positive('--backlog', values.backlog ?? '200000'),
    repeats: positive('--repeats', values.repeats ?? '3'),
    seconds: positive('--seconds', values.seconds ?? '2'),
    directory: values.directory,
    build: values['no-build'] !== true,
  };
}

function oneOf<T extends string>(
  name: string,
  value: string | undefined,
  allowed: readonly T[],
): T {
  const found = allowed.find((item) => item === value);
  if (found === undefined) {
    throw new BenchFailure(`${name} is one of ${allowed.join(', ')}, not '${value ?? ''}'`);
  }
  return found;
}

function listOf<T extends string>(
  name: string,
  value: string | undefined,
  allowed: readonly T[],
  byDefault: readonly T[],
): readonly T[] {
  if (value === undefined) return byDefault;
  const asked = value.split(',').map((item) => oneOf(name, item.trim(), allowed));
  // In the order of the catalogue, so that tables look the same whatever the command line.
  return allowed.filter((item) => asked.includes(item));
}

function positive(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1) {
    throw new BenchFailure(`${name} is a whole number from 1 on, not '${value}'`);
  }
  return number;
}

function numbers(
  name: string,
  value: string | undefined,
  byDefault: readonly number[],
): readonly number[] {
  return value === undefined
    ? byDefault
    : value.split(',').map((item) => positive(name, item.trim()));
}

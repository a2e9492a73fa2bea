/** Kafka Streams as a peer: `bench/peers/kafka-streams/NexmarkStreams.java`, compiled against its jars, in a JVM of its own. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BenchFailure } from '../failure.ts';
import { type Started, start } from '../process.ts';
import { type KafkaJars, kafkaJars } from './kafka-jars.ts';

const run = promisify(execFile);
const SOURCE = fileURLToPath(
  new URL('../../peers/kafka-streams/NexmarkStreams.java', import.meta.url),
);
const HEAP = ['-Xmx2G'];

export interface KafkaStreamsProgram {
  readonly version: string;
  start(options: StreamsStart): Started;
}

export interface StreamsStart {
  readonly bootstrap: string;
  readonly query: string;
  readonly output: string;
  readonly stateDirectory: string;
  readonly threads: number;
  readonly commitIntervalMs: number;
  readonly state: 'disk' | 'memory';
  readonly logFile: string;
}

/** @throws {BenchFailure} when Java, its compiler or Maven is missing */
export async function prepareKafkaStreams(): Promise<KafkaStreamsProgram> {
  const jars = await kafkaJars('kafka-streams');
  const classes = await compile(jars);
  return {
    version: jars.version,
    start: (options) =>
      start({
        command: 'java',
        args: jars.javaArgs(
          HEAP,
          'NexmarkStreams',
          [
            options.bootstrap,
            options.query,
            options.output,
            options.stateDirectory,
            String(options.threads),
            String(options.commitIntervalMs),
            options.state,
          ],
          [classes],
        ),
        logFile: options.logFile,
      }),
  };
}

/** Once per content of the source. */
async function compile({ folder, libraries }: KafkaJars): Promise<string> {
  const digest = createHash('sha256').update(readFileSync(SOURCE)).digest('hex').slice(0, 12);
  const classes = join(folder, `classes-${digest}`);
  if (existsSync(classes)) return classes;
  const partial = mkdtempSync(join(folder, 'partial-'));
  try {
    await run('javac', ['-cp', libraries, '-d', partial, SOURCE]);
  } catch (error) {
    throw new BenchFailure(`${SOURCE} cannot be compiled: ${String(error)}`);
  }
  renameSync(partial, classes);
  return classes;
}

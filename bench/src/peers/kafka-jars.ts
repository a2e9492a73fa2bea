/**
 * Apache Kafka's broker and tools as Maven delivers them. Owns: the cache folder outside the repository, filled once
 * per content of `bench/peers/kafka/pom.xml`, and the Java command line that runs a class from it.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BenchFailure } from '../failure.ts';

const run = promisify(execFile);

/** Below it, a folder for each peer, with its `pom.xml`. */
const PEERS = fileURLToPath(new URL('../../peers', import.meta.url));
/** Also what the JVM logs is said there. */
const LOGGING = join(PEERS, 'kafka');
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000;
const JAVA_MIN = 17;

/** As the scripts of the Kafka distribution start the JVM. */
const JVM_OPTIONS = [
  '-server',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=20',
  '-XX:InitiatingHeapOccupancyPercent=35',
  '-XX:+ExplicitGCInvokesConcurrent',
  '-Djava.awt.headless=true',
];

export interface KafkaJars {
  readonly version: string;
  readonly javaVersion: string;
  /** Where this copy of Kafka lives; other things derived from it may be kept beside it. */
  readonly folder: string;
  /** Its class path. */
  readonly libraries: string;
  /** The arguments of `java` that run `className` with `args`. @param classes folders with more of them */
  javaArgs(
    heap: readonly string[],
    className: string,
    args: readonly string[],
    classes?: readonly string[],
  ): string[];
}

/** The cache of the benchmarks: `$XDG_CACHE_HOME/millrace-bench`, by default below the home directory. */
export function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(base, 'millrace-bench');
}

/**
 * Kafka's jars, fetched when they are not in the cache.
 * @param peer broker and tools, or the library
 * @throws {BenchFailure} when Java (17 or later) or Maven is not installed, or Maven cannot fetch them
 */
export async function kafkaJars(peer: 'kafka' | 'kafka-streams' = 'kafka'): Promise<KafkaJars> {
  const javaVersion = await requireJava();
  const pomFile = join(PEERS, peer, 'pom.xml');
  const pom = readFileSync(pomFile, 'utf8');
  const version = /<kafka\.version>([^<]+)</.exec(pom)?.[1];
  if (version === undefined) throw new BenchFailure(`${pomFile} names no version`);
  const digest = createHash('sha256').update(pom).digest('hex').slice(0, 12);
  const folder = join(cacheFolder(), `${peer}-${version}-${digest}`);
  if (!existsSync(folder)) await download(folder, pomFile, version);
  const libraries = join(folder, 'libs', '*');
  return {
    version,
    javaVersion,
    folder,
    libraries,
    javaArgs: (heap, className, args, classes = []) => [
      ...heap,
      ...JVM_OPTIONS,
      `-Dlog4j2.configurationFile=${join(LOGGING, 'log4j2.xml')}`,
      '-cp',
      [LOGGING, libraries, ...classes].join(':'),
      className,
      ...args,
    ],
  };
}

/** The major version in the output of `java -version`; undefined when there is none. */
export function parseJavaMajor(output: string): number | undefined {
  const match = /version "(\d+)(?:\.(\d+))?/.exec(output);
  if (match === null) return undefined;
  return match[1] === '1' ? Number(match[2]) : Number(match[1]);
}

async function requireJava(): Promise<string> {
  let output: string;
  try {
    output = (await run('java', ['-version'])).stderr;
  } catch {
    throw new BenchFailure(
      `Apache Kafka needs Java ${JAVA_MIN} or later and 'java' is not on the path. Install a JDK (Debian: apt-get install openjdk-17-jdk-headless maven), or measure without it: --peer none`,
    );
  }
  const major = parseJavaMajor(output);
  if (major === undefined || major < JAVA_MIN) {
    throw new BenchFailure(
      `Apache Kafka needs Java ${JAVA_MIN} or later; 'java -version' says:\n${output.trim()}`,
    );
  }
  return output.split('\n')[0]?.trim() ?? '';
}

async function download(folder: string, pomFile: string, version: string): Promise<void> {
  process.stderr.write(`Fetching Apache Kafka ${version} with Maven, once, into ${folder}\n`);
  mkdirSync(cacheFolder(), { recursive: true });
  const partial = mkdtempSync(join(cacheFolder(), 'partial-'));
  try {
    await run(
      'mvn',
      [
        '-q',
        '-B',
        '-f',
        pomFile,
        'dependency:copy-dependencies',
        `-DoutputDirectory=${join(partial, 'libs')}`,
        '-DincludeScope=runtime',
      ],
      { timeout: DOWNLOAD_TIMEOUT_MS },
    );
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new BenchFailure(
        `Apache Kafka is fetched with Maven and 'mvn' is not on the path. Install it (Debian: apt-get install maven), or measure without Kafka: --peer none`,
      );
    }
    const { stdout, stderr } = error as { readonly stdout?: string; readonly stderr?: string };
    throw new BenchFailure(
      `Maven could not fetch Apache Kafka ${version}:\n${stdout ?? ''}${stderr ?? String(error)}`,
    );
  }
  if (readdirSync(join(partial, 'libs')).length === 0) {
    throw new BenchFailure(`Maven fetched nothing for Apache Kafka ${version}`);
  }
  renameSync(partial, folder);
}

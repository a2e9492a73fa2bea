/**
 * kcat (librdkafka, C) as an unmodified client: no JIT to warm up and little CPU per record, so it is closer to what
 * the broker can do than the JVM tools on a machine of few cores. Owns: its command lines, and the feeding of lines.
 */
import { execFile, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { BenchFailure } from '../failure.ts';
import { track } from '../process.ts';
import type { Rate } from './rate.ts';
import type { Address } from './receiving-socket.ts';
import { WireConnection } from './wire-connection.ts';
import { makeLines, type TopicShape } from './wire-load.ts';
import { listOffsets } from './wire-requests.ts';

const run = promisify(execFile);

/** The version of kcat on the path, or undefined when there is none. */
export async function kcatVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await run('kcat', ['-V']);
    return /librdkafka ([\w.-]+)/.exec(stdout)?.[1] ?? 'unknown';
  } catch {
    return undefined;
  }
}

export interface KcatProduceOptions {
  readonly address: Address;
  readonly topic: TopicShape;
  readonly recordBytes: number;
  readonly warmupMs: number;
  readonly measureMs: number;
  readonly onWindow?: (edge: 'begin' | 'end') => void;
}

/**
 * Produces lines with acks=all (librdkafka's default) as fast as kcat reads them, and counts, by the end offsets of
 * the topic, what the broker has committed in a window of time.
 * @throws {BenchFailure} when kcat ends by itself
 */
export async function kcatProduce(options: KcatProduceOptions): Promise<Rate> {
  const { address, topic } = options;
  const bootstrap = `${address.host}:${address.port}`;
  const child = track(
    spawn('kcat', ['-P', '-b', bootstrap, '-t', topic.name, '-X', 'acks=all'], {
      stdio: ['pipe', 'ignore', 'pipe'],
    }),
  );
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const closed = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve());
  });
  const lines = makeLines(options.recordBytes);
  const feed = (): void => {
    while (child.stdin.write(lines));
  };
  child.stdin.on('drain', feed).on('error', () => undefined);
  feed();
  const connection = await WireConnection.open(address);
  try {
    await sleep(options.warmupMs);
    const before = await endOffsetSum(connection, topic);
    const beginMs = performance.now();
    options.onWindow?.('begin');
    await Promise.race([sleep(options.measureMs), closed]);
    const after = await endOffsetSum(connection, topic);
    const seconds = (performance.now() - beginMs) / 1000;
    options.onWindow?.('end');
    if (child.exitCode !== null || after === before) {
      throw new BenchFailure(`kcat produced nothing in the measured time: ${stderr}`);
    }
    return { records: after - before, seconds };
  } finally {
    connection.close();
    child.kill('SIGKILL');
    await closed;
  }
}

async function endOffsetSum(connection: WireConnection, topic: TopicShape): Promise<number> {
  const ends = await listOffsets(connection, topic, 'end');
  return ends.reduce((sum, offset) => sum + offset, 0);
}

/**
 * Consumes `recordCount` records from the beginning, writing their values to /dev/null.
 * @throws {BenchFailure} when kcat fails
 */
export async function kcatConsume(options: {
  readonly address: Address;
  readonly topic: TopicShape;
  readonly recordCount: number;
}): Promise<Rate> {
  const { address, topic, recordCount } = options;
  const startedMs = performance.now();
  const child = track(
    spawn(
      'kcat',
      [
        ['-C', '-q', '-b', `${address.host}:${address.port}`, '-t', topic.name],
        ['-o', 'beginning', '-c', String(recordCount)],
      ].flat(),
      // 'ignore' is /dev/null: kcat formats and writes, and the kernel drops.
      { stdio: ['ignore', 'ignore', 'pipe'] },
    ),
  );
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  if (code !== 0) throw new BenchFailure(`kcat could not consume ${topic.name}: ${stderr}`);
  const seconds = (performance.now() - startedMs) / 1000;
  return { records: recordCount, seconds };
}

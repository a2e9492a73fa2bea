/**
 * Kafka's own performance tools as clients, unmodified and with their default settings, against any broker.
 * Owns: their command lines and the reading of their output.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runKafkaTool } from '../peers/kafka.ts';
import { BenchFailure } from '../failure.ts';
import type { Rate } from './rate.ts';
import { makeLines } from './wire-load.ts';

export interface JavaProduceOptions {
  readonly bootstrap: string;
  readonly topic: string;
  readonly recordBytes: number;
  /** Records acknowledged in this first time are not counted: both JVMs are still compiling. */
  readonly warmupMs: number;
  readonly measureMs: number;
  /** Runs when the measured time begins, and when it ends. */
  readonly onWindow?: (edge: 'begin' | 'end') => void;
}

const REPORT_MS = 200;
/** More than any run can send: the time decides. */
const RECORDS_UNBOUNDED = 2_000_000_000;
/** The tool sends nothing for a while when its JVM starts on a busy machine. */
const START_ALLOWANCE_MS = 30_000;

export interface ProduceReport {
  readonly records: number;
  readonly recordsPerSecond: number;
}

/** `12345 records sent, 2469.0 records/sec (2.35 MB/sec), 1.2 ms avg latency, 3.0 ms max latency.` */
export function parseProduceReport(line: string): ProduceReport | undefined {
  const match = /^(\d+) records sent, ([\d.]+) records\/sec/.exec(line);
  if (match === null) return undefined;
  return { records: Number(match[1]), recordsPerSecond: Number(match[2]) };
}

/**
 * Produces as fast as `ProducerPerformance` can with acks=all, and counts what was acknowledged in a window of time.
 * @throws {BenchFailure} when the tool reports nothing in the window
 */
export async function javaProduce(options: JavaProduceOptions): Promise<Rate> {
  const stop = new AbortController();
  const watchdog = setTimeout(
    () => stop.abort(),
    START_ALLOWANCE_MS + options.warmupMs + options.measureMs,
  );
  // By default the tool makes up every byte of every record, which costs more than to send them.
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-payload-'));
  const payloadFile = join(folder, 'lines');
  writeFileSync(payloadFile, makeLines(options.recordBytes));
  let sinceFirstMs = 0;
  let records = 0;
  let seconds = 0;
  let measuring = false;
  const result = await runKafkaTool(
    'org.apache.kafka.tools.ProducerPerformance',
    [
      ['--bootstrap-server', options.bootstrap, '--topic', options.topic],
      ['--num-records', String(RECORDS_UNBOUNDED), '--payload-file', payloadFile],
      ['--throughput', '-1', '--reporting-interval', String(REPORT_MS)],
      ['--command-property', 'acks=all'],
    ].flat(),
    {
      signal: stop.signal,
      onLine: (line) => {
        const report = parseProduceReport(line);
        if (report === undefined || report.records === 0 || stop.signal.aborted) return;
        const elapsedSeconds = report.records / report.recordsPerSecond;
        if (measuring) {
          records += report.records;
          seconds += elapsedSeconds;
        } else {
          sinceFirstMs += elapsedSeconds * 1000;
          measuring = sinceFirstMs >= options.warmupMs;
          if (measuring) options.onWindow?.('begin');
        }
        if (seconds * 1000 >= options.measureMs) {
          options.onWindow?.('end');
          stop.abort();
        }
      },
    },
  );
  clearTimeout(watchdog);
  rmSync(folder, { recursive: true, force: true });
  if (records === 0) {
    throw new BenchFailure(
      `ProducerPerformance acknowledged nothing in the measured time:\n${result.stdout}${result.stderr}`,
    );
  }
  return { records, seconds };
}

export interface JavaConsumeOptions {
  readonly bootstrap: string;
  readonly topic: string;
  readonly recordCount: number;
}

/**
 * Columns of ConsumerPerformance: start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg,
 * nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec.
 */
export function parseConsumeReport(
  stdout: string,
): { readonly records: number; readonly fetchMs: number } | undefined {
  for (const line of stdout.split('\n').toReversed()) {
    const cells = line.split(',').map((cell) => cell.trim());
    const records = Number(cells[4]);
    const fetchMs = Number(cells[7]);
    if (cells.length === 10 && Number.isFinite(records) && Number.isFinite(fetchMs)) {
      return { records, fetchMs };
    }
  }
  return undefined;
}

/**
 * Consumes `recordCount` records from the beginning with `ConsumerPerformance`, as a group of one. Its time to join
 * the group is not counted.
 * @throws {BenchFailure} when it did not get that many
 */
export async function javaConsume(options: JavaConsumeOptions): Promise<Rate> {
  const result = await runKafkaTool(
    'org.apache.kafka.tools.ConsumerPerformance',
    [
      ['--bootstrap-server', options.bootstrap, '--topic', options.topic],
      ['--num-records', String(options.recordCount), '--timeout', '20000'],
    ].flat(),
  );
  const report = parseConsumeReport(result.stdout);
  if (report === undefined || report.records < options.recordCount) {
    throw new BenchFailure(
      `ConsumerPerformance got ${report?.records ?? 0} of ${options.recordCount} records:\n${result.stdout}${result.stderr}`,
    );
  }
  return {
    records: report.records,
    seconds: report.fetchMs / 1000,
  };
}

export interface EndToEndReport {
  readonly averageMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** `Avg latency: 1.2345 ms` and `Percentiles: 50th = 1, 99th = 3, 99.9th = 9`. */
export function parseEndToEndReport(stdout: string): EndToEndReport | undefined {
  const average = /Avg latency: ([\d.]+) ms/.exec(stdout);
  const percentiles = /50th = ([\d.]+), 99th = ([\d.]+)/.exec(stdout);
  if (average === null || percentiles === null) return undefined;
  return {
    averageMs: Number(average[1]),
    p50Ms: Number(percentiles[1]),
    p99Ms: Number(percentiles[2]),
  };
}

/**
 * One record after the other, each sent when the one before was consumed: Kafka's `EndToEndLatency` with acks=all.
 * @throws {BenchFailure} when the tool fails
 */
export async function javaEndToEnd(options: {
  readonly bootstrap: string;
  readonly topic: string;
  readonly recordCount: number;
  readonly recordBytes: number;
}): Promise<EndToEndReport> {
  const result = await runKafkaTool('org.apache.kafka.tools.EndToEndLatency', [
    options.bootstrap,
    options.topic,
    String(options.recordCount),
    'all',
    String(options.recordBytes),
  ]);
  const report = parseEndToEndReport(result.stdout);
  if (report === undefined) {
    throw new BenchFailure(`EndToEndLatency failed:\n${result.stdout}${result.stderr}`);
  }
  return report;
}

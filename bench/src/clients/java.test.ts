import { expect, test } from 'vitest';
import { parseJavaMajor } from '../peers/kafka-jars.ts';
import { parseConsumeReport, parseEndToEndReport, parseProduceReport } from './java.ts';

test('reads a progress line of the producer', () => {
  const line =
    '49361 records sent, 9870.2 records/sec (9.64 MB/sec), 12.4 ms avg latency, 310.0 ms max latency.';
  expect(parseProduceReport(line)).toEqual({ records: 49_361, recordsPerSecond: 9870.2 });
});

test('ignores what is not a progress line', () => {
  expect(parseProduceReport('')).toBeUndefined();
  expect(parseProduceReport('WARN 5 records sent nowhere')).toBeUndefined();
});

test('reads the last row of the consumer, without the time to join the group', () => {
  const output = [
    'start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec',
    '2026-01-01 00:00:00:000, 2026-01-01 00:00:05:000, 953.67, 190.73, 1000000, 200000.0, 3000, 2000, 476.84, 500000.0',
    '',
  ].join('\n');
  expect(parseConsumeReport(output)).toEqual({ records: 1_000_000, fetchMs: 2000 });
  expect(parseConsumeReport('no table')).toBeUndefined();
});

test('reads the latencies of the end-to-end tool', () => {
  const output = '0\t1.5\nAvg latency: 1.2345 ms\n\nPercentiles: 50th = 1, 99th = 3, 99.9th = 9\n';
  expect(parseEndToEndReport(output)).toEqual({ averageMs: 1.2345, p50Ms: 1, p99Ms: 3 });
  expect(parseEndToEndReport('')).toBeUndefined();
});

test('knows the versions of Java, old and new', () => {
  expect(parseJavaMajor('openjdk version "17.0.15" 2025-04-15')).toBe(17);
  expect(parseJavaMajor('openjdk version "21" 2023-09-19')).toBe(21);
  expect(parseJavaMajor('java version "1.8.0_392"')).toBe(8);
  expect(parseJavaMajor('command not found')).toBeUndefined();
});

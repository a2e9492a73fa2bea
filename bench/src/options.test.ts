import { expect, test } from 'vitest';
import { BenchFailure } from './failure.ts';
import { parseOptions } from './options.ts';

test('without a command there is help', () => {
  expect(parseOptions([])).toEqual({ kind: 'help' });
});

test('the quick mode is smaller than the full one in every respect', () => {
  const full = parseOptions(['broker']);
  const quick = parseOptions(['broker', '--quick']);
  if (full.kind !== 'broker' || quick.kind !== 'broker') throw new Error('not the broker command');
  expect(quick.repeats).toBeLessThan(full.repeats);
  expect(quick.partitionCounts.length).toBeLessThan(full.partitionCounts.length);
  expect(quick.consumeBytes).toBeLessThan(full.consumeBytes);
  expect(quick.scenarios).toEqual(full.scenarios);
});

test('lists keep the order of the catalogue, whatever the order asked for', () => {
  expect(
    parseOptions(['broker', '--only', 'latency,start', '--sides', 'kafka,millrace']),
  ).toMatchObject({ scenarios: ['start', 'latency'], sides: ['millrace', 'kafka'] });
});

test('without a peer only our own sides run', () => {
  expect(parseOptions(['broker', '--peer', 'none'])).toMatchObject({
    sides: ['millrace', 'millrace-os'],
  });
});

test('queues are measured beside both types of RabbitMQ, with both clients', () => {
  expect(parseOptions(['queues', '--seconds', '2', '--backlog', '1000'])).toMatchObject({
    sides: ['millrace', 'rabbitmq-classic', 'rabbitmq-quorum'],
    clients: ['raw', 'amqplib'],
    scenarios: ['throughput', 'latency', 'backlog'],
    bodyBytes: 1024,
    seconds: 2,
    backlog: 1000,
  });
});

test.each([
  [['broker', '--only', 'speed']],
  [['queues', '--size', '8']],
  [['queues', '--clients', 'kcat']],
  [['broker', '--repeats', '0']],
  [['broker', '--partitions', '1,x']],
  [['broker', '--unknown']],
  [['profile', 'compaction']],
  [['dump-log']],
  [['brokers']],
])('refuses %j with a message', (args) => {
  expect(() => parseOptions(args)).toThrow(BenchFailure);
});

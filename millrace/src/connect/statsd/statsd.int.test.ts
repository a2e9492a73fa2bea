/** StatsD into a topic, over real sockets and a real log. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { visibleBatches } from '../../client/kafka/fetched-records.ts';
import { CollectingLogger } from '../../core/log.ts';
import { realEnv } from '../../core/real-env.ts';
import { type EmbeddedLog, openEmbedded } from '../../embedded-log.ts';
import { openStatsd, type StatsdReceiver } from './statsd-receiver.ts';

const env = realEnv();
let directory: string;
let log: EmbeddedLog;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-statsd-'));
  log = await openEmbedded(env, { dataDir: join(directory, 'log') });
});

afterAll(async () => {
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Written {
  readonly key: string;
  readonly timestamp: number;
  readonly value: unknown;
}

async function written(topic: string, count: number): Promise<Written[]> {
  const reader = log.reader({ uncommitted: false });
  reader.assign([{ topic, partition: 0, offset: 0 }]);
  const records: Written[] = [];
  while (records.length < count)
    for (const polled of await reader.poll(100))
      for (const batch of visibleBatches(polled))
        while (batch.next()) {
          const { data, timestamp } = batch;
          const key = data.toString('utf8', batch.keyStart, batch.keyEnd);
          const value: unknown = JSON.parse(
            data.toString('utf8', batch.valueStart, batch.valueEnd),
          );
          records.push({ key, timestamp, value });
        }
  reader.close();
  return records;
}

/** Sends each text as a datagram, and waits until all have been counted. */
async function send(statsd: StatsdReceiver, texts: readonly string[]): Promise<void> {
  const sender = await env.net.datagrams({ host: '127.0.0.1', port: 0 }, () => {});
  const { datagrams } = statsd.stats();
  for (const [index, text] of texts.entries()) {
    sender.send(Buffer.from(text), statsd);
    // One after the other, so that the system has room for them.
    while (statsd.stats().datagrams < datagrams + index + 1) await env.timers.sleep(1);
  }
  await sender.close();
}

test('metrics become records under their names, and what is none is counted', async () => {
  await log.createTopics([{ name: 'metrics', partitions: 1, configs: {} }]);
  const logger = new CollectingLogger();
  const statsd = await openStatsd(log, { topic: 'metrics', port: 0 }, logger);
  await send(statsd, [
    'a:1|c|@0.5|#k:v\nb:2:3|ms\r\n',
    'nonsense\n_e{1,1}:a|b\nc:+4|g|T1656581400',
    '',
  ]);
  const records = await written('metrics', 4);
  expect(records.map(({ key, value }) => [key, value])).toEqual([
    ['a', { name: 'a', type: 'counter', value: 1, rate: 0.5, tags: { k: 'v' } }],
    ['b', { name: 'b', type: 'timer', value: 2, rate: 1, tags: {} }],
    ['b', { name: 'b', type: 'timer', value: 3, rate: 1, tags: {} }],
    ['c', { name: 'c', type: 'gauge', value: 4, delta: true, rate: 1, tags: {} }],
  ]);
  expect(records.at(-1)?.timestamp).toBe(1_656_581_400_000);
  await statsd.close();
  await statsd.close();
  const { receiveBytes, lostBySystem, ...stats } = statsd.stats();
  expect(stats).toEqual({
    datagrams: 3,
    metrics: 4,
    written: 4,
    droppedFull: 0,
    droppedFailed: 0,
    malformed: 1,
    unsupported: 1,
  });
  expect(receiveBytes).toBeGreaterThan(0);
  expect(lostBySystem ?? 0).toBe(0);
  expect(logger.lines.map(({ message, fields }) => [message, fields['malformed']])).toEqual([
    ['metrics were dropped', 1],
  ]);
});

test('what the queue has no room for is dropped, and counted; the rest is written', async () => {
  await log.createTopics([{ name: 'full', partitions: 1, configs: {} }]);
  const statsd = await openStatsd(log, { topic: 'full', port: 0, queueBytesMax: 2_000 });
  await send(statsd, [`m:${Array.from({ length: 100 }, (_, index) => index).join(':')}|c`]);
  await statsd.close();
  const { metrics, written: count, droppedFull } = statsd.stats();
  expect(metrics).toBe(100);
  expect(count).toBeGreaterThan(5);
  expect(count).toBeLessThan(12);
  expect(count + droppedFull).toBe(100);
  expect(await written('full', count)).toHaveLength(count);
});

test('a clock that is ahead costs nobody a metric', async () => {
  const statsd = await openStatsd(log, { topic: 'ahead', port: 0 });
  const before = Date.now();
  await send(statsd, ['a:1|c\na:2|c|T99999999999\na:3|c']);
  await statsd.close();
  expect(statsd.stats()).toMatchObject({ metrics: 3, written: 3, droppedFailed: 0 });
  for (const { timestamp } of await written('ahead', 3)) {
    expect(timestamp).toBeGreaterThanOrEqual(before);
    expect(timestamp).toBeLessThanOrEqual(Date.now());
  }
});

test('what the log refuses is counted, and it goes on', async () => {
  const statsd = await openStatsd(log, { topic: 'refused', port: 0 });
  await send(statsd, ['a:1|c']);
  while (statsd.stats().written < 1) await env.timers.sleep(1);
  const lines = `x:1${':1'.repeat(900)}|c`;
  await log.deleteTopics(['refused']);
  await send(statsd, [lines]);
  while (statsd.stats().droppedFailed === 0) await env.timers.sleep(1);
  await send(statsd, ['b:1|c']);
  await statsd.close();
  const { metrics, written: count, droppedFailed } = statsd.stats();
  expect([metrics, count, droppedFailed]).toEqual([903, 2, 901]);
});

test('only this machine is listened to, unless somebody says otherwise', async () => {
  await expect(openStatsd(log, { topic: 'm', host: '0.0.0.0', port: 0 })).rejects.toMatchObject({
    code: 'ML_INSECURE_BIND',
  });
  const open = await openStatsd(log, { topic: 'm', host: '0.0.0.0', port: 0, insecure: true });
  await open.close();
});

test.runIf(process.platform === 'linux')('what the kernel has no room for is counted', async () => {
  const logger = new CollectingLogger();
  await log.createTopics([{ name: 'kernel', partitions: 1, configs: {} }]);
  const statsd = await openStatsd(log, { topic: 'kernel', port: 0 }, logger);
  const sender = await env.net.datagrams({ host: '127.0.0.1', port: 0 }, () => {});
  const datagram = Buffer.from(`m:1|c|#${'t'.repeat(4_000)}`);
  // Nobody receives before this turn has ended: more than the kernel keeps.
  const sent = 2 * Math.ceil(statsd.stats().receiveBytes / datagram.length);
  for (let index = 0; index < sent; index++) sender.send(datagram, statsd);
  while ((statsd.stats().lostBySystem ?? 0) + statsd.stats().datagrams < sent)
    await env.timers.sleep(1);
  await statsd.close();
  await sender.close();
  const { lostBySystem = 0, written: count, droppedFull } = statsd.stats();
  expect(lostBySystem).toBeGreaterThan(0);
  expect(lostBySystem + count + droppedFull).toBe(sent);
  expect(logger.lines.at(-1)?.fields).toMatchObject({ lostBySystem });
});

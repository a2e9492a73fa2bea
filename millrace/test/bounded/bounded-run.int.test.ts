/** Programs over topics that run to their end: the batch engine replays what knows of time, and writes topics in one transaction. */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { connectKafka } from '../../src/client/kafka/kafka-log.ts';
import { visibleBatches } from '../../src/client/kafka/fetched-records.ts';
import type { Log } from '../../src/client/log.ts';
import { realLauncher } from '../../src/core/child-process.ts';
import { realEnv } from '../../src/core/real-env.ts';
import { runJob } from '../../src/engine/batch/job/driver.ts';
import type { Until } from '../../src/flow/source.ts';
import { type Flow, flow, json, session, topic, tumbling } from '../../src/index.ts';
import { testBroker } from '../kafka/test-broker.ts';

const env = realEnv();

interface Sent {
  readonly key: string | null;
  readonly value: unknown;
  readonly time: number;
}

interface Got {
  readonly key: unknown;
  readonly value: unknown;
  readonly time: number;
}

class World {
  readonly log: Log;
  readonly brokers: string;

  constructor(log: Log, brokers: string) {
    this.log = log;
    this.brokers = brokers;
  }

  static async open(): Promise<World> {
    const { broker } = await testBroker();
    const brokers = `127.0.0.1:${broker.port}`;
    const log = await connectKafka(env, { brokers });
    onTestFinished(() => log.close());
    return new World(log, brokers);
  }

  /** Records go to a partition by their key; without one, to 0. */
  async send(name: string, records: readonly Sent[], partitions = 3): Promise<void> {
    await this.log.createTopics([{ name, partitions, configs: {} }]);
    const producer = await this.log.producer({});
    for (const { key, value, time } of records) {
      const partition = key === null ? 0 : (key.codePointAt(0) ?? 0) % partitions;
      const text = value === null ? null : JSON.stringify(value);
      producer.append(name, partition, time, key, text);
    }
    await producer.flush();
    await producer.close();
  }

  async run(program: Flow, until: Until = { kind: 'now' }): Promise<void> {
    await runJob({
      env,
      launcher: realLauncher,
      program: { flow: program, settings: {} },
      directory: temporaryDirectory(),
      dataDirectory: temporaryDirectory(),
      cores: availableParallelism(),
      workers: 0,
      brokers: this.brokers,
      until,
      node: process.execPath,
      environment: process.env,
      writeStdout: () => Promise.resolve(),
    });
  }

  /** All committed records, by key and then as they come. */
  async read(name: string): Promise<Got[]> {
    const found = (await this.log.topics([name])).get(name);
    if (found === undefined) return [];
    const places = Array.from({ length: found.partitions }, (_, partition) => ({
      topic: name,
      partition,
    }));
    const ends = await this.log.offsets(places, 'stable');
    const reader = this.log.reader({ uncommitted: false });
    reader.assign(places.map((place) => ({ ...place, offset: 0 })));
    const got: Got[] = [];
    const left = new Set(places.flatMap(({ partition }, at) => (ends[at] ? [partition] : [])));
    while (left.size > 0)
      for (const records of await reader.poll(1_000)) {
        for (const batch of visibleBatches(records))
          while (batch.next())
            got.push({
              key: read(batch.data, batch.keyStart, batch.keyEnd),
              value: read(batch.data, batch.valueStart, batch.valueEnd),
              time: batch.timestamp,
            });
        if (records.next >= (ends[records.partition] ?? 0)) left.delete(records.partition);
      }
    reader.close();
    return got.toSorted((a, b) => (JSON.stringify(a.key) < JSON.stringify(b.key) ? -1 : 1));
  }
}

function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-bounded-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return directory;
}

function read(data: Buffer, start: number, end: number): unknown {
  if (start < 0) return null;
  const text = data.toString('utf8', start, end);
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

interface Click {
  readonly user: string;
  readonly ms: number;
}
const clicks = topic('clicks', { key: 'string', value: json<Click>() });

test('windows close, whoever is last', async () => {
  const world = await World.open();
  await world.send('clicks', [
    { key: 'a', value: { user: 'ann', ms: 1 }, time: 1_000 },
    { key: 'b', value: { user: 'bob', ms: 2 }, time: 61_000 },
    // Far behind: a run without end would call it late.
    { key: 'b', value: { user: 'ann', ms: 3 }, time: 2_000 },
    { key: 'c', value: { user: 'bob', ms: 4 }, time: 62_000 },
  ]);
  await world.run(
    flow('windows', (f) => {
      const byUser = f.read(clicks).keyBy((click) => click.user);
      byUser
        .window(tumbling('1 minute'))
        .aggregate('tumbling', {
          init: () => 0,
          add: (sum, click) => sum + click.ms,
          merge: (a, b) => a + b,
        })
        .write(topic('per-minute', { key: json(), value: json() }));
      byUser
        .window(session('2s'))
        .count('sessions')
        .write(topic('sessions', { key: json(), value: json() }));
    }),
  );
  expect(await world.read('per-minute')).toEqual([
    { key: { key: 'ann', start: 0, end: 60_000 }, value: 4, time: 2_000 },
    { key: { key: 'bob', start: 60_000, end: 120_000 }, value: 6, time: 62_000 },
  ]);
  expect(await world.read('sessions')).toEqual([
    { key: { key: 'ann', start: 1_000, end: 2_000 }, value: 2, time: 2_000 },
    { key: { key: 'bob', start: 61_000, end: 62_000 }, value: 2, time: 62_000 },
  ]);
});

test('a stream meets a table as it was, streams meet within a time, and a table can be subtracted from', async () => {
  const world = await World.open();
  await world.send('customers', [
    { key: 'x', value: { tier: 'silver' }, time: 1 },
    { key: 'x', value: { tier: 'gold' }, time: 100 },
    { key: 'y', value: { tier: 'gold' }, time: 2 },
    { key: 'y', value: null, time: 150 },
  ]);
  await world.send('orders', [
    { key: 'x', value: { total: 1 }, time: 50 },
    { key: 'x', value: { total: 2 }, time: 120 },
    { key: 'y', value: { total: 4 }, time: 120 },
    { key: 'y', value: { total: 8 }, time: 200 },
  ]);
  const customers = topic('customers', { key: 'string', value: json<{ tier: string }>() });
  const orders = topic('orders', { key: 'string', value: json<{ total: number }>() });
  await world.run(
    flow('joins', (f) => {
      const table = f.table(customers);
      const stream = f.readKeyed(orders);
      stream
        .join('enriched', table, (order, customer) => ({ ...order, tier: customer.tier }))
        .write(topic('enriched', { key: 'string', value: json() }));
      stream
        .join('pairs', stream, (a, b) => `${a.total}-${b.total}`, { within: '70ms' })
        .write(topic('pairs', { key: 'string', value: json() }));
      table
        .groupBy((customer) => customer.tier)
        .count('tiers')
        .write(topic('tiers', { key: 'string', value: json() }));
    }),
  );
  expect(await world.read('enriched')).toEqual([
    { key: 'x', value: { total: 1, tier: 'silver' }, time: 50 },
    { key: 'x', value: { total: 2, tier: 'gold' }, time: 120 },
    { key: 'y', value: { total: 4, tier: 'gold' }, time: 120 },
  ]);
  const pairs = (await world.read('pairs')).map(({ value }) => value);
  expect(new Set(pairs)).toEqual(new Set(['1-1', '1-2', '2-1', '2-2', '4-4', '8-8']));
  const last = new Map((await world.read('tiers')).map(({ key, value }) => [key, value]));
  expect(Object.fromEntries(last)).toEqual({ gold: 1, silver: null });
});

test('it ends where it is told to, and a program that fails has written nothing', async () => {
  const world = await World.open();
  await world.send('clicks', [
    { key: 'a', value: { user: 'ann', ms: 1 }, time: 1_000 },
    { key: 'a', value: { user: 'ann', ms: 2 }, time: 2_000 },
    { key: 'a', value: { user: 'ann', ms: 3 }, time: 3_000 },
  ]);
  const program = (name: string, fails: boolean): Flow =>
    flow(name, (f) => {
      f.read(clicks)
        .map((click) => {
          if (fails && click.ms === 3) throw new Error('three');
          return click.ms;
        })
        .write(topic(name, { value: json() }));
    });
  await world.run(program('until-time', false), { kind: 'time', ms: 3_000 });
  expect((await world.read('until-time')).map(({ value }) => value)).toEqual([1, 2]);
  const partition = (('a'.codePointAt(0) ?? 0) % 3).toString();
  await world.run(program('until-offset', false), {
    kind: 'offsets',
    offsets: { clicks: { [partition]: 1 } },
  });
  expect((await world.read('until-offset')).map(({ value }) => value)).toEqual([1]);
  await expect(world.run(program('failing', true))).rejects.toMatchObject({
    code: 'ML_USER_FUNCTION',
  });
  expect(await world.read('failing')).toEqual([]);
});

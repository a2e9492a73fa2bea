/** What tasks do with whole flows, on a log in memory. */
import { describe, expect, test } from 'vitest';
import { json } from '../../../src/connect/topics/serdes.ts';
import { topic } from '../../../src/connect/topics/topic.ts';
import type { FlowBuilder } from '../../../src/flow/builder.ts';
import { type FlowOptions, skipTo } from '../../../src/flow/flow.ts';
import { tumbling } from '../../../src/flow/window-specs.ts';
import { ManualClock } from '../../../src/testing/manual-clock.ts';
import type { MemoryCluster } from '../../../src/testing/memory-cluster.ts';
import { openFlow, send, written } from './cluster.ts';

interface Hit {
  readonly path: string;
  readonly ms: number;
}

const hits = topic('hits', { key: json(), value: json<Hit>() });
const out = topic('out', { key: json(), value: json() });

describe('a pass-through', () => {
  test('keeps keys, values, times and the order of a partition', async () => {
    const cluster = await openFlow(
      (f) => {
        f.readKeyed(hits)
          .mapValues((hit) => ({ ...hit, ms: hit.ms * 2 }))
          .write(out);
      },
      { topics: { hits: 2, out: 2 } },
    );
    send(cluster, 'hits', [
      { key: 'a', value: { path: '/', ms: 1 }, time: 10 },
      { key: 'a', value: { path: '/x', ms: 2 }, time: 5 },
    ]);
    await cluster.run();
    const [first, second] = written(cluster, 'out');
    expect(first).toMatchObject({ key: 'a', value: { path: '/', ms: 2 }, time: 10 });
    expect(second).toMatchObject({ key: 'a', value: { path: '/x', ms: 4 }, time: 5 });
    await cluster.close();
  });
});

describe('a windowed count over two stages', () => {
  test('closes windows when the slowest partition has passed their end', async () => {
    const cluster = await openFlow(
      (f) => {
        f.read(hits)
          .keyBy((hit) => hit.path)
          .window(tumbling('10 ms'))
          .count('hits-per-path')
          .write(out);
      },
      { topics: { hits: 2 }, workers: 2 },
    );
    expect(cluster.topology.stages).toHaveLength(2);
    send(cluster, 'hits', [
      { value: { path: '/a', ms: 0 }, time: 1, partition: 0 },
      { value: { path: '/b', ms: 0 }, time: 2, partition: 0 },
      { value: { path: '/a', ms: 0 }, time: 3, partition: 1 },
      { value: { path: '/a', ms: 0 }, time: 12, partition: 0 },
    ]);
    await cluster.run();
    expect(written(cluster, 'out')).toEqual([]);
    send(cluster, 'hits', [{ value: { path: '/a', ms: 0 }, time: 10, partition: 1 }]);
    await cluster.run();
    const results = written(cluster, 'out').map(({ key, value, time }) => ({ key, value, time }));
    expect(results.toSorted((a, b) => a.time - b.time)).toEqual([
      { key: { key: '/b', start: 0, end: 10 }, value: 1, time: 2 },
      { key: { key: '/a', start: 0, end: 10 }, value: 2, time: 3 },
    ]);
    await cluster.close();
  });
});

const orders = topic('orders', { key: json<string>(), value: json<Order | null>() });
const customers = topic('customers', { key: json<string>(), value: json<string | null>() });

interface Order {
  readonly customer: string;
  readonly total: number;
}

/** The latest value of each key of a topic. */
function latest(cluster: MemoryCluster, name: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const { key, value } of written(cluster, name)) {
    if (value === null) delete found[String(key)];
    else found[String(key)] = value;
  }
  return found;
}

describe('tables', () => {
  test('an aggregate under another key follows the changes of its rows', async () => {
    const cluster = await openFlow(
      (f) => {
        f.table(orders)
          .groupBy((order) => order?.customer ?? '')
          .aggregate('spent', {
            init: () => 0,
            add: (sum, order) => sum + (order?.total ?? 0),
            subtract: (sum, order) => sum - (order?.total ?? 0),
          })
          .write(out);
      },
      { topics: { orders: 3 }, partitions: 2, workers: 2 },
    );
    send(cluster, 'orders', [
      { key: '1', value: { customer: 'ann', total: 5 }, time: 1 },
      { key: '2', value: { customer: 'ann', total: 7 }, time: 2 },
      { key: '3', value: { customer: 'bob', total: 1 }, time: 3 },
      { key: '2', value: { customer: 'bob', total: 8 }, time: 4 },
      { key: '1', value: null, time: 5 },
    ]);
    await cluster.run();
    expect(latest(cluster, 'out')).toEqual({ bob: 9 });
    await cluster.close();
  });

  test('a join by foreign key runs in three stages', async () => {
    const cluster = await openFlow(
      (f) => {
        f.table(orders)
          .joinForeign(
            'with-name',
            f.table(customers),
            (order) => order?.customer,
            (order, name) => `${name} ${order?.total ?? ''}`,
          )
          .write(out);
      },
      { topics: { orders: 3, customers: 2 }, workers: 2 },
    );
    expect(cluster.topology.stages.map(({ nodes }) => nodes.map(({ role }) => role))).toEqual([
      [undefined, 'subscribe'],
      [undefined, 'match'],
      ['collect'],
    ]);
    send(cluster, 'orders', [{ key: '1', value: { customer: 'c', total: 5 }, time: 1 }]);
    await cluster.run();
    expect(latest(cluster, 'out')).toEqual({});
    send(cluster, 'customers', [{ key: 'c', value: 'Carl', time: 2 }]);
    await cluster.run();
    expect(latest(cluster, 'out')).toEqual({ '1': 'Carl 5' });
    send(cluster, 'customers', [{ key: 'c', value: 'Carla', time: 3 }]);
    await cluster.run();
    expect(latest(cluster, 'out')).toEqual({ '1': 'Carla 5' });
    await cluster.close();
  });

  test('of topics with different counts of partitions meet behind an exchange', async () => {
    const cluster = await openFlow(
      (f) => {
        f.table(orders)
          .join('with-name', f.table(customers), (order, name) => `${name} ${order?.total ?? ''}`)
          .write(out);
      },
      { topics: { orders: 3, customers: 2 }, workers: 2 },
    );
    const keys = Array.from({ length: 20 }, (_, index) => `k${index}`);
    send(
      cluster,
      'orders',
      keys.map((key, index) => ({ key, value: { customer: key, total: index }, time: index })),
    );
    send(
      cluster,
      'customers',
      keys.map((key, index) => ({ key, value: `n${index}`, time: index })),
    );
    await cluster.run();
    expect(latest(cluster, 'out')).toEqual(
      Object.fromEntries(keys.map((key, index) => [key, `n${index} ${index}`])),
    );
    await cluster.close();
  });

  test('that are global are complete before the first record', async () => {
    const cluster = await openFlow(
      (f) => {
        f.read(orders)
          .joinGlobal(
            'with-name',
            f.globalTable(customers),
            (order) => order?.customer,
            (order, name) => `${name} ${order?.total ?? ''}`,
          )
          .write(out);
      },
      { topics: { orders: 1, customers: 2 } },
    );
    send(cluster, 'orders', [{ value: { customer: 'c', total: 5 }, time: 1 }]);
    send(cluster, 'customers', [
      { key: 'c', value: 'Carl', time: 9 },
      { key: 'd', value: 'Dora', time: 9 },
    ]);
    await cluster.run();
    expect(written(cluster, 'out').map(({ value }) => value)).toEqual(['Carl 5']);
    await cluster.close();
  });
});

describe('time', () => {
  const slow = topic('hits', { value: json<Hit>(), time: { idle: '30s' } });
  const build = (f: FlowBuilder): void => {
    f.read(slow)
      .keyBy((hit) => hit.path)
      .window(tumbling('10s'))
      .count('hits-per-path')
      .write(out);
  };

  test('does not wait for a partition that is idle, and goes on with the clock when all are', async () => {
    const cluster = await openFlow(build, { topics: { hits: 2 }, partitions: 2, workers: 2 });
    send(cluster, 'hits', [
      { value: { path: '/a', ms: 0 }, time: 1_000, partition: 0 },
      { value: { path: '/a', ms: 0 }, time: 2_000, partition: 1 },
    ]);
    await cluster.run();
    await cluster.advance(29_000);
    send(cluster, 'hits', [{ value: { path: '/a', ms: 0 }, time: 10_000, partition: 1 }]);
    await cluster.run();
    expect(written(cluster, 'out')).toHaveLength(0);
    await cluster.advance(1_000);
    expect(written(cluster, 'out')).toMatchObject([
      { key: { key: '/a', start: 0, end: 10_000 }, value: 2 },
    ]);
    // T is 10 s when both fall silent: the clock brings the window from 10 to 20 s to its end.
    await cluster.advance(30_000);
    await cluster.advance(5_000);
    expect(written(cluster, 'out')).toHaveLength(2);
    await cluster.close();
  });

  test('stays where it was over a crash', async () => {
    const cluster = await openFlow(build, { topics: { hits: 2 }, partitions: 2, workers: 2 });
    send(cluster, 'hits', [
      { value: { path: '/a', ms: 0 }, time: 15_000, partition: 0 },
      { value: { path: '/a', ms: 0 }, time: 16_000, partition: 1 },
    ]);
    await cluster.run();
    const before = cluster.tasks.map(({ task }) => task.watermark);
    for (const worker of cluster.workers) await cluster.crash(worker);
    expect(cluster.tasks.map(({ task }) => task.watermark)).toEqual(before);
    send(cluster, 'hits', [{ value: { path: '/late', ms: 0 }, time: 1, partition: 0 }]);
    await cluster.run();
    const late = cluster.tasks.map(({ task }) => task.metrics.lateDropped);
    expect(late.reduce((sum, records) => sum + records, 0)).toBe(1);
    await cluster.close();
  });

  test('an empty partition does not hold it up', async () => {
    const cluster = await openFlow(build, { topics: { hits: 3 }, partitions: 2, workers: 2 });
    send(cluster, 'hits', [
      { value: { path: '/a', ms: 0 }, time: 1_000, partition: 0 },
      { value: { path: '/a', ms: 0 }, time: 11_000, partition: 0 },
    ]);
    await cluster.run();
    expect(written(cluster, 'out')).toHaveLength(1);
    await cluster.close();
  });
});

describe('records that fail', () => {
  const failed = topic('failed', { value: json() });
  const skipping: FlowOptions = { onError: skipTo(failed) };
  const doubled = (f: FlowBuilder): void => {
    f.readKeyed(hits)
      .mapValues((hit) => {
        if (hit.path === '/bad') throw new Error('no');
        return hit.ms * 2;
      })
      .write(out);
  };
  const three = (cluster: MemoryCluster): void => {
    send(cluster, 'hits', [{ key: 'k', value: { path: '/', ms: 1 }, time: 1 }]);
    cluster.produce('hits', [{ key: '"k"', value: '{"path":', timestamp: 2 }]);
    send(cluster, 'hits', [
      { key: 'k', value: { path: '/bad', ms: 1 }, time: 3 },
      { key: 'k', value: { path: '/', ms: 2 }, time: 4 },
    ]);
  };

  test('stop the flow with operator, topic, partition and offset', async () => {
    const cluster = await openFlow(doubled, { topics: { hits: 1 } });
    three(cluster);
    await expect(cluster.run()).rejects.toMatchObject({
      code: 'ML_INPUT_MALFORMED',
      message: expect.stringMatching(/^read-0: .*at topic hits partition 0 offset 1/),
      fields: { operator: 'read-0', topic: 'hits', partition: 0, offset: 1 },
    });
    await cluster.close();
  });

  test('go to the dead letters with their position, and all others on', async () => {
    const cluster = await openFlow(doubled, { topics: { hits: 1 }, flow: skipping });
    three(cluster);
    await cluster.run();
    expect(written(cluster, 'out').map(({ value }) => value)).toEqual([2, 4]);
    expect(written(cluster, 'failed').map(({ value }) => value)).toMatchObject([
      { record: '{"path":', operator: 'read-0', position: 'topic hits partition 0 offset 1' },
      {
        record: { path: '/bad', ms: 1 },
        error: 'no',
        operator: 'map-1',
        position: 'topic hits partition 0 offset 2',
      },
    ]);
    await cluster.close();
  });

  test('among them are those without a time, and from the far future', async () => {
    const clock = new ManualClock(1_000_000);
    const cluster = await openFlow(doubled, {
      topics: { hits: 1 },
      flow: skipping,
      clock,
      timestampAheadMsMax: 1_000,
    });
    const value = { path: '/', ms: 1 };
    send(cluster, 'hits', [
      { key: 'a', value, time: -1 },
      { key: 'b', value, time: 1_001_001 },
      { key: 'c', value, time: 1_001_000 },
    ]);
    await cluster.run();
    expect(written(cluster, 'out').map(({ key }) => key)).toEqual(['c']);
    expect(
      written(cluster, 'failed').map((letter) => (letter.value as { error: string }).error),
    ).toEqual([
      'the timestamp of the record is -1',
      expect.stringContaining('is more than 1000 ms ahead of the wall clock'),
    ]);
    await cluster.close();
  });

  test('a key of the wrong type is named, for a sink and for an exchange', async () => {
    const wrong = topic('wrong', { key: 'string', value: json() });
    const toSink = await openFlow(
      (f) => {
        f.read(hits)
          .keyBy((hit) => hit.ms)
          .write(wrong as never);
      },
      { topics: { hits: 2 } },
    );
    send(toSink, 'hits', [{ value: { path: '/', ms: 1 }, time: 1, partition: 1 }]);
    await expect(toSink.run()).rejects.toMatchObject({
      code: 'ML_SINK_VALUE_INVALID',
      message: expect.stringMatching(
        /^write-\d: the key cannot be written to topic wrong: .*at topic hits partition 1 offset 0/,
      ),
    });
    await toSink.close();
    const toExchange = await openFlow(
      (f) => {
        f.read(hits)
          .keyBy((hit) => ({ path: hit.path }) as never)
          .count('c')
          .write(out);
      },
      { topics: { hits: 2 } },
    );
    send(toExchange, 'hits', [{ value: { path: '/', ms: 1 }, time: 1, partition: 1 }]);
    await expect(toExchange.run()).rejects.toMatchObject({
      code: 'ML_KEY_INVALID',
      fields: { topic: 'hits', partition: 1, offset: 0 },
    });
    await toExchange.close();
  });

  test('are counted once, whatever is aborted', async () => {
    const cluster = await openFlow(doubled, { topics: { hits: 1 }, flow: skipping });
    three(cluster);
    await cluster.run();
    three(cluster);
    const [running] = cluster.tasks;
    const [worker] = cluster.workers;
    if (running === undefined || worker === undefined) throw new Error('nothing runs');
    cluster.turn(running);
    expect(running.task.metrics).toMatchObject({ recordsIn: 6, recordsOut: 4, skipped: 4 });
    await cluster.failCommit(worker);
    expect(running.task.metrics).toMatchObject({ recordsIn: 3, recordsOut: 2, skipped: 2 });
    await cluster.run();
    expect(running.task.metrics).toMatchObject({ recordsIn: 6, recordsOut: 4, skipped: 4 });
    expect(written(cluster, 'failed')).toHaveLength(4);
    expect(running.task.details()).toMatchObject({
      nodes: [{ name: 'map-1', recordsOut: 2, failed: 1 }],
      inputs: [{ topic: 'hits', partition: 0, lagRecords: 0, bufferedBytes: 0 }],
    });
    await cluster.close();
  });

  test('more than may be skipped stop the flow', async () => {
    const cluster = await openFlow(doubled, {
      topics: { hits: 1 },
      flow: { onError: skipTo(failed, { recordsMax: 1 }) },
    });
    three(cluster);
    await expect(cluster.run()).rejects.toMatchObject({ code: 'ML_TOO_MANY_SKIPPED' });
    await cluster.close();
  });
});

describe('promises', () => {
  test('of serdes and functions keep the order of the records', async () => {
    const later = topic('hits', {
      value: {
        name: 'later',
        decode: (buffer: Buffer, start: number, end: number) => {
          const hit = JSON.parse(buffer.toString('utf8', start, end)) as Hit;
          return hit.ms % 2 === 0 ? hit : Promise.resolve(hit);
        },
        encode: (hit: Hit) => JSON.stringify(hit),
      },
    });
    const cluster = await openFlow(
      (f) => {
        f.read(later)
          .map((hit) => (hit.ms % 3 === 0 ? hit.ms : Promise.resolve(hit.ms)))
          .write(out);
      },
      { topics: { hits: 1 } },
    );
    send(
      cluster,
      'hits',
      Array.from({ length: 12 }, (_, ms) => ({ value: { path: '/', ms }, time: ms })),
    );
    for (let round = 0; round < 20; round++) await cluster.run();
    expect(written(cluster, 'out').map(({ value }) => value)).toEqual(
      Array.from({ length: 12 }, (_, ms) => ms),
    );
    await cluster.close();
  });
});

test('all of a stream are counted in one place', async () => {
  const cluster = await openFlow(
    (f) => {
      f.read(hits).count('all').write(out);
    },
    { topics: { hits: 3 }, workers: 2 },
  );
  expect(cluster.topology.stages.map(({ partitions }) => partitions)).toEqual([3, 1]);
  send(
    cluster,
    'hits',
    Array.from({ length: 9 }, (_, index) => ({
      value: { path: '/', ms: index },
      time: index,
      partition: index % 3,
    })),
  );
  await cluster.run();
  expect(written(cluster, 'out').at(-1)?.value).toBe(9);
  await cluster.close();
});

test('streams of different topics are one, whatever their partitions', async () => {
  const more = topic('more', { value: json<Hit>() });
  const cluster = await openFlow(
    (f) => {
      f.read(hits)
        .union(f.read(more))
        .map((hit) => hit.ms)
        .write(out);
    },
    { topics: { hits: 3, more: 2 } },
  );
  const value = { path: '/', ms: 1 };
  send(
    cluster,
    'hits',
    [0, 1, 2].map((partition) => ({ value, time: 1, partition })),
  );
  send(
    cluster,
    'more',
    [0, 1].map((partition) => ({ value, time: 1, partition })),
  );
  await cluster.run();
  expect(written(cluster, 'out')).toHaveLength(5);
  await cluster.close();
});

test('the times of very many writers survive a crash', async () => {
  const count = 201;
  const cluster = await openFlow(
    (f) => {
      f.read(hits)
        .keyBy((hit) => hit.path)
        .window(tumbling(10))
        .count('hits-per-path')
        .write(out);
    },
    { topics: { hits: count }, partitions: 1, workers: 2 },
  );
  let dealt = 0;
  await cluster.deal(() => (dealt++ < count ? 0 : 1));
  const value = { path: '/', ms: 1 };
  const all = Array.from({ length: count }, (_, partition) => partition);
  send(
    cluster,
    'hits',
    all.map((partition) => ({ value, time: 5 + (partition % 3), partition })),
  );
  await cluster.run();
  send(cluster, 'hits', [{ value, time: 20, partition: 0 }]);
  await cluster.run();
  // Who writes lives on, and tells nothing twice.
  const [, reader] = cluster.workers;
  if (reader !== undefined) await cluster.crash(reader);
  const others = all.slice(1);
  send(
    cluster,
    'hits',
    others.map((partition) => ({ value, time: 20, partition })),
  );
  expect(written(cluster, 'out')).toEqual([]);
  await cluster.run();
  expect(written(cluster, 'out')).toMatchObject([{ value: count }]);
  await cluster.close();
});

test('what was waited for when a task went back does not come twice', async () => {
  const waiting: (() => void)[] = [];
  const later = topic('hits', {
    value: {
      name: 'later',
      decode: (buffer: Buffer, start: number, end: number) => {
        const hit = JSON.parse(buffer.toString('utf8', start, end)) as Hit;
        return new Promise<Hit>((resolve, reject) => {
          waiting.push(() => (hit.ms === 1 ? reject(new Error('no')) : resolve(hit)));
        });
      },
      encode: (hit: Hit) => JSON.stringify(hit),
    },
  });
  const cluster = await openFlow(
    (f) => {
      f.read(later).write(out);
    },
    { topics: { hits: 1 }, flow: { onError: skipTo(topic('failed', { value: json() })) } },
  );
  const [worker] = cluster.workers;
  const settle = async (): Promise<void> => {
    for (const settleOne of waiting.splice(0)) settleOne();
    await new Promise((resolve) => setImmediate(resolve));
  };
  send(
    cluster,
    'hits',
    [1, 2].map((ms) => ({ value: { path: '/', ms }, time: ms })),
  );
  await cluster.run();
  if (worker !== undefined) cluster.abort(worker);
  await settle();
  for (let round = 0; round < 3; round++) {
    await cluster.run();
    await settle();
  }
  await cluster.run();
  expect(written(cluster, 'failed')).toHaveLength(1);
  expect(written(cluster, 'out')).toHaveLength(1);
  await cluster.close();
});

/** Seconds. */
const COMMITS: ReadonlySet<number> = new Set([3, 7, 23]);

test('windows over windows are complete, too, when the clock closes them and results come late', async () => {
  const idle = topic('hits', { value: json<Hit>(), time: { idle: '1s' } });
  const cluster = await openFlow(
    (f) => {
      f.read(idle)
        .keyBy((hit) => hit.path)
        .window(tumbling('10s'))
        .count('hits-per-path')
        .entries()
        .keyBy(() => 'all')
        .window(tumbling('1s'))
        .aggregate('paths', { init: () => 0, add: (sum) => sum + 1 })
        .write(out);
    },
    { topics: { hits: 2 }, partitions: 2, workers: 2 },
  );
  const paths = ['/a', '/b', '/c', '/d', '/e', '/f'];
  send(
    cluster,
    'hits',
    paths.map((path, index) => ({
      value: { path, ms: 0 },
      time: 1_000 + index,
      partition: index % 2,
    })),
  );
  await cluster.run();
  const writers = cluster.tasks.filter(({ id }) => id.stage < 2);
  const readers = cluster.tasks.filter(({ id }) => id.stage === 2);
  for (let second = 0; second < 24; second++) {
    cluster.clock.advance(1_000);
    // Writers read and process; what they put out is committed long after readers have looked at the clock.
    for (const running of readers) cluster.turn(running);
    for (const running of writers) cluster.turn(running);
    if (COMMITS.has(second)) for (const worker of cluster.workers) await cluster.commit(worker);
  }
  for (let second = 0; second < 30; second++) await cluster.advance(1_000);
  expect(written(cluster, 'out').map(({ value }) => value)).toEqual([paths.length]);
  expect(cluster.tasks.every(({ task }) => task.metrics.lateDropped === 0)).toBe(true);
  await cluster.close();
});

test('time that was told in a commit that failed is told again', async () => {
  const cluster = await openFlow(
    (f) => {
      f.read(hits)
        .keyBy((hit) => hit.path)
        .window(tumbling(10))
        .count('hits-per-path')
        .write(out);
    },
    { topics: { hits: 2 } },
  );
  const value = { path: '/', ms: 1 };
  for (const time of [1, 20])
    send(
      cluster,
      'hits',
      [0, 1].map((partition) => ({ value, time, partition })),
    );
  for (const running of cluster.tasks) cluster.turn(running);
  for (const worker of cluster.workers) await cluster.failCommit(worker);
  expect(written(cluster, 'out')).toEqual([]);
  await cluster.run();
  expect(written(cluster, 'out')).toMatchObject([{ value: 2 }]);
  await cluster.close();
});

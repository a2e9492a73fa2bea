import { expect, test } from 'vitest';
import { files } from '../connect/files/files.ts';
import { json, string } from '../connect/topics/serdes.ts';
import { topic } from '../connect/topics/topic.ts';
import type { FlowBuilder } from '../flow/builder.ts';
import { flow, type FlowOptions, skipTo } from '../flow/flow.ts';
import type { ProcessContext } from '../flow/stream-nodes.ts';
import type { Windowed } from '../flow/windows.ts';
import { session, tumbling } from '../flow/window-specs.ts';
import { realEnv } from '../core/real-env.ts';
import { MemoryCluster } from './memory-cluster.ts';
import { Patience } from './patience.ts';
import { FlowDriver, type TestDriver } from './test-driver.ts';
import { testFlow, type TestFlowOptions } from './test-flow.ts';

interface Order {
  readonly tier: string;
  readonly total: number;
}
const MINUTE = 60_000;
const orders = topic('orders', { key: string(), value: json<Order | null>() });
const out = topic('out', { key: json(), value: json() });

function open(
  build: (f: FlowBuilder) => void,
  options: TestFlowOptions & { readonly flow?: FlowOptions } = {},
): Promise<TestDriver> {
  return testFlow(flow('test', options.flow ?? {}, build), options);
}

function order(total: number, tier = 'gold'): Order {
  return { tier, total };
}

/** Two stages, with a window and a table behind a repartition topic. */
function revenue(f: FlowBuilder): void {
  const perTier = f
    .readKeyed(orders)
    .flatMap((given) => (given === null ? [] : [given]))
    .keyBy((given) => given.tier);
  perTier
    .window(tumbling('1 minute'))
    .aggregate('per-minute', { init: () => 0, add: (sum, given) => sum + given.total })
    .write(out);
  perTier
    .aggregate('total', { init: () => 0, add: (sum, given) => sum + given.total })
    .write(topic('totals', { key: string(), value: json<number>() }));
}

test('what is sent has been processed and committed when the call resolves', async () => {
  await using driver = await open(revenue, { topics: { orders: 2 }, workers: 2 });
  await driver.send(orders, { key: 'a', value: order(5), timestamp: 1_000 });
  await driver.send('orders', [
    { key: 'b', value: order(7), timestamp: 2_000 },
    { key: 'c', value: order(1, 'silver'), timestamp: 3_000 },
  ]);
  expect(driver.state<number, string>('total').get('gold')).toBe(12);
  expect(driver.state('total').entries()).toEqual([
    { key: 'gold', value: 12 },
    { key: 'silver', value: 1 },
  ]);
  expect(driver.state('total').size).toBe(2);
  expect(driver.state('per-minute').entries()).toEqual([
    { key: { key: 'gold', start: 0, end: MINUTE }, value: 12 },
    { key: { key: 'silver', start: 0, end: MINUTE }, value: 1 },
  ]);
  expect(driver.state('per-minute').get({ key: 'gold', start: 0, end: MINUTE })).toBe(12);
  expect(
    driver.state('per-minute').get({ key: 'gold', start: MINUTE, end: 2 * MINUTE }),
  ).toBeUndefined();
  expect(driver.outputs(out)).toEqual([]);
});

test('event time closes windows on all partitions, without a record that anybody sees', async () => {
  await using driver = await open(revenue, { topics: { orders: 3 } });
  expect(driver.watermark).toBe(Number.NEGATIVE_INFINITY);
  await driver.send(orders, { key: 'a', value: order(5), timestamp: 1_000 });
  expect(driver.watermark).toBe(1_000);
  await driver.advanceTime(MINUTE - 1);
  expect(driver.outputs(out)).toEqual([]);
  await driver.advanceTime(new Date(MINUTE));
  expect(driver.watermark).toBe(MINUTE);
  expect(driver.outputs(out)).toMatchObject([
    { key: { key: 'gold', start: 0, end: MINUTE }, value: 5, timestamp: 1_000 },
  ]);
  expect(driver.outputs(orders)).toHaveLength(1);
  await driver.send(orders, { key: 'z', value: order(5), timestamp: 2_000 });
  expect(driver.lateRecords).toBe(1);
});

test('event time is what it was told to be, whatever the disorder that a topic allows', async () => {
  const disordered = topic('orders', { value: json<Order>(), time: { outOfOrder: '10s' } });
  await using driver = await open((f) => {
    f.read(disordered)
      .keyBy((given) => given.tier)
      .window(tumbling('1 minute'))
      .count('orders')
      .write(out);
  });
  await driver.advanceTime(MINUTE - 1);
  await driver.send(disordered, { value: order(1), timestamp: MINUTE });
  expect(driver.watermark).toBe(MINUTE - 1);
  await driver.send(disordered, { value: order(1), timestamp: MINUTE - 1 });
  expect(driver.state('orders').size).toBe(2);
  await driver.advanceTime(MINUTE);
  await driver.advanceTime(MINUTE - 500);
  expect(driver.watermark).toBe(MINUTE);
  expect(driver.outputs(out)).toMatchObject([{ value: 1 }]);
});

test('event time that was advanced survives a crash', async () => {
  await using driver = await open(revenue, { topics: { orders: 2 } });
  await driver.send(orders, { key: 'a', value: order(5), timestamp: 1_000 });
  await driver.advanceTime(MINUTE);
  await driver.crash();
  await driver.redeliver();
  expect(driver.outputs(out)).toHaveLength(1);
  expect(driver.watermark).toBe(MINUTE);
});

test('outputs are read again, taken once, in the order in which they were written', async () => {
  await using driver = await open(
    (f) => {
      f.readKeyed(orders)
        .mapValues((given) => given?.total ?? null)
        .write(out);
    },
    { topics: { orders: 3, out: 3 } },
  );
  for (const [total, key] of ['a', 'b', 'c', 'd', 'e'].entries())
    await driver.send(orders, { key, value: order(total), timestamp: 7 });
  expect(driver.outputs(out).map(({ value }) => value)).toEqual([0, 1, 2, 3, 4]);
  expect(driver.take(out).map(({ value }) => value)).toEqual([0, 1, 2, 3, 4]);
  expect(driver.take(out)).toEqual([]);
  await driver.send(orders, { key: 'a', value: null, headers: { from: 'x' } });
  expect(driver.take(out)).toMatchObject([{ key: 'a', value: null, timestamp: 0 }]);
  expect(driver.outputs(orders).at(-1)?.headers).toEqual([
    { name: 'from', value: Buffer.from('x') },
  ]);
  expect(driver.outputs<string, string>('out')).toHaveLength(6);
});

test('a record without a time has that of the clock, which moves when it is told to', async () => {
  await using driver = await open(
    (f) => {
      f.readKeyed(orders).write(topic('copies'));
    },
    { now: new Date(5_000) },
  );
  await driver.send(orders, { value: order(1) });
  await driver.advance('2 minutes');
  expect(driver.now).toBe(125_000);
  await driver.send(orders, { value: order(2), timestamp: new Date(9) });
  await driver.send(orders, { value: order(3) });
  expect(driver.outputs('copies').map(({ timestamp }) => timestamp)).toEqual([5_000, 9, 125_000]);
});

test('wall timers fire at their times while the clock goes on', async () => {
  await using driver = await open((f) => {
    f.readKeyed(orders)
      .process('ticks', {
        onRecord: (_order, context: ProcessContext<number, number>) => {
          context.state = 0;
          context.setWallTimer(context.now + 1_000);
        },
        onTimer: (context) => {
          context.state = (context.state ?? 0) + 1;
          context.emit(context.now);
          if (context.state < 3) context.setWallTimer(context.now + 1_000);
        },
      })
      .write(out);
  });
  await driver.send(orders, { key: 'a', value: order(1) });
  await driver.advance('2.5s');
  expect(driver.take(out).map(({ value }) => value)).toEqual([1_000, 2_000]);
  expect(driver.state('ticks').get('a')).toBe(2);
  await driver.redeliver();
  expect(driver.now).toBe(2_500);
  await driver.advance('1 hour');
  expect(driver.outputs(out).map(({ value }) => value)).toEqual([1_000, 2_000, 3_000]);
});

test('a topic that is idle lets time go on', async () => {
  const idle = topic('orders', { value: json<Order>(), time: { idle: '10s' } });
  await using driver = await open((f) => {
    f.read(idle)
      .keyBy((given) => given.tier)
      .window(session('5s'))
      .count('visits')
      .write(out);
  });
  await driver.send(idle, { value: order(1), timestamp: 1_000 });
  await driver.advance('9s');
  expect(driver.outputs(out)).toEqual([]);
  await driver.advance('9s');
  expect(driver.outputs(out)).toMatchObject([
    { key: { key: 'gold', start: 1_000, end: 1_000 }, value: 1 },
  ]);
});

test('tables, global tables and aggregates are read by name', async () => {
  const rates = topic('rates', { key: string(), value: json<number | null>() });
  await using driver = await open(
    (f) => {
      f.table(orders, { name: 'latest' }).write(topic('latest-orders'));
      f.readKeyed(orders)
        .joinGlobal(
          'rated',
          f.globalTable(rates),
          (given) => given?.tier ?? '',
          (given, rate) => (given?.total ?? 0) * (rate ?? 0),
        )
        .write(out);
    },
    { topics: { orders: 2, rates: 2 }, workers: 2 },
  );
  await driver.send(rates, [
    { key: 'gold', value: 3 },
    { key: 'silver', value: 2 },
  ]);
  await driver.send(orders, [
    { key: 'a', value: order(5) },
    { key: 'b', value: order(6, 'silver') },
  ]);
  await driver.send(orders, { key: 'a', value: null });
  await driver.send(rates, { key: 'silver', value: null });
  expect(driver.state('latest').entries()).toEqual([{ key: 'b', value: order(6, 'silver') }]);
  expect(driver.state('rates').entries()).toEqual([{ key: 'gold', value: 3 }]);
  expect(driver.outputs(out).map(({ value }) => value)).toEqual(expect.arrayContaining([15, 12]));
  expect(() => driver.state('totals')).toThrow("the flow has no state named 'totals'");
});

test.each(['crash', 'redeliver'] as const)('%s: what was written is written once', async (how) => {
  await using driver = await open(revenue, { topics: { orders: 2 }, workers: 2 });
  await driver.send(orders, [
    { key: 'a', value: order(5), timestamp: 1_000 },
    { key: 'b', value: order(6), timestamp: 2_000 },
  ]);
  await driver[how]();
  await driver.send(orders, { key: 'a', value: order(7), timestamp: 61_000 });
  await driver[how]();
  await driver[how]();
  await driver.advanceTime(2 * MINUTE);
  await driver[how]();
  expect(driver.outputs(out).map(({ value }) => value)).toEqual([11, 7]);
  expect(driver.outputs('totals').map(({ value }) => value)).toEqual([5, 11, 18]);
  expect(driver.outputs(orders)).toHaveLength(3);
  expect(driver.state('total').get('gold')).toBe(18);
});

test('late records are counted once, whatever dies', async () => {
  await using driver = await open(revenue);
  await driver.send(orders, { key: 'a', value: order(1), timestamp: 10 * MINUTE });
  await driver.send(orders, { key: 'a', value: order(1), timestamp: 1 });
  expect(driver.lateRecords).toBe(1);
  await driver.crash();
  expect(driver.lateRecords).toBe(1);
  await driver.redeliver();
  expect(driver.lateRecords).toBe(1);
});

/** Counts outside of its state, so that what is processed twice counts twice. */
function careless(): (f: FlowBuilder) => void {
  const counts = new Map<string, number>();
  return (f) => {
    f.readKeyed(orders)
      .process('count', {
        onRecord: (_order, context: ProcessContext<number, number>, key) => {
          const count = (counts.get(key) ?? 0) + 1;
          counts.set(key, count);
          context.emit(count);
        },
      })
      .write(out);
  };
}

test.each(['crash', 'redeliver'] as const)(
  '%s shows a flow that counts outside of its state',
  async (how) => {
    await using driver = await open(careless());
    await driver.send(orders, { key: 'a', value: order(1) });
    expect(driver.outputs(out).map(({ value }) => value)).toEqual([1]);
    await driver[how]();
    expect(driver.outputs(out).map(({ value }) => value)).not.toEqual([1]);
  },
);

test('redeliver shows an engine that does not take back what was aborted', async () => {
  const plan = flow('test', revenue).plan();
  const cluster = await MemoryCluster.open({ plan, topics: { orders: 1 } });
  await using driver = new FlowDriver(cluster, new Patience(realEnv()));
  await driver.send(orders, { key: 'a', value: order(1), timestamp: 1 });
  for (const { transaction } of cluster.workers)
    Object.assign(transaction, { abort: () => undefined });
  await driver.redeliver();
  expect(driver.outputs('totals').length).toBeGreaterThan(1);
});

test('calls that are not waited for are done one after the other', async () => {
  await using driver = await open(revenue);
  const calls = [
    driver.send(orders, { key: 'a', value: order(1), timestamp: 1 }),
    driver.advanceTime(MINUTE),
    driver.send(orders, { key: 'a', value: order(2), timestamp: MINUTE }),
    driver.redeliver(),
    driver.advanceTime(2 * MINUTE),
  ];
  await Promise.all(calls);
  expect(driver.outputs(out).map(({ value }) => value)).toEqual([1, 2]);
});

test('what is said every so often is said by the clock', async () => {
  await using driver = await open((f) => {
    f.readKeyed(orders)
      .window(tumbling('1 minute'))
      .count('orders', { emit: { every: '1s' } })
      .write(out);
  });
  for (const timestamp of [1, 2, 3])
    await driver.send(orders, { key: 'a', value: order(1), timestamp });
  await driver.advance('1s');
  const told = driver.take(out).length;
  await driver.send(orders, { key: 'a', value: order(1), timestamp: 4 });
  await driver.advance('1 minute');
  expect([told > 0, driver.take(out).map(({ value }) => value)]).toEqual([true, [4]]);
});

test('a crash shows a state that was changed in place and not set', async () => {
  await using driver = await open((f) => {
    f.readKeyed(orders)
      .process('sums', {
        onRecord: (given, context: ProcessContext<{ sum: number }, number>) => {
          const state = context.state ?? { sum: 0 };
          state.sum += given?.total ?? 0;
          if (context.state === undefined) context.state = state;
          context.emit(state.sum);
        },
      })
      .write(out);
  });
  for (const total of [1, 2, 3]) await driver.send(orders, { key: 'a', value: order(total) });
  await driver.crash();
  expect(driver.outputs(out).at(-1)?.value).not.toBe(6);
});

test('what a flow fails with rejects the call, which changes nothing but its topic', async () => {
  await using driver = await open((f) => {
    f.readKeyed(orders)
      .mapValues((given) => {
        if (given === null) throw new Error('no order');
        return given.total;
      })
      .write(out);
  });
  await driver.send(orders, { key: 'a', value: order(1) });
  await expect(driver.send(orders, { key: 'b', value: null })).rejects.toMatchObject({
    code: 'ML_USER_FUNCTION',
    fields: { topic: 'orders', partition: 0, offset: 1 },
  });
  expect(driver.outputs(out)).toHaveLength(1);
  await expect(driver.send(orders, { key: 'c', value: order(2) })).rejects.toThrow('no order');
  expect(driver.outputs(orders)).toHaveLength(2);
  await expect(driver.crash()).rejects.toThrow('no order');
});

test('dead letters are read', async () => {
  await using driver = await open(
    (f) => {
      f.readKeyed(orders)
        .mapValues((given) => {
          if (given === null) throw new Error('no order');
          return given.total;
        })
        .write(out);
    },
    { flow: { onError: skipTo(topic('dead-letters')) } },
  );
  await driver.send(orders, [
    { key: 'b', value: null },
    { key: 'c', value: order(2) },
  ]);
  await driver.send(topic('orders'), { key: 'd', value: '{' });
  await driver.redeliver();
  expect(driver.outputs(out)).toHaveLength(1);
  expect(driver.deadLetters).toMatchObject([
    { error: 'no order', position: 'topic orders partition 0 offset 0' },
    { record: '{', position: 'topic orders partition 0 offset 2' },
  ]);
});

test('calls that wait are waited for, and time out by the clock of the test', async () => {
  const given: (() => void)[] = [];
  await using driver = await open((f) => {
    f.read(orders)
      .mapAsync(
        'ask',
        async (value, { signal }) => {
          if (value?.total !== 0) return value?.total;
          await new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              reject(new Error('gave up'));
            });
            for (const tell of given) tell();
          });
          return 0;
        },
        { timeout: '2s' },
      )
      .write(out);
  });
  await driver.send(orders, { value: order(3) });
  await driver.redeliver();
  expect(driver.outputs(out).map(({ value }) => value)).toEqual([3]);
  const asked = new Promise<void>((resolve) => given.push(resolve));
  const sending = driver.send(orders, { value: order(0) });
  const [sent, , advanced] = await Promise.allSettled([
    sending,
    asked,
    asked.then(() => driver.advance('2s')),
  ]);
  const reason = expect.objectContaining({ code: 'ML_ASYNC_TIMEOUT' }) as unknown;
  expect(sent).toEqual({ status: 'rejected', reason });
  expect(advanced).toEqual({ status: 'rejected', reason });
});

test('what cannot be is refused with what would be right', async () => {
  await expect(open(revenue, { topics: { odrers: 2 } })).rejects.toThrow('has no topic odrers');
  await expect(open(revenue, { workers: 0 })).rejects.toThrow('workers is a whole number');
  await expect(open(revenue, { topics: { orders: 1.5 } })).rejects.toThrow('topics.orders');
  await expect(open(revenue, { parameters: { size: 3 } })).rejects.toMatchObject({
    code: 'ML_PARAMETER_INVALID',
  });
  const batch = open((f) => {
    f.read(files.lines('a.log')).write(out);
  });
  await expect(batch).rejects.toMatchObject({ code: 'ML_FLOW_INVALID' });
  const driver = await open(revenue);
  await expect(driver.send('nowhere', { value: 1 })).rejects.toThrow(
    'topic nowhere does not exist in this test',
  );
  await expect(driver.send(orders, { value: order(1), timestamp: 1.5 })).rejects.toMatchObject({
    code: 'ML_TIMESTAMP_INVALID',
  });
  await expect(driver.send(orders, { value: order(1), partition: 9 })).rejects.toMatchObject({
    code: 'ML_TOPIC_MISSING',
  });
  await expect(driver.advanceTime(-1)).rejects.toMatchObject({ code: 'ML_USAGE' });
  expect(() => driver.outputs('nowhere')).toThrow('does not exist');
  await driver.close();
  await driver.close();
  await expect(driver.advance('1s')).rejects.toMatchObject({ code: 'ML_ABORTED' });
});

test('parameters are set', async () => {
  await using driver = await open(
    (f) => {
      const factor = f.param('factor', 1);
      f.read(orders)
        .map((given) => (given?.total ?? 0) * factor)
        .write(out);
    },
    { parameters: { factor: 3 } },
  );
  await driver.send(orders, { value: order(2) });
  expect(driver.outputs(out).map(({ value }) => value)).toEqual([6]);
});

test('types follow from the topics', async () => {
  await using driver = await open(revenue);
  const windows = topic('out', { key: json<Windowed<string>>(), value: json<number>() });
  await driver.send(orders, { key: 'a', value: order(1), timestamp: 1 });
  await driver.advanceTime(MINUTE);
  const [first] = driver.outputs(windows);
  const key: string | undefined = first?.key.key;
  const sum: number = first?.value ?? 0;
  expect([key, sum]).toEqual(['gold', 1]);
  // @ts-expect-error an order is no number
  await expect(driver.send(orders, { key: 'a', value: 3 })).resolves.toBeUndefined();
});

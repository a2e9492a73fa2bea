/** What programs over topics mean to the compiler: this file compiles, or a type of the language is wrong. `flow.types.int.test.ts` runs it. */
import { expectTypeOf } from 'vitest';
import {
  bytes,
  type Duration,
  duration,
  type Entry,
  files,
  flow,
  type Flow,
  type GlobalTable,
  type GroupedTable,
  hopping,
  json,
  type KeyedStream,
  msgpack,
  pattern,
  type ProcessContext,
  type Rows,
  session,
  skipTo,
  sliding,
  type Stream,
  string,
  type Table,
  topic,
  tumbling,
  type Windowed,
  type WindowedStream,
  type WindowedTable,
} from '../index.ts';

interface Order {
  readonly id: string;
  readonly customerId: string;
  readonly total: number;
  readonly placedAt: Date;
}
interface Customer {
  readonly name: string;
  readonly tier: 'gold' | 'silver';
}

const orders = topic('orders', {
  value: json<Order>(),
  time: {
    of: (order, key) => {
      expectTypeOf(order).toEqualTypeOf<Order>();
      expectTypeOf(key).toEqualTypeOf<string>();
      return order.placedAt;
    },
    outOfOrder: '5s',
    idle: '30 seconds',
  },
});
const customers = topic('customers', { value: msgpack<Customer | null>(), key: string() });
const anywhere = topic('anywhere');

export const times: readonly Duration[] = [1, '5s', '1 minute', '1.5h', '2 days', '100ms'];

export const revenue: Flow = flow('revenue', { onError: skipTo(topic('dead-letters')) }, (f) => {
  const enriched = f
    .read(orders)
    .keyBy((o) => o.customerId)
    .join('with-customer', f.table(customers), (o, c) => ({ ...o, tier: c.tier }));
  expectTypeOf(enriched.mapValues((o) => o.tier)).toEqualTypeOf<
    KeyedStream<string, 'gold' | 'silver'>
  >();
  const windowed = enriched.keyBy((o) => o.tier).window(tumbling('1 minute', { grace: '10s' }));
  const sums = windowed.aggregate('revenue', {
    init: () => 0,
    add: (sum, o) => sum + o.total,
    merge: (a, b) => a + b,
  });
  expectTypeOf(sums.toStream()).toEqualTypeOf<
    KeyedStream<Windowed<'gold' | 'silver'>, number | undefined>
  >();
  sums.late(topic('orders-late')).write(topic('revenue-per-tier', { value: json() }));
});

export const reading: Flow = flow('reading', (f) => {
  expectTypeOf(f.read(orders)).toEqualTypeOf<Rows<Order>>();
  expectTypeOf(f.readKeyed(orders)).toEqualTypeOf<KeyedStream<string, Order>>();
  expectTypeOf(f.readKeyed(topic('plain'))).toEqualTypeOf<KeyedStream<string, string>>();
  expectTypeOf(f.readKeyed(topic('named', { key: 'bytes', value: 'json' }))).toEqualTypeOf<
    KeyedStream<Buffer, unknown>
  >();
  expectTypeOf(f.table(customers)).toEqualTypeOf<Table<string, Customer>>();
  expectTypeOf(f.globalTable(customers)).toEqualTypeOf<GlobalTable<string, Customer>>();
  expectTypeOf(f.read(orders).dedupe('once', (o) => o.id, '1h')).toEqualTypeOf<Stream<Order>>();
  expectTypeOf(
    f.read(orders).mapAsync('rates', async (o, { signal }) => {
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
      return Promise.resolve(o.total);
    }),
  ).toEqualTypeOf<Stream<number>>();
  const all = f.globalTable(customers, { name: 'all' });
  expectTypeOf(
    f.read(orders).leftJoinGlobal(
      'all-left',
      all,
      (o) => o.customerId,
      (o, c) => [o.id, c?.tier] as const,
    ),
  ).toEqualTypeOf<Stream<readonly [string, 'gold' | 'silver' | undefined]>>();
  expectTypeOf(
    f.readKeyed(orders).joinGlobal(
      'all-inner',
      all,
      (_o, key) => key,
      (o, c, key) => o.id + c.tier + key,
    ),
  ).toEqualTypeOf<KeyedStream<string, string>>();
});

export const keyed: Flow = flow('keyed', (f) => {
  const byKey = f.readKeyed(orders);
  const other = f.read(customers).keyBy((c) => c?.name ?? '');
  expectTypeOf(byKey.dedupe('once', (o) => o.id, duration('1h'))).toEqualTypeOf<typeof byKey>();
  expectTypeOf(
    byKey.mapValuesAsync('m', async (o, key, { signal }) => [o, key, signal] as const),
  ).toEqualTypeOf<KeyedStream<string, readonly [Order, string, AbortSignal]>>();
  expectTypeOf(
    byKey.leftJoin('near', other, (o, c) => [o, c] as const, { within: '1h' }),
  ).toEqualTypeOf<KeyedStream<string, readonly [Order, Customer | null | undefined]>>();
  expectTypeOf(byKey.toTable('latest', { ttl: '1 day' })).toEqualTypeOf<Table<string, Order>>();
  expectTypeOf(byKey.window(hopping('10s', { every: '2s' }))).toEqualTypeOf<
    WindowedStream<string, Order>
  >();
  expectTypeOf(byKey.window(sliding(5)).count('n', { emit: { every: '1s' } })).toEqualTypeOf<
    WindowedTable<string, number, Order>
  >();
  expectTypeOf(
    byKey.window(session('30 minutes')).aggregate('visits', {
      init: () => 0,
      add: (n) => n + 1,
      merge: (a, b) => a + b,
      finish: (n, key) => `${key} ${n}`,
    }),
  ).toEqualTypeOf<WindowedTable<string, string, Order>>();
  expectTypeOf(
    byKey.window(session('1s')).reduce('last', (_a, b) => b, { emit: 'changes' }),
  ).toEqualTypeOf<WindowedTable<string, Order, Order>>();
  expectTypeOf(
    byKey.process('silence', {
      onRecord: (order, context: ProcessContext<number, string>, key) => {
        expectTypeOf(order).toEqualTypeOf<Order>();
        expectTypeOf(key).toEqualTypeOf<string>();
        context.state = (context.state ?? 0) + order.total;
      },
      onTimer: (context, key, timer) => {
        expectTypeOf(timer).toEqualTypeOf<'event' | 'wall'>();
        context.emit(key);
      },
    }),
  ).toEqualTypeOf<KeyedStream<string, string>>();
});

export const tables: Flow = flow('tables', (f) => {
  const table = f.table(customers);
  const counts = f.readKeyed(orders).count('counts');
  expectTypeOf(table.join('j', counts, (c, n) => c.tier.length + n)).toEqualTypeOf<
    Table<string, number>
  >();
  expectTypeOf(table.outerJoin('o', counts, (c, n, key) => [c, n, key] as const)).toEqualTypeOf<
    Table<string, readonly [Customer | undefined, number | undefined, string]>
  >();
  const grouped = table.groupBy((c) => c.tier);
  expectTypeOf(grouped).toEqualTypeOf<GroupedTable<'gold' | 'silver', Customer>>();
  expectTypeOf(grouped.count('tiers')).toEqualTypeOf<Table<'gold' | 'silver', number>>();
  expectTypeOf(
    grouped.reduce(
      'r',
      (left) => left,
      (left) => left,
    ),
  ).toEqualTypeOf<Table<'gold' | 'silver', Customer>>();
  expectTypeOf(
    grouped.aggregate('names', {
      init: () => 0,
      add: (n, c) => n + c.name.length,
      subtract: (n, c) => n - c.name.length,
      finish: (n, tier) => ({ n, tier }),
    }),
  ).toEqualTypeOf<Table<'gold' | 'silver', { n: number; tier: 'gold' | 'silver' }>>();
  const latest = f
    .read(orders)
    .keyBy((o) => o.id)
    .toTable('latest');
  expectTypeOf(
    latest.leftJoinForeign(
      'placed',
      table,
      (o) => o.customerId,
      (o, c, id) => ({ o, c, id }),
    ),
  ).toEqualTypeOf<Table<string, { o: Order; c: Customer | undefined; id: string }>>();
  expectTypeOf(table.toStream()).toEqualTypeOf<KeyedStream<string, Customer | undefined>>();
  expectTypeOf(table.entries()).toEqualTypeOf<Stream<Entry<string, Customer>>>();
  const asKeyed: KeyedStream<string, unknown> = table;
  // What is expected of an aggregate says nothing about what it is.
  const sums: KeyedStream<string, number> = f
    .readKeyed(orders)
    .aggregate('sums', { init: () => 0, add: (sum, order) => sum + order.total });
  sums.write(anywhere);
  const windows: Table<Windowed<string>, number> = f
    .readKeyed(orders)
    .window(tumbling(1))
    .count('windows');
  asKeyed.write(anywhere);
  windows.write(anywhere);
  windows.write(topic('json', { key: json<Windowed<string>>(), value: json<number>() }));
  windows.write(files.ndjson('windows'));
  table.write(topic('typed', { value: json<Customer>(), key: 'string' }));
});

export const patterns: Flow = flow('patterns', (f) => {
  const fraud = pattern('small', (order: Order) => order.total < 1)
    .oneOrMore()
    .greedy()
    .until((order) => order.total > 100)
    .next('middle', (order, soFar) => {
      expectTypeOf(soFar.small).toEqualTypeOf<readonly Order[]>();
      return order.total < 10;
    })
    .optional()
    .followedByAny('large', (order) => order.total > 500)
    .notFollowedBy('refund', (order) => order.total < 0)
    .within('1 minute')
    .skip({ toLast: 'large' });
  const matches = f.readKeyed(orders).match('fraud', fraud, (matched, key) => {
    expectTypeOf(key).toEqualTypeOf<string>();
    expectTypeOf(matched.small).toEqualTypeOf<readonly [Order, ...Order[]]>();
    expectTypeOf(matched.middle).toEqualTypeOf<readonly Order[]>();
    expectTypeOf(matched.large[0]).toEqualTypeOf<Order>();
    return matched.large[0].id;
  });
  const asStream: KeyedStream<string, string> = matches;
  matches
    .timedOut(anywhere)
    .timedOut(
      (matched) => {
        expectTypeOf(matched.large).toEqualTypeOf<readonly Order[]>();
        return matched.small.length;
      },
      topic('numbers', { value: json<number>() }),
    )
    .late(topic('late', { value: json<Order>() }))
    .write(topic('ids', { value: 'string' }));
  asStream.write(anywhere);
});

export const writing: Flow = flow('writing', (f) => {
  f.read(orders).write(orders);
  f.readKeyed(orders).write(topic('typed', { value: json<Order | null>() }));
  f.readKeyed(orders)
    .mapValues(() => null)
    .write(orders);
  f.read(orders)
    .map(() => Buffer.from(''))
    .write(topic('bytes', { value: bytes() }));
  f.read(orders)
    .map((o) => o.total)
    .write(anywhere);
  f.read(orders).write(files.ndjson('orders'));
});

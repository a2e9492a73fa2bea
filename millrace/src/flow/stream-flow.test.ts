/** What programs over topics become: their plans, what they look like, and what is refused. */
import { expect, test } from 'vitest';
import {
  files,
  flow,
  type FlowBuilder,
  hopping,
  json,
  pattern,
  type ProcessContext,
  session,
  skipTo,
  sliding,
  topic,
  tumbling,
} from '../index.ts';
import { explainPlan } from './explain.ts';
import type { Plan, PlanNode } from './plan.ts';
import { hasTopics, streamFaults } from './stream-faults.ts';

interface Order {
  readonly id: string;
  readonly customerId: string;
  readonly tier: string;
  readonly total: number;
  readonly placedAt: number;
}
interface Customer {
  readonly name: string;
  readonly tier: string;
}

const orders = topic('orders', {
  value: json<Order>(),
  time: { of: (order) => order.placedAt, outOfOrder: '5s', idle: '30s' },
});
const customers = topic('customers', { value: json<Customer>() });
const out = topic('out');

function planOf(build: (f: FlowBuilder) => void): Plan {
  return flow('test', build).plan();
}

/** The nodes of a kind, as they are called. */
function nodesOf<K extends PlanNode['kind']>(
  plan: Plan,
  kind: K,
): (PlanNode & { readonly kind: K })[] {
  return plan.nodes.filter((node): node is PlanNode & { readonly kind: K } => node.kind === kind);
}

function refusal(build: (f: FlowBuilder) => void): string {
  try {
    planOf(build);
  } catch (error) {
    expect(error).toMatchObject({ code: 'ML_FLOW_INVALID' });
    return (error as Error).message;
  }
  return 'nothing is refused';
}

test('the revenue flow, as people see it', () => {
  const revenue = flow('revenue', { onError: skipTo(topic('dead-letters')) }, (f) => {
    f.read(orders)
      .keyBy((o) => o.customerId)
      .join('with-customer', f.table(customers), (o, c) => ({ ...o, tier: c.tier }))
      .keyBy((o) => o.tier)
      .window(tumbling('1 minute', { grace: '10s' }))
      .aggregate('revenue', {
        init: () => 0,
        add: (sum, o) => sum + o.total,
        merge: (a, b) => a + b,
      })
      .late(topic('orders-late'))
      .write(topic('revenue-per-tier', { value: json() }));
  });
  expect(explainPlan(revenue.plan())).toBe(`revenue
  bad records go to topic dead-letters, at most 1000
  read-0         read        topic orders
  keyBy-1        keyBy       (o) => o.customerId
  read-2         read        topic customers
  customers      table       latest value per key
  with-customer  inner join  a stream with a table  ← keyBy-1, customers
  keyBy-5        keyBy       (o) => o.tier
  revenue        aggregate   per key and window of 1 minute, grace 10 seconds, when it is closed, (sum, o) => sum + o.total
  sideOutput-7   late        what came too late
  write-8        write       topic orders-late
  write-9        write       topic revenue-per-tier  ← revenue`);
});

test('all that knows of time is told in words', () => {
  const plan = planOf((f) => {
    const keyed = f.readKeyed(orders);
    const byName = f.read(customers).keyBy((c) => c.name);
    keyed.join('near', byName, (o, c) => [o, c], { within: '1h', grace: '1 min' }).write(out);
    keyed.outerJoin('after', byName, (o, c) => [o, c], { after: '90s' }).write(out);
    keyed
      .window(session('30 minutes'))
      .count('visits', { emit: { every: '1s' } })
      .write(out);
    keyed
      .window(hopping('10s', { every: '2s' }))
      .reduce('largest', (a) => a, { emit: 'changes' })
      .write(out);
    keyed.window(sliding(100)).count('bursts').write(out);
    const fraud = pattern('small', (o: Order) => o.total < 1)
      .oneOrMore()
      .next('large', (o) => o.total > 500)
      .notFollowedBy('refund', (o) => o.total < 0)
      .within('1 day');
    keyed.match('fraud', fraud, ({ large: [first] }) => first.id).write(out);
    const history = f.table(customers, { name: 'history', history: '1 day', ttl: '52 weeks' });
    history
      .groupBy((c) => c.tier)
      .aggregate('names', {
        init: () => 0,
        add: (n, c) => n + c.name.length,
        subtract: (n, c) => n - c.name.length,
      })
      .toStream()
      .write(out);
    keyed
      .toTable('latest')
      .leftJoinForeign(
        'placed',
        history,
        (o) => o.customerId,
        (o, c) => [o, c],
      )
      .write(out);
    f.read(orders)
      .dedupe('once', (o) => o.id, '1h')
      .mapAsync('rate', async (o) => Promise.resolve(o.total), { attempts: 3, timeout: '2s' })
      .joinGlobal('named', f.globalTable(customers, { name: 'all' }), String, (n, c) => [n, c])
      .write(out);
    keyed
      .process('silence', {
        onRecord: (_order, context: ProcessContext<number, string>) => context.setTimer(1),
        ttl: '7 days',
      })
      .write(out);
  });
  const text = explainPlan(plan);
  for (const line of [
    'near             inner join          streams, at most 1 hour apart, grace 1 minute  ← read-0, keyBy-2',
    'after            outer join          streams, right from 0 before to 90 seconds after left  ← read-0, keyBy-2',
    'visits           count               per key and session with gaps of at most 30 minutes, every 1 second  ← read-0',
    'largest          aggregate           per key and window of 10 seconds, a new one every 2 seconds, at every change, (a) => a',
    'bursts           count               per key and sliding window of 100 ms, when it is closed  ← read-0',
    'fraud            pattern             small 1 to any number of times, next large, then not refund, within 1 day  ← read-0',
    'history          table               latest value per key, versions of 1 day, forgotten after 364 days  ← read-1',
    'names            aggregate           by (c) => c.tier, (n, c) => n + c.name.length, taken out again by (n, c) => n - c.name.length',
    'toStream-17      to stream           its changes',
    'placed           left foreign join   two tables, by (o) => o.customerId  ← latest, history',
    'once             dedupe              once in 1 hour, by key',
    'rate             map async           async (o) => Promise.resolve(o.total), 16 at a time, 2 seconds each, 3 times at most',
    'all              global table        all of it in every task',
    'named            inner global join   by String  ← rate, all',
    'silence          process             (_order, context) => context.setTimer(1), forgotten after 7 days  ← read-0',
  ])
    expect(text.replaceAll(/ {2,}/g, '  ')).toContain(line.replaceAll(/ {2,}/g, '  '));
});

test('a topic that is read several times is one source', () => {
  const plan = planOf((f) => {
    f.read(orders).write(out);
    f.readKeyed(orders).write(out);
    f.table(orders).write(out);
    f.read(topic('orders')).write(out);
  });
  expect(nodesOf(plan, 'source').map(({ source }) => source.label)).toEqual([
    'topic orders',
    'topic orders',
  ]);
});

test('settings of a topic are with its source and its sink', () => {
  const plan = planOf((f) => {
    const made = topic('made', { key: 'json', create: { partitions: 4, configs: { a: 'b' } } });
    f.readKeyed(orders).write(made);
  });
  const [source] = nodesOf(plan, 'source');
  expect(source?.source.topic).toMatchObject({
    name: 'orders',
    key: { name: 'text' },
    value: { name: 'json' },
    time: { outOfOrderMs: 5_000, idleMs: 30_000 },
    only: undefined,
  });
  const [write] = nodesOf(plan, 'write');
  expect(write?.sink.topic).toMatchObject({
    name: 'made',
    key: { name: 'json' },
    create: { partitions: 4, configs: { a: 'b' } },
  });
  expect(write?.sink.target).toEqual({ kind: 'topic', topic: 'made' });
});

test('records of a stream without keys are written without them', () => {
  const plan = planOf((f) => {
    f.read(orders)
      .filter((o) => o.total > 0)
      .write(out);
    f.read(orders)
      .map((o) => o.total)
      .write(out);
    f.readKeyed(orders)
      .filter((o) => o.total > 0)
      .write(out);
  });
  const inputs = nodesOf(plan, 'write').map(({ inputs: [input] }) => plan.nodes[input ?? -1]);
  expect(inputs.map((node) => node?.kind)).toEqual(['map', 'map', 'filter']);
  expect(inputs[0]).toMatchObject({ keepsKey: false });
  // What has no key already needs nothing.
  expect(nodesOf(plan, 'map')).toHaveLength(2);
});

test('what gives the changes of a table says so, over topics only', () => {
  const plan = planOf((f) => {
    const table = f.table(customers);
    table
      .mapValues((c) => c.name)
      .filter((name) => name !== '')
      .tap(() => 0)
      .write(out);
    table
      .groupBy((c) => c.tier)
      .count('tiers')
      .write(out);
    table.join('pairs', f.readKeyed(orders).count('counted'), (c, n) => [c, n]).write(out);
    table.keyBy((c) => c.tier).write(out);
    f.readKeyed(orders).window(tumbling('1s')).count('windows').write(out);
    f.read(files.ndjson<Order>('o'))
      .keyBy((o) => o.tier)
      .count('fixed')
      .write(out);
  });
  const tables = plan.nodes.filter((node) => node.isTable === true).map(({ name }) => name);
  expect(tables).toEqual([
    'customers',
    'map-2',
    'filter-3',
    'tap-4',
    'tiers',
    'counted',
    'pairs',
    'windows',
  ]);
});

test('operators on records get the new values of a table; those of its rows get it as it is', () => {
  const plan = planOf((f) => {
    const table = f.table(customers);
    table.dedupe('once', (c) => c.name, '1s').write(out);
    table.mapValuesAsync('later', (c) => c.name).write(out);
    table.entries().write(out);
    table.toStream().write(out);
  });
  const kindsBefore = (name: string): (string | undefined)[] => {
    const kinds: string[] = [];
    let node = plan.nodes.find((one) => one.name === name);
    while (node !== undefined) {
      kinds.push(node.kind);
      node = plan.nodes[node.inputs[0] ?? -1];
    }
    return kinds;
  };
  expect(kindsBefore('once')).toEqual(['dedupe', 'filter', 'toStream', 'table', 'source']);
  expect(kindsBefore('later')).toEqual(['asyncMap', 'filter', 'toStream', 'table', 'source']);
  // Both take the same stream of values, and the explicit one has deletions in it.
  expect(nodesOf(plan, 'toStream')).toHaveLength(2);
  const [entries] = nodesOf(plan, 'map');
  expect(kindsBefore(entries?.name ?? '')).toEqual(['map', 'table', 'source']);
});

test('joins are chosen by what is joined', () => {
  const plan = planOf((f) => {
    const stream = f.readKeyed(orders);
    const table = f.table(customers);
    const fixed = f.read(files.ndjson<Order>('o')).keyBy((o) => o.tier);
    stream.join('stream-table', table, (o) => o).write(out);
    stream.leftJoin('left-stream-table', table, (o) => o).write(out);
    table.outerJoin('tables', stream.count('counts'), (c) => c).write(out);
    table.rightJoin('right-tables', stream.count('counts-too'), (c) => c).write(out);
    stream.join('self', stream, (o) => o, { before: '1s' }).write(out);
    stream.rightJoin('right', stream, (o) => o, { before: '1s', grace: 5 }).write(out);
    stream.join('files', fixed, (o) => o).write(out);
    stream.semiJoin('semi', table).write(out);
  });
  expect(nodesOf(plan, 'tableJoin')).toMatchObject([
    { name: 'stream-table', sides: 'stream-table', type: 'inner' },
    { name: 'left-stream-table', sides: 'stream-table', type: 'left' },
    { name: 'tables', sides: 'table-table', type: 'outer', isTable: true },
    { name: 'right-tables', sides: 'table-table', type: 'left', isTable: true },
  ]);
  expect(nodesOf(plan, 'windowJoin')).toMatchObject([
    { name: 'self', type: 'inner', beforeMs: 1_000, afterMs: 0, graceMs: 0, inputs: [0, 0] },
    { name: 'right', type: 'left', beforeMs: 0, afterMs: 1_000, graceMs: 5 },
  ]);
  expect(nodesOf(plan, 'join').map(({ name }) => name)).toEqual(['files', 'semi']);
});

test('behind what waits for the end of a topic, joins are those of what has an end', () => {
  const plan = planOf((f) => {
    const byId = f.read(orders).keyBy((o) => o.id);
    const sorted = byId.sort('sorted', (o) => o.total);
    sorted.join('joined', byId, (o) => o).write(files.ndjson('out'));
    const ranks = f.iterate('rounds', byId.count('n'), { rounds: 2 }, (current) => current);
    ranks.join('more', byId.count('m'), (n) => n).write(files.ndjson('more'));
  });
  expect(nodesOf(plan, 'join').map(({ name }) => name)).toEqual(['joined', 'more']);
});

test('tables of files are aggregates, and so is what is grouped of them', () => {
  const plan = planOf((f) => {
    const keyed = f.read(files.ndjson<Order>('orders')).keyBy((o) => o.id);
    const table = keyed.toTable('latest');
    table.toStream().write(files.ndjson('a'));
    table
      .groupBy((o) => o.tier)
      .count('tiers')
      .write(files.ndjson('b'));
    const subtract = (left: Order): Order => left;
    table
      .groupBy((o) => o.tier)
      .reduce('one', (left) => left, subtract)
      .write(files.ndjson('c'));
    table
      .groupBy((o) => o.tier)
      .aggregate('sums', { init: () => 0, add: (n, o) => n + o.total, subtract: (n) => n })
      .write(files.ndjson('d'));
    table
      .groupBy((o) => o.tier)
      .reduce('all', () => undefined)
      .write(files.ndjson('e'));
    table.aggregate('each', { init: () => 0, add: (n) => n + 1 }).write(files.ndjson('f'));
  });
  expect(nodesOf(plan, 'aggregate').map(({ name, isTable }) => [name, isTable])).toEqual([
    ['latest', undefined],
    ['tiers', undefined],
    ['one', undefined],
    ['sums', undefined],
    ['each', undefined],
  ]);
  expect(nodesOf(plan, 'group').map(({ name }) => name)).toEqual(['all']);
});

test('tables are counted and grouped by subtraction', () => {
  const plan = planOf((f) => {
    const table = f.table(customers);
    table.count('there').write(out);
    table
      .groupBy((c, key) => [c.tier, key])
      .reduce(
        'longest',
        (left) => left,
        (left) => left,
      )
      .write(out);
  });
  const [there, longest] = nodesOf(plan, 'tableAggregate');
  expect(there?.by({}, 'k')).toBe('k');
  expect(there?.subtract(5, {}, 'k')).toBe(4);
  expect(longest?.by({ tier: 'gold' }, 'k')).toEqual(['gold', 'k']);
  // Nothing is taken out of nothing, and what is first is the first.
  expect(longest?.subtract(undefined, 1, 'k')).toBeUndefined();
  expect(longest?.add(undefined, 1, 'k')).toBe(1);
});

test('calls get what their functions take, in their order', async () => {
  const plan = planOf((f) => {
    f.read(orders)
      .mapAsync('of-values', async (o, { signal }) => Promise.resolve([o.id, signal.aborted]))
      .write(out);
    f.readKeyed(orders)
      .mapValuesAsync('of-records', async (o, key, { signal }) =>
        Promise.resolve([o.id, key, signal.aborted]),
      )
      .write(out);
  });
  const [ofValues, ofRecords] = nodesOf(plan, 'asyncMap');
  const { signal } = new AbortController();
  expect(await ofValues?.fn({ id: 'a' }, 'k', signal)).toEqual(['a', false]);
  expect(await ofRecords?.fn({ id: 'a' }, 'k', signal)).toEqual(['a', 'k', false]);
  expect(ofValues).toMatchObject({
    concurrency: 16,
    timeoutMs: 30_000,
    attempts: 1,
    keepsKey: false,
  });
  expect(ofRecords).toMatchObject({ keepsKey: true });
});

test('a right join is a left join with its sides changed', () => {
  const plan = planOf((f) => {
    const left = f.readKeyed(orders);
    const right = f.read(customers).keyBy((c) => c.name);
    left
      .rightJoin('r', right, (o, c, key) => `${o?.id} ${c.name} ${key}`, { within: 1 })
      .write(out);
  });
  const [join] = nodesOf(plan, 'windowJoin');
  expect(join?.inputs.map((id) => plan.nodes[id]?.kind)).toEqual(['keyBy', 'source']);
  expect(join?.fn({ name: 'n' }, undefined, 'k')).toBe('undefined n k');
});

test('select gets all steps, also those that did not occur', () => {
  const plan = planOf((f) => {
    const two = pattern('a', (o: Order) => o.total > 0)
      .followedBy('b', (o) => o.total > 1)
      .optional()
      .followedBy('d', () => true)
      .notNext('c', (o) => o.total > 2);
    const matched = f.readKeyed(orders).match('m', two, ({ a, b, d }) => [a, b, d]);
    matched
      .timedOut(out)
      .timedOut(({ a, d }) => [a, d], out)
      .late(out)
      .write(out);
  });
  const [match] = nodesOf(plan, 'pattern');
  expect(match?.select({ a: [1], d: [2] }, 'k')).toEqual([[1], [], [2]]);
  expect(match?.selectTimedOut({ a: [1] }, 'k')).toEqual({ a: [1], b: [], d: [] });
  expect(match?.pattern.steps).toMatchObject([
    { name: 'a', contiguity: 'relaxed', isNegated: false, timesMin: 1, timesMax: 1 },
    { name: 'b', contiguity: 'relaxed', timesMin: 0, timesMax: 1 },
    { name: 'd', contiguity: 'relaxed' },
    { name: 'c', contiguity: 'strict', isNegated: true },
  ]);
  expect(nodesOf(plan, 'sideOutput').map(({ output }) => output)).toEqual([
    'timedOut',
    'timedOut',
    'late',
  ]);
});

test('quantifiers and strategies of a pattern', () => {
  const all = pattern('a', (n: number) => n > 0)
    .times(2, 4)
    .greedy()
    .consecutive()
    .until((n) => n > 9)
    .followedByAny('b', () => true)
    .oneOrMore()
    .allowCombinations()
    .within(5)
    .skip({ toLast: 'a' });
  const plan = planOf((f) => {
    f.readKeyed(topic('numbers', { value: json<number>() }))
      .match('m', all, ({ a: [first] }) => first)
      .write(out);
  });
  expect(nodesOf(plan, 'pattern')[0]?.pattern).toMatchObject({
    steps: [
      { name: 'a', timesMin: 2, timesMax: 4, isGreedy: true, inner: 'strict' },
      { name: 'b', contiguity: 'any', timesMin: 1, timesMax: Infinity, inner: 'any' },
    ],
    withinMs: 5,
    skip: { kind: 'toLast', step: 'a' },
  });
});

test('a fingerprint tells topics, their settings and their serdes apart', () => {
  const plans = [
    topic('a'),
    topic('b'),
    topic('a', { value: 'json' }),
    topic('a', { key: 'json' }),
    topic('a', { time: { outOfOrder: 1 } }),
    topic('a', { time: { of: () => 1 } }),
    topic('a', { time: { of: () => 2 } }),
    topic('a', { create: { partitions: 2 } }),
  ].map((to) => planOf((f) => f.read(orders).write(to as typeof out)).fingerprint);
  expect(new Set(plans).size).toBe(plans.length);
  expect(planOf((f) => f.read(orders).write(topic('a'))).fingerprint).toBe(plans[0]);
});

test.each<[name: string, sentence: string, build: (f: FlowBuilder) => void]>([
  [
    'a join of two streams without a time',
    'flow "test", join "j": two streams that have no end can be joined only where their times are near',
    (f) => f.readKeyed(orders).join('j', f.readKeyed(customers), (o) => o),
  ],
  [
    'a time for a join with a table',
    'flow "test", join "j": `within` is for joins of two streams',
    (f) => f.readKeyed(orders).join('j', f.table(customers), (o) => o, { within: 1 }),
  ],
  [
    'two kinds of times',
    'it is given `within`, and `before` or `after`: say either',
    (f) => f.readKeyed(orders).join('j', f.readKeyed(customers), (o) => o, { within: 1, after: 1 }),
  ],
  [
    'a strategy for a join without end',
    '`strategy` is for joins of what has an end',
    (f) =>
      f
        .readKeyed(orders)
        .join('j', f.readKeyed(customers), (o) => o, { within: 1, strategy: 'sort-merge' }),
  ],
  [
    'times for a join of files',
    '`grace` is for joins of two streams of topics, whose records have times',
    (f) => {
      const lines = f.read(files.lines('a')).keyBy((line) => line);
      lines.join('j', lines, (line) => line, { grace: '1s' });
    },
  ],
  [
    'a table joined to a stream',
    'its left side is a table and its right side a stream',
    (f) => f.table(orders).join('j', f.readKeyed(customers), (o) => o),
  ],
  [
    'an outer join with a table',
    'a table that is joined to a stream has no records of its own',
    (f) => f.readKeyed(orders).outerJoin('j', f.table(customers), (o) => o),
  ],
  [
    'a window over files',
    'flow "test", window: the records that it is given have no times: none of them comes from a topic',
    (f) =>
      f
        .read(files.lines('a'))
        .keyBy((line) => line)
        .window(tumbling('1s')),
  ],
  [
    'a window that is none',
    'what it is given is no window, but "1 minute"',
    (f) => f.readKeyed(orders).window('1 minute' as never),
  ],
  [
    'sessions that cannot be merged',
    'aggregate "a": an aggregation over session windows needs merge',
    (f) =>
      f
        .readKeyed(orders)
        .window(session('1s'))
        .aggregate('a', { init: () => 0, add: (n: number) => n } as never),
  ],
  [
    'a policy that is none',
    "`emit` must be 'close', 'changes' or { every: '1 minute' }, and is \"often\"",
    (f) =>
      f
        .readKeyed(orders)
        .window(tumbling(1))
        .count('n', { emit: 'often' as never }),
  ],
  [
    'a length of time that is none',
    "the time must be a number of milliseconds, or a text like '100ms', '5s', '1 minute', '2 hours' or '7 days', and is \"soon\"",
    (f) => f.read(orders).dedupe('d', (o) => o.id, 'soon' as never),
  ],
  [
    'a time of nothing',
    'the time must be at least 1 ms, and is 0',
    (f) => f.read(orders).dedupe('d', (o) => o.id, 0),
  ],
  [
    'the same table twice',
    'flow "test", table "customers": the name "customers" is taken by another operator of the flow',
    (f) => [f.table(customers), f.table(customers)],
  ],
  [
    'a global table of a file',
    'it is the table of a topic, and lines a is none',
    (f) => f.globalTable(files.lines('a')),
  ],
  [
    'a history of a file',
    '`history` and `ttl` are for tables of topics, whose records have times',
    (f) => f.table(files.lines('a'), { history: '1s' }),
  ],
  [
    'a global table that is none',
    'what it is given must be what f.globalTable returns',
    (f) =>
      f.read(orders).joinGlobal(
        'j',
        f.table(customers) as never,
        (o) => o.id,
        (o) => o,
      ),
  ],
  [
    'an aggregate of what changes',
    'reduce "r": a table changes, and what has changed would be counted again',
    (f) => f.table(customers).reduce('r', (left) => left),
  ],
  [
    'calls without a number',
    'the concurrency must be an integer from 1 to 1000, and is 0',
    (f) => f.read(orders).mapAsync('m', () => 1, { concurrency: 0 }),
  ],
  [
    'a pattern that is none',
    'what it is given is no pattern, but an object',
    (f) => f.readKeyed(orders).match('m', {} as never, () => 1),
  ],
  [
    'a pattern that nothing decides',
    'the pattern ends with what must not occur, "b", which nothing would ever decide',
    (f) =>
      f.readKeyed(orders).match(
        'm',
        pattern('a', (o: Order) => o.total > 0).notFollowedBy('b', () => true),
        () => 1,
      ),
  ],
  [
    'a pattern of nothing',
    'all steps of the pattern may be absent',
    (f) =>
      f.readKeyed(orders).match('m', pattern('a', (o: Order) => o.total > 0).optional(), () => 1),
  ],
])('%s is refused', (_name, sentence, build) => {
  expect(refusal(build)).toContain(sentence);
});

test.each<[name: string, sentence: string, build: () => unknown]>([
  [
    'a hop that skips',
    'windows would begin less often than they end',
    () => hopping(1, { every: 2 }),
  ],
  [
    'windows without number',
    'each record would be in 86400 windows, and 10000 are possible',
    () => hopping('1 day', { every: '1s' }),
  ],
  ['a size of nothing', 'tumbling: the size must be at least 1 ms, and is 0', () => tumbling(0)],
  ['a negative grace', 'sliding: the grace must be a number', () => sliding(1, { grace: -1 })],
  ['a gap with a fraction', 'session: the gap must be', () => session(0.5)],
  ['a name with blanks', 'topic "a b": its name must be 1 to 249 letters', () => topic('a b')],
  ['a name that is a path', 'topic "..": its name must be', () => topic('..')],
  ['no serde', 'value must be a serde', () => topic('a', { value: 'xml' as never })],
  ['a partition below 0', 'a partition must be an integer', () => topic('a', { partitions: [-1] })],
  [
    'no array',
    'partitions must be an array, and is 3',
    () => topic('a', { partitions: 3 as never }),
  ],
  ['no partitions', 'create.partitions must be', () => topic('a', { create: { partitions: 0 } })],
  [
    'a setting that is no text',
    'create.configs must be an object of texts',
    () => topic('a', { create: { configs: { a: 1 as never } } }),
  ],
  ['no time', 'time.idle must be at least 1 ms', () => topic('a', { time: { idle: 0 } })],
  ['a time that is no function', 'time.of must be', () => topic('a', { time: { of: 1 as never } })],
  [
    'a step twice',
    'followedBy "a": the pattern has a step of this name already',
    () => pattern('a', () => true).followedBy('a', () => true),
  ],
  [
    'repetitions of what occurs once',
    'the step "a" occurs once: say before how often it does',
    () => pattern('a', () => true).greedy(),
  ],
  [
    'so often or not at all',
    'the step occurs 3 times at least',
    () =>
      pattern('a', () => true)
        .times(3)
        .optional(),
  ],
  [
    'what must not follow what may be absent',
    'what must not occur cannot follow "a", which may be absent',
    () =>
      pattern('a', () => true)
        .optional()
        .notNext('b', () => true),
  ],
  [
    'a step that there is not',
    "it must be 'none', 'toNext', 'pastLast'",
    () => pattern('a', () => true).skip({ toFirst: 'b' as never }),
  ],
  ['fewer than none', 'the number of times must be', () => pattern('a', () => true).times(0)],
])('%s is refused at once', (_name, sentence, build) => {
  expect(build).toThrowError(expect.objectContaining({ code: 'ML_FLOW_INVALID' }));
  expect(build).toThrow(sentence);
});

test('what cannot run without end is named', () => {
  const plan = flow('f', { onError: skipTo(files.ndjson('bad')) }, (f) => {
    const stream = f.read(orders);
    stream.sort('sorted', (o) => o.id).write(files.ndjson('a'));
    stream.distinct('seen', (o) => o.id).write(out);
    stream
      .groupBy((o) => o.id)
      .reduce('groups', () => undefined)
      .write(out);
    stream
      .keyBy((o) => o.id)
      .semiJoin('semi', f.table(customers))
      .write(out);
    f.read(topic('some', { partitions: [1] })).write(out);
    f.read(files.lines('file')).write(out);
  }).plan();
  expect(streamFaults(plan).map(({ sentence }) => sentence)).toEqual([
    '"sorted" puts all records in order, and there is no last one',
    '"write-2" writes ndjson a, which is complete when the run has ended: write a topic',
    '"seen" would remember all that it has seen: say for how long with dedupe(name, by, within)',
    '"groups" needs all values of a key at once: put them into an accumulator with keyBy(…).aggregate(…)',
    '"semi" is a semi join, which has to know all of its right side: use a leftJoin with a table',
    '"read-16" reads some partitions of topic some: a run without end reads all of them',
    '"read-19" reads lines file, which has an end: give it a topic',
    'onError writes ndjson bad, which is complete when the run has ended: write a topic',
  ]);
  expect(hasTopics(plan)).toBe(true);
});

test('a plan of streams has no faults', () => {
  const plan = planOf((f) => {
    f.readKeyed(orders).window(tumbling('1s')).count('n').write(out);
    f.read(orders).count('all').write(out);
  });
  expect(streamFaults(plan)).toEqual([]);
  const fixed = planOf((f) => f.read(files.lines('a')).write(files.lines('b')));
  expect(hasTopics(fixed)).toBe(false);
});

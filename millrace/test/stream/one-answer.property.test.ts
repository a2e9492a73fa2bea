/**
 * One program, one answer: whatever the disorder within its bound, the partitions, the workers, and what dies when, a run without end that has
 * seen all records has written the windows and tables that a bounded run writes.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { json } from '../../src/connect/topics/serdes.ts';
import { topic } from '../../src/connect/topics/topic.ts';
import { partitionOf } from '../../src/core/murmur2.ts';
import type { FlowBuilder } from '../../src/flow/builder.ts';
import { flow } from '../../src/flow/flow.ts';
import { pattern } from '../../src/flow/pattern-builder.ts';
import { hopping, session, sliding, tumbling } from '../../src/flow/window-specs.ts';
import { MemoryCluster } from '../../src/testing/memory-cluster.ts';
import { type BoundedRecord, runBounded } from './bounded-in-memory.ts';
import { send, written } from './tasks/cluster.ts';
import { Choices, play } from './tasks/schedules.ts';

interface Event {
  readonly user: string;
  readonly n: number;
}

const OUT_OF_ORDER = 9;
/** By then everything has closed. */
const END = 10_000;
const END_USER = 'end';

const time = { outOfOrder: OUT_OF_ORDER };
const clicks = topic('clicks', { key: json<string>(), value: json<Event>(), time });
const views = topic('views', { key: json<string>(), value: json<Event>(), time });
const users = topic('users', { key: json<string>(), value: json<Event | null>(), time });
const out = topic('out', { key: json(), value: json() });

/** `table`: the last value of each key counts; `all`: every record does. */
const PROGRAMS: Readonly<
  Record<string, { readonly results: 'all' | 'table'; readonly build: (f: FlowBuilder) => void }>
> = {
  'tumbling sums': {
    results: 'all',
    build: (f) => {
      f.read(clicks)
        .keyBy((click) => click.user)
        .window(tumbling(10))
        .aggregate('sums', {
          init: () => 0,
          add: (sum, click) => sum + click.n,
          merge: (a, b) => a + b,
        })
        .write(out);
    },
  },
  'hopping counts': {
    results: 'all',
    build: (f) => {
      f.read(clicks)
        .keyBy((click) => click.n)
        .window(hopping(12, { every: 4 }))
        .count('counts')
        .write(out);
    },
  },
  'sliding counts': {
    results: 'all',
    build: (f) => {
      f.readKeyed(clicks).window(sliding(6)).count('counts').write(out);
    },
  },
  sessions: {
    results: 'all',
    build: (f) => {
      f.read(clicks)
        .keyBy((click) => click.user)
        .window(session(4))
        .count('sessions')
        .write(out);
    },
  },
  'counts of all': {
    results: 'table',
    build: (f) => {
      f.read(clicks)
        .union(f.read(views))
        .keyBy((event) => event.n)
        .count('counts')
        .write(out);
    },
  },
  'clicks and views within a time': {
    results: 'all',
    build: (f) => {
      f.readKeyed(clicks)
        .leftJoin('both', f.readKeyed(views), (click, view) => [click.n, view?.n ?? null], {
          before: 5,
          after: 8,
        })
        .write(out);
    },
  },
  'tables that meet': {
    results: 'table',
    build: (f) => {
      const left = f.table(users);
      const right = f.readKeyed(clicks).count('clicks');
      left.outerJoin('joined', right, (user, count) => [user?.n ?? null, count ?? null]).write(out);
    },
  },
  'a table by another key': {
    results: 'table',
    build: (f) => {
      f.table(users)
        .groupBy((user) => user.n)
        .aggregate('groups', {
          init: () => 0,
          add: (sum) => sum + 1,
          subtract: (sum) => sum - 1,
        })
        .write(out);
    },
  },
  'a table that names keys of another': {
    results: 'table',
    build: (f) => {
      f.table(users)
        .leftJoinForeign(
          'named',
          f.table(views),
          (user) => 'abcd'[user.n % 5],
          (user, view) => [user.n, view?.n ?? null],
        )
        .write(out);
    },
  },
  'duplicates within a time': {
    results: 'all',
    build: (f) => {
      f.read(clicks)
        .dedupe('once', (click) => `${click.user}${click.n}`, END * 2)
        .map((click) => click.user)
        .write(out);
    },
  },
  'the first of those that are near': {
    results: 'all',
    build: (f) => {
      f.readKeyed(clicks)
        .dedupe('near', (click) => click.n % 2, 6)
        .write(out);
    },
  },
  'a pattern': {
    results: 'all',
    build: (f) => {
      f.readKeyed(clicks)
        .match(
          'rises',
          pattern('low', (click: Event) => click.n < 3)
            .followedBy('high', (click) => click.n > 6)
            .within(20),
          ({ low, high }) => [low[0]?.n, high[0]?.n],
        )
        .write(out);
    },
  },
};

const scenario = fc.record({
  partitions: fc.integer({ min: 1, max: 3 }),
  workers: fc.integer({ min: 1, max: 3 }),
  raw: fc.array(
    fc.record({
      topic: fc.constantFrom('clicks', 'views', 'users'),
      user: fc.constantFrom('a', 'b', 'c', 'd'),
      n: fc.integer({ min: 0, max: 9 }),
      deletes: fc.boolean(),
      step: fc.nat(5),
      back: fc.nat(OUT_OF_ORDER),
    }),
    { maxLength: 60, size: 'max' },
  ),
  choices: fc.array(fc.nat(10_000), { maxLength: 400, size: 'max' }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer S> ? S : never;

/** Keys decide the partition as Kafka's producers do. */
function recordsOf({ raw, partitions }: Scenario): Record<string, BoundedRecord[]> {
  const topics: Record<string, BoundedRecord[]> = { clicks: [], views: [], users: [] };
  const latest = new Map<string, number>();
  const taken = new Set<string>();
  for (const { topic: name, user, n, deletes, step, back } of raw) {
    const partition = partitionOf(Buffer.from(JSON.stringify(user)), partitions);
    const place = `${name} ${partition}`;
    const now = (latest.get(place) ?? 0) + step;
    latest.set(place, now);
    // Tables are written in order: what overtakes another write is last in one place and not in the other.
    let at = name === 'users' ? now : Math.max(0, now - back);
    // Equal times have no order between topics, and patterns none within one.
    while (taken.has(`${user} ${at}`)) at++;
    taken.add(`${user} ${at}`);
    latest.set(place, Math.max(now, at));
    const value = name === 'users' && deletes ? null : { user, n };
    topics[name]?.push({ key: user, value, time: at, partition });
  }
  return topics;
}

async function runStream(
  build: (f: FlowBuilder) => void,
  topics: Readonly<Record<string, readonly BoundedRecord[]>>,
  { partitions, workers, choices }: Scenario,
): Promise<{ readonly key: unknown; readonly value: unknown }[]> {
  const cluster = await MemoryCluster.open({
    plan: flow('test', build).plan(),
    topics: { clicks: partitions, views: partitions, users: partitions, out: 1 },
    workers,
  });
  const pending = Object.entries(topics).flatMap(([name, records]) =>
    records.map((record) => ({ name, record })),
  );
  const half = Math.floor(pending.length / 2);
  const everywhere = (at: number): void => {
    for (const name of Object.keys(topics))
      for (let partition = 0; partition < partitions; partition++)
        send(cluster, name, [
          { key: END_USER, value: { user: END_USER, n: -1 }, time: at, partition },
        ]);
  };
  // A partition that has never had a record does not hold up time: what came to it later would be late.
  everywhere(0);
  for (const { name, record } of pending.slice(0, half)) send(cluster, name, [record]);
  await play(cluster, new Choices(choices));
  for (const { name, record } of pending.slice(half)) send(cluster, name, [record]);
  await play(cluster, new Choices(choices.toReversed()));
  everywhere(END);
  await cluster.run();
  const found = written(cluster, 'out');
  await cluster.close();
  return found;
}

/** What counts of the results, without the order in which they came. */
function summed(
  results: readonly { readonly key: unknown; readonly value: unknown }[],
  kind: 'all' | 'table',
): string[] {
  const lines = results
    .map(({ key, value }) => [JSON.stringify(key ?? null), JSON.stringify(value ?? null)] as const)
    .filter(([key, value]) => !`${key} ${value}`.includes(END_USER) && !/^-1$|-1[,\]]/.test(key));
  if (kind === 'all') return lines.map(([key, value]) => `${key} ${value}`).toSorted(compare);
  const last = new Map(lines);
  return [...last]
    .filter(([, value]) => value !== 'null')
    .map(([key, value]) => `${key} ${value}`)
    .toSorted(compare);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

test.each(Object.keys(PROGRAMS))('%s', async (name) => {
  const program = PROGRAMS[name];
  if (program === undefined) throw new Error(name);
  await fc.assert(
    fc.asyncProperty(scenario, async (given) => {
      const topics = recordsOf(given);
      const bounded = await runBounded(
        flow('test', program.build).plan(),
        topics,
        given.partitions,
      );
      const stream = await runStream(program.build, topics, given);
      expect(summed(stream, program.results)).toEqual(
        summed(bounded.get('out') ?? [], program.results),
      );
    }),
    { numRuns: 30 },
  );
});

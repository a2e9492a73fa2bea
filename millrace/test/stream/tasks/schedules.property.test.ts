/**
 * Whatever is read, processed, committed, aborted and lost in whatever order: what is committed is what a naive reading of all records
 * gives, each result once.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { json } from '../../../src/connect/topics/serdes.ts';
import { topic } from '../../../src/connect/topics/topic.ts';
import type { FlowBuilder } from '../../../src/flow/builder.ts';
import { tumbling } from '../../../src/flow/window-specs.ts';
import type { MemoryCluster } from '../../../src/testing/memory-cluster.ts';
import { openFlow, send, written } from './cluster.ts';
import { Choices, play } from './schedules.ts';

interface Event {
  readonly user: string;
  readonly n: number;
}
interface Sent {
  readonly value: Event;
  readonly time: number;
  readonly partition: number;
}

const OUT_OF_ORDER = 7;
/** Closes all windows. */
const END = 10_000;

const events = topic('events', {
  value: json<Event>(),
  time: { outOfOrder: OUT_OF_ORDER },
});
const out = topic('out', { key: json(), value: json() });

/** Of each partition: times that rise, but for OUT_OF_ORDER. */
const sent: fc.Arbitrary<{ readonly partitions: number; readonly records: readonly Sent[] }> = fc
  .record({
    partitions: fc.integer({ min: 1, max: 3 }),
    raw: fc.array(
      fc.record({
        user: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
        n: fc.integer({ min: 0, max: 9 }),
        partition: fc.nat(2),
        step: fc.nat(8),
        back: fc.nat(OUT_OF_ORDER),
      }),
      { maxLength: 40, size: 'max' },
    ),
  })
  .map(({ partitions, raw }) => {
    const latest = [0, 0, 0];
    const records = raw.map(({ user, n, partition: chosen, step, back }): Sent => {
      const partition = chosen % partitions;
      latest[partition] = (latest[partition] ?? 0) + step;
      const time = Math.max(0, (latest[partition] ?? 0) - back);
      return { value: { user, n }, time, partition };
    });
    return { partitions, records };
  });

const scenario = fc.record({
  sent,
  workers: fc.integer({ min: 1, max: 3 }),
  exchanges: fc.integer({ min: 1, max: 3 }),
  choices: fc.array(fc.nat(10_000), { maxLength: 400, size: 'max' }),
});

interface Scenario {
  readonly sent: { readonly partitions: number; readonly records: readonly Sent[] };
  readonly workers: number;
  readonly exchanges: number;
  readonly choices: readonly number[];
}

async function playFlow(
  { sent: { partitions, records }, workers, exchanges, choices }: Scenario,
  build: (f: FlowBuilder) => void,
): Promise<MemoryCluster> {
  const cluster = await openFlow(build, {
    topics: { events: partitions },
    partitions: exchanges,
    workers,
  });
  send(cluster, 'events', records);
  const half = choices.length >> 1;
  await play(cluster, new Choices(choices.slice(0, half)));
  const last = Array.from({ length: partitions }, (_, partition) => ({
    value: { user: 'end', n: 0 },
    time: END,
    partition,
  }));
  send(cluster, 'events', last);
  await play(cluster, new Choices(choices.slice(half)));
  await cluster.run();
  return cluster;
}

function inOrder(lines: readonly string[]): readonly string[] {
  return lines.toSorted();
}

test('counts are those of all records', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (given) => {
      const cluster = await playFlow(given, (f) => {
        f.read(events)
          .keyBy((event) => event.user)
          .count('events-per-user')
          .write(out);
      });
      const counts = new Map<string, number>();
      const latest = new Map<unknown, unknown>();
      const all: string[] = [];
      for (const { value } of given.sent.records) {
        const count = (counts.get(value.user) ?? 0) + 1;
        counts.set(value.user, count);
        all.push(`${value.user} ${count}`);
      }
      const found = written(cluster, 'out').filter(({ key }) => key !== 'end');
      for (const { key, value } of found) latest.set(key, value);
      expect(latest).toEqual(counts);
      expect(inOrder(found.map(({ key, value }) => `${String(key)} ${String(value)}`))).toEqual(
        inOrder(all),
      );
      await cluster.close();
    }),
    { numRuns: 60 },
  );
});

test('every window is closed once, with all that is in it', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (given) => {
      const cluster = await playFlow(given, (f) => {
        f.read(events)
          .keyBy((event) => event.user)
          .window(tumbling(10))
          .aggregate('sums', { init: () => 0, add: (sum, event) => sum + event.n })
          .write(out);
      });
      expect(linesOf(cluster)).toEqual(windowSums(given.sent.records));
      expect(cluster.tasks.every(({ task }) => task.metrics.lateDropped === 0)).toBe(true);
      await cluster.close();
    }),
    { numRuns: 60 },
  );
});

test('windows over windows lose nothing', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (given) => {
      const cluster = await playFlow(given, (f) => {
        f.read(events)
          .keyBy((event) => event.user)
          .window(tumbling(10))
          .aggregate('sums', { init: () => 0, add: (sum, event) => sum + event.n })
          .entries()
          .keyBy(({ key }) => (key.key < 'c' ? 'few' : 'many'))
          .window(tumbling(5))
          .aggregate('sums-of-sums', { init: () => 0, add: (sum, { value }) => sum + value })
          .write(out);
      });
      expect(linesOf(cluster)).toEqual(windowSumsOfSums(given.sent.records));
      await cluster.close();
    }),
    { numRuns: 60 },
  );
});

/** One partition, and no bound on how late a record may be. */
const oneByOne = fc.record({
  records: fc.array(
    fc.record({
      user: fc.constantFrom('a', 'b'),
      n: fc.integer({ min: 0, max: 9 }),
      time: fc.nat(60),
    }),
    { maxLength: 40, size: 'max' },
  ),
  choices: fc.array(fc.nat(10_000), { maxLength: 400, size: 'max' }),
});

test('what is late stays late, whatever dies', async () => {
  await fc.assert(
    fc.asyncProperty(oneByOne, async ({ records, choices }) => {
      const cluster = await playFlow(
        {
          sent: {
            partitions: 1,
            records: records.map(({ user, n, time }) => ({
              value: { user, n },
              time,
              partition: 0,
            })),
          },
          workers: 1,
          exchanges: 1,
          choices,
        },
        (f) => {
          f.read(events)
            .keyBy((event) => event.user)
            .window(tumbling(10, { grace: 3 }))
            .aggregate('sums', { init: () => 0, add: (sum, event) => sum + event.n })
            .late(topic('late', { key: json(), value: json() }))
            .write(out);
        },
      );
      const { inTime, late } = lateOracle(records);
      expect(linesOf(cluster)).toEqual(inTime);
      expect(written(cluster, 'late').map(({ value }) => value)).toEqual(late);
      await cluster.close();
    }),
    { numRuns: 80 },
  );
});

function lateOracle(
  records: readonly { readonly user: string; readonly n: number; readonly time: number }[],
): { readonly inTime: readonly string[]; readonly late: readonly Event[] } {
  let now = Number.NEGATIVE_INFINITY;
  const kept: { key: string; n: number; time: number }[] = [];
  const late: Event[] = [];
  for (const { user, n, time } of records) {
    now = Math.max(now, time - OUT_OF_ORDER);
    if (Math.floor(time / 10) * 10 + 10 + 3 <= now) late.push({ user, n });
    else kept.push({ key: user, n, time });
  }
  const inTime = sums(kept, 10).map(
    ({ key, start, sum, time }) => `${key} ${start} ${sum} ${time}`,
  );
  return { inTime: inOrder(inTime), late };
}

test('a record finds in a table what was there at its time', async () => {
  const rates = topic('rates', { key: json<string>(), value: json<number>() });
  const prices = topic('prices', { key: json<string>(), value: json<number>() });
  const step = fc.record({
    isRate: fc.boolean(),
    key: fc.constantFrom('a', 'b', 'c'),
    value: fc.nat(99),
  });
  const steps = fc.array(step, { maxLength: 30, size: 'max' });
  const choices = fc.array(fc.nat(10_000), { maxLength: 300, size: 'max' });
  const counts = fc.integer({ min: 1, max: 3 });
  await fc.assert(
    fc.asyncProperty(steps, choices, counts, counts, async (given, numbers, left, right) => {
      const cluster = await openFlow(
        (f) => {
          f.readKeyed(prices)
            .join('in-euros', f.table(rates), (price, rate) => [price, rate])
            .write(out);
        },
        // Different counts: the prices move, and come later, so that they may find later rates.
        { topics: { prices: left, rates: left === right ? left : right }, workers: 2 },
      );
      const expected: string[] = [];
      const current = new Map<string, number>();
      for (const [index, { isRate, key, value }] of given.entries()) {
        send(cluster, isRate ? 'rates' : 'prices', [{ key, value, time: index }]);
        if (isRate) current.set(key, value);
        else if (current.has(key))
          expected.push(`${key} ${value} ${current.get(key) ?? ''} ${index}`);
      }
      await play(cluster, new Choices(numbers));
      await cluster.run();
      const found = written(cluster, 'out').map(
        ({ key, value, time }) => `${String(key)} ${(value as number[]).join(' ')} ${time}`,
      );
      if (left === right) expect(inOrder(found)).toEqual(inOrder(expected));
      else expect(found.length).toBeGreaterThanOrEqual(expected.length);
      await cluster.close();
    }),
    { numRuns: 80 },
  );
});

function linesOf(cluster: MemoryCluster): readonly string[] {
  return inOrder(
    written(cluster, 'out').flatMap(({ key, value, time }) => {
      const { key: of, start } = key as { readonly key: string; readonly start: number };
      return time >= END ? [] : [`${of} ${start} ${String(value)} ${time}`];
    }),
  );
}

interface Sum {
  readonly key: string;
  readonly start: number;
  sum: number;
  time: number;
}

function sums(
  records: readonly { readonly key: string; readonly n: number; readonly time: number }[],
  size: number,
): readonly Sum[] {
  const all = new Map<string, Sum>();
  for (const { key, n, time } of records) {
    const start = Math.floor(time / size) * size;
    const known = all.get(`${key} ${start}`) ?? { key, start, sum: 0, time: 0 };
    known.sum += n;
    known.time = Math.max(known.time, time);
    all.set(`${key} ${start}`, known);
  }
  return [...all.values()];
}

function windowSums(records: readonly Sent[]): readonly string[] {
  const found = sums(
    records.map(({ value, time }) => ({ key: value.user, n: value.n, time })),
    10,
  );
  return inOrder(found.map(({ key, start, sum, time }) => `${key} ${start} ${sum} ${time}`));
}

function windowSumsOfSums(records: readonly Sent[]): readonly string[] {
  const first = sums(
    records.map(({ value, time }) => ({ key: value.user, n: value.n, time })),
    10,
  );
  const second = sums(
    first.map(({ key, sum, time }) => ({ key: key < 'c' ? 'few' : 'many', n: sum, time })),
    5,
  );
  return inOrder(second.map(({ key, start, sum, time }) => `${key} ${start} ${sum} ${time}`));
}

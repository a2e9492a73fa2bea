/**
 * Flows made of random steps, of one to four stages, in any order of events: what is committed is what the same steps over lists give.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { json } from '../../../src/connect/topics/serdes.ts';
import { topic } from '../../../src/connect/topics/topic.ts';
import type { FlowBuilder } from '../../../src/flow/builder.ts';
import type { KeyedStream } from '../../../src/flow/streams.ts';
import { session, tumbling } from '../../../src/flow/window-specs.ts';
import { openFlow, send, written } from './cluster.ts';
import { Choices, play } from './schedules.ts';

type Step =
  | { readonly kind: 'even' }
  | { readonly kind: 'add'; readonly n: number }
  | { readonly kind: 'rekey'; readonly by: number }
  | { readonly kind: 'twice' }
  | { readonly kind: 'window'; readonly size: number; readonly grace: number }
  | { readonly kind: 'session'; readonly gap: number };

interface Plain {
  readonly key: number;
  readonly n: number;
  readonly time: number;
}

const OUT_OF_ORDER = 5;
const END = 100_000;

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constant({ kind: 'even' } as const),
  fc.record({ kind: fc.constant('add' as const), n: fc.nat(5) }),
  fc.record({ kind: fc.constant('rekey' as const), by: fc.integer({ min: 1, max: 4 }) }),
  fc.constant({ kind: 'twice' } as const),
  fc.record({
    kind: fc.constant('window' as const),
    size: fc.integer({ min: 1, max: 20 }),
    grace: fc.nat(5),
  }),
  fc.record({ kind: fc.constant('session' as const), gap: fc.integer({ min: 1, max: 6 }) }),
);

const records = fc.array(
  fc.record({
    key: fc.nat(5),
    n: fc.nat(9),
    partition: fc.nat(2),
    step: fc.nat(6),
    back: fc.nat(OUT_OF_ORDER),
  }),
  { maxLength: 30, size: 'max' },
);

const scenario = fc.record({
  steps: fc.array(step, { maxLength: 6, size: 'max' }),
  records,
  partitions: fc.integer({ min: 1, max: 3 }),
  exchanges: fc.integer({ min: 1, max: 3 }),
  workers: fc.integer({ min: 1, max: 3 }),
  choices: fc.array(fc.nat(10_000), { maxLength: 300, size: 'max' }),
});

const input = topic('in', {
  key: json<number>(),
  value: json<number>(),
  time: { outOfOrder: OUT_OF_ORDER },
});
const out = topic('out', { key: json<number>(), value: json<number>() });

type Numbers = KeyedStream<number, number>;

function build(steps: readonly Step[]): (f: FlowBuilder) => void {
  return (f) => {
    let stream: Numbers = f.readKeyed(input).keyBy((_n, key) => key);
    for (const [index, one] of steps.entries()) stream = behind(stream, one, `step-${index}`);
    stream.write(out);
  };
}

function behind(stream: Numbers, one: Step, name: string): Numbers {
  switch (one.kind) {
    case 'even':
      return stream.filter((n) => n % 2 === 0);
    case 'add':
      return stream.mapValues((n) => n + one.n);
    case 'rekey':
      return stream.keyBy((n, key) => (n + key) % one.by);
    case 'twice':
      return stream.union(stream.mapValues((n) => n + 100));
    case 'window':
      return stream
        .window(tumbling(one.size, { grace: one.grace }))
        .aggregate(name, { init: () => 0, add: (sum, n) => sum + n })
        .toStream()
        .keyBy((_sum, { key }) => key)
        .mapValues((sum) => sum ?? 0);
    case 'session':
      return stream
        .window(session(one.gap))
        .aggregate(name, { init: () => 0, add: (sum, n) => sum + n, merge: (a, b) => a + b })
        .toStream()
        .keyBy((_sum, { key }) => key)
        .mapValues((sum) => sum ?? 0);
  }
}

function oracle(plain: readonly Plain[], steps: readonly Step[]): readonly Plain[] {
  let list = plain;
  for (const one of steps) list = after(list, one);
  return list;
}

function after(list: readonly Plain[], one: Step): readonly Plain[] {
  switch (one.kind) {
    case 'even':
      return list.filter(({ n }) => n % 2 === 0);
    case 'add':
      return list.map((record) => ({ ...record, n: record.n + one.n }));
    case 'rekey':
      return list.map((record) => ({ ...record, key: (record.n + record.key) % one.by }));
    case 'twice':
      return [...list, ...list.map((record) => ({ ...record, n: record.n + 100 }))];
    case 'window':
      return grouped(list, (a, b) => Math.floor(a / one.size) === Math.floor(b / one.size));
    case 'session':
      return grouped(list, (a, b) => b - a <= one.gap);
  }
}

/** Sums of neighbours in time, of equal keys. */
function grouped(
  list: readonly Plain[],
  isTogether: (before: number, time: number) => boolean,
): readonly Plain[] {
  const sums: Plain[] = [];
  for (const record of list.toSorted((a, b) => a.key - b.key || a.time - b.time)) {
    const last = sums.at(-1);
    if (last !== undefined && last.key === record.key && isTogether(last.time, record.time))
      sums[sums.length - 1] = { key: last.key, n: last.n + record.n, time: record.time };
    else sums.push(record);
  }
  return sums;
}

test('any steps, in any order of events, give what they give over lists', async () => {
  await fc.assert(
    fc.asyncProperty(
      scenario,
      async ({ steps, records: raw, partitions, exchanges, workers, choices }) => {
        const cluster = await openFlow(build(steps), {
          topics: { in: partitions },
          partitions: exchanges,
          workers,
        });
        const latest = [0, 0, 0];
        const plain: Plain[] = [];
        for (const { key, n, partition: chosen, step: forward, back } of raw) {
          const partition = chosen % partitions;
          latest[partition] = (latest[partition] ?? 0) + forward;
          const time = Math.max(0, (latest[partition] ?? 0) - back);
          plain.push({ key, n, time });
          send(cluster, 'in', [{ key, value: n, time, partition }]);
        }
        const half = choices.length >> 1;
        await play(cluster, new Choices(choices.slice(0, half)));
        for (let partition = 0; partition < partitions; partition++)
          send(cluster, 'in', [{ key: 0, value: 0, time: END, partition }]);
        await play(cluster, new Choices(choices.slice(half)));
        await cluster.run();
        const found = written(cluster, 'out').filter(({ time }) => time < END);
        expect(
          linesOf(
            found.map(({ key, value, time }) => ({ key: key as number, n: value as number, time })),
          ),
        ).toEqual(linesOf(oracle(plain, steps)));
        await cluster.close();
      },
    ),
    { numRuns: 150 },
  );
});

function linesOf(list: readonly Plain[]): readonly string[] {
  return list.map(({ key, n, time }) => `${key} ${n} ${time}`).toSorted();
}

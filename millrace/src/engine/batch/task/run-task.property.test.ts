/**
 * Flows at random, against the naive evaluation of the same plan: whatever operators follow one another, however the input is cut and
 * however little memory there is, what comes out is the same, in the same order.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type MemorySink,
  memorySink,
  memorySource,
  runPlan,
} from '../../../../test/batch/in-memory.ts';
import { mixedKey, parameters } from '../../../../test/flow/generators.ts';
import { evaluate } from '../../../../test/flow/oracle.ts';
import { desc } from '../../../core/key-order.ts';
import type { Key, SortKey } from '../../../core/key-order.ts';
import { flow } from '../../../flow/flow.ts';
import type { Plan } from '../../../flow/plan.ts';
import type { Stream } from '../../../flow/streams.ts';

interface Row {
  readonly k: Key;
  readonly n: number;
}

/** How one operator is put behind streams that are there. */
type Step = (stream: Stream<Row>, other: Stream<Row>, name: string) => Stream<Row>;

const keyOf = (row: Row): Key => row.k;
const hashOf = (values: Iterable<number>): number => {
  let hash = 7;
  for (const value of values) hash = (Math.imul(hash, 31) + value) | 0;
  return hash;
};
const toRow = ({ key, value }: { readonly key: Key; readonly value: number }): Row => ({
  k: key,
  n: value,
});

const STEPS: Readonly<Record<string, Step>> = {
  map: (stream) => stream.map(({ k, n }) => ({ k, n: n + 1 })),
  mapAsync: (stream) => stream.map((row) => (row.n % 3 === 0 ? later(row, row.n) : row)),
  flatMap: (stream) =>
    stream.flatMap((row) => Array.from({ length: Math.abs(row.n) % 3 }, () => row)),
  flatMapLazy: (stream) =>
    stream.flatMap(function* (row) {
      yield row;
      if (row.n % 2 === 0) yield { k: row.n, n: row.n };
    }),
  flatMapAsync: (stream) =>
    stream.flatMap((row) => (row.n % 2 === 0 ? later([row, row], row.n) : [])),
  filter: (stream) => stream.filter(({ n }) => n % 4 !== 0),
  filterAsync: (stream) => stream.filter(({ n }) => later(n % 4 !== 0, n)),
  tap: (stream) => stream.tap(({ n }) => (n % 5 === 0 ? later(undefined, n) : undefined)),
  union: (stream, other) => stream.union(other, stream),
  branch: (stream) => {
    const { even, rest } = stream.branch({ even: ({ n }: Row) => n % 2 === 0 });
    return rest.union(even);
  },
  count: (stream, _, name) => stream.keyBy(keyOf).count(name).entries().map(toRow),
  countAll: (stream, _, name) => stream.count(name).map((n) => ({ k: 'all', n })),
  concatenate: (stream, _, name) =>
    stream
      .keyBy(keyOf)
      .aggregate(name, {
        init: (): number[] => [],
        add: (list, { n }) => {
          list.push(n);
          return list;
        },
        merge: (left, right) => [...left, ...right],
        finish: (list, key) => ({ key, value: hashOf(list) }),
      })
      .values()
      .map(toRow),
  concatenateAfter: (stream, _, name) =>
    stream
      .keyBy(keyOf)
      .aggregate(name, { init: () => '', add: (text, { n }) => `${text},${n}` })
      .entries()
      .map(({ key, value }) => ({ k: key, n: value.length })),
  reduceAll: (stream, _, name) =>
    stream
      .reduce(name, (left, right) => ({ k: left.k, n: right.n }))
      .filter((row) => row !== undefined),
  group: (stream, _, name) =>
    stream.groupBy(keyOf).reduce(name, (key, values, emit) => {
      emit({ k: key, n: hashOf([...values].map(({ n }) => n)) });
    }),
  groupFirst: (stream, _, name) =>
    stream
      .groupBy(keyOf)
      .sortValuesBy(({ n }: Row) => desc(n % 10))
      .reduce(name, (key, values, emit: (row: Row) => void) => {
        for (const { n } of values) {
          emit({ k: key, n });
          if (n % 2 === 0) break;
        }
      }),
  groupAsync: (stream, _, name) =>
    stream.groupBy(keyOf).reduce(name, async (key, values, emit: (row: Row) => void) => {
      for (const { n } of values) {
        if (n % 2 === 0) await later(n, n);
        emit({ k: key, n });
      }
    }),
  join: (stream, other, name) =>
    stream
      .keyBy(keyOf)
      .join(
        name,
        other.keyBy(keyOf).count(`${name}-counts`),
        (left, count) => ({ k: left.k, n: left.n + count }),
        {
          strategy: 'sort-merge',
        },
      )
      .values(),
  outerJoin: (stream, other, name) =>
    stream
      .keyBy(keyOf)
      .outerJoin(
        name,
        other.keyBy(keyOf).count(`${name}-counts`),
        (left, count, key) => ({ k: key, n: (left?.n ?? 5) + (count ?? 3) }),
        { strategy: 'partitioned-hash' },
      )
      .values(),
  leftJoin: (stream, other, name) =>
    stream
      .keyBy(keyOf)
      .leftJoin(
        name,
        other.keyBy(keyOf).count(`${name}-counts`),
        (left, count) => later({ k: left.k, n: count ?? 0 }, left.n),
        {
          strategy: 'broadcast-hash',
        },
      )
      .values(),
  antiJoin: (stream, other, name) =>
    stream
      .keyBy(keyOf)
      .antiJoin(name, other.filter(({ n }) => n % 2 === 0).keyBy(keyOf), {
        strategy: 'broadcast-hash',
      })
      .values(),
  sort: (stream, _, name) => stream.sort(name, ({ k, n }: Row): SortKey => [desc(k), n % 3]),
  top: (stream, _, name) => stream.top(name, 5, ({ n }: Row) => n % 7),
  distinct: (stream, _, name) => stream.distinct(name, ({ n }: Row) => n % 11),
};

/** A promise that settles after a few turns: not in the order of those that were made before. */
async function later<T>(value: T, n: number): Promise<T> {
  for (let turn = 0; turn < Math.abs(n) % 4; turn++) await Promise.resolve();
  return value;
}

/** As a key -0 becomes 0. */
const rows = fc
  .array(
    fc.record({
      k: mixedKey.map((key) => (key === 0 ? 0 : (key ?? null))),
      n: fc.integer({ min: -50, max: 50 }),
    }),
    {
      maxLength: 60,
      size: 'max',
    },
  )
  .map((list): Row[] => list);

const program = fc.array(
  fc.record({
    step: fc.constantFrom(...Object.keys(STEPS)),
    of: fc.nat(100),
    other: fc.nat(100),
  }),
  { minLength: 1, maxLength: 6 },
);

const settings = fc.record({
  splitRecords: fc.integer({ min: 1, max: 70 }),
  packRecords: fc.integer({ min: 1, max: 70 }),
  memoryBytes: fc.constantFrom(1024 * 1024, 16 * 1024 * 1024),
  partitions: fc.integer({ min: 1, max: 4 }),
  chunk: fc.integer({ min: 1, max: 20 }),
  busyAfter: fc.integer({ min: 1, max: 10 }),
});

test('a flow gives what its plan means', async () => {
  await fc.assert(
    fc.asyncProperty(
      rows,
      rows,
      program,
      fc.array(fc.nat(100), { minLength: 1, maxLength: 3 }),
      settings,
      async (left, right, steps, written, options) => {
        const sinks: MemorySink[] = [];
        const sources = [memorySource(left, options.chunk), memorySource(right, options.chunk)];
        const plan = flow('random', (f) => {
          const streams = sources.map((source) => f.read(source) as Stream<Row>);
          const at = (index: number): Stream<Row> => streams[index % streams.length] as Stream<Row>;
          for (const [index, { step, of, other }] of steps.entries())
            streams.push((STEPS[step] as Step)(at(of), at(other), `${step}-of-${index}`));
          for (const [index, of] of [steps.length + 1, ...written].entries()) {
            const arrangement = (['any', 'single', 'any', 'any'] as const)[index] ?? 'any';
            const sink = memorySink({ arrangement, busyAfter: options.busyAfter });
            sinks.push(sink);
            at(of).write(sink);
          }
        }).plan();
        await compare(plan, sources, sinks, options);
      },
    ),
    parameters(300),
  );
});

async function compare(
  plan: Plan,
  sources: readonly ReturnType<typeof memorySource>[],
  sinks: readonly MemorySink[],
  options: {
    readonly splitRecords: number;
    readonly packRecords: number;
    readonly memoryBytes: number;
    readonly partitions: number;
  },
): Promise<void> {
  const { graph } = await runPlan(plan, options);
  const outputs = sinks.map((sink) => sink.records());
  const expected = await evaluate(plan, {
    records: (node) => sources.find((source) => source.source() === node.source)?.records ?? [],
    partitions: () => options.partitions,
    strategy: (node) =>
      graph.stages.flatMap(({ joins }) => joins).find((join) => join.node === node.id)?.strategy ??
      'sort-merge',
    isSampled: () => true,
  });
  for (const node of plan.nodes)
    if (node.kind === 'write') {
      const output = outputs[sinks.findIndex((sink) => sink.sink() === node.sink)];
      expect(output).toEqual(expected.outputs.get(node.id));
    }
}

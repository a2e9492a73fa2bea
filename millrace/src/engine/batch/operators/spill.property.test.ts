/** Every operator that sorts, aggregates or groups, with so little memory that it spills: the output is that of a run with plenty. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type MemorySink,
  memorySink,
  memorySource,
  runPlan,
} from '../../../../test/batch/in-memory.ts';
import { parameters } from '../../../../test/flow/generators.ts';
import { COMBINE_PROBE_RECORDS } from '../../../core/limits.ts';
import { desc } from '../../../core/key-order.ts';
import { flow } from '../../../flow/flow.ts';
import { mapReduce } from '../../../flow/map-reduce.ts';
import type { Plan } from '../../../flow/plan.ts';
import type { Stream } from '../../../flow/streams.ts';

interface Row {
  readonly k: string | number;
  readonly n: number;
}

const FLOWS: Readonly<Record<string, (rows: Stream<Row>, sink: MemorySink) => void>> = {
  count: (rows, sink) =>
    rows
      .keyBy(({ k }) => k)
      .count('x')
      .entries()
      .write(sink),
  lists: (rows, sink) =>
    rows
      .keyBy(({ k }) => [k, 'list'])
      .aggregate('x', {
        init: (): number[] => [],
        add: (list, { n }) => {
          list.push(n);
          return list;
        },
        merge: (left, right) => left.concat(right),
      })
      .entries()
      .write(sink),
  after: (rows, sink) =>
    rows
      .keyBy(({ k }) => k)
      .aggregate('x', { init: () => '', add: (text, { n }) => `${text} ${n}` })
      .entries()
      .write(sink),
  group: (rows, sink) =>
    rows
      .groupBy(({ k }) => k)
      .sortValuesBy(({ n }: Row) => desc(n % 100))
      .reduce('x', (key, values, emit: (out: unknown) => void) =>
        emit([key, [...values].map(({ n }) => n)]),
      )
      .write(sink),
  sort: (rows, sink) => rows.sort('x', ({ k, n }: Row) => [k, desc(n % 5)]).write(sink),
  texts: (rows, sink) =>
    rows
      .map(({ k, n }) => (n % 4 === 0 ? n : String(k)))
      .sort('x', (value: string | number) => value)
      .write(sink),
  top: (rows, sink) => rows.top('x', 500, ({ n }: Row) => n % 50).write(sink),
  outer: (rows, sink) =>
    rows
      .filter(({ n }) => n % 3 === 0)
      .keyBy(({ k }) => k)
      .outerJoin(
        'x',
        rows
          .filter(({ n }) => n % 3 === 1)
          .keyBy(({ k }) => k)
          .count('y'),
        (left, right, key) => ({ key, left, right }),
        {
          strategy: 'partitioned-hash',
        },
      )
      .write(sink),
  table: (rows, sink) => rows.keyBy(({ k }) => k).write(sink),
};

const data = fc
  .record({
    count: fc.integer({ min: 0, max: 6_000 }),
    keys: fc.integer({ min: 1, max: 4_000 }),
    wide: fc.boolean(),
  })
  .map(({ count, keys, wide }): Row[] =>
    Array.from({ length: count }, (_, n) => {
      const key = (n * 7919) % keys;
      return { k: key % 3 === 0 ? key : `${wide ? 'a key that is long '.repeat(4) : ''}${key}`, n };
    }),
  );

function planOf(name: string, rows: readonly Row[], sink: MemorySink): Plan {
  return flow('f', (f) => {
    FLOWS[name]?.(f.read(memorySource(rows, 1_000)), sink);
  }).plan();
}

test.each(Object.keys(FLOWS))(
  '%s gives the same with little memory and many tasks',
  async (name) => {
    await fc.assert(
      fc.asyncProperty(
        data,
        fc.integer({ min: 300, max: 3_000 }),
        fc.integer({ min: 1, max: 3 }),
        async (rows, splitRecords, partitions) => {
          const outputs = [];
          for (const options of [
            { memoryBytes: 64 * 1024 * 1024, partitions },
            { memoryBytes: 96 * 1024, splitRecords, partitions },
          ]) {
            const sink = memorySink(name === 'table' ? { arrangement: 'by-key' } : {});
            await runPlan(planOf(name, rows, sink), options);
            outputs.push(sink.records());
          }
          expect(outputs[1]).toEqual(outputs[0]);
        },
      ),
      parameters(8),
    );
  },
);

test('a combiner changes nothing but the work', async () => {
  await fc.assert(
    fc.asyncProperty(data, fc.integer({ min: 300, max: 3_000 }), async (rows, splitRecords) => {
      const outputs = [];
      for (const combines of [false, true]) {
        const sink = memorySink();
        const job = mapReduce({
          name: 'job',
          input: memorySource(rows),
          map: ({ k, n }: Row, emit: (key: Row['k'], value: number[]) => void) => {
            emit(k, [n]);
          },
          ...(combines
            ? {
                combine: (
                  _key: Row['k'],
                  values: Iterable<number[]>,
                  emit: (value: number[]) => void,
                ) => {
                  emit([...values].flat());
                },
              }
            : {}),
          reduce: (key, values, emit: (out: unknown) => void) => {
            emit([key, [...values].flat()]);
          },
          output: sink,
        });
        await runPlan(job.plan(), { memoryBytes: 96 * 1024, splitRecords, partitions: 2 });
        outputs.push(sink.records());
      }
      expect(outputs[1]).toEqual(outputs[0]);
    }),
    parameters(8),
  );
});

test('keys that are nearly all different pass by the table, with the same result', async () => {
  const keys = Math.ceil(COMBINE_PROBE_RECORDS * 0.95);
  const rows = Array.from({ length: COMBINE_PROBE_RECORDS + 5_000 }, (_, n) => ({
    k: `key ${n % keys}`,
    n,
  }));
  const count = memorySink();
  const sum = memorySink();
  const plan = flow('f', (f) => {
    const keyed = f.read(memorySource(rows, 1_000)).keyBy(({ k }) => k);
    keyed.count('count').entries().write(count);
    keyed
      .aggregate('sum', { init: () => 0, add: (total, { n }) => total + n, merge: (a, b) => a + b })
      .entries()
      .write(sum);
  }).plan();
  const { results } = await runPlan(plan, { partitions: 1 });
  // Each record that came after the table was given up went out by itself.
  expect(results[0]?.[0]?.exchanges.map(({ records }) => records)).toEqual([
    keys + 5_000,
    keys + 5_000,
  ]);
  const expected = new Map<string, { count: number; sum: number }>();
  for (const { k, n } of rows) {
    const found = expected.get(k) ?? { count: 0, sum: 0 };
    expected.set(k, { count: found.count + 1, sum: found.sum + n });
  }
  const inOrder = [...expected].toSorted(([a], [b]) => (a < b ? -1 : 1));
  expect(count.values()).toEqual(inOrder.map(([key, { count: value }]) => ({ key, value })));
  expect(sum.values()).toEqual(inOrder.map(([key, { sum: value }]) => ({ key, value })));
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { memoryStores } from '../../../../test/stream/memory-stores.ts';
import { tableAggregateNode } from '../../../../test/stream/nodes.ts';
import { type Emitted, OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import type { TableAggregateNode } from '../../../flow/stream-nodes.ts';
import { createOperator } from './create-operator.ts';

type Row = readonly [group: string | null, size: number];

const sums = tableAggregateNode({
  by: (row) => (row as Row)[0],
  init: () => ({ sum: 0 }),
  add: (accumulator, row) => {
    const held = accumulator as { sum: number };
    held.sum += (row as Row)[1];
    return held;
  },
  subtract: (accumulator, row) => {
    const held = accumulator as { sum: number };
    held.sum -= (row as Row)[1];
    return held;
  },
  finish: (accumulator) => (accumulator as { readonly sum: number }).sum,
});

/** Both parts, and the table before them. */
class World {
  readonly regroup: OperatorHarness;
  readonly aggregate: OperatorHarness;
  private readonly rows = new Map<string, Row>();

  constructor(node: TableAggregateNode = sums) {
    this.regroup = new OperatorHarness(node, (context) => createOperator(context, 'regroup'));
    this.aggregate = new OperatorHarness(node, (context) => createOperator(context, 'aggregate'), {
      stores: memoryStores(),
    });
  }

  /** @returns what the parts put out */
  put(key: string, row: Row | undefined, time: number): [Emitted[], Emitted[]] {
    const old = this.rows.get(key);
    if (row === undefined) this.rows.delete(key);
    else this.rows.set(key, row);
    if (row === undefined && old === undefined) return [[], []];
    this.regroup.send(key, row, time, 0, old);
    const regrouped = this.regroup.take();
    for (const change of regrouped)
      this.aggregate.send(change.key, change.value, change.time, 0, change.old);
    return [regrouped, this.aggregate.take()];
  }
}

function told(emitted: readonly Emitted[]): unknown[] {
  return emitted.map(({ key, old, value }) => [key, old, value]);
}

describe('aggregate over a table', () => {
  test('the user profiles of the documentation of Kafka Streams: A is 5, E is 3 at the end', () => {
    const world = new World();
    const steps: readonly (readonly [string, Row | undefined])[] = [
      ['alice', ['E', 5]],
      ['bob', ['A', 3]],
      ['charlie', ['A', 7]],
      ['alice', ['A', 5]],
      ['charlie', undefined],
      ['nobody', undefined],
      ['bob', ['E', 3]],
    ];
    const seen = steps.map(([key, row], time) => told(world.put(key, row, time)[1]));
    expect(seen).toEqual([
      [['E', undefined, 5]],
      [['A', undefined, 3]],
      [['A', 3, 10]],
      // Kafka keeps E with 0: here a group without rows is gone.
      [
        ['E', 5, undefined],
        ['A', 10, 15],
      ],
      [['A', 15, 8]],
      [],
      [
        ['A', 8, 5],
        ['E', undefined, 3],
      ],
    ]);
  });

  test('a change within a group is one record, one between groups leaves first', () => {
    const world = new World();
    world.put('k', ['a', 1], 1);
    expect(told(world.put('k', ['a', 2], 2)[0])).toEqual([['a', ['a', 1], ['a', 2]]]);
    expect(told(world.put('k', ['b', 2], 3)[0])).toEqual([
      ['a', ['a', 2], undefined],
      ['b', undefined, ['b', 2]],
    ]);
  });

  test('keys of groups are compared as keys', () => {
    const node = { ...sums, by: (row: unknown) => [new Date((row as Row)[1] % 2)] };
    const world = new World(node);
    world.put('k', ['', 1], 1);
    expect(world.put('k', ['', 3], 2)[0]).toHaveLength(1);
    expect(world.put('k', ['', 4], 3)[0]).toHaveLength(2);
  });

  test('the time of a result is the latest of the changes in it', () => {
    const world = new World();
    world.put('k', ['a', 1], 10);
    expect(world.put('l', ['a', 1], 5)[1].map(({ time }) => time)).toEqual([10]);
    expect(world.aggregate.operator.table?.get('a')).toBe(2);
    expect(world.aggregate.operator.table?.timeOf?.('a')).toBe(10);
  });

  test('results that were told stay as they were when accumulators are changed in place', () => {
    const world = new World({ ...sums, finish: undefined });
    world.put('k', ['a', 1], 1);
    const [, [second]] = world.put('l', ['a', 2], 2);
    const [, [third]] = world.put('k', undefined, 3);
    expect([second?.old, second?.value]).toEqual([{ sum: 1 }, { sum: 3 }]);
    expect([third?.old, third?.value]).toEqual([{ sum: 3 }, { sum: 2 }]);
  });

  test('a row whose group cannot be told is in none, and said once', () => {
    const by = (row: unknown): unknown => {
      const [group] = row as Row;
      if (group === 'bad') throw new Error('bad');
      return group;
    };
    const world = new World({ ...sums, by });
    world.put('k', ['a', 1], 1);
    expect(told(world.put('k', ['bad', 2], 2)[1])).toEqual([['a', 1, undefined]]);
    expect(told(world.put('k', ['a', 3], 3)[1])).toEqual([['a', undefined, 3]]);
    expect(world.regroup.failures).toHaveLength(1);
  });

  test('promises of a group keep the order of the changes', async () => {
    const node = { ...sums, by: async (row: unknown) => (row as Row)[0] };
    const harness = new OperatorHarness(node, (context) => createOperator(context, 'regroup'));
    harness.send('k', ['a', 1], 1).send('k', ['b', 2], 2, 0, ['a', 1]);
    for (let turn = 0; turn < 8; turn++) await Promise.resolve();
    harness.operator.resume?.();
    expect(told(harness.take())).toEqual([
      ['a', undefined, ['a', 1]],
      ['a', ['a', 1], undefined],
      ['b', undefined, ['b', 2]],
    ]);
  });

  test('is what grouping the rows of the end gives', () => {
    const rows = fc.option(
      fc.tuple(fc.constantFrom('x', 'y', 'z', null), fc.integer({ min: -9, max: 9 })),
      { nil: undefined },
    );
    const change = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), rows);
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
        const world = new World();
        const results = new Map<unknown, unknown>();
        for (const [index, [key, to]] of changes.entries()) {
          for (const { key: group, old, value } of world.put(key, to, index)[1]) {
            expect(old).toBe(results.get(group));
            if (value === undefined) results.delete(group);
            else results.set(group, value);
          }
        }
        const expected = new Map<unknown, number>();
        for (const row of new Map(changes).values()) {
          const [group, size] = row ?? [null, 0];
          if (group !== null) expected.set(group, (expected.get(group) ?? 0) + size);
        }
        expect(results).toEqual(expected);
      }),
    );
  });
});

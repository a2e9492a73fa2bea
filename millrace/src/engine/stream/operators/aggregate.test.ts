import { describe, expect, test } from 'vitest';
import { memoryStores } from '../../../../test/stream/memory-stores.ts';
import { aggregateNode, nodeOf } from '../../../../test/stream/nodes.ts';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import { createOperator } from './create-operator.ts';

const count = aggregateNode({
  init: () => 0,
  add: (n) => (n as number) + 1,
  builtin: 'count',
});

const list = aggregateNode({
  init: () => [],
  add: (values, value) => {
    (values as unknown[]).push(value);
    return values;
  },
});

function changes(harness: OperatorHarness): unknown[] {
  return harness.take().map(({ key, old, value, time }) => [key, old, value, time]);
}

describe('aggregate', () => {
  test('tells the result of a key after each record, with the one before and the latest time', () => {
    const harness = new OperatorHarness(count, createOperator);
    harness.send('a', 'x', 5).send('b', 'x', 6).send('a', 'x', 3);
    expect(changes(harness)).toEqual([
      ['a', undefined, 1, 5],
      ['b', undefined, 1, 6],
      ['a', 1, 2, 5],
    ]);
    expect(harness.operator.table?.get('a')).toBe(2);
    expect(harness.operator.table?.timeOf?.('a')).toBe(5);
    expect(harness.operator.table?.get('c')).toBe(undefined);
  });

  test('results that were told stay as they were when accumulators are changed in place', () => {
    const harness = new OperatorHarness(list, createOperator, { stores: memoryStores() });
    harness.send('a', 1, 1).send('a', 2, 2).send('a', 3, 3);
    expect(changes(harness)).toEqual([
      ['a', undefined, [1], 1],
      ['a', [1], [1, 2], 2],
      ['a', [1, 2], [1, 2, 3], 3],
    ]);
  });

  test('finish makes the result, also of what there was before', () => {
    const node = { ...list, finish: (values: unknown) => (values as number[]).join('') };
    const harness = new OperatorHarness(node, createOperator);
    harness.send('a', 1, 1).send('a', 2, 2);
    expect(changes(harness)).toEqual([
      ['a', undefined, '1', 1],
      ['a', '1', '12', 2],
    ]);
    expect(harness.operator.table?.get('a')).toBe('12');
  });

  test('a result of undefined is no row', () => {
    const node = {
      ...count,
      builtin: undefined,
      finish: (n: unknown) => (n === 2 ? 2 : undefined),
    };
    const harness = new OperatorHarness(node, createOperator);
    for (let time = 1; time <= 4; time++) harness.send('a', 'x', time);
    expect(changes(harness)).toEqual([
      ['a', undefined, 2, 2],
      ['a', 2, undefined, 3],
    ]);
  });

  test('over the whole stream there is one accumulator, and records of a stream', () => {
    const node = aggregateNode({
      init: () => 0,
      add: (sum, value) => (sum as number) + (value as number),
      isKeyed: false,
      isTable: false,
    });
    const harness = new OperatorHarness(node, createOperator);
    harness.send('a', 1, 1).send('b', 2, 2).send(undefined, 3, 3);
    expect(changes(harness)).toEqual([
      [undefined, undefined, 1, 1],
      [undefined, undefined, 3, 2],
      [undefined, undefined, 6, 3],
    ]);
  });

  test('a function that throws leaves the accumulator as it was', () => {
    const node = aggregateNode({
      init: () => [],
      add: (values, value) => {
        (values as unknown[]).push(value);
        if (value === 'bad') throw new Error('bad');
        return values;
      },
    });
    const harness = new OperatorHarness(node, createOperator, { stores: memoryStores() });
    harness.send('a', 1, 1).send('a', 'bad', 2).send('a', 3, 3);
    expect(harness.take().at(-1)?.value).toEqual([1, 3]);
    expect(harness.failures).toEqual([{ error: new Error('bad'), record: 'bad', key: 'a' }]);
  });

  test('what cannot be a key fails as a record', () => {
    const harness = new OperatorHarness(count, createOperator);
    harness.send({ no: 'key' }, 'x', 1).send('a', 'x', 2);
    expect(harness.take()).toHaveLength(1);
    expect(harness.failures.map(({ error }) => (error as { code: string }).code)).toEqual([
      'ML_KEY_INVALID',
    ]);
  });

  test('groups of columns have exact sums, and find their key themselves', () => {
    const node = nodeOf({
      kind: 'columnAggregate',
      isTable: true,
      by: ['tier'],
      aggregates: {
        orders: { kind: 'count' },
        total: { kind: 'sum', value: { kind: 'column', name: 'price' } },
      },
    });
    const harness = new OperatorHarness(node, createOperator, { stores: memoryStores() });
    for (const price of [0.1, 0.2, 1e300, 0.3, -1e300])
      harness.commit().send(undefined, { tier: 'gold', price }, 1);
    const last = harness.take().at(-1);
    expect(last?.key).toEqual(['gold']);
    expect(last?.value).toEqual({ tier: 'gold', orders: 5, total: 0.6 });
    expect(harness.operator.table?.get(['gold'])).toEqual(last?.value);
  });

  test('a crash goes back to the last commit', () => {
    for (const stores of [memoryStores(), undefined]) {
      const harness = new OperatorHarness(
        list,
        createOperator,
        stores === undefined ? {} : { stores },
      );
      harness.send('a', 1, 1).commit().send('a', 2, 2).crash().send('a', 3, 3);
      expect(harness.take().at(-1)).toEqual({ key: 'a', value: [1, 3], time: 3, old: [1] });
    }
  });
});

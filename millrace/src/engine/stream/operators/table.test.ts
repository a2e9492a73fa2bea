import { describe, expect, test } from 'vitest';
import { tableNode } from '../../../../test/stream/nodes.ts';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import { createOperator } from './create-operator.ts';

function changes(harness: OperatorHarness): unknown[] {
  return harness.take().map(({ key, old, value, time }) => [key, old, value, time]);
}

describe('table', () => {
  test('has the latest value of each key, and tells it with the one before', () => {
    const harness = new OperatorHarness(tableNode(), createOperator);
    harness.send('a', 1, 1).send('b', 2, 2).send('a', 3, 3);
    expect(changes(harness)).toEqual([
      ['a', undefined, 1, 1],
      ['b', undefined, 2, 2],
      ['a', 1, 3, 3],
    ]);
    expect(harness.operator.table?.get('a')).toBe(3);
    expect(harness.operator.table?.timeOf?.('a')).toBe(3);
  });

  test('null and undefined delete; a key that is not there is not told', () => {
    const harness = new OperatorHarness(tableNode(), createOperator);
    harness.send('a', null, 1).send('a', 1, 2).send('a', null, 3).send('a', undefined, 4);
    expect(changes(harness)).toEqual([
      ['a', undefined, 1, 2],
      ['a', 1, undefined, 3],
    ]);
    expect(harness.operator.table?.get('a')).toBe(undefined);
  });

  test('without history the order of the records decides, not their times, as in Kafka', () => {
    const harness = new OperatorHarness(tableNode(), createOperator);
    harness.send('a', 'late', 10).send('a', 'early', 5);
    expect(harness.operator.table?.get('a')).toBe('early');
    expect(harness.operator.table?.timeOf?.('a')).toBe(5);
  });

  test('a record without a key fails', () => {
    const harness = new OperatorHarness(tableNode(), createOperator);
    harness.send(undefined, 1, 1).send(null, 2, 2);
    expect(harness.take()).toEqual([]);
    expect(harness.failures.map(({ error }) => (error as { code: string }).code)).toEqual([
      'ML_KEY_INVALID',
      'ML_KEY_INVALID',
    ]);
  });

  test('a row that is not written for ttl goes, at that time', () => {
    const harness = new OperatorHarness(tableNode({ ttlMs: 10 }), createOperator);
    harness.send('a', 1, 0).send('b', 2, 5).send('a', 3, 8);
    harness.advanceTo(14);
    expect(harness.take()).toHaveLength(3);
    harness.advanceTo(17);
    expect(changes(harness)).toEqual([['b', 2, undefined, 15]]);
    harness.advanceTo(18);
    expect(changes(harness)).toEqual([['a', 3, undefined, 18]]);
    expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
  });

  test('the end of all time deletes no row', () => {
    for (const historyMs of [undefined, 100]) {
      const harness = new OperatorHarness(tableNode({ ttlMs: 10, historyMs }), createOperator);
      harness.send('a', 1, 0).advanceTo(Number.POSITIVE_INFINITY);
      expect(harness.take()).toHaveLength(1);
      expect(harness.operator.table?.get('a')).toBe(1);
    }
  });
});

describe('table with history', () => {
  test('knows what was true at a time', () => {
    const harness = new OperatorHarness(tableNode({ historyMs: 100 }), createOperator);
    harness.send('a', 'one', 10).send('a', null, 20).send('a', 'two', 30).send('a', 'in', 15);
    const table = harness.operator.table;
    const asOf = (time: number): unknown => table?.asOf?.('a', time);
    expect([9, 10, 14, 15, 19, 20, 29, 30, 99].map(asOf)).toEqual([
      undefined,
      'one',
      'one',
      'in',
      'in',
      undefined,
      undefined,
      'two',
      'two',
    ]);
    expect(table?.get('a')).toBe('two');
  });

  test('only what is the latest is a change; of one time the last record counts', () => {
    const harness = new OperatorHarness(tableNode({ historyMs: 100 }), createOperator);
    harness.send('a', 1, 10).send('a', 2, 5).send('a', 3, 10).send('a', 4, 20);
    expect(changes(harness)).toEqual([
      ['a', undefined, 1, 10],
      ['a', 1, 3, 10],
      ['a', 3, 4, 20],
    ]);
    expect(harness.operator.table?.asOf?.('a', 7)).toBe(2);
  });

  test('an early value does not come back over a deletion that came before it', () => {
    const harness = new OperatorHarness(tableNode({ historyMs: 100 }), createOperator);
    harness.send('a', null, 20).send('a', 'early', 10);
    expect(harness.take()).toEqual([]);
    expect(harness.operator.table?.get('a')).toBe(undefined);
    expect(harness.operator.table?.asOf?.('a', 15)).toBe('early');
  });

  test('a record that is older than the history is late', () => {
    const harness = new OperatorHarness(tableNode({ historyMs: 10 }), createOperator);
    harness.send('b', 0, 100).send('a', 1, 90).send('a', 2, 89);
    expect(harness.takeLate().map(({ value }) => value)).toEqual([2]);
    const counting = new OperatorHarness(tableNode({ historyMs: 10 }), createOperator, {
      hasSideOutputs: false,
    });
    counting.send('b', 0, 100).send('a', 2, 89);
    expect(counting.dropped).toBe(1);
  });

  test('versions are forgotten when what followed them is older than the history; the latest stays', () => {
    const harness = new OperatorHarness(tableNode({ historyMs: 10 }), createOperator);
    harness.send('a', 1, 0).send('a', 2, 5).send('b', 0, 14);
    expect(harness.operator.table?.asOf?.('a', 4)).toBe(1);
    harness.send('b', 0, 15);
    expect(harness.operator.table?.asOf?.('a', 4)).toBe(undefined);
    harness.advanceTo(1_000);
    expect(harness.operator.table?.get('a')).toBe(2);
    expect(harness.operator.table?.asOf?.('a', 5)).toBe(2);
    harness.send('a', null, 1_000).send('b', null, 1_000).advanceTo(2_000);
    expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
  });

  test('a row expires after ttl, and history knows when', () => {
    const harness = new OperatorHarness(tableNode({ historyMs: 50, ttlMs: 10 }), createOperator);
    harness.send('a', 1, 0).advanceTo(10);
    expect(changes(harness)).toEqual([
      ['a', undefined, 1, 0],
      ['a', 1, undefined, 10],
    ]);
    expect(harness.operator.table?.asOf?.('a', 9)).toBe(1);
    expect(harness.operator.table?.asOf?.('a', 10)).toBe(undefined);
    const jump = new OperatorHarness(tableNode({ historyMs: 5, ttlMs: 10 }), createOperator);
    jump.send('a', 1, 0).advanceTo(1_000);
    expect(jump.take().at(-1)).toEqual({ key: 'a', value: undefined, time: 10, old: 1 });
    expect(jump.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
  });
});

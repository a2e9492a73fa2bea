import { describe, expect, test } from 'vitest';
import {
  aggregateNode,
  nodeOf,
  processNode,
  tableAggregateNode,
  tableNode,
} from '../../../../test/stream/nodes.ts';
import { OperatorHarness, OracleStores } from '../../../../test/stream/operator-harness.ts';
import type { PlanNode } from '../../../flow/plan.ts';
import { createOperator } from './create-operator.ts';
import { storedRows } from './stored-rows.ts';

/** Rows of the key `a` after these records. */
function rows(node: PlanNode, records: readonly (readonly [unknown, number])[]): unknown {
  const stores = new OracleStores();
  const harness = new OperatorHarness(node, createOperator, { stores });
  for (const [value, time] of records) harness.send('a', value, time);
  const entries: { readonly sub: number; readonly value: unknown }[] = [];
  stores.store({ name: node.name }).scan('a', -1e9, 1e9, (sub, value) => {
    entries.push({ sub, value });
  });
  return storedRows(node, 'a', entries);
}

const count = { init: () => 0, add: (n: unknown) => (n as number) + 1 };

describe('rows of a store', () => {
  test('of aggregates are results', () => {
    const finish = (n: unknown): string => `n=${String(n)}`;
    const records = [
      ['x', 3],
      ['y', 2],
    ] as const;
    const expected = [{ key: 'a', value: 'n=2', time: 3 }];
    expect(rows(aggregateNode({ ...count, finish }), records)).toEqual(expected);
    const table = tableAggregateNode({ ...count, by: () => 'a', subtract: (n) => n, finish });
    expect(rows(table, records)).toEqual(expected);
  });

  test('of tables are the latest values', () => {
    const records = [
      [1, 5],
      [2, 3],
    ] as const;
    expect(rows(tableNode(), records)).toEqual([{ key: 'a', value: 2, time: 3 }]);
    const versioned = tableNode({ historyMs: 10 });
    expect(rows(versioned, records)).toEqual([{ key: 'a', value: 1, time: 5 }]);
    expect(rows(versioned, [...records, [null, 6]])).toEqual([]);
  });

  test('of a process are its states', () => {
    const node = processNode({
      onRecord: (value, context) => {
        context.state = value;
      },
    });
    expect(rows(node, [[{ n: 1 }, 4]])).toEqual([{ key: 'a', value: { n: 1 }, time: 4 }]);
  });

  test('of groups of columns are the columns', () => {
    const node = nodeOf({
      kind: 'columnAggregate',
      isTable: true,
      by: ['tier'],
      aggregates: { orders: { kind: 'count' } },
    });
    expect(storedRows(node, ['gold'], [{ sub: 0, value: [[2], 7] }])).toEqual([
      { key: ['gold'], value: { tier: 'gold', orders: 2 }, time: 7 },
    ]);
  });

  test('others have none', () => {
    expect(storedRows(nodeOf({ kind: 'dedupe' }), 'a', [])).toBe(undefined);
  });
});

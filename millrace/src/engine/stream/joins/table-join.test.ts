import { expect, test } from 'vitest';
import {
  pair,
  tableJoin,
  TestTable,
  VersionedTestTable,
} from '../../../../test/stream/join-tables.ts';
import { KAFKA_IN_ORDER, KAFKA_OUT_OF_ORDER } from '../../../../test/stream/kafka-join-inputs.ts';
import type { KafkaInput } from '../../../../test/stream/kafka-join-inputs.ts';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import type { TableJoinNode } from '../../../flow/stream-nodes.ts';
import { createTableJoin } from './table-join.ts';

type Rows = Record<number, string>;

/** Rows as Kafka's documentation writes them: by the number of the input, from 1. */
function rowsOf(
  records: readonly KafkaInput[],
  send: (record: KafkaInput) => OperatorHarness,
): Rows {
  const rows: Rows = {};
  records.forEach((record, index) => {
    const texts = send(record)
      .take()
      .map(({ value, time }) => `${value === undefined ? '∅' : (value as string)}@${time}`);
    if (texts.length > 0) rows[index + 1] = texts.join(' ');
  });
  return rows;
}

function streamTable(
  type: 'inner' | 'left',
  records: readonly KafkaInput[],
  table: TestTable | VersionedTestTable = new TestTable(),
): Rows {
  const harness = new OperatorHarness(tableJoin('stream-table', type), createTableJoin, {
    tables: [undefined, table],
  });
  return rowsOf(records, ({ side, value, time }) => {
    if (side === 'L') return harness.send(0, value, time, 0);
    table.set(0, value, time);
    return harness.send(0, value ?? undefined, time, 1);
  });
}

test('StreamTableJoinIntegrationTest.testInner in order', () => {
  expect(streamTable('inner', KAFKA_IN_ORDER)).toEqual({ 5: 'B-a@5', 15: 'D-d@15' });
});

test('StreamTableJoinIntegrationTest.testLeft in order', () => {
  expect(streamTable('left', KAFKA_IN_ORDER)).toEqual({
    3: 'A-null@3',
    5: 'B-a@5',
    9: 'C-null@9',
    15: 'D-d@15',
  });
});

test('StreamTableJoinIntegrationTest.testInner out of order: what is in the table now', () => {
  expect(streamTable('inner', KAFKA_OUT_OF_ORDER)).toEqual({
    5: 'B-a@5',
    15: 'D-d@6',
    19: 'E-e@15',
  });
});

test('StreamTableJoinIntegrationTest.testLeft out of order', () => {
  expect(streamTable('left', KAFKA_OUT_OF_ORDER)).toEqual({
    3: 'A-null@3',
    5: 'B-a@5',
    9: 'C-null@9',
    15: 'D-d@6',
    19: 'E-e@15',
    22: 'F-null@4',
  });
});

test('StreamTableJoinIntegrationTest.testInnerWithVersionedStore: what was true at the time of the record', () => {
  expect(streamTable('inner', KAFKA_OUT_OF_ORDER, new VersionedTestTable())).toEqual({
    5: 'B-a@5',
    15: 'D-b@6',
    19: 'E-e@15',
    22: 'F-a@4',
  });
});

test('StreamTableJoinIntegrationTest.testLeftWithVersionedStore', () => {
  expect(streamTable('left', KAFKA_OUT_OF_ORDER, new VersionedTestTable())).toEqual({
    3: 'A-null@3',
    5: 'B-a@5',
    9: 'C-null@9',
    15: 'D-b@6',
    19: 'E-e@15',
    22: 'F-a@4',
  });
});

for (const [type, result] of [
  ['inner', []],
  ['left', ['L-null']],
] as const) {
  test(`a record without a key, ${type} (KIP-962)`, () => {
    const harness = new OperatorHarness(tableJoin('stream-table', type), createTableJoin, {
      tables: [undefined, new TestTable()],
    });
    harness.send(null, 'L', 1).send(undefined, 'L', 2);
    expect(harness.take().map(({ value }) => value)).toEqual([...result, ...result]);
  });
}

test('what cannot be a key is a failure of its record', () => {
  const harness = new OperatorHarness(tableJoin('stream-table', 'left'), createTableJoin, {
    tables: [undefined, new TestTable()],
  });
  harness.send({ a: 1 }, 'L', 1);
  expect(harness.failures).toMatchObject([{ error: { code: 'ML_KEY_INVALID' }, record: 'L' }]);
  expect(harness.take()).toEqual([]);
});

/** A table-table join with both its tables. */
class TwoTables {
  readonly harness: OperatorHarness;
  readonly left = new TestTable();
  readonly right = new TestTable();

  constructor(node: TableJoinNode) {
    this.harness = new OperatorHarness(node, createTableJoin, { tables: [this.left, this.right] });
  }

  send({ side, value, time }: KafkaInput, key: unknown = 0): OperatorHarness {
    const table = side === 'L' ? this.left : this.right;
    const old = table.set(key, value, time);
    // A table that has nothing to delete tells nobody.
    if (value === null && old === undefined) return this.harness;
    return this.harness.send(key, value ?? undefined, time, side === 'L' ? 0 : 1, old);
  }
}

function tableTable(type: TableJoinNode['type'], records: readonly KafkaInput[]): Rows {
  const tables = new TwoTables(tableJoin('table-table', type));
  return rowsOf(records, (record) => tables.send(record));
}

test('TableTableJoinIntegrationTest.testInner in order', () => {
  expect(tableTable('inner', KAFKA_IN_ORDER)).toEqual({
    4: 'A-a@4',
    5: 'B-a@5',
    6: 'B-b@6',
    7: '∅@7',
    10: 'C-c@10',
    11: '∅@11',
    15: 'D-d@15',
  });
});

test('TableTableJoinIntegrationTest.testLeft in order', () => {
  expect(tableTable('left', KAFKA_IN_ORDER)).toEqual({
    3: 'A-null@3',
    4: 'A-a@4',
    5: 'B-a@5',
    6: 'B-b@6',
    7: '∅@7',
    9: 'C-null@9',
    10: 'C-c@10',
    11: 'C-null@11',
    12: '∅@12',
    15: 'D-d@15',
  });
});

test('TableTableJoinIntegrationTest.testOuter in order', () => {
  expect(tableTable('outer', KAFKA_IN_ORDER)).toEqual({
    3: 'A-null@3',
    4: 'A-a@4',
    5: 'B-a@5',
    6: 'B-b@6',
    7: 'null-b@7',
    8: '∅@8',
    9: 'C-null@9',
    10: 'C-c@10',
    11: 'C-null@11',
    12: '∅@12',
    14: 'null-d@14',
    15: 'D-d@15',
  });
});

test('TableTableJoinIntegrationTest.testInner out of order: the time of the later row', () => {
  expect(tableTable('inner', KAFKA_OUT_OF_ORDER)).toEqual({
    4: 'A-a@4',
    5: 'B-a@5',
    6: 'B-b@6',
    7: '∅@7',
    10: 'C-c@10',
    11: '∅@11',
    15: 'D-d@7',
    16: '∅@7',
    19: 'E-e@15',
    20: '∅@14',
    23: 'F-f@4',
  });
});

test('TableTableJoinIntegrationTest.testLeft out of order', () => {
  expect(tableTable('left', KAFKA_OUT_OF_ORDER)).toEqual({
    3: 'A-null@3',
    4: 'A-a@4',
    5: 'B-a@5',
    6: 'B-b@6',
    7: '∅@7',
    9: 'C-null@9',
    10: 'C-c@10',
    11: 'C-null@11',
    12: '∅@12',
    15: 'D-d@7',
    16: '∅@7',
    19: 'E-e@15',
    20: '∅@14',
    22: 'F-null@4',
    23: 'F-f@4',
  });
});

test('TableTableJoinIntegrationTest.testOuter out of order', () => {
  expect(tableTable('outer', KAFKA_OUT_OF_ORDER)).toEqual({
    3: 'A-null@3',
    4: 'A-a@4',
    5: 'B-a@5',
    6: 'B-b@6',
    7: 'null-b@7',
    8: '∅@8',
    9: 'C-null@9',
    10: 'C-c@10',
    11: 'C-null@11',
    12: '∅@12',
    14: 'null-d@7',
    15: 'D-d@7',
    16: 'null-d@7',
    17: '∅@3',
    18: 'null-e@14',
    19: 'E-e@15',
    20: 'null-e@14',
    21: '∅@9',
    22: 'F-null@4',
    23: 'F-f@4',
  });
});

test('the old value of a change is what was put out last, and the table has what was put out', () => {
  const tables = new TwoTables(tableJoin('table-table', 'outer'));
  let last: unknown;
  for (const record of KAFKA_OUT_OF_ORDER) {
    for (const { value, old } of tables.send(record).take()) {
      expect(old).toBe(last);
      last = value;
    }
    expect(tables.harness.operator.table?.get(0)).toBe(last);
  }
  expect(last).toBe('F-f');
  expect(tables.harness.operator.table?.timeOf?.(0)).toBe(4);
});

test('a table joined with itself never pairs a new row with an old one (KAFKA-6443)', () => {
  const table = new TestTable();
  const harness = new OperatorHarness(tableJoin('table-table', 'inner'), createTableJoin, {
    tables: [table, table],
  });
  const send = (value: unknown, time: number): unknown[] => {
    const old = table.set('k', value, time);
    for (const input of [0, 1]) harness.send('k', value, time, input, old);
    return harness.take().map((change) => [change.old, change.value]);
  };
  expect(send('v1', 1)).toEqual([
    [undefined, 'v1-v1'],
    ['v1-v1', 'v1-v1'],
  ]);
  expect(send('v2', 2)).toEqual([
    ['v1-v1', 'v2-v2'],
    ['v2-v2', 'v2-v2'],
  ]);
  expect(send(undefined, 3)).toEqual([['v2-v2', undefined]]);
});

test('a result of null is none', () => {
  const tables = new TwoTables(
    tableJoin('table-table', 'left', (left, right) => (right === 'x' ? null : left)),
  );
  tables.send({ side: 'L', value: 'A', time: 1 });
  tables.send({ side: 'R', value: 'x', time: 2 });
  tables.send({ side: 'R', value: 'x', time: 3 });
  expect(tables.harness.take().map(({ value }) => value)).toEqual(['A', undefined]);
});

test('a function that throws leaves the result as it was', () => {
  const tables = new TwoTables(
    tableJoin('table-table', 'inner', (left, right, key) => {
      if (right === 'bad') throw new Error('bad');
      return pair(left, right, key);
    }),
  );
  tables.send({ side: 'L', value: 'A', time: 1 });
  tables.send({ side: 'R', value: 'a', time: 2 });
  tables.send({ side: 'R', value: 'bad', time: 3 });
  tables.send({ side: 'R', value: 'b', time: 4 });
  expect(tables.harness.take().map(({ value, old }) => [old, value])).toEqual([
    [undefined, 'A-a'],
    ['A-a', 'A-b'],
  ]);
  expect(tables.harness.failures).toMatchObject([{ record: 'bad', key: 0 }]);
});

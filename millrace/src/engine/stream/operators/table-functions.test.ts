import { describe, expect, test } from 'vitest';
import { nodeOf } from '../../../../test/stream/nodes.ts';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import { createOperator } from './create-operator.ts';
import type { ReadableTable } from './operator.ts';

/** A table before the operator. */
class Rows implements ReadableTable {
  readonly rows = new Map<unknown, number>();

  get(key: unknown): unknown {
    return this.rows.get(key);
  }

  asOf(key: unknown, time: number): unknown {
    return time < 10 ? undefined : this.rows.get(key);
  }

  timeOf(key: unknown): number | undefined {
    return this.rows.has(key) ? 7 : undefined;
  }
}

function open(fields: object): {
  readonly harness: OperatorHarness;
  /** Changes a row, here and behind it. */
  readonly put: (key: string, value: number | undefined) => void;
} {
  const input = new Rows();
  const node = nodeOf({ ...fields, isTable: true });
  const harness = new OperatorHarness(node, createOperator, { tables: [input] });
  const put = (key: string, value: number | undefined): void => {
    const old = input.rows.get(key);
    if (value === undefined) input.rows.delete(key);
    else input.rows.set(key, value);
    harness.send(key, value, 1, 0, old);
  };
  return { harness, put };
}

function changes(harness: OperatorHarness): unknown[] {
  return harness.take().map(({ key, old, value }) => [key, old, value]);
}

const odd = { kind: 'filter', fn: (value: number) => value % 2 === 1 };
const twice = { kind: 'map', fn: (value: number) => value * 2, keepsKey: true };

describe('functions of tables', () => {
  test('mapValues acts on the new row and on the old one', () => {
    const { harness, put } = open(twice);
    put('a', 1);
    put('a', 2);
    put('a', undefined);
    expect(changes(harness)).toEqual([
      ['a', undefined, 2],
      ['a', 2, 4],
      ['a', 4, undefined],
    ]);
  });

  test('a filter deletes a row that no longer passes, and is silent about those that never did', () => {
    const { harness, put } = open(odd);
    put('a', 2);
    put('a', 1);
    put('a', 3);
    put('a', 4);
    put('a', 6);
    put('a', undefined);
    expect(changes(harness)).toEqual([
      ['a', undefined, 1],
      ['a', 1, 3],
      ['a', 3, undefined],
    ]);
  });

  test('they can be asked for a row, its time, and what was true before', () => {
    const mapped = open(twice);
    mapped.put('a', 2);
    const { table } = mapped.harness.operator;
    expect(table?.get('a')).toBe(4);
    expect(table?.get('b')).toBe(undefined);
    expect(table?.asOf?.('a', 10)).toBe(4);
    expect(table?.asOf?.('a', 9)).toBe(undefined);
    expect(table?.timeOf?.('a')).toBe(7);
    const filtered = open(odd);
    filtered.put('a', 1);
    filtered.put('b', 2);
    expect(filtered.harness.operator.table?.get('a')).toBe(1);
    expect(filtered.harness.operator.table?.get('b')).toBe(undefined);
  });

  test('a row whose function fails is not there, and is told once', () => {
    const fn = (value: number): number => {
      if (value === 2) throw new Error('two');
      return value;
    };
    const { harness, put } = open({ kind: 'map', fn, keepsKey: true });
    put('a', 1);
    put('a', 2);
    expect(harness.operator.table?.get('a')).toBe(undefined);
    put('a', 3);
    expect(changes(harness)).toEqual([
      ['a', undefined, 1],
      ['a', 1, undefined],
      ['a', undefined, 3],
    ]);
    expect(harness.failures).toEqual([{ error: new Error('two'), record: 2, key: 'a' }]);
  });

  test('tap sees rows that come, and passes on all changes, also of those that it fails on', () => {
    const seen: number[] = [];
    const fn = (value: number): void => {
      seen.push(value);
      if (value === 2) throw new Error('two');
    };
    const { harness, put } = open({ kind: 'tap', fn });
    put('a', 1);
    put('a', 2);
    put('a', undefined);
    expect(seen).toEqual([1, 2]);
    expect(changes(harness)).toEqual([
      ['a', undefined, 1],
      ['a', 1, 2],
      ['a', 2, undefined],
    ]);
    expect(harness.failures).toHaveLength(1);
  });

  test('promises keep the order of changes; who asks for a row is told that he cannot', async () => {
    const fn = async (value: number): Promise<number> => {
      if (value === 2) throw new Error('two');
      return value * 10;
    };
    const { harness, put } = open({ kind: 'map', fn, keepsKey: true });
    put('a', 1);
    put('a', 2);
    put('a', 3);
    expect(harness.take()).toEqual([]);
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    harness.operator.resume?.();
    expect(changes(harness)).toEqual([
      ['a', undefined, 10],
      ['a', 10, undefined],
      ['a', undefined, 30],
    ]);
    expect(harness.failures).toEqual([{ error: new Error('two'), record: 2, key: 'a' }]);
    expect(() => harness.operator.table?.get('a')).toThrow('its function returns promises');
  });

  test('where and select work on rows of tables', () => {
    const select = new OperatorHarness(
      nodeOf({ kind: 'select', columns: { n: { kind: 'column', name: 'n' } }, isTable: true }),
      createOperator,
    );
    select.send('a', { n: 2, m: 1 }, 1, 0, { n: 1, m: 1 });
    expect(select.take()).toEqual([{ key: 'a', value: { n: 2 }, time: 1, old: { n: 1 } }]);
    const where = new OperatorHarness(
      nodeOf({
        kind: 'where',
        condition: {
          kind: 'compare',
          operator: '<',
          left: { kind: 'column', name: 'n' },
          right: { kind: 'literal', value: 2 },
        },
        isTable: true,
      }),
      createOperator,
    );
    where.send('a', { n: 2 }, 1, 0, { n: 1 });
    expect(where.take()).toEqual([{ key: 'a', value: undefined, time: 1, old: { n: 1 } }]);
  });
});

import { describe, expect, test } from 'vitest';
import { nodeOf } from '../../../../test/stream/nodes.ts';
import { type HarnessOptions, OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import { col } from '../../../flow/expressions.ts';
import { createOperator } from './create-operator.ts';
import type { ReadableTable } from './operator.ts';

function open(fields: object, options?: HarnessOptions): OperatorHarness {
  return new OperatorHarness(nodeOf(fields), createOperator, options);
}

const TABLE: ReadableTable = { get: () => undefined };

describe('functions of streams', () => {
  test('map makes a record without a key, mapValues keeps it, both keep the time', () => {
    const fn = (value: unknown, key: unknown): unknown => `${String(key)}:${String(value)}`;
    const map = open({ kind: 'map', fn, keepsKey: false }).send('k', 1, 10);
    expect(map.take()).toEqual([{ key: undefined, value: 'k:1', time: 10, old: undefined }]);
    const mapValues = open({ kind: 'map', fn, keepsKey: true }).send('k', 1, 10);
    expect(mapValues.take()).toEqual([{ key: 'k', value: 'k:1', time: 10, old: undefined }]);
  });

  test('filter keeps what is truthy', () => {
    const filter = open({ kind: 'filter', fn: (value: number) => value % 2 });
    filter.send('k', 1, 1).send('k', 2, 2).send('k', 3, 3);
    expect(filter.take().map(({ value }) => value)).toEqual([1, 3]);
  });

  test('flatMap puts out arrays and iterables in their order', () => {
    const fn = (value: readonly number[]): Iterable<number> =>
      value.length > 2 ? new Set(value) : value;
    const flatMap = open({ kind: 'flatMap', fn, keepsKey: true });
    flatMap.send('k', [1, 2], 1).send('k', [3, 3, 4], 2).send('k', [], 3);
    expect(flatMap.take().map(({ key, value, time }) => [key, value, time])).toEqual([
      ['k', 1, 1],
      ['k', 2, 1],
      ['k', 3, 2],
      ['k', 4, 2],
    ]);
  });

  test('flatMap of what cannot be iterated, or throws half way, puts out nothing', () => {
    const fn = (value: unknown): unknown => {
      if (value === 'number') return 7;
      return (function* () {
        yield 1;
        throw new Error('half way');
      })();
    };
    const flatMap = open({ kind: 'flatMap', fn, keepsKey: true });
    flatMap.send('k', 'number', 1).send('k', 'generator', 2);
    expect(flatMap.take()).toEqual([]);
    expect(flatMap.failures.map(({ error }) => (error as Error).message)).toEqual([
      'the function returned what is not iterable',
      'half way',
    ]);
  });

  test('tap passes on what it saw', () => {
    const seen: unknown[] = [];
    const tap = open({ kind: 'tap', fn: (value: unknown) => seen.push(value) }).send('k', 1, 10);
    expect(tap.take()).toEqual([{ key: 'k', value: 1, time: 10, old: undefined }]);
    expect(seen).toEqual([1]);
  });

  test('keyBy gives another key', () => {
    const keyBy = open({ kind: 'keyBy', fn: (value: number) => value * 2 }).send('k', 1, 10);
    expect(keyBy.take()).toEqual([{ key: 2, value: 1, time: 10, old: undefined }]);
  });

  test('a union has all records, toStream the new values of a table and its deletions', () => {
    const union = open({ kind: 'union', inputs: [1, 2] })
      .send('k', 1, 1, 0)
      .send('k', 2, 2, 1);
    expect(union.take().map(({ value }) => value)).toEqual([1, 2]);
    const toStream = open({ kind: 'toStream' }, { tables: [TABLE] });
    toStream.send('k', 2, 1, 0, 1).send('k', undefined, 2, 0, 2);
    expect(toStream.take()).toEqual([
      { key: 'k', value: 2, time: 1, old: undefined },
      { key: 'k', value: undefined, time: 2, old: undefined },
    ]);
  });

  test('behind a table, a deletion is no record', () => {
    const map = open(
      { kind: 'map', fn: (value: { readonly n: number }) => value.n, keepsKey: false },
      { tables: [TABLE] },
    );
    map.send('k', { n: 1 }, 1).send('k', undefined, 2, 0, { n: 1 });
    expect(map.take().map(({ value }) => value)).toEqual([1]);
    expect(map.failures).toEqual([]);
  });

  test('declarative columns work on rows', () => {
    const where = open({ kind: 'where', condition: col('n').gt(1).expression });
    where.send(undefined, { n: 1 }, 1).send(undefined, { n: 2 }, 2).send(undefined, {}, 3);
    expect(where.take().map(({ value }) => value)).toEqual([{ n: 2 }]);
    expect(where.failures.map(({ error }) => (error as { code: string }).code)).toEqual([
      'ML_COLUMN_UNKNOWN',
    ]);
    const select = open({ kind: 'select', columns: { twice: col('n').times(2).expression } });
    expect(select.send('k', { n: 2 }, 1).take()).toEqual([
      { key: undefined, value: { twice: 4 }, time: 1, old: undefined },
    ]);
    const explode = open({
      kind: 'explode',
      column: 'word',
      expression: { kind: 'words', of: 'blanks', text: { kind: 'column', name: 'text' } },
    });
    expect(
      explode
        .send('k', { text: 'a b' }, 1)
        .take()
        .map(({ value }) => value),
    ).toEqual([{ word: 'a' }, { word: 'b' }]);
  });

  test('a sample keeps records by their content', () => {
    const keep = (fraction: number): number => {
      const sample = open({ kind: 'sample', fraction, seed: 1 });
      for (let index = 0; index < 1_000; index++) sample.send(index, 'v', index);
      return sample.take().length;
    };
    expect(keep(0)).toBe(0);
    expect(keep(1)).toBe(1_000);
    expect(keep(0.5)).toBeGreaterThan(400);
    expect(keep(0.5)).toBeLessThan(600);
    expect(keep(0.5)).toBe(keep(0.5));
  });

  test('a function that throws loses its record, and no other', () => {
    const fn = (value: number): number => {
      if (value === 2) throw new Error('two');
      return value;
    };
    const map = open({ kind: 'map', fn, keepsKey: true });
    map.send('k', 1, 1).send('k', 2, 2).send('k', 3, 3);
    expect(map.take().map(({ value }) => value)).toEqual([1, 3]);
    expect(map.failures).toEqual([{ error: new Error('two'), record: 2, key: 'k' }]);
    const failing = open({ kind: 'map', fn, keepsKey: true }, { onError: 'fail' });
    expect(() => failing.send('k', 2, 2)).toThrow('two');
  });
});

describe('functions that return promises', () => {
  test('records behind one that waits come out behind it', async () => {
    const resolvers: ((value: string) => void)[] = [];
    const fn = (value: unknown): unknown =>
      value === 'wait' ? new Promise<string>((resolve) => resolvers.push(resolve)) : value;
    const map = open({ kind: 'map', fn, keepsKey: true });
    map.send('k', 'first', 1).send('k', 'wait', 2).send('k', 'last', 3);
    expect(map.take().map(({ value }) => value)).toEqual(['first']);
    expect(map.operator.pending).toBe(2);
    resolvers[0]?.('done');
    await Promise.resolve();
    await Promise.resolve();
    expect(map.wakes).toBe(1);
    map.operator.resume?.();
    expect(map.take().map(({ value, time }) => [value, time])).toEqual([
      ['done', 2],
      ['last', 3],
    ]);
    expect(map.operator.pending).toBe(0);
  });

  test('it is full when so many wait as may, and takes more when one is out', async () => {
    const fn = async (value: unknown): Promise<unknown> => value;
    const filter = open({ kind: 'filter', fn });
    let sent = 0;
    while (!filter.operator.isFull) filter.send('k', ++sent, sent);
    expect(sent).toBe(256);
    await Promise.resolve();
    await Promise.resolve();
    filter.operator.resume?.();
    expect(filter.operator.isFull).toBe(false);
    expect(filter.take()).toHaveLength(256);
  });

  test('one that is rejected loses its record', async () => {
    const fn = (value: unknown): unknown =>
      value === 1 ? Promise.reject(new Error('no')) : Promise.resolve(value);
    const tap = open({ kind: 'tap', fn });
    tap.send('k', 1, 1).send('k', 2, 2);
    for (let turn = 0; turn < 4; turn++) await Promise.resolve();
    tap.operator.resume?.();
    expect(tap.take().map(({ value }) => value)).toEqual([2]);
    expect(tap.failures).toEqual([{ error: new Error('no'), record: 1, key: 'k' }]);
  });
});

import { expect, test } from 'vitest';
import { globalJoin, TestTable } from '../../../../test/stream/join-tables.ts';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import type { GlobalJoinNode } from '../../../flow/stream-nodes.ts';
import { createGlobalJoin } from './global-join.ts';

function harnessOf(
  type: GlobalJoinNode['type'],
  lookupKey: GlobalJoinNode['lookupKey'] = (value) => (value as string).charAt(0),
): OperatorHarness {
  const table = new TestTable();
  table.set('a', 'row of a', 0);
  table.set('b', 'row of b', 0);
  return new OperatorHarness(globalJoin(type, lookupKey), createGlobalJoin, {
    tables: [undefined, table],
  });
}

function results(harness: OperatorHarness): unknown[] {
  return harness.take().map(({ key, value, time }) => [key, value, time]);
}

test('inner: records whose lookup key is in the table, with their own key and time', () => {
  const harness = harnessOf('inner').send('k', 'a1', 5).send(null, 'b1', 3).send('k', 'c1', 9);
  expect(results(harness)).toEqual([
    ['k', 'a1-row of a', 5],
    [null, 'b1-row of b', 3],
  ]);
});

test('left: also those whose lookup key is not, or is null (KIP-962)', () => {
  const harness = harnessOf('left', (value) => (value === 'none' ? null : value));
  harness.send('k', 'a', 1).send('k', 'c', 2).send('k', 'none', 3).send('k', null, 4);
  expect(results(harness)).toEqual([
    ['k', 'a-row of a', 1],
    ['k', 'c-null', 2],
    ['k', 'none-null', 3],
  ]);
});

test('inner: a lookup key of null is dropped', () => {
  expect(results(harnessOf('inner', () => undefined).send('k', 'a', 1))).toEqual([]);
});

test('changes of the table put out nothing', () => {
  expect(results(harnessOf('left').send('a', 'new row', 1, 1))).toEqual([]);
});

test('lookup keys that throw, and that are none, are failures of their records', () => {
  const harness = harnessOf('left', (value) => {
    if (value === 'throws') throw new Error('no key');
    return { value };
  });
  harness.send('k', 'throws', 1).send('k', 'object', 2);
  expect(harness.failures).toMatchObject([
    { error: { message: 'no key' }, record: 'throws' },
    { error: { code: 'ML_KEY_INVALID' }, record: 'object' },
  ]);
  expect(results(harness)).toEqual([]);
});

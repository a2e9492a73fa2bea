import { describe, expect, test } from 'vitest';
import { ForeignJoinWorld } from '../../../../test/stream/foreign-join-world.ts';
import { foreignJoin, TestTable } from '../../../../test/stream/join-tables.ts';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import { FOREIGN_JOIN_FORGET_MS } from '../../../core/stream-limits.ts';
import type { ForeignJoinNode } from '../../../flow/stream-nodes.ts';
import type { OperatorContext } from '../operators/operator.ts';
import { createForeignJoin } from './foreign-join.ts';

/** Kafka's test writes left values as `value|foreign key`, and pairs as `(left,right)`. */
const kafkaPair = (left: unknown, right: unknown): string =>
  `(${left as string},${(right as string | undefined) ?? 'null'})`;
const kafkaKey = (value: unknown): string | undefined => (value as string).split('|')[1];

/** Tells what each change of a table changes in the result. */
class Kafka {
  readonly world: ForeignJoinWorld;
  private time = 0;

  constructor(
    type: ForeignJoinNode['type'],
    foreignKey = kafkaKey as ForeignJoinNode['foreignKey'],
  ) {
    this.world = new ForeignJoinWorld(foreignJoin(type, foreignKey, kafkaPair), 3);
  }

  left(key: string, value: string | undefined): Record<string, unknown> {
    return this.changes(() => this.world.setLeft(key, value, ++this.time));
  }

  right(key: string, value: string | undefined): Record<string, unknown> {
    return this.changes(() => this.world.setRight(key, value, ++this.time));
  }

  private changes(make: () => void): Record<string, unknown> {
    const { changes } = this.world;
    const before = changes.length;
    make();
    this.world.settle();
    return Object.fromEntries(
      changes.slice(before).map(({ key, value }) => [key, value ?? null] as const),
    );
  }
}

for (const type of ['inner', 'left'] as const) {
  const alone = (left: string): string | null => (type === 'left' ? `(${left},null)` : null);
  const ifLeft = (expected: Record<string, unknown>): Record<string, unknown> =>
    type === 'left' ? expected : {};

  describe(`KTableKTableForeignKeyJoinIntegrationTest, ${type}`, () => {
    test('doJoinFromLeftThenDeleteLeftEntity', () => {
      const kafka = new Kafka(type);
      for (const number of [1, 2, 3])
        expect(kafka.right(`rhs${number}`, `rhsValue${number}`)).toEqual({});
      expect(kafka.left('lhs1', 'lhsValue1|rhs1')).toEqual({ lhs1: '(lhsValue1|rhs1,rhsValue1)' });
      expect(kafka.left('lhs2', 'lhsValue2|rhs2')).toEqual({ lhs2: '(lhsValue2|rhs2,rhsValue2)' });
      expect(kafka.left('lhs3', 'lhsValue3|rhs1')).toEqual({ lhs3: '(lhsValue3|rhs1,rhsValue1)' });
      expect(kafka.left('lhs1', undefined)).toEqual({ lhs1: null });
      expect(kafka.world.result()).toEqual(
        new Map([
          ['lhs2', '(lhsValue2|rhs2,rhsValue2)'],
          ['lhs3', '(lhsValue3|rhs1,rhsValue1)'],
        ]),
      );
    });

    test('doJoinFromRightThenDeleteRightEntity', () => {
      const kafka = new Kafka(type);
      for (const [key, value] of [
        ['lhs1', 'lhsValue1|rhs1'],
        ['lhs2', 'lhsValue2|rhs2'],
        ['lhs3', 'lhsValue3|rhs1'],
      ] as const)
        expect(kafka.left(key, value)).toEqual(ifLeft({ [key]: `(${value},null)` }));
      expect(kafka.right('rhs1', 'rhsValue1')).toEqual({
        lhs1: '(lhsValue1|rhs1,rhsValue1)',
        lhs3: '(lhsValue3|rhs1,rhsValue1)',
      });
      expect(kafka.right('rhs2', 'rhsValue2')).toEqual({ lhs2: '(lhsValue2|rhs2,rhsValue2)' });
      expect(kafka.right('rhs3', 'rhsValue3')).toEqual({});
      expect(kafka.right('rhs1', undefined)).toEqual({
        lhs1: alone('lhsValue1|rhs1'),
        lhs3: alone('lhsValue3|rhs1'),
      });
    });

    test('shouldEmitTombstoneWhenDeletingNonJoiningRecords: only if there was something to delete', () => {
      const kafka = new Kafka(type);
      expect(kafka.left('lhs1', 'lhsValue1|rhs1')).toEqual(
        ifLeft({ lhs1: '(lhsValue1|rhs1,null)' }),
      );
      // Kafka's inner join puts out a tombstone here, as it cannot know that there was no result.
      expect(kafka.left('lhs1', undefined)).toEqual(ifLeft({ lhs1: null }));
      expect(kafka.left('lhs1', undefined)).toEqual({});
    });

    test('shouldNotEmitTombstonesWhenDeletingNonExistingRecords', () => {
      expect(new Kafka(type).left('lhs1', undefined)).toEqual({});
    });

    test('joinShouldProduceNullsWhenValueHasNonMatchingForeignKey', () => {
      const kafka = new Kafka(type);
      for (const foreign of ['rhs1', 'rhs2', 'rhs3'])
        expect(kafka.left('lhs1', `lhsValue1|${foreign}`)).toEqual(
          ifLeft({ lhs1: `(lhsValue1|${foreign},null)` }),
        );
      expect(kafka.right('rhs1', 'rhsValue1')).toEqual({});
      expect(kafka.left('lhs1', 'lhsValue1|rhs1')).toEqual({ lhs1: '(lhsValue1|rhs1,rhsValue1)' });
      expect(kafka.left('lhs1', 'lhsValue1|rhs2')).toEqual({ lhs1: alone('lhsValue1|rhs2') });
    });

    test('shouldUnsubscribeOldForeignKeyIfLeftSideIsUpdated', () => {
      const kafka = new Kafka(type);
      kafka.right('rhs1', 'rhsValue1');
      kafka.right('rhs2', 'rhsValue2');
      expect(kafka.left('lhs1', 'lhsValue1|rhs1')).toEqual({ lhs1: '(lhsValue1|rhs1,rhsValue1)' });
      expect(kafka.left('lhs1', 'lhsValue1|rhs2')).toEqual({ lhs1: '(lhsValue1|rhs2,rhsValue2)' });
      expect(kafka.right('rhs1', 'rhsValue1Delta')).toEqual({});
    });

    test('the table in the documentation of Kafka', () => {
      const kafka = new Kafka(type, (value) => (value === 'null' ? null : value));
      expect(kafka.right('1', 'foo')).toEqual({});
      expect(kafka.left('k', '1')).toEqual({ k: '(1,foo)' });
      expect(kafka.left('k', '2')).toEqual({ k: alone('2') });
      expect(kafka.left('k', '3')).toEqual(ifLeft({ k: '(3,null)' }));
      expect(kafka.right('3', 'bar')).toEqual({ k: '(3,bar)' });
      expect(kafka.left('k', undefined)).toEqual({ k: null });
      expect(kafka.left('k', '1')).toEqual({ k: '(1,foo)' });
      expect(kafka.left('q', '10')).toEqual(ifLeft({ q: '(10,null)' }));
      expect(kafka.left('r', '10')).toEqual(ifLeft({ r: '(10,null)' }));
      expect(kafka.right('10', 'baz')).toEqual({ q: '(10,baz)', r: '(10,baz)' });
    });

    test('a row without a foreign key is in the left join only', () => {
      const kafka = new Kafka(type, (value) => (value === 'none' ? null : value));
      kafka.right('1', 'foo');
      expect(kafka.left('k', 'none')).toEqual(ifLeft({ k: '(none,null)' }));
      expect(kafka.left('k', '1')).toEqual({ k: '(1,foo)' });
      expect(kafka.left('k', 'none')).toEqual({ k: alone('none') });
      expect(kafka.right('1', 'bar')).toEqual({});
      expect(kafka.left('k', undefined)).toEqual(ifLeft({ k: null }));
    });
  });
}

test('an answer of the partition that a row has left does not count, however late it comes', () => {
  const world = new ForeignJoinWorld(foreignJoin('inner', kafkaKey, kafkaPair), 3);
  world.setRight('rhs1', 'one', 1);
  world.setRight('rhs2', 'two', 2);
  world.setLeft('k', 'v|rhs1', 3);
  world.settle();
  // The change of rhs1 is answered before match hears that the row has gone: both are on their way.
  world.setLeft('k', 'v|rhs2', 4);
  world.setRight('rhs1', 'ONE', 5);
  const old = world.waiting.find((name) => name.startsWith('match')) ?? '';
  for (const name of world.waiting) if (name !== old) world.deliver(name);
  const fresh = world.waiting.find((name) => name !== old) ?? '';
  world.deliver(fresh);
  expect(world.get('k')).toBe('(v|rhs2,two)');
  world.deliver(old);
  expect(world.waiting).toEqual([]);
  expect(world.get('k')).toBe('(v|rhs2,two)');
});

test('a row that wants another key is forgotten where it was', () => {
  const world = new ForeignJoinWorld(foreignJoin('left', kafkaKey, kafkaPair), 2);
  world.setLeft('k', 'v|rhs1', 1);
  world.settle().setLeft('k', 'v|rhs2', 2);
  world.settle().setRight('rhs1', 'one', 3);
  expect(world.waiting).toEqual([]);
  world.setLeft('k', undefined, 4);
  world.settle().setRight('rhs2', 'two', 5);
  expect(world.waiting).toEqual([]);
});

test('the time of a result is that of the later row', () => {
  const world = new ForeignJoinWorld(foreignJoin('inner', kafkaKey, kafkaPair), 2);
  world.setRight('r', 'one', 50);
  world.setLeft('a', 'a|r', 10);
  world.settle().setLeft('b', 'b|r', 60);
  world.settle().setRight('r', 'two', 55);
  world.settle();
  expect(world.changes.map(({ key, time }) => [key, time])).toEqual([
    ['a', 50],
    ['b', 60],
    ['a', 55],
    ['b', 60],
  ]);
});

test('foreign keys that are equal without being the same are one key', () => {
  const world = new ForeignJoinWorld(
    foreignJoin('inner', () => ['composite', 1], kafkaPair),
    2,
  );
  world.setRight(['composite', 1], 'right', 1);
  for (const value of ['a', 'b']) world.setLeft('k', value, 2);
  world.settle().setRight(['composite', 1], 'RIGHT', 3);
  expect(world.settle().result()).toEqual(new Map([['k', '(b,RIGHT)']]));
});

test('a foreign key that throws, or that cannot be one, takes the row out of the join', () => {
  const world = new ForeignJoinWorld(
    foreignJoin('left', (value) => {
      if (value === 'throws') throw new Error('no key');
      return value === 'object' ? { value } : value;
    }),
    2,
  );
  const seen = ['1', 'throws', 'object', '2', undefined].map((value, index) => {
    world.setLeft('k', value, index);
    return world.settle().get('k');
  });
  expect(seen).toEqual(['1-null', undefined, undefined, '2-null', undefined]);
  expect(world.failures).toMatchObject([
    { error: { message: 'no key' }, record: 'throws' },
    { error: { code: 'ML_KEY_INVALID' }, record: 'object' },
  ]);
});

test('a function that throws leaves the result of that row as it was', () => {
  const world = new ForeignJoinWorld(
    foreignJoin('inner', kafkaKey, (left, right) => {
      if (left === 'a|r' && right === 'bad') throw new Error('bad');
      return kafkaPair(left, right);
    }),
    2,
  );
  world.setRight('r', 'good', 1);
  world.setLeft('a', 'a|r', 2);
  world.setLeft('b', 'b|r', 3);
  world.settle().setRight('r', 'bad', 4);
  expect([world.settle().get('a'), world.get('b')]).toEqual(['(a|r,good)', '(b|r,bad)']);
  expect(world.failures).toMatchObject([{ record: 'bad', key: 'a' }]);
});

test('subscriptions go on counting after a restart', () => {
  const world = new ForeignJoinWorld(foreignJoin('inner', kafkaKey, kafkaPair), 1);
  world.setRight('r', 'one', 1);
  for (const value of ['a|r', 'b|r', 'c|r']) world.setLeft('k', value, 2);
  world.settle().restart();
  world.setLeft('k', 'd|r', 3);
  expect(world.settle().get('k')).toBe('(d|r,one)');
});

test('that a row has no result is forgotten when nothing older can be on its way', () => {
  const create = (context: OperatorContext<ForeignJoinNode>) =>
    createForeignJoin(context, 'collect');
  const harness = new OperatorHarness(foreignJoin('inner', kafkaKey), create);
  harness.send('k', { version: 1, sent: 100, value: 'x' }, 90);
  expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
  harness.send('k', { version: 3, sent: 200, value: undefined }, 190);
  expect(harness.operator.nextDue).toBe(200 + FOREIGN_JOIN_FORGET_MS);
  harness.send('k', { version: 2, sent: 150, value: 'outdated' }, 180);
  expect(harness.take().map(({ value }) => value)).toEqual(['x', undefined]);
  harness.advanceTo(200 + FOREIGN_JOIN_FORGET_MS);
  expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
});

test('a "none" that was sent before there was any time is remembered as long', () => {
  const create = (context: OperatorContext<ForeignJoinNode>) =>
    createForeignJoin(context, 'collect');
  const harness = new OperatorHarness(foreignJoin('inner', kafkaKey), create);
  const sent = Number.NEGATIVE_INFINITY;
  harness.send('k', { version: 1, sent, value: 'x' }, 90);
  harness.send('k', { version: 3, sent, value: undefined }, 100);
  harness.advanceTo(150);
  harness.send('k', { version: 2, sent, value: 'outdated' }, 95);
  expect(harness.take().map(({ value }) => value)).toEqual(['x', undefined]);
  harness.advanceTo(100 + FOREIGN_JOIN_FORGET_MS);
  expect(harness.operator.nextDue).toBe(Number.POSITIVE_INFINITY);
});

test('match takes its table from wherever its context has it', () => {
  const table = new TestTable();
  table.set('r', 'right', 1);
  for (const tables of [[table], [undefined, table]]) {
    const create = (context: OperatorContext<ForeignJoinNode>) =>
      createForeignJoin(context, 'match');
    const harness = new OperatorHarness(foreignJoin('inner', kafkaKey), create, { tables });
    harness.send('r', { kind: 'subscribe', key: 'k', version: 1, sent: 0, left: 'l' }, 5, 1);
    expect(harness.take()).toMatchObject([{ key: 'k', value: { version: 1, value: 'l-right' } }]);
  }
});

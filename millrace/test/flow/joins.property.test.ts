/**
 * Every join type × every algorithm × data at random, against the oracle element by element and against DuckDB as multisets; with
 * budgets so small that every way out is taken. MILLRACE_SEED=n repeats a run, MILLRACE_RUNS=n makes n times as many.
 */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BroadcastTable } from '../../src/engine/batch/joins/broadcast-table.ts';
import { HashJoin } from '../../src/engine/batch/joins/hash-join.ts';
import {
  exchangeStats,
  type JoinTaskRange,
  splitJoinTasks,
} from '../../src/engine/batch/joins/hot-keys.ts';
import { SortMergeJoin } from '../../src/engine/batch/joins/sort-merge-join.ts';
import type { JoinStrategy, JoinType } from '../../src/flow/plan.ts';
import { asMultiset, Duck } from './duckdb.ts';
import { ANY_VALUE, mixedKey, parameters, records, textKey } from './generators.ts';
import { exchangeInput, type JoinInput, joinInput, joinStorage } from './join-harness.ts';
import { compareOracleKeys } from './oracle-order.ts';
import { joinPairs, type OraclePair, type OracleRecord } from './oracle.ts';

const TYPES: readonly JoinType[] = ['inner', 'left', 'right', 'outer', 'semi', 'anti'];

/** Type × strategy, without what a broadcast cannot do. */
const COMBINATIONS = TYPES.flatMap((type) =>
  (['sort-merge', 'partitioned-hash', 'broadcast-hash'] as const)
    .filter((strategy) => strategy !== 'broadcast-hash' || !['right', 'outer'].includes(type))
    .map((strategy) => ({ type, strategy })),
);

/** Bytes for the algorithm itself: some rows of a group, a few dozen rows of a table, everything. */
const memories = fc.constantFrom(1_000, 18_000, 70_000, 1_000_000);

interface Run {
  readonly pairs: OraclePair[];
  readonly pauses: number;
  readonly spilledBytes: number;
}

/** Runs a join to its end; `pauseEvery` > 0: emit refuses to go on after so many pairs, again and again. */
function runJoin(options: {
  readonly type: JoinType;
  readonly strategy: JoinStrategy;
  readonly left: JoinInput;
  readonly right: JoinInput;
  readonly memoryBytes: number;
  readonly pauseEvery: number;
  /** For a task that joins a part of the keys. */
  readonly range?: JoinTaskRange;
}): Run {
  const { type, strategy, left, right, memoryBytes, pauseEvery, range } = options;
  const pairs: OraclePair[] = [];
  let pauses = 0;
  const emit = (leftValue: unknown, rightValue: unknown, key: unknown): boolean => {
    pairs.push({ left: leftValue, right: rightValue, key });
    const goesOn = pauseEvery === 0 || pairs.length % pauseEvery !== 0;
    if (!goesOn) pauses++;
    return goesOn;
  };
  if (strategy === 'broadcast-hash') {
    const table = new BroadcastTable(right.open(), { name: 'joined', type, memoryBytes: 1e6 });
    for (const { key, value } of left.records) {
      const first = table.first(key);
      if (type === 'semi' ? first >= 0 : first < 0 && type !== 'inner') emit(value, undefined, key);
      else if (type !== 'semi' && type !== 'anti')
        for (let row = first; row >= 0; row = table.next(row)) emit(value, table.value(row), key);
    }
    return { pairs, pauses, spilledBytes: 0 };
  }
  const storage = joinStorage();
  const join = new (strategy === 'sort-merge' ? SortMergeJoin : HashJoin)({
    name: 'joined',
    type,
    left: () => left.open(range?.left),
    right: () => right.open(range?.right),
    memoryBytes,
    storage,
  });
  let reads = 0;
  while (!join.read(emit)) {
    reads++;
    if (reads > 100_000) throw new Error('the join does not end');
  }
  const { spilledBytes } = join;
  expect(join.records).toBeLessThanOrEqual(left.records.length + right.records.length);
  join.close();
  expect(storage.openRuns).toBe(0);
  return { pairs, pauses, spilledBytes };
}

function expectSame(got: readonly OraclePair[], expected: readonly OraclePair[]): void {
  // The message of a difference is made only when there is one: it is slow.
  if (!isDeepStrictEqual(normal(got), normal(expected)))
    expect(normal(got)).toEqual(normal(expected));
}

/** -0 is 0 as a key, and becomes 0 in an exchange. */
function normal(pairs: readonly OraclePair[]): OraclePair[] {
  return pairs.map(({ left, right, key }) => ({ left, right, key: key === 0 ? 0 : key }));
}

/** Either straight from memory or through the runs of an exchange. */
const inputs = fc.constantFrom(joinInput, exchangeInput);

const sides = fc.tuple(records(mixedKey, ANY_VALUE, 60), records(mixedKey, ANY_VALUE, 60));

for (const { type, strategy } of COMBINATIONS)
  test(`${type} join by ${strategy}: the pairs of the oracle, in its order, whatever the memory`, {
    retry: 3,
  }, () => {
    let spilled = 0;
    fc.assert(
      fc.property(
        sides,
        memories,
        fc.integer({ min: 0, max: 5 }),
        inputs,
        ([left, right], memoryBytes, pauseEvery, input) => {
          const isSorted = strategy === 'sort-merge';
          const run = runJoin({
            type,
            strategy,
            left: input(left, isSorted),
            right: input(right, isSorted),
            memoryBytes,
            pauseEvery,
          });
          if (run.spilledBytes > 0) spilled++;
          const inOrder = (rows: readonly OracleRecord[]): OracleRecord[] =>
            isSorted ? rows.toSorted((a, b) => compareOracleKeys(a.key, b.key)) : [...rows];
          const expected = joinPairs(type, strategy, inOrder(left), inOrder(right));
          expectSame(run.pairs, expected);
        },
      ),
      parameters(80),
    );
    // Semi and anti joins by merging hold nothing; a broadcast has no way out.
    const spills = strategy === 'partitioned-hash' || (strategy === 'sort-merge' && hasPairs(type));
    expect(spilled > 0).toBe(spills);
  });

function hasPairs(type: JoinType): boolean {
  return type !== 'semi' && type !== 'anti';
}

// Hot keys --------------------------------------------------------------------------------------------------------

/** Bytes from which a key is hot: from nearly every key to hardly any. */
const hotBytes = fc.constantFrom(80, 150, 400, 2_000);

for (const type of TYPES)
  test(`${type} join: the tasks of split hot keys together give what one task gives`, () => {
    let splitRuns = 0;
    fc.assert(
      fc.property(
        sides,
        hotBytes,
        fc.boolean(),
        inputs,
        ([rows, right], hotKeyBytes, isLeftUnique, input) => {
          const left = isLeftUnique ? uniqueByKey(rows) : rows;
          const leftInput = input(left, true);
          const rightInput = input(right, true);
          const whole = {
            type,
            strategy: 'sort-merge',
            left: leftInput,
            right: rightInput,
          } as const;
          const expected = runJoin({ ...whole, memoryBytes: 1e6, pauseEvery: 0 }).pairs;
          const tasks = splitJoinTasks({
            node: { type, splitsHotKeys: true },
            partition: 0,
            left: exchangeStats(leftInput.outputs, 1),
            right: exchangeStats(rightInput.outputs, 1),
            isLeftUnique,
            hotKeyBytes,
          });
          if (tasks.length > 1) splitRuns++;
          const pairs = tasks.flatMap(
            (range) => runJoin({ ...whole, memoryBytes: 4_096, pauseEvery: 0, range }).pairs,
          );
          expectSame(pairs, expected);
        },
      ),
      parameters(80),
    );
    // What cannot be split is not, and the rest of this test is not idle.
    expect(splitRuns > 0).toBe(type !== 'outer');
  });

function uniqueByKey(rows: readonly OracleRecord[]): OracleRecord[] {
  return rows.filter(
    ({ key }, at) => rows.findIndex((other) => compareOracleKeys(other.key, key) === 0) === at,
  );
}

// Against SQL -----------------------------------------------------------------------------------------------------

const SQL: Readonly<Record<JoinType, string>> = {
  inner: 'SELECT l.id, r.id FROM l JOIN r ON l.k = r.k',
  left: 'SELECT l.id, r.id FROM l LEFT JOIN r ON l.k = r.k',
  right: 'SELECT l.id, r.id FROM l RIGHT JOIN r ON l.k = r.k',
  outer: 'SELECT l.id, r.id FROM l FULL OUTER JOIN r ON l.k = r.k',
  semi: 'SELECT l.id, NULL FROM l WHERE EXISTS (SELECT 1 FROM r WHERE l.k = r.k)',
  anti: 'SELECT l.id, NULL FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE l.k = r.k)',
};

let duck: Duck;
beforeAll(async () => {
  duck = await Duck.open();
});
afterAll(() => {
  duck.close();
});

const textSides = fc.tuple(
  records(textKey, [(rank) => rank], 40),
  records(textKey, [(rank) => rank], 40),
);

test('every join has the rows of the same join in SQL', async () => {
  await fc.assert(
    fc.asyncProperty(textSides, memories, async ([left, right], memoryBytes) => {
      const table = (rows: readonly OracleRecord[]) => ({
        columns: { id: 'INTEGER', k: 'VARCHAR' },
        rows: rows.map(({ key, value }) => [value as number, key as string | null]),
      });
      const tables = { l: table(left), r: table(right) };
      for (const { type, strategy } of COMBINATIONS) {
        const isSorted = strategy === 'sort-merge';
        const run = runJoin({
          type,
          strategy,
          left: joinInput(left, isSorted),
          right: joinInput(right, isSorted),
          memoryBytes,
          pauseEvery: 0,
        });
        const got = run.pairs.map((pair) => [pair.left ?? null, pair.right ?? null]);
        expect(asMultiset(got)).toEqual(asMultiset(await duck.ask(tables, SQL[type])));
      }
    }),
    parameters(8),
  );
});

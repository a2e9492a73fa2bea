import { expect, test } from 'vitest';
import { memorySink, memorySource, runPlan } from '../../../../test/batch/in-memory.ts';
import { exchangeInput } from '../../../../test/flow/join-harness.ts';
import { decodeValue } from '../../../core/value-codec.ts';
import { flow } from '../../../flow/flow.ts';
import type { Flow } from '../../../flow/flow-types.ts';
import type { KeyRange } from '../stage.ts';
import type { KeyedStream } from '../../../flow/streams.ts';
import { exchangeStats, hotKeys, hottestKey, splitJoinTasks } from './hot-keys.ts';

interface Visit {
  readonly user: string | null;
  readonly n: number;
}

/** Every other visit is of one user. */
const visits = Array.from(
  { length: 400 },
  (_, n): Visit => ({ user: n % 2 === 0 ? 'robot' : n % 7 === 0 ? null : `user-${n % 40}`, n }),
);
const users = ['robot', 'robot', 'user-1', 'user-3', 'nobody'].map((user, n) => ({ user, n }));

const input = exchangeInput(
  visits.map(({ user, n }) => ({ key: user, value: n })),
  true,
);
const stats = exchangeStats(input.outputs, 1);

type Joined = KeyedStream<string | null, unknown>;
type Visits = KeyedStream<string | null, Visit>;
type Users = KeyedStream<string | null, { readonly user: string; readonly n: number }>;

const JOINS: Readonly<
  Record<string, (left: Visits, right: Users, splitHotKeys: boolean) => Joined>
> = {
  inner: (left, right, splitHotKeys) => left.join('j', right, pair, { ...MERGED, splitHotKeys }),
  left: (left, right, splitHotKeys) => left.leftJoin('j', right, pair, { ...MERGED, splitHotKeys }),
  semi: (left, right, splitHotKeys) => left.semiJoin('j', right, { ...MERGED, splitHotKeys }),
  anti: (left, right, splitHotKeys) => left.antiJoin('j', right, { ...MERGED, splitHotKeys }),
};
const MERGED = { strategy: 'sort-merge' } as const;
const pair = (left: Visit, right: { readonly n: number } | undefined): unknown => [
  left.n,
  right?.n,
];

/** The output, and how many tasks the join had. */
async function run(made: (sink: ReturnType<typeof memorySink>) => Flow): Promise<{
  readonly records: unknown[];
  readonly tasks: number;
}> {
  const sink = memorySink();
  const { results } = await runPlan(made(sink).plan(), { partitions: 3, hotKeyBytes: 500 });
  const last = Object.values(results).at(-1) ?? [];
  return { records: sink.records(), tasks: last.length };
}

test.each(Object.keys(JOINS))(
  'the hot key of a %s join is shared by tasks, with one result',
  async (type) => {
    const made = (splitHotKeys: boolean) => (sink: ReturnType<typeof memorySink>) =>
      flow('visits', (f) => {
        const left = f.read(memorySource(visits)).keyBy(({ user }) => user);
        const right = f.read(memorySource(users)).keyBy(({ user }): string | null => user);
        JOINS[type]?.(left, right, splitHotKeys).entries().write(sink);
      });
    const whole = await run(made(false));
    const split = await run(made(true));
    expect(whole.tasks).toBe(3);
    expect(split.tasks).toBeGreaterThan(4);
    expect(split.records).toEqual(whole.records);
  },
);

test('the large side of a join with a table on the left is shared, too', async () => {
  const made = (splitHotKeys: boolean) => (sink: ReturnType<typeof memorySink>) =>
    flow('visits', (f) => {
      const byUser = f.read(memorySource(visits)).keyBy(({ user }) => user);
      const counts = f
        .read(memorySource(users))
        .keyBy(({ user }): string | null => user)
        .count('counts');
      counts
        .rightJoin('j', byUser, (count, visit) => [count ?? 0, visit.n], {
          ...MERGED,
          splitHotKeys,
        })
        .entries()
        .write(sink);
    });
  const whole = await run(made(false));
  const split = await run(made(true));
  expect(split.tasks).toBeGreaterThan(whole.tasks);
  expect(split.records).toEqual(whole.records);
});

test('a key is hot by its share of the bytes', () => {
  const [robot, ...others] = hotKeys(stats, stats.bytes / 4);
  expect(others).toEqual([]);
  expect(robot).toMatchObject({ partition: 0, records: 200 });
  expect(hotKeys(stats, stats.bytes)).toEqual([]);
});

test('the tasks of a partition have every record once, also those of keys that begin like the hot one', () => {
  const keys = ['', 'a', 'a\0', 'a\0\0', 'a\x01', 'ab', 'b'];
  const rows = Array.from({ length: 90 }, (_, n) => ({
    key: n % 3 === 0 ? keys[n % keys.length] : 'a',
    value: n,
  }));
  const side = exchangeInput(rows, true);
  const sideStats = exchangeStats(side.outputs, 1);
  const values = (range?: KeyRange): unknown[] => {
    const reader = side.open(range);
    const read: unknown[] = [];
    while (reader.next()) read.push(decodeValue(reader.buffer, reader.valueStart, reader.valueEnd));
    reader.close();
    return read;
  };
  const tasks = splitJoinTasks({
    node: { type: 'left', splitsHotKeys: true },
    partition: 0,
    left: sideStats,
    right: sideStats,
    isLeftUnique: false,
    hotKeyBytes: sideStats.bytes / 4,
  });
  expect(tasks.length).toBeGreaterThan(3);
  expect(tasks.flatMap(({ left }) => values(left))).toEqual(values());
});

test('what cannot be split is one task', () => {
  const whole = [{ left: undefined, right: undefined }];
  const options = { partition: 0, left: stats, right: stats, hotKeyBytes: 100 };
  const outer = { type: 'outer', splitsHotKeys: true } as const;
  expect(splitJoinTasks({ ...options, node: outer, isLeftUnique: true })).toEqual(whole);
  const right = { type: 'right', splitsHotKeys: true } as const;
  expect(splitJoinTasks({ ...options, node: right, isLeftUnique: false })).toEqual(whole);
  const off = { type: 'inner', splitsHotKeys: false } as const;
  expect(splitJoinTasks({ ...options, node: off, isLeftUnique: false })).toEqual(whole);
});

test('the summary names the most frequent key', () => {
  expect(hottestKey(input.outputs, 1)).toEqual({ key: '"robot"', share: 0.5 });
  expect(hottestKey([], 1)).toBeUndefined();
});

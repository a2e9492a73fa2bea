import { expect, test } from 'vitest';
import {
  memorySink,
  memorySource,
  type RunOptions,
  runPlan,
} from '../../../../test/batch/in-memory.ts';
import type { FlowBuilder } from '../../../flow/builder.ts';
import { flow, skipTo } from '../../../flow/flow.ts';
import type { Stream } from '../../../flow/streams.ts';
import { memoryStorage } from '../exchange/run-storage.ts';
import type { RunStorage } from '../exchange.ts';

/** Runs `build` on a stream of numbers; gives what came out, and the rounds of the iteration. */
async function run(
  numbers: readonly number[],
  build: (stream: Stream<number>, f: FlowBuilder) => Stream<unknown>,
  options: RunOptions = {},
): Promise<{ readonly values: unknown[]; readonly rounds: number | undefined }> {
  const sink = memorySink();
  const plan = flow('numbers', (f) => {
    build(f.read(memorySource(numbers)), f).write(sink);
  }).plan();
  const { results } = await runPlan(plan, options);
  const rounds = Object.values(results)
    .flat()
    .map(({ metrics }) => metrics.rounds)
    .find((count) => count !== undefined);
  return { values: sink.values(), rounds };
}

const upTo = (limit: number) => (n: number) => Math.min(n + 1, limit);

test('runs as many rounds as it is told to', async () => {
  const { values, rounds } = await run([1, 5], (stream, f) =>
    f.iterate('steps', stream, { rounds: 3 }, (current) => current.map((n) => n + 1)),
  );
  expect(values).toEqual([4, 8]);
  expect(rounds).toBe(3);
});

test('stops when a round gives what it was given', async () => {
  const { values, rounds } = await run([1, 5, 3], (stream, f) =>
    f.iterate('steps', stream, { rounds: 100, fixpoint: true }, (current) => current.map(upTo(7))),
  );
  expect(values).toEqual([7, 7, 7]);
  // Six rounds until the smallest has arrived, and one that changes nothing.
  expect(rounds).toBe(7);
});

test('another order is another stream: no fixpoint', async () => {
  const { values, rounds } = await run([1, 2], (stream, f) =>
    f.iterate('turns', stream, { rounds: 5, fixpoint: true }, (current) =>
      current.sort('falling', (n) => -n),
    ),
  );
  expect(values).toEqual([2, 1]);
  expect(rounds).toBe(2);
});

test('until is asked after each round, with both sequences', async () => {
  const asked: unknown[] = [];
  const { values, rounds } = await run([1, 2], (stream, f) =>
    f.iterate(
      'steps',
      stream,
      {
        rounds: 100,
        until: (previous, next, round) => {
          asked.push([...previous, 'to', ...next, 'in', round]);
          return round === 2;
        },
      },
      (current) => current.map((n) => n * 10),
    ),
  );
  expect(asked).toEqual([
    [1, 2, 'to', 10, 20, 'in', 1],
    [10, 20, 'to', 100, 200, 'in', 2],
  ]);
  expect(values).toEqual([100, 200]);
  expect(rounds).toBe(2);
});

test('an until that throws is named, with its round', async () => {
  const failing = run([1], (stream, f) =>
    f.iterate(
      'steps',
      stream,
      {
        rounds: 100,
        until: (_previous, _next, round) => {
          if (round === 2) throw new RangeError('enough');
          return false;
        },
      },
      (current) => current.map((n) => n),
    ),
  );
  await expect(failing).rejects.toMatchObject({
    code: 'ML_USER_FUNCTION',
    message: 'steps: RangeError: enough, in until of round 2',
  });
});

test('a function of the body that throws is named, with the record', async () => {
  const failing = run([1, 2], (stream, f) =>
    f.iterate('steps', stream, { rounds: 3 }, (current) =>
      current.map((n) => {
        if (n === 3) throw new RangeError('three');
        return n + 1;
      }),
    ),
  );
  await expect(failing).rejects.toMatchObject({
    code: 'ML_USER_FUNCTION',
    message: expect.stringContaining('input of steps, record 2: 3') as unknown,
  });
});

test('records that fail in a round are dead letters of the job', async () => {
  const sink = memorySink();
  const letters = memorySink();
  const plan = flow('numbers', { onError: skipTo(letters) }, (f) => {
    f.iterate('steps', f.read(memorySource([1, 2, 3])), { rounds: 2 }, (current) =>
      current.map((n) => {
        if (n === 3) throw new RangeError('three');
        return n + 1;
      }),
    ).write(sink);
  }).plan();
  const { results } = await runPlan(plan);
  expect(sink.values()).toEqual([3]);
  const skipped = Object.values(results)
    .flat()
    .reduce((sum, result) => sum + result.skipped.records, 0);
  expect(skipped).toBe(2);
});

test('streams and side data from outside are there in every round', async () => {
  const { values } = await run([1, 2, 3], (stream, f) => {
    const side = f.broadcast(
      'names',
      stream.keyBy((n) => n).mapValues((n) => `n${n}`),
    );
    const others = stream.keyBy((n) => n % 2);
    const start = stream.map((n) => ({ n, text: '' }));
    return f.iterate('steps', start, { rounds: 2 }, (current) =>
      current
        .keyBy(({ n }) => n % 2)
        .join('pairs', others, (left, right) => ({ n: right, text: `${left.text}${left.n}` }))
        .values()
        .with(side, ({ n, text }, names) => ({ n, text: `${text}${names.get(n)} ` })),
    );
  });
  // 1 and 3 meet one another and themselves, twice: eight ways; 2 meets itself.
  expect(values).toHaveLength(9);
  expect(values).toContainEqual({ n: 2, text: '2n2 2n2 ' });
  expect(values).toContainEqual({ n: 3, text: '1n3 3n3 ' });
});

test('an iteration in the body of another one starts anew each time', async () => {
  const { values } = await run([1, 2], (stream, f) =>
    f.iterate('outer', stream, { rounds: 3 }, (current) =>
      f
        .iterate('inner', current, { rounds: 2 }, (inner) => inner.map((n) => n * 2))
        .map((n) => n + 1),
    ),
  );
  // Three times: by four, and one more.
  expect(values).toEqual([85, 149]);
});

test('a job that is cancelled ends in the round that it is in, and its runs are removed', async () => {
  const storage = countingStorage();
  const cancel = new AbortController();
  let calls = 0;
  const failing = run(
    [1, 2],
    (stream, f) =>
      f.iterate('steps', stream, { rounds: 1_000 }, (current) =>
        current
          .sort('order', (n) => n)
          .map((n) => {
            if (++calls === 20) cancel.abort();
            return n + 1;
          }),
      ),
    { storage, signal: cancel.signal },
  );
  await expect(failing).rejects.toMatchObject({ code: 'ML_ABORTED' });
  expect(calls).toBe(20);
  // Left is what the task was given to read.
  expect(storage.present).toBe(1);
});

/** Counts the runs that are made and those that are there. */
function countingStorage(): RunStorage & { made: number; present: number } {
  const inner = memoryStorage(Number.POSITIVE_INFINITY, {
    create: () => {
      throw new Error('no files');
    },
    open: (path) => {
      throw new Error(`no run ${path}`);
    },
    remove: () => undefined,
  });
  const counting = {
    made: 0,
    present: 0,
    create: () => {
      counting.made++;
      counting.present++;
      return inner.create();
    },
    open: (path: string) => inner.open(path),
    remove: (path: string) => {
      counting.present--;
      inner.remove(path);
    },
  };
  return counting;
}

test('what fits into memory is written nowhere, what does not is, and all of it is removed', async () => {
  const numbers = Array.from({ length: 3_000 }, (_, n) => n);
  const counts: number[] = [];
  for (const memoryBytes of [64 * 1024 * 1024, 300_000]) {
    const storage = countingStorage();
    const { values } = await run(
      numbers,
      (stream, f) => {
        const rows = stream.map((n) => ({ n, filling: '-'.repeat(200) }));
        return f
          .iterate('steps', rows, { rounds: 3 }, (current) =>
            current.sort('order', ({ n }) => -n).map((row) => ({ ...row, n: row.n + 1 })),
          )
          .map(({ n }) => n);
      },
      { storage, memoryBytes },
    );
    // Sorted from large to small, each one three larger.
    expect(values).toEqual(numbers.map((n) => n + 3).toReversed());
    expect(storage.present).toBe(0);
    counts.push(storage.made);
  }
  // With much memory: only the exchange into the iteration.
  expect(counts[0]).toBe(1);
  expect(counts[1]).toBeGreaterThan(2);
});

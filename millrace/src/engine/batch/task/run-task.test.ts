import { expect, test } from 'vitest';
import {
  Malformed,
  type MemorySink,
  memorySink,
  memorySource,
  type RunOptions,
  runPlan,
} from '../../../../test/batch/in-memory.ts';
import { realEnv } from '../../../core/real-env.ts';
import { ASYNC_RECORDS_MAX } from '../../../core/limits.ts';
import { MillraceError } from '../../../core/errors.ts';
import type { FlowBuilder } from '../../../flow/builder.ts';
import { flow, skipTo } from '../../../flow/flow.ts';
import type { DeadLetter } from '../../../flow/plan.ts';
import type { Stream } from '../../../flow/streams.ts';

type Build = (f: FlowBuilder, numbers: Stream<number>) => void;

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

function run(
  values: readonly unknown[],
  build: Build,
  options: RunOptions = {},
): ReturnType<typeof runPlan> {
  const plan = flow('f', (f) => {
    build(f, f.read(memorySource(values)) as Stream<number>);
  }).plan();
  return runPlan(plan, options);
}

async function skipping(
  values: readonly unknown[],
  letters: MemorySink,
  build: Build,
  options: RunOptions & { readonly recordsMax?: number } = {},
): ReturnType<typeof runPlan> {
  const onError = skipTo(
    letters,
    options.recordsMax === undefined ? {} : { recordsMax: options.recordsMax },
  );
  const plan = flow('f', { onError }, (f) => {
    build(f, f.read(memorySource(values)) as Stream<number>);
  }).plan();
  return runPlan(plan, options);
}

async function failure(promise: Promise<unknown>): Promise<MillraceError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(MillraceError);
  return error as MillraceError;
}

const throwsAt =
  (bad: number) =>
  (n: number): number => {
    if (n === bad) throw new RangeError(`no ${n}`);
    return n;
  };

test('a function that throws: operator, position, value and its own error are named', async () => {
  const error = await failure(
    run(upTo(50), (_, numbers) => numbers.map(throwsAt(17)).write(memorySink()), {
      splitRecords: 7,
    }),
  );
  expect(error.code).toBe('ML_USER_FUNCTION');
  expect(error.message).toBe('map-1: RangeError: no 17, on the record at memory:18: 17');
  expect(error.cause).toBeInstanceOf(RangeError);
  expect(error.fields).toEqual({ operator: 'map-1', position: 'memory:18', record: '17' });
});

test('a promise that is rejected: the position is that of its record, not of the last one', async () => {
  const error = await failure(
    run(
      upTo(50),
      (_, numbers) =>
        numbers
          .map(async (n) => n)
          .filter((n) => throwsAt(17)(n) >= 0)
          .write(memorySink()),
      { splitRecords: 40 },
    ),
  );
  expect(error.message).toBe('filter-2: RangeError: no 17, on the record at memory:18: 17');
  const rejected = await failure(
    run(upTo(50), (_, numbers) => numbers.map(async (n) => throwsAt(17)(n)).write(memorySink())),
  );
  expect(rejected.message).toBe('map-1: RangeError: no 17, on the record at memory:18: 17');
});

test.each([
  [
    'aggregate',
    (stream: Stream<number>) =>
      stream
        .keyBy((n) => n % 3)
        .aggregate('sums', {
          init: () => 0,
          add: (sum, n) => sum + throwsAt(17)(n),
          merge: (a, b) => a + b,
        })
        .entries(),
  ],
  ['sort', (stream: Stream<number>) => stream.sort('sums', throwsAt(17))],
  ['top', (stream: Stream<number>) => stream.top('sums', 3, throwsAt(17))],
  [
    'reduce',
    (stream: Stream<number>) => stream.reduce('sums', (left, right) => left + throwsAt(17)(right)),
  ],
] as const)('%s names itself and the record when its function throws', async (_, build) => {
  const error = await failure(
    run(upTo(50), (__, numbers) => (build(numbers) as Stream<number>).write(memorySink())),
  );
  expect([error.code, error.message]).toEqual([
    'ML_USER_FUNCTION',
    'sums: RangeError: no 17, on the record at memory:18: 17',
  ]);
});

test('a group that throws names its key', async () => {
  const error = await failure(
    run(upTo(9), (_, numbers) =>
      numbers
        .groupBy((n) => `k${n % 3}`)
        .reduce('groups', (key) => {
          if (key === 'k1') throw new Error('no');
        })
        .write(memorySink()),
    ),
  );
  expect(error.message).toBe(`groups: Error: no, on the record at groups, key "k1": { key: 'k1' }`);
});

test('a key that cannot be one, and a value that cannot move, are errors of their record', async () => {
  const key = await failure(
    run(upTo(3), (_, numbers) =>
      numbers
        .keyBy((n) => (n === 1 ? ({} as never) : n))
        .count('counts')
        .entries()
        .write(memorySink()),
    ),
  );
  expect([key.code, key.fields['position']]).toEqual(['ML_KEY_INVALID', 'memory:2']);
  const value = await failure(
    run(upTo(3), (_, numbers) =>
      numbers
        .map((n) => (n === 1 ? () => n : n))
        .sort('sorted', () => 1)
        .write(memorySink()),
    ),
  );
  expect([value.code, value.fields['position']]).toEqual(['ML_VALUE_INVALID', 'memory:2']);
});

test('what a sink refuses is an error of its record', async () => {
  const sink = memorySink({
    refuses: (value) =>
      value === 4 ? new MillraceError('ML_SINK_VALUE_INVALID', 'not a line') : undefined,
  });
  const error = await failure(run(upTo(9), (_, numbers) => numbers.write(sink)));
  expect(error.message).toBe('write-1: not a line, in the record at memory:5: 4');
  const letters = memorySink();
  await skipping(upTo(9), letters, (_, numbers) => numbers.write(sink));
  expect([sink.values(), letters.values().length]).toEqual([[0, 1, 2, 3, 5, 6, 7, 8], 1]);
});

test('flatMap that returns nothing to iterate says so', async () => {
  const error = await failure(
    run(upTo(3), (_, numbers) => numbers.flatMap(() => undefined as never).write(memorySink())),
  );
  expect(error.message).toContain(
    'flatMap-1: the function returned undefined, which is not iterable',
  );
});

test('records that fail become dead letters; the others go on', async () => {
  const letters = memorySink();
  const sink = memorySink();
  const values = [0, 1, new Malformed(new Error('no number'), 'x'), 3, 4, 5];
  const { results } = await skipping(values, letters, (_, numbers) => {
    numbers
      .map(async (n) => throwsAt(1)(n))
      .flatMap(function* (n) {
        yield n;
        throwsAt(4)(n);
        yield n + 100;
      })
      .write(sink);
  });
  expect(sink.values()).toEqual([0, 100, 3, 103, 4, 5, 105]);
  const taken = letters.values() as DeadLetter[];
  expect(taken.toSorted((a, b) => (a.position < b.position ? -1 : 1))).toEqual([
    { record: 1, error: 'RangeError: no 1', operator: 'map-1', position: 'memory:2' },
    { record: 'x', error: 'no number', operator: 'read-0', position: 'memory:3' },
    { record: 4, error: 'RangeError: no 4', operator: 'flatMap-2', position: 'memory:5' },
  ]);
  expect(results[0]?.[0]?.skipped).toMatchObject({ records: 3, parts: [{ records: 3 }] });
});

test('dead letters of a function that fails now and later are in the order of the records', async () => {
  const letters = memorySink();
  await skipping(upTo(6), letters, (_, numbers) => {
    numbers
      .map((n) => {
        if (n % 3 === 0) throw new Error('now');
        return n % 3 === 1 ? Promise.reject(new Error('later')) : n;
      })
      .write(memorySink());
  });
  expect((letters.values() as DeadLetter[]).map(({ record }) => record)).toEqual([0, 1, 3, 4]);
});

test('a record that fails leaves no key behind', async () => {
  const sink = memorySink();
  await skipping(upTo(6), memorySink(), (_, numbers) => {
    numbers
      .keyBy((n) => n)
      .aggregate('sums', {
        init: () => 0,
        add: (sum, n) => sum + throwsAt(3)(n),
        merge: (a, b) => a + b,
      })
      .entries()
      .map(({ key }) => key)
      .write(sink);
  });
  expect(sink.values()).toEqual([0, 1, 2, 4, 5]);
});

test('more dead letters than may be end the run', async () => {
  const error = await failure(
    skipping(
      upTo(9),
      memorySink(),
      (_, numbers) => {
        numbers
          .map((n) => {
            if (n % 2 === 0) throw new Error(`even ${n}`);
            return n;
          })
          .write(memorySink());
      },
      { recordsMax: 3, splitRecords: 2 },
    ),
  );
  expect(error.code).toBe('ML_TOO_MANY_SKIPPED');
  expect(error.message).toContain('memory:7');
});

test('promises are started together up to a bound, and keep the order', async () => {
  const { timers } = realEnv();
  let pending = 0;
  let pendingMax = 0;
  const sink = memorySink({ busyAfter: 3 });
  await run(upTo(2_000), (_, numbers) => {
    numbers
      .flatMap((n) => [n, n])
      .map(async (n) => {
        pendingMax = Math.max(pendingMax, ++pending);
        for (let turn = 0; turn <= (n * 7) % 3; turn++)
          await new Promise<void>((resolve) => {
            timers.immediate(resolve);
          });
        pending--;
        return n;
      })
      .write(sink);
  });
  expect(sink.values()).toEqual(upTo(2_000).flatMap((n) => [n, n]));
  expect(pendingMax).toBe(ASYNC_RECORDS_MAX);
});

test('a task reads all of its splits, and knows the places of records that wait', async () => {
  const sink = memorySink();
  const options = { splitRecords: 3, packRecords: 10 };
  const { results } = await run(
    upTo(20),
    (_, numbers) => numbers.map(async (n) => n).write(sink),
    options,
  );
  expect([results[0]?.length, sink.values()]).toEqual([3, upTo(20)]);
  const error = await failure(
    run(
      upTo(20),
      (_, numbers) => numbers.map(async (n) => throwsAt(4)(n)).write(memorySink()),
      options,
    ),
  );
  expect(error.fields['position']).toBe('memory:5');
});

test('a row with many matches in a broadcast is joined piece by piece while promises are pending', async () => {
  const sink = memorySink({ busyAfter: 7 });
  const perKey = ASYNC_RECORDS_MAX + 50;
  await run(upTo(3 * perKey), (_, numbers) => {
    numbers
      .filter((n) => n < 3)
      .keyBy((n) => n)
      .join(
        'pairs',
        numbers.keyBy((n) => n % 3),
        async (left, right) => [left, right],
        { strategy: 'broadcast-hash' },
      )
      .values()
      .write(sink);
  });
  const expected = upTo(3).flatMap((left) => upTo(perKey).map((at) => [left, 3 * at + left]));
  expect(sink.values()).toEqual(expected);
});

test('a group whose function returns a promise holds up the next one', async () => {
  const order: string[] = [];
  await run(upTo(9), (_, numbers) => {
    numbers
      .groupBy((n) => n % 3)
      .reduce('groups', async (key, values, emit: (n: number) => void) => {
        order.push(`begin ${key}`);
        for (const n of values) {
          await Promise.resolve();
          emit(n);
        }
        order.push(`end ${key}`);
      })
      .write(memorySink({ busyAfter: 1 }));
  });
  expect(order).toEqual(['begin 0', 'end 0', 'begin 1', 'end 1', 'begin 2', 'end 2']);
});

test('emit after the function has returned is refused', async () => {
  let late: ((n: number) => void) | undefined;
  await run(upTo(3), (_, numbers) => {
    numbers
      .groupBy(() => 'k')
      .reduce('groups', (_key, _values, emit: (n: number) => void) => {
        late = emit;
      })
      .write(memorySink());
  });
  expect(() => late?.(1)).toThrow('emit was called after the function had returned');
});

test('a task that fails closes what it has opened', async () => {
  const sinks = [memorySink(), memorySink()];
  const letters = memorySink();
  await failure(
    skipping(
      upTo(9),
      letters,
      (_, numbers) => {
        for (const sink of sinks) numbers.map(throwsAt(3)).write(sink);
      },
      { recordsMax: 0 },
    ),
  );
  await failure(
    run(upTo(9), (_, numbers) => numbers.map(throwsAt(3)).write(sinks[0] ?? memorySink())),
  );
  expect([...sinks, letters].map((sink) => sink.open())).toEqual([0, 0, 0]);
});

test('an accumulator that cannot move is named by its key', async () => {
  const build: Build = (_, numbers) => {
    numbers
      .keyBy((n) => n % 2)
      .aggregate('odd', {
        init: (): unknown => 0,
        add: (_sum, n) => (n % 2 === 0 ? n : () => n),
        merge: (a) => a,
      })
      .entries()
      .write(memorySink());
  };
  const error = await failure(run(upTo(4), build));
  expect([error.code, error.fields['position']]).toEqual(['ML_VALUE_INVALID', 'key 1']);
  const letters = memorySink();
  await skipping(upTo(4), letters, build);
  expect(letters.values()).toMatchObject([{ record: 1, operator: 'odd' }]);
});

test('a record that the sink of dead letters does not take is text there', async () => {
  const letters = memorySink({
    refuses: (value) =>
      typeof (value as DeadLetter).record === 'string'
        ? undefined
        : new MillraceError('ML_SINK_VALUE_INVALID', 'only text'),
  });
  await skipping(upTo(4), letters, (_, numbers) => numbers.map(throwsAt(2)).write(memorySink()));
  expect(letters.values()).toMatchObject([{ record: '2' }]);
});

test('counters count in the attempt that ran', async () => {
  const sink = memorySink();
  const { results } = await run(
    upTo(10),
    (f, numbers) => {
      const even = f.counter('even');
      numbers
        .tap((n) => {
          if (n % 2 === 0) even.add();
        })
        .write(sink);
    },
    { splitRecords: 5 },
  );
  expect(results[0]?.map(({ counters }) => counters)).toEqual([{ even: 3 }, { even: 2 }]);
});

test('a task that is cancelled ends, though its input never does', async () => {
  const cancel = new AbortController();
  let read = 0;
  const error = await failure(
    run(
      upTo(1_000_000),
      (_, numbers) => {
        numbers
          .tap(() => {
            if (++read === 1_000) cancel.abort();
          })
          .write(memorySink());
      },
      { signal: cancel.signal },
    ),
  );
  expect(error.code).toBe('ML_ABORTED');
  expect(read).toBeLessThan(2_000);
});

test('a task counts what it read and wrote', async () => {
  const { results } = await run(upTo(100), (_, numbers) => {
    numbers
      .keyBy((n) => n % 10)
      .count('counts')
      .entries()
      .write(memorySink());
  });
  expect(results[0]?.[0]?.metrics).toMatchObject({ recordsIn: 100, bytesIn: 100, recordsOut: 10 });
  expect(results[1]?.[0]?.metrics).toMatchObject({ recordsIn: 10, recordsOut: 10 });
});

test('a whole stream is aggregated even when it is empty', async () => {
  const sink = memorySink();
  await run([], (_, numbers) => numbers.count('count').write(sink), { splitRecords: 3 });
  expect(sink.values()).toEqual([0]);
});

test('a sample is the same however the input is cut, and has about its share', async () => {
  const samples = [];
  for (const splitRecords of [10_000, 977, 13]) {
    const sink = memorySink();
    await run(upTo(10_000), (_, numbers) => numbers.sample(0.3, { seed: 5 }).write(sink), {
      splitRecords,
    });
    samples.push(sink.values());
  }
  expect(samples[1]).toEqual(samples[0]);
  expect(samples[2]).toEqual(samples[0]);
  expect(samples[0]?.length).toBeGreaterThan(2_700);
  expect(samples[0]?.length).toBeLessThan(3_300);
});

test('few bytes of memory: tables and writers spill, and what is held stays within bounds', async () => {
  const memoryBytes = 256 * 1024;
  const sink = memorySink();
  const { results } = await run(
    upTo(60_000).map((n) => (n * 7919) % 60_000),
    (_, numbers) => {
      numbers
        .keyBy((n) => `key ${n % 20_000}`)
        .aggregate('lists', {
          init: (): number[] => [],
          add: (list, n) => [...list, n],
          merge: (a, b) => [...a, ...b],
        })
        .entries()
        .write(sink);
    },
    { memoryBytes, partitions: 3 },
  );
  const metrics = results[0]?.[0]?.metrics;
  expect(metrics?.spills).toBeGreaterThan(3);
  expect(metrics?.memoryBytesMax).toBeLessThanOrEqual(memoryBytes);
  const lists = new Map(
    (sink.values() as { key: string; value: number[] }[]).map(({ key, value }) => [key, value]),
  );
  expect(lists.size).toBe(20_000);
  expect(lists.get('key 1')?.toSorted((a, b) => a - b)).toEqual([1, 20_001, 40_001]);
});

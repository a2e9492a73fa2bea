/** Stages and attempts, with tasks that do nothing but end as the test says. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MillraceError } from '../../../core/errors.ts';
import type { JobEvent } from './job-events.ts';
import { mayEndOtherwise, runStages, type ScheduleOptions, type StageResults } from './schedule.ts';
import type { Exchange, Stage, StageGraph, TaskResult, TaskSpec } from '../stage.ts';
import type { AttemptHooks, TaskRunner } from './task-runner.ts';

const LOST = new MillraceError('ML_WORKER_LOST', 'worker 1 was ended by SIGKILL');
const BAD = new MillraceError('ML_INPUT_MALFORMED', 'a.csv:3: no number');

/** Stages with the stages that they read from: `[[], [0], [0, 1]]`. */
function graphOf(inputs: readonly (readonly number[])[]): StageGraph {
  const exchanges: Exchange[] = [];
  const stages = inputs.map((producers, id): Stage => {
    const exchangesIn = producers.map((producer, input) => {
      exchanges.push({
        id: exchanges.length,
        name: `from-${producer}-to-${id}`,
        node: id,
        input,
        producers: [producer],
        consumers: [id],
        kind: 'hash',
        partitions: 1,
        isSorted: true,
        isCombined: false,
      });
      return exchanges.length - 1;
    });
    return {
      id,
      label: `stage ${id}`,
      nodes: [id],
      sources: [],
      exchangesIn,
      broadcastsIn: [],
      exchangesOut: [],
      writes: [],
      steps: [],
      isSingle: false,
      joins: [],
    };
  });
  return { stages, exchanges };
}

function resultOf(name: string, skipped = 0): TaskResult {
  return {
    exchanges: [],
    writes: [],
    skipped: { records: skipped, parts: [] },
    counters: { [name]: 1 },
    metrics: {
      recordsIn: 0,
      bytesIn: 0,
      recordsOut: 0,
      bytesOut: 0,
      spills: 0,
      spilledBytes: 0,
      memoryBytesMax: 0,
      elapsedMs: 0,
    },
  };
}

type Attempt = (spec: TaskSpec, hooks: AttemptHooks) => Promise<TaskResult>;

class FakeRunner implements TaskRunner {
  readonly slots: number;
  running = 0;
  runningMax = 0;
  isCancelled = false;
  readonly started: string[] = [];
  readonly #attempt: Attempt;
  readonly #cancelled: Promise<never>;
  cancel: () => void = () => {};

  constructor(slots: number, attempt: Attempt) {
    this.slots = slots;
    this.#attempt = attempt;
    this.#cancelled = new Promise((_resolve, reject) => {
      this.cancel = () => {
        this.isCancelled = true;
        reject(new MillraceError('ML_ABORTED', 'cancelled'));
      };
    });
    this.#cancelled.catch(() => {});
  }

  async run(spec: TaskSpec, hooks: AttemptHooks): Promise<TaskResult> {
    this.started.push(nameOf(spec));
    this.runningMax = Math.max(this.runningMax, ++this.running);
    try {
      hooks.started({ worker: 1, pid: 1 });
      return await Promise.race([this.#attempt(spec, hooks), this.#cancelled]);
    } finally {
      this.running--;
    }
  }
}

/** `stage.task`, and `+n` for the attempts after the first. */
function nameOf({ stage, task, attempt }: Pick<TaskSpec, 'stage' | 'task' | 'attempt'>): string {
  return `${stage}.${task}${attempt === 0 ? '' : `+${attempt}`}`;
}

interface Run {
  readonly results: Promise<StageResults>;
  readonly runner: FakeRunner;
  readonly events: JobEvent[];
  /** Attempts whose directories were made, and removed. */
  readonly prepared: string[];
  readonly discarded: string[];
  readonly released: number[];
  readonly cancel: AbortController;
}

function start(
  inputs: readonly (readonly number[])[],
  tasks: number,
  attempt: Attempt,
  options: Partial<ScheduleOptions> & { readonly slots?: number } = {},
): Run {
  const runner = new FakeRunner(options.slots ?? 2, attempt);
  const events: JobEvent[] = [];
  const prepared: string[] = [];
  const discarded: string[] = [];
  const released: number[] = [];
  const cancel = new AbortController();
  const results = runStages({
    graph: graphOf(inputs),
    tasksOf: (stage) =>
      Array.from({ length: tasks }, (_, task) => ({
        stage: stage.id,
        task,
        splits: [],
        reads: [],
        broadcasts: [],
        writes: [],
        memoryBytes: 1,
      })),
    prepare: (task, number, skippedRecordsMax) => {
      const spec = {
        ...task,
        attempt: number,
        directory: '',
        writes: [],
        skippedDirectory: undefined,
        skippedRecordsMax,
      };
      prepared.push(nameOf(spec));
      return Promise.resolve(spec);
    },
    discard: (spec) => {
      discarded.push(nameOf(spec));
      return Promise.resolve();
    },
    release: ({ id }) => {
      released.push(id);
    },
    runner,
    attemptsMax: 4,
    skippedRecordsMax: undefined,
    onEvent: (event) => {
      events.push(event);
    },
    signal: cancel.signal,
    ...options,
  });
  results.catch(() => {});
  return { results, runner, events, prepared, discarded, released, cancel };
}

const succeed: Attempt = (spec) => Promise.resolve(resultOf(nameOf(spec)));

/** Resolves when everything that can happen without it has happened. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** A runner whose attempts end when the test says so. */
function byHand(): {
  readonly attempt: Attempt;
  finish(name: string, result?: TaskResult | Error): Promise<void>;
} {
  const waiting = new Map<string, (result: TaskResult | Error) => void>();
  return {
    attempt: (spec) =>
      new Promise((resolve, reject) => {
        waiting.set(nameOf(spec), (result) => {
          if (result instanceof Error) reject(result);
          else resolve(result);
        });
      }),
    finish: async (name, result = resultOf(name)) => {
      const settle = waiting.get(name);
      expect(settle, `${name} runs`).toBeDefined();
      waiting.delete(name);
      settle?.(result);
      await turn();
    },
  };
}

describe('order', () => {
  test('results are in task order, whatever the order in which they come', async () => {
    const hand = byHand();
    const { results } = start([[]], 3, hand.attempt, { slots: 3 });
    await turn();
    for (const name of ['0.2', '0.0', '0.1']) await hand.finish(name);
    expect((await results)[0]?.map(({ counters }) => Object.keys(counters)[0])).toEqual([
      '0.0',
      '0.1',
      '0.2',
    ]);
  });

  test('a stage waits for all that it reads, and no longer', async () => {
    const hand = byHand();
    const { runner, results } = start([[], [], [0, 1], [0]], 1, hand.attempt, { slots: 4 });
    await turn();
    expect(runner.started).toEqual(['0.0', '1.0']);
    await hand.finish('0.0');
    expect(runner.started).toEqual(['0.0', '1.0', '3.0']);
    await hand.finish('1.0');
    expect(runner.started).toEqual(['0.0', '1.0', '3.0', '2.0']);
    await hand.finish('2.0');
    await hand.finish('3.0');
    await results;
  });

  test('no more attempts run than there are slots, and none stays empty while there is work', async () => {
    const hand = byHand();
    const { runner, results } = start([[], []], 3, hand.attempt, { slots: 2 });
    await turn();
    for (const name of ['0.0', '0.1', '0.2', '1.0', '1.1', '1.2']) {
      expect(runner.running).toBe(name === '1.2' ? 1 : 2);
      await hand.finish(name);
    }
    await results;
    expect(runner.runningMax).toBe(2);
  });

  test('what a stage has sent is released when its last reader is done', async () => {
    const hand = byHand();
    const { released, results } = start([[], [0], [0]], 1, hand.attempt);
    await turn();
    await hand.finish('0.0');
    await hand.finish('1.0');
    expect(released).toEqual([]);
    await hand.finish('2.0');
    expect(released).toEqual([0]);
    await results;
  });
});

describe('failures', () => {
  test('a lost worker costs one attempt, whose directories are removed', async () => {
    const { results, prepared, discarded, events } = start([[], [0]], 2, (spec, hooks) =>
      spec.task === 1 && spec.attempt < 2 ? Promise.reject(LOST) : succeed(spec, hooks),
    );
    const all = await results;
    expect(Object.keys(all[0]?.[1]?.counters ?? {})).toEqual(['0.1+2']);
    expect(discarded).toEqual(['0.1', '0.1+1', '1.1', '1.1+1']);
    expect(prepared.filter((name) => name.startsWith('0.1'))).toEqual(['0.1', '0.1+1', '0.1+2']);
    expect(events.filter(({ kind }) => kind === 'taskFailed')).toHaveLength(4);
  });

  test('the fourth failure is the last, and names the cause', async () => {
    const { results, runner } = start([[]], 1, () => Promise.reject(LOST));
    await expect(results).rejects.toMatchObject({
      code: 'ML_TASK_FAILED',
      cause: LOST,
      message: "task 0 of 'stage 0' failed 4 times; the last time: worker 1 was ended by SIGKILL",
    });
    expect(runner.started).toEqual(['0.0', '0.0+1', '0.0+2', '0.0+3']);
  });

  test('what fails the same way each time is not tried again', async () => {
    const { results, runner } = start([[]], 1, () => Promise.reject(BAD));
    await expect(results).rejects.toBe(BAD);
    expect(runner.started).toEqual(['0.0']);
  });

  test('the first failure cancels the others, and nothing is started any more', async () => {
    const hand = byHand();
    const { results, runner } = start([[], [0]], 3, hand.attempt);
    await turn();
    await hand.finish('0.1', BAD);
    await expect(results).rejects.toBe(BAD);
    expect(runner.isCancelled).toBe(true);
    expect(runner.running).toBe(0);
    expect(runner.started).toEqual(['0.0', '0.1']);
  });

  test.each([
    [LOST, true],
    [new MillraceError('ML_IO', 'read failed'), true],
    [new MillraceError('ML_TOO_MANY_FILES', 'no descriptor'), true],
    [new MillraceError('ML_DISK_FULL', 'no space'), false],
    [new MillraceError('ML_USER_FUNCTION', 'map threw', { cause: new Error('no') }), false],
    [
      new MillraceError('ML_USER_FUNCTION', 'map threw', {
        cause: Object.assign(new Error('busy'), { retriable: true }),
      }),
      true,
    ],
    [BAD, false],
    [new TypeError('a bug'), false],
  ])('%s: another attempt may end otherwise: %s', (error, expected) => {
    expect(mayEndOtherwise(error)).toBe(expected);
  });

  test('a failure to make or to plan tasks is the job’s', async () => {
    const failed = new MillraceError('ML_DISK_FULL', 'no space');
    const prepare = start([[]], 1, succeed, { prepare: () => Promise.reject(failed) });
    await expect(prepare.results).rejects.toBe(failed);
    const plan = start([[], [0]], 1, succeed, {
      tasksOf: () => {
        throw failed;
      },
    });
    await expect(plan.results).rejects.toBe(failed);
  });
});

describe('cancellation', () => {
  test('ends what runs and starts nothing', async () => {
    const hand = byHand();
    const { results, runner, cancel } = start([[]], 3, hand.attempt);
    await turn();
    cancel.abort();
    await expect(results).rejects.toMatchObject({ code: 'ML_ABORTED' });
    expect(runner.started).toEqual(['0.0', '0.1']);
    expect(runner.isCancelled).toBe(true);
  });

  test('before the beginning runs nothing', async () => {
    const signal = AbortSignal.abort();
    const { results, runner } = start([[]], 1, succeed, { signal });
    await expect(results).rejects.toMatchObject({ code: 'ML_ABORTED' });
    expect(runner.started).toEqual([]);
  });
});

describe('skipped records', () => {
  const skipTwo: Attempt = (spec) => Promise.resolve(resultOf(nameOf(spec), 2));

  test('up to the limit of the job are allowed, and later tasks know how many are left', async () => {
    const left: number[] = [];
    const { results } = start(
      [[]],
      3,
      (spec, hooks) => {
        left.push(spec.skippedRecordsMax);
        return skipTwo(spec, hooks);
      },
      { slots: 1, skippedRecordsMax: 6 },
    );
    await results;
    expect(left).toEqual([6, 4, 2]);
  });

  test('beyond it fail the job, though each task kept to it', async () => {
    const { results } = start([[]], 3, skipTwo, { slots: 3, skippedRecordsMax: 5 });
    await expect(results).rejects.toMatchObject({ code: 'ML_TOO_MANY_SKIPPED' });
  });
});

test('any graph with any failures gives each task the result of one attempt', async () => {
  const graph = fc
    .array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 6 })
    .map((inputs) =>
      inputs.map((from, id) => (id === 0 ? [] : [...new Set(from.map((each) => each % id))])),
    );
  await fc.assert(
    fc.asyncProperty(
      graph,
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.nat(3), { minLength: 24, maxLength: 24 }),
      fc.scheduler(),
      async (inputs, tasks, slots, failures, order) => {
        const { results, discarded, runner } = start(
          inputs,
          tasks,
          async (spec, hooks) => {
            await order.schedule(Promise.resolve());
            const failing = failures[spec.stage * 4 + spec.task] ?? 0;
            if (spec.attempt < failing) throw LOST;
            return succeed(spec, hooks);
          },
          { slots },
        );
        await order.waitFor(results);
        const all = await results;
        const expected = inputs.map((_, stage) =>
          Array.from({ length: tasks }, (_each, task) =>
            nameOf({ stage, task, attempt: failures[stage * 4 + task] ?? 0 }),
          ),
        );
        const got = inputs.map((_, stage) =>
          (all[stage] ?? []).map(({ counters }) => Object.keys(counters)[0]),
        );
        expect(got).toEqual(expected);
        expect(new Set(runner.started).size).toBe(runner.started.length);
        expect(discarded.length).toBe(runner.started.length - inputs.length * tasks);
      },
    ),
    { numRuns: 200 },
  );
});

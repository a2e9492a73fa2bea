/** What workers do with messages, on a broker in memory and a clock that runs when nothing else does. */
import { expect, test, vi } from 'vitest';
import { queue } from '../../../src/connect/queues/queue.ts';
import type { Env } from '../../../src/core/env.ts';
import { MillraceError } from '../../../src/core/errors.ts';
import { silentLogger } from '../../../src/core/log.ts';
import { SimMachine } from '../../../src/core/sim/sim-machine.ts';
import { OpenQueue } from '../../../src/door/queues/open-queue.ts';
import { QueueLink } from '../../../src/door/queues/queue-link.ts';
import type {
  Handler,
  QueueWorker,
  WorkFailure,
  WorkOptions,
} from '../../../src/door/queues/queue.ts';
import { DoNotRetry } from '../../../src/door/queues/retry.ts';
import { FakeQueues } from './fake-queues.ts';

interface World {
  readonly env: Env;
  readonly broker: FakeQueues;
  readonly jobs: OpenQueue;
  readonly failures: WorkFailure<unknown>[];
  readonly work: (handler: Handler<unknown>, options?: WorkOptions) => QueueWorker;
  readonly until: (isDone: () => boolean) => Promise<void>;
}

function withQueues(program: (world: World) => Promise<void>): Promise<void> {
  const machine = new SimMachine(1);
  const env = machine.boot();
  const broker = new FakeQueues(env);
  const link = new QueueLink({ env, connect: broker.connect });
  const ground = { env, logger: silentLogger, link, onWorker: () => {} };
  const jobs = new OpenQueue(ground, queue('jobs').spec);
  const failures: WorkFailure<unknown>[] = [];
  const until = async (isDone: () => boolean): Promise<void> => {
    while (!isDone()) await env.timers.sleep(10);
  };
  return machine.run(
    program({
      env,
      broker,
      jobs,
      failures,
      until,
      work: (handler, options = {}) =>
        jobs.work(handler, { onFailure: (failure) => failures.push(failure), ...options }),
    }),
  );
}

test('a message is done when its handler has come back', () =>
  withQueues(async ({ broker, work, until, env }) => {
    const seen: unknown[] = [];
    const signals: AbortSignal[] = [];
    const worker = work(
      async (value, { attempt, id, priority, signal }) => {
        await env.timers.sleep(5);
        signals.push(signal);
        seen.push([value, attempt, id, priority]);
      },
      { timeout: '1s' },
    );
    broker.put('jobs', { n: 1 }, { id: 'a', priority: 3 });
    broker.put('jobs', { n: 2 }, { id: 'b' });
    await until(() => worker.stats().handled === 2);
    expect(seen).toEqual([
      [{ n: 1 }, 1, 'a', 3],
      [{ n: 2 }, 1, 'b', 0],
    ]);
    await worker.stop();
    expect(broker.said).toEqual(['ack 1', 'ack 2']);
    await worker.done;
    // What is done is not told that it takes too long.
    await env.timers.sleep(5_000);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false]);
  }));

test('no more run at a time than it may, and no more are taken', () =>
  withQueues(async ({ broker, work, until, env }) => {
    let running = 0;
    let most = 0;
    const worker = work(
      async () => {
        most = Math.max(most, ++running);
        await env.timers.sleep(20);
        running--;
      },
      { concurrency: 3, prefetch: 5 },
    );
    for (let n = 0; n < 20; n++) broker.put('jobs', n);
    await until(() => running === 3);
    expect(worker.stats()).toMatchObject({ running: 3, waiting: 2 });
    await until(() => worker.stats().handled === 20);
    expect(most).toBe(3);
    await worker.stop();
  }));

test('what fails comes again, later each time, and is a dead letter in the end', () =>
  withQueues(async ({ broker, work, until, env, failures }) => {
    const times: number[] = [];
    const started = env.clock.nowMs();
    const worker = work(
      () => {
        times.push(env.clock.nowMs() - started);
        throw new Error('no');
      },
      { retry: { attempts: 4, delay: '1s', maxDelay: '3s', jitter: 0 } },
    );
    broker.put('jobs', 'x', { id: 'm' });
    await until(() => worker.stats().dead === 1);
    expect(failures.map(({ attempt, outcome, delayMs }) => [attempt, outcome, delayMs])).toEqual([
      [1, 'retry', 1_000],
      [2, 'retry', 2_000],
      [3, 'retry', 3_000],
      [4, 'dead', 0],
    ]);
    expect(times[3]).toBeGreaterThanOrEqual(6_000);
    expect(worker.stats()).toMatchObject({ handled: 0, failed: 4, dead: 1 });
    expect(broker.ready.get('jobs.dead')).toHaveLength(1);
    await worker.stop();
  }));

test('what is not to be tried again is not, by its error or by the program', () =>
  withQueues(async ({ broker, work, until, failures }) => {
    const worker = work(
      (value) => {
        throw value === 'gone' ? new DoNotRetry('nobody there') : new TypeError('no');
      },
      { retry: { retryIf: ({ error }) => !(error instanceof TypeError) } },
    );
    broker.put('jobs', 'gone');
    broker.put('jobs', 'other');
    await until(() => worker.stats().dead === 2);
    expect(failures.map(({ outcome }) => outcome)).toEqual(['dead', 'dead']);
    await worker.stop();
  }));

test('what cannot be decoded is a dead letter at once', () =>
  withQueues(async ({ broker, work, until, failures }) => {
    let calls = 0;
    const worker = work(() => calls++);
    broker.add('jobs', {
      body: Buffer.from('{'),
      facts: {
        id: undefined,
        key: undefined,
        priority: 0,
        enqueuedAtMs: undefined,
        deliveryCount: 0,
        headers: {},
        contentType: undefined,
      },
      count: 0,
      readyMs: 0,
    });
    await until(() => worker.stats().dead === 1);
    expect(calls).toBe(0);
    expect(failures[0]?.error).toMatchObject({ code: 'ML_INPUT_MALFORMED' });
    await worker.stop();
  }));

test('what takes too long is told so, counts as a failure, and its place is free', () =>
  withQueues(async ({ broker, work, until, env, failures }) => {
    const aborted: unknown[] = [];
    const worker = work(
      async (value, { signal, attempt }) => {
        signal.addEventListener('abort', () => aborted.push(signal.reason));
        if (value === 'slow' && attempt === 1) await env.timers.sleep(10_000);
      },
      { timeout: '1s', retry: { delay: '100ms', jitter: 0 } },
    );
    broker.put('jobs', 'slow');
    broker.put('jobs', 'fast');
    await until(() => worker.stats().handled === 2);
    expect(failures[0]).toMatchObject({
      outcome: 'retry',
      error: { code: 'ML_WORK_TIMEOUT' },
    });
    expect(aborted).toHaveLength(1);
    // The first call comes back in the end, and changes nothing.
    await env.timers.sleep(20_000);
    expect(worker.stats()).toMatchObject({ handled: 2, failed: 1 });
    expect(broker.stale).toBe(0);
    await worker.stop();
  }));

test('a worker that stops waits for what runs, and gives back the rest', () =>
  withQueues(async ({ broker, work, until, env }) => {
    const done: unknown[] = [];
    const worker = work(
      async (value) => {
        await env.timers.sleep(1_000);
        done.push(value);
      },
      { prefetch: 3 },
    );
    for (const n of [1, 2, 3, 4]) broker.put('jobs', n);
    await until(() => worker.stats().waiting === 2);
    await worker.stop();
    await worker.done;
    expect(done).toEqual([1]);
    expect(broker.said.slice(0, 3).toSorted()).toEqual(['ack 1', 'release 2 0', 'release 3 0']);
    expect(broker.ready.get('jobs')).toHaveLength(3);
  }));

test('a handler that does not come back holds up the end no longer than that', () =>
  withQueues(async ({ broker, work, until, env }) => {
    let reason: unknown;
    const worker = work(async (_, { signal }) => {
      signal.addEventListener('abort', () => (reason = signal.reason));
      await env.timers.sleep(3_600_000);
    });
    broker.put('jobs', 1);
    await until(() => worker.stats().running === 1);
    const before = env.clock.monotonicMs();
    await worker.stop({ within: '2s' });
    expect(env.clock.monotonicMs() - before).toBeLessThan(10_000);
    expect(reason).toMatchObject({ code: 'ML_ABORTED' });
    expect(broker.said).toEqual(['release 1 0']);
  }));

test('a lost connection is made again, and what was being handled is settled nowhere', () =>
  withQueues(async ({ broker, work, until, env }) => {
    const calls: (readonly [unknown, number])[] = [];
    const reasons: unknown[] = [];
    const worker = work(async (value, { attempt, signal }) => {
      calls.push([value, attempt]);
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      if (attempt === 1) await env.timers.sleep(1_000);
    });
    broker.put('jobs', 'x');
    await until(() => calls.length === 1);
    broker.refusals = 4;
    broker.cut();
    expect(reasons).toMatchObject([{ code: 'ML_ABORTED' }]);
    await until(() => worker.stats().handled === 1);
    await env.timers.sleep(5_000);
    expect(calls).toEqual([
      ['x', 1],
      ['x', 2],
    ]);
    expect(broker.stale).toBe(0);
    expect(worker.stats()).toMatchObject({ handled: 1, lost: 1, failed: 0 });
    await worker.stop();
  }));

test('a queue that is deleted ends its workers', () =>
  withQueues(async ({ broker, work }) => {
    const worker = work(() => {});
    await worker.ready;
    broker.cut(new MillraceError('ML_QUEUE_MISSING', 'queue jobs was deleted'));
    await expect(worker.done).rejects.toMatchObject({ code: 'ML_QUEUE_MISSING' });
    await worker.stop();
  }));

test('a worker that is told to stop while nobody answers does', () =>
  withQueues(async ({ broker, work, env }) => {
    broker.refusals = Infinity;
    const stop = new AbortController();
    const worker = work(() => {}, { signal: stop.signal });
    await env.timers.sleep(500);
    stop.abort();
    await worker.done;
    await expect(worker.ready).rejects.toMatchObject({ code: 'ML_ABORTED' });
  }));

test.each([
  [{ concurrency: 0 }, /concurrency is 0/],
  [{ concurrency: 5, prefetch: 4 }, /prefetch is 4, and must be an integer from 5/],
  [{ timeout: '1 hour' }, /gives a message to another worker after 1800000 ms/],
  [{ retry: { attempts: 0 } }, /retry.attempts is 0/],
  [{ retry: { jitter: 2 } }, /retry.jitter is 2/],
  [{ retry: { delay: 'soon' } }, /retry.delay is "soon"/],
  [{ concurency: 3 }, /a worker has no option 'concurency': did you mean 'concurrency'\?/],
  [{ retry: { attempt: 3 } }, /retry has no option 'attempt': did you mean 'attempts'\?/],
  [null, /a worker takes its options as an object, and not null/],
] as const)('options that cannot be are refused: %j', (options, message) =>
  withQueues(async ({ jobs }) => {
    const start = (): unknown => jobs.work(() => {}, options as unknown as WorkOptions);
    expect(start).toThrow(message);
    expect(start).toThrow(MillraceError);
  }),
);

test('a worker that begins after its queue was deleted makes it anew', () =>
  withQueues(async ({ broker, work, until }) => {
    const first = work(() => {});
    await first.ready;
    broker.remove('jobs');
    await expect(first.done).rejects.toMatchObject({ code: 'ML_QUEUE_MISSING' });
    const second = work(() => {});
    await second.ready;
    broker.put('jobs', 1);
    await until(() => second.stats().handled === 1);
    // Also when nobody was there to be told.
    await second.stop();
    broker.remove('jobs');
    const third = work(() => {});
    await third.ready;
    broker.put('jobs', 1);
    await until(() => third.stats().handled === 1);
    await third.stop();
  }));

test('a signal that outlives workers keeps nothing of them', () =>
  withQueues(async ({ work }) => {
    const { signal } = new AbortController();
    const added = vi.spyOn(signal, 'addEventListener');
    const removed = vi.spyOn(signal, 'removeEventListener');
    for (let i = 0; i < 3; i++) await work(() => {}, { signal }).stop();
    expect(added).toHaveBeenCalledTimes(3);
    expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(
      added.mock.calls.map(([, listener]) => listener),
    );
  }));

test('what onFailure rejects with is logged', () =>
  withQueues(async ({ broker, work, until }) => {
    const worker = work(() => Promise.reject(new Error('no')), {
      retry: { attempts: 1 },
      onFailure: (() => Promise.reject(new Error('unseen'))) as unknown as () => void,
    });
    broker.put('jobs', 1);
    await until(() => worker.stats().dead === 1);
    await worker.stop();
  }));

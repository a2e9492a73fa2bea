/** Queues through the front door. */
import { expect, test } from 'vitest';
import {
  bytes,
  DoNotRetry,
  type HandlerContext,
  json,
  type Queue,
  queue,
  type QueueWorker,
  topic,
} from '../../../src/index.ts';
import { describeQueueDoors } from './queue-doors.ts';

interface Job {
  readonly n: number;
}

const QUIET = { onFailure: () => {} };

/** Resolves when the worker has handled, or given up, so many. */
async function handled(worker: QueueWorker, count: number): Promise<void> {
  while (worker.stats().handled + worker.stats().dead < count) await turn();
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 2);
  });
}

async function until(isDone: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isDone())) await turn();
}

describeQueueDoors('a queue', ({ millrace, other, name }) => {
  test('gives messages to its worker, in order, with what was said of them', async () => {
    const jobs = millrace().queue(name('jobs'), { value: json<Job>() });
    const before = Date.now();
    const { id } = await jobs.enqueue(
      { n: 1 },
      { key: 'k', headers: { source: 'test', retries: 3, isLast: false } },
    );
    await jobs.enqueueMany([{ value: { n: 2 }, id: 'mine' }, { value: { n: 3 } }]);
    const seen: { readonly n: number; readonly context: HandlerContext }[] = [];
    await using worker = jobs.work(({ n }, context) => seen.push({ n, context }));
    await handled(worker, 3);
    expect(seen.map(({ n }) => n)).toEqual([1, 2, 3]);
    expect(seen[0]?.context).toMatchObject({
      id,
      key: 'k',
      attempt: 1,
      priority: 0,
      headers: { source: 'test', retries: 3, isLast: false },
    });
    expect(seen[1]?.context.id).toBe('mine');
    expect(seen[0]?.context.enqueuedAt?.getTime()).toBeGreaterThanOrEqual(before);
    await until(async () => (await jobs.size()) === 0);
  });

  test('is found by others as it is, also when they say nothing of it', async () => {
    const called = name('shared');
    await millrace().queue(called, { maxLength: 10, keyOrdered: true }).enqueue('x');
    expect(await other().queue(called).stats()).toMatchObject({ ready: 1 });
    await expect(other().queue(called, { maxLength: 11 }).size()).rejects.toMatchObject({
      code: 'ML_QUEUE_DIFFERS',
      message: expect.stringContaining('x-max-length'),
    });
    // The channel that was closed by the refusal is no obstacle to the next.
    expect(await other().queue(called, { maxLength: 10, keyOrdered: true }).size()).toBe(1);
  });

  test('refuses a message that is too large, and no other one with it', async () => {
    const jobs = millrace().queue(name('jobs'), { value: 'bytes' });
    const [large, ...others] = await Promise.allSettled([
      jobs.enqueue(Buffer.alloc(16 * 1024 * 1024 + 1)),
      ...[1, 2, 3].map((byte) => jobs.enqueue(Buffer.of(byte))),
      jobs.enqueue(Buffer.of(4), { id: 'x'.repeat(256) }),
    ]);
    expect(large).toMatchObject({
      reason: { code: 'ML_SINK_VALUE_INVALID', message: expect.stringContaining('16777216') },
    });
    expect(others.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
    ]);
    expect(others[3]).toMatchObject({ reason: { code: 'ML_SINK_VALUE_INVALID' } });
    expect(await jobs.size()).toBe(3);
  });

  test('gives higher priorities first, and delayed ones later', async () => {
    const jobs = millrace().queue(name('jobs'), { value: 'string' });
    await jobs.enqueue('low');
    await jobs.enqueue('high', { priority: 7 });
    await jobs.enqueue('tomorrow', { delay: '1 day', priority: 10 });
    expect(await jobs.stats()).toMatchObject({ ready: 2, delayed: 1 });
    const sentMs = Date.now();
    await jobs.enqueue('delayed', { delay: '100ms', priority: 10 });
    const seen: string[] = [];
    let delayMs = 0;
    await using worker = jobs.work((value) => {
      if (value === 'delayed') delayMs = Date.now() - sentMs;
      else seen.push(value);
    });
    await handled(worker, 3);
    expect(seen).toEqual(['high', 'low']);
    expect(delayMs).toBeGreaterThanOrEqual(100);
  });

  test('keeps a dedupe key once, and a key in order', async () => {
    const jobs = millrace().queue(name('jobs'), {
      value: json<Job>(),
      dedupe: '1 hour',
      keyOrdered: true,
    });
    await jobs.enqueue({ n: 0 }, { dedupeKey: 'a' });
    await jobs.enqueue({ n: 0 }, { dedupeKey: 'a' });
    expect(await jobs.size()).toBe(1);
    expect(await jobs.purge()).toBe(1);
    await jobs.enqueueMany(
      Array.from({ length: 40 }, (_, n) => ({ value: { n }, key: `key ${n % 3}` })),
    );
    const running = new Set<string | undefined>();
    const seen = new Map<string | undefined, number[]>();
    let together = 0;
    await using worker = jobs.work(
      async ({ n }, { key, attempt }) => {
        expect(running.has(key)).toBe(false);
        running.add(key);
        together = Math.max(together, running.size);
        await turn();
        running.delete(key);
        if (n === 7 && attempt === 1) throw new Error('once more');
        seen.set(key, [...(seen.get(key) ?? []), n]);
      },
      { concurrency: 10, retry: { delay: 5 }, ...QUIET },
    );
    await handled(worker, 40);
    expect(together).toBe(3);
    for (const list of seen.values()) expect(list).toEqual(list.toSorted((a, b) => a - b));
  });

  test('takes no more than it may', async () => {
    const jobs = millrace().queue(name('jobs'), { maxLength: 2 });
    await jobs.enqueueMany([{ value: 1 }, { value: 2 }]);
    await expect(jobs.enqueue(3)).rejects.toMatchObject({ code: 'ML_QUEUE_FULL', retriable: true });
    expect(await jobs.size()).toBe(2);
    const latest = millrace().queue(name('latest'), { maxLength: 2, whenFull: 'drop-oldest' });
    await latest.enqueueMany([{ value: 1 }, { value: 2 }, { value: 3 }]);
    await until(async () => (await latest.size()) === 2);
    expect(await latest.dead.list()).toMatchObject([{ value: 1, reason: 'maxlen' }]);
  });

  test('refuses what cannot be a message, and sends nothing of it', async () => {
    const jobs = millrace().queue(name('jobs'), { value: bytes() });
    const wrong: unknown = 'text';
    await expect(jobs.enqueue(wrong as Buffer)).rejects.toMatchObject({
      code: 'ML_SINK_VALUE_INVALID',
    });
    await expect(
      jobs.enqueueMany([{ value: Buffer.from('a') }, { value: Buffer.from('b'), priority: 11 }]),
    ).rejects.toThrow(/its priority is 11/);
    expect(await jobs.size()).toBe(0);
  });

  test('puts what fails into its dead letters, from which it comes back', async () => {
    const jobs: Queue<Job> = millrace().queue(name('jobs'), { value: json<Job>() });
    await jobs.enqueue({ n: 1 }, { id: 'one' });
    let isBroken = true;
    const attempts: number[] = [];
    await using worker = jobs.work(
      (_, { attempt }) => {
        attempts.push(attempt);
        if (isBroken) throw new Error('broken');
      },
      { retry: { attempts: 3, delay: 10, jitter: 0 }, ...QUIET },
    );
    await until(async () => (await jobs.dead.size()) === 1);
    expect(attempts).toEqual([1, 2, 3]);
    const [first, ...others] = await jobs.dead.list({ limit: 10 });
    expect(first).toMatchObject({
      value: { n: 1 },
      id: 'one',
      reason: 'rejected',
      queue: jobs.name,
    });
    expect(first?.diedAt).toBeInstanceOf(Date);
    expect(others).toEqual([]);
    isBroken = false;
    expect(await jobs.dead.redrive()).toEqual({ moved: 1, skipped: 0 });
    await until(() => worker.stats().handled === 1);
    expect(await jobs.dead.size()).toBe(0);
    // As if it were new.
    expect(attempts).toEqual([1, 2, 3, 1]);
  });

  test('puts what nobody takes in time into its dead letters', async () => {
    const jobs: Queue<Job> = millrace().queue(name('jobs'), { value: json<Job>() });
    await jobs.enqueue({ n: 1 }, { expiresIn: 5 });
    await until(async () => (await jobs.dead.size()) === 1);
    expect(await jobs.dead.list()).toMatchObject([{ value: { n: 1 }, reason: 'expired' }]);
    expect(await jobs.dead.purge()).toBe(1);
  });

  test('drops what is refused where it has no dead letters', async () => {
    const jobs = millrace().queue(name('jobs'), { deadLetters: false });
    await jobs.enqueue(1);
    await using worker = jobs.work(() => {
      throw new DoNotRetry('no');
    }, QUIET);
    await handled(worker, 1);
    await until(async () => (await jobs.stats()).dropped === 1);
    expect(() => jobs.dead).toThrow(/has no dead letters/);
  });

  test('gives what a worker had to another one, when that stops in the middle', async () => {
    const jobs = millrace().queue(name('jobs'), { value: json<Job>() });
    await jobs.enqueueMany([{ value: { n: 1 } }, { value: { n: 2 } }]);
    const started: number[] = [];
    const first = jobs.work(
      ({ n }, { signal }) => {
        started.push(n);
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        });
      },
      { concurrency: 2, ...QUIET },
    );
    await until(() => started.length === 2);
    await first.stop({ within: 0 });
    const seen: (readonly [number, number])[] = [];
    await using second = jobs.work(({ n }, { attempt }) => seen.push([n, attempt]));
    await handled(second, 2);
    expect(seen).toEqual([
      [1, 2],
      [2, 2],
    ]);
  });

  test('can be deleted while it is worked on, which the worker is told; and is made anew', async () => {
    const called = name('jobs');
    const jobs = millrace().queue(called);
    await using worker = jobs.work(() => {});
    await worker.ready;
    await millrace().admin.deleteTopic(`queue.${called}`);
    await expect(worker.done).rejects.toMatchObject({ code: 'ML_QUEUE_MISSING' });
    await jobs.enqueue('again');
    expect(await jobs.size()).toBe(1);
  });

  test('is a topic: what is produced there is enqueued, and what was enqueued is read there', async () => {
    const place = queue(name('jobs'), { value: json<Job>() });
    const jobs = millrace().queue(place);
    await jobs.enqueue({ n: 1 });
    await millrace().produce(topic(place.topic, { value: json<Job>() }), {
      value: { n: 2 },
      key: 'k',
    });
    const seen: number[] = [];
    await using worker = jobs.work(({ n }) => seen.push(n));
    await handled(worker, 2);
    expect(seen).toEqual([1, 2]);
    const read: unknown[] = [];
    for await (const { value } of millrace().consume(place.topic, { until: 'now' }))
      read.push(value);
    expect(read).toEqual(['{"n":1}', '{"n":2}']);
  });
});

import { describe, expect, test } from 'vitest';
import { OrderedQueue, type OrderedWork } from './ordered-queue.ts';

/** A queue over a function that the test settles by hand. */
function setUp(concurrency: number) {
  const calls: {
    value: unknown;
    resolve: (result: unknown) => void;
    reject: (e: Error) => void;
  }[] = [];
  const out: unknown[] = [];
  const state = { time: 0, origin: 0 as unknown, wakes: 0 };
  const work: OrderedWork = {
    start(value) {
      if (typeof value === 'string') return value.toUpperCase();
      if (value === undefined) throw new Error('no value');
      return new Promise((resolve, reject) => calls.push({ value, resolve, reject }));
    },
    deliver: (result, _value, key, time) =>
      out.push({ result, key, time, T: queue.timeBehind, origin: state.origin }),
    failed: (error, value) =>
      out.push({ error: (error as Error).message, value, origin: state.origin }),
  };
  const context = {
    time: () => state.time,
    wake: () => {
      state.wakes++;
    },
    origin: () => state.origin,
    setOrigin: (origin: unknown) => {
      state.origin = origin;
    },
  };
  const queue: OrderedQueue = new OrderedQueue({ work, context, concurrency });
  const push = (value: unknown, time: number): void => {
    state.time = time;
    state.origin = time;
    queue.push(value, 'k', time, undefined);
  };
  return { queue, push, calls, out, state };
}

const settled = (): Promise<void> => new Promise((resolve) => queueMicrotask(resolve));

describe('what is no promise', () => {
  test('comes out at once when nothing waits', () => {
    const { push, out, queue } = setUp(2);
    push('a', 1);
    push(undefined, 2);
    expect(out).toEqual([
      { result: 'A', key: 'k', time: 1, T: Infinity, origin: 1 },
      { error: 'no value', value: undefined, origin: 2 },
    ]);
    expect(queue.pending).toBe(0);
  });

  test('waits behind a promise, failures too', async () => {
    const { push, out, queue, calls } = setUp(4);
    push(1, 1);
    push('a', 2);
    push(undefined, 3);
    queue.resume();
    expect(out).toEqual([]);
    calls[0]?.resolve('one');
    await settled();
    queue.resume();
    expect(out).toEqual([
      { result: 'one', key: 'k', time: 1, T: 1, origin: 1 },
      { result: 'A', key: 'k', time: 2, T: 2, origin: 2 },
      { error: 'no value', value: undefined, origin: 3 },
    ]);
    expect(queue.timeBehind).toBe(Infinity);
  });
});

describe('promises', () => {
  test('settle in any order, come out in that of the records, never before resume', async () => {
    const { push, out, queue, calls, state } = setUp(3);
    push(1, 1);
    push(2, 2);
    push(3, 3);
    expect(queue.isFull).toBe(true);
    expect(queue.timeBehind).toBe(-Infinity);
    calls[2]?.resolve('three');
    await settled();
    expect(state.wakes).toBe(0);
    calls[0]?.resolve('one');
    await settled();
    expect(state.wakes).toBe(1);
    expect(out).toEqual([]);
    queue.resume();
    expect(out).toEqual([{ result: 'one', key: 'k', time: 1, T: 1, origin: 1 }]);
    expect(queue.timeBehind).toBe(1);
    expect(queue.pending).toBe(2);
    calls[1]?.reject(new Error('two'));
    await settled();
    queue.resume();
    expect(out.slice(1)).toEqual([
      { error: 'two', value: 2, origin: 2 },
      { result: 'three', key: 'k', time: 3, T: 3, origin: 3 },
    ]);
    expect(queue.pending).toBe(0);
  });

  test('no more calls run than may; the next begins when one ends', async () => {
    const { push, out, queue, calls } = setUp(2);
    for (let n = 1; n <= 5; n++) push(n, n);
    expect(calls.map(({ value }) => value)).toEqual([1, 2]);
    calls[1]?.resolve('two');
    await settled();
    expect(calls.map(({ value }) => value)).toEqual([1, 2, 3]);
    for (const index of [0, 2, 3, 4]) {
      calls[index]?.resolve(index + 1);
      await settled();
    }
    queue.resume();
    expect(out.map((each) => (each as { result: unknown }).result)).toEqual([1, 'two', 3, 4, 5]);
  });

  test('a promise that calls back at once, or throws when it is asked, changes nothing', async () => {
    const out: unknown[] = [];
    // oxlint-disable-next-line unicorn/no-thenable -- as query builders are
    const foreign = (then: (resolve: (value: unknown) => void) => void) => ({ then });
    const work: OrderedWork = {
      start: (value) => value,
      deliver: (result) => out.push(result),
      failed: (error) => out.push((error as Error).message),
    };
    const queue = new OrderedQueue({
      work,
      context: { time: () => 0, wake: () => {}, origin: () => 0, setOrigin: () => {} },
      concurrency: 1,
    });
    queue.push(
      foreign((resolve) => resolve('first')),
      'k',
      0,
      undefined,
    );
    queue.push(
      foreign(() => {
        throw new Error('second');
      }),
      'k',
      0,
      undefined,
    );
    queue.push('third', 'k', 0, undefined);
    expect(out).toEqual([]);
    await settled();
    await settled();
    await settled();
    await settled();
    queue.resume();
    expect(out).toEqual(['first', 'second', 'third']);
    expect(queue.pending).toBe(0);
  });

  test('after close nothing comes out, starts or wakes', async () => {
    const { push, out, queue, calls, state } = setUp(1);
    push(1, 1);
    push(2, 2);
    queue.close();
    calls[0]?.resolve('one');
    await settled();
    queue.resume();
    expect(out).toEqual([]);
    expect(state.wakes).toBe(0);
    expect(calls).toHaveLength(1);
    expect(queue.pending).toBe(0);
  });
});

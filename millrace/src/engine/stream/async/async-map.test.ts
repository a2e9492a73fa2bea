import { describe, expect, test } from 'vitest';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import type { AsyncMapNode } from '../../../flow/stream-nodes.ts';
import { createAsyncMap } from './async-map.ts';

interface Call {
  readonly value: unknown;
  readonly signal: AbortSignal;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** An operator whose calls the test settles. */
function setUp(settings: Partial<AsyncMapNode> = {}) {
  const calls: Call[] = [];
  const node: AsyncMapNode = {
    id: 1,
    name: 'rates',
    inputs: [0],
    kind: 'asyncMap',
    fn: (value, _key, signal) =>
      new Promise((resolve, reject) => calls.push({ value, signal, resolve, reject })),
    concurrency: 2,
    timeoutMs: 1_000,
    attempts: 1,
    keepsKey: true,
    ...settings,
  };
  const harness = new OperatorHarness(node, createAsyncMap);
  return { harness, calls, values: () => harness.take().map(({ value }) => value) };
}

/** All promises that can go on have gone on. */
async function settled(harness: OperatorHarness): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  harness.operator.resume?.();
}

test('a result that is no promise goes on at once, with or without its key', () => {
  const fn = (value: unknown): unknown => `${String(value)}!`;
  const { harness } = setUp({ fn });
  harness.send('k', 'a', 5);
  expect(harness.take()).toEqual([{ key: 'k', value: 'a!', time: 5, old: undefined }]);
  const other = setUp({ fn, keepsKey: false });
  other.harness.send('k', 'a', 5);
  expect(other.harness.take()).toMatchObject([{ key: undefined, value: 'a!' }]);
});

test('results come out in the order of the records; it is full when as many wait as may', async () => {
  const { harness, calls, values } = setUp();
  harness.send('k', 1, 1).send('k', 2, 2);
  expect(harness.operator.isFull).toBe(true);
  harness.send('k', 3, 3);
  expect(calls).toHaveLength(2);
  calls[1]?.resolve('two');
  await settled(harness);
  expect(values()).toEqual([]);
  expect(harness.operator.timeBehind).toBe(Number.NEGATIVE_INFINITY);
  expect(calls).toHaveLength(3);
  calls[0]?.resolve('one');
  await settled(harness);
  expect(values()).toEqual(['one', 'two']);
  expect(harness.operator.timeBehind).toBe(2);
  calls[2]?.resolve('three');
  await settled(harness);
  expect(values()).toEqual(['three']);
  expect(harness.operator.pending).toBe(0);
  expect(harness.operator.timeBehind).toBe(Number.POSITIVE_INFINITY);
});

describe('timeouts', () => {
  test('the signal fires, the record fails, and a late answer is not heard', async () => {
    const { harness, calls, values } = setUp();
    harness.send('k', 1, 1).send('k', 2, 2).tick(999);
    await settled(harness);
    expect(harness.failures).toEqual([]);
    calls[1]?.resolve('two');
    await settled(harness);
    harness.tick(1_000);
    await settled(harness);
    expect(calls[0]?.signal.aborted).toBe(true);
    expect(calls[0]?.signal.reason).toMatchObject({ code: 'ML_ASYNC_TIMEOUT' });
    expect(calls[1]?.signal.aborted).toBe(false);
    expect(harness.failures).toMatchObject([
      { record: 1, key: 'k', error: { code: 'ML_ASYNC_TIMEOUT' } },
    ]);
    expect(String(harness.failures[0]?.error)).toContain('operator "rates"');
    calls[0]?.resolve('one');
    await settled(harness);
    expect(values()).toEqual(['two']);
  });

  test('a call that has ended keeps no timer', async () => {
    const { harness, calls } = setUp();
    harness.send('k', 1, 1);
    expect(harness.timers.count).toBe(1);
    calls[0]?.resolve('one');
    await settled(harness);
    expect(harness.timers.count).toBe(0);
  });
});

describe('attempts', () => {
  test('pauses double; the last error is the one', async () => {
    const { harness, calls } = setUp({ attempts: 3 });
    harness.send('k', 1, 1);
    calls[0]?.reject(new Error('first'));
    await settled(harness);
    harness.tick(99);
    await settled(harness);
    expect(calls).toHaveLength(1);
    harness.tick(100);
    await settled(harness);
    expect(calls).toHaveLength(2);
    calls[1]?.reject(new Error('second'));
    await settled(harness);
    harness.tick(299);
    await settled(harness);
    expect(calls).toHaveLength(2);
    harness.tick(300);
    await settled(harness);
    calls[2]?.reject(new Error('third'));
    await settled(harness);
    expect(harness.failures).toMatchObject([{ record: 1, error: { message: 'third' } }]);
  });

  test('each has its own time and its own signal', async () => {
    const { harness, calls, values } = setUp({ attempts: 2 });
    harness.send('k', 1, 1).tick(1_000);
    await settled(harness);
    harness.tick(1_100);
    await settled(harness);
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    harness.tick(2_099);
    calls[1]?.resolve('one');
    await settled(harness);
    expect(values()).toEqual(['one']);
    expect(harness.failures).toEqual([]);
  });

  test('what throws before it returns a promise is tried again, too', async () => {
    let tries = 0;
    const { harness, values } = setUp({
      attempts: 2,
      fn: (value) => {
        if (++tries === 1) throw new Error('not yet');
        return value;
      },
    });
    harness.send('k', 1, 1);
    await settled(harness);
    harness.tick(100);
    await settled(harness);
    expect(values()).toEqual([1]);
  });

  test('with one attempt it fails at once', () => {
    const { harness } = setUp({
      fn: () => {
        throw new Error('no');
      },
    });
    harness.send('k', 1, 1);
    expect(harness.failures).toMatchObject([{ record: 1, error: { message: 'no' } }]);
    expect(harness.operator.pending).toBe(0);
  });
});

test('at the end signals fire, timers are gone, and nothing comes out, fails or begins', async () => {
  const { harness, calls, values } = setUp({ attempts: 3, concurrency: 1 });
  harness.send('k', 1, 1).send('k', 2, 2);
  harness.operator.close();
  expect(calls[0]?.signal.reason).toMatchObject({ code: 'ML_ABORTED' });
  expect(harness.timers.count).toBe(0);
  calls[0]?.reject(new Error('ended'));
  await settled(harness);
  harness.tick(10_000);
  await settled(harness);
  expect(calls).toHaveLength(1);
  expect(values()).toEqual([]);
  expect(harness.failures).toEqual([]);
  expect(harness.wakes).toBe(0);
});

test('in a pause between tries it can end, too', async () => {
  const { harness, calls } = setUp({ attempts: 3 });
  harness.send('k', 1, 1);
  calls[0]?.reject(new Error('first'));
  await settled(harness);
  expect(harness.timers.count).toBe(1);
  harness.operator.close();
  expect(harness.timers.count).toBe(0);
});

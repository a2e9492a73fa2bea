import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { Holder, type HeldDelivery } from './held-delivery.ts';
import { KeptMessages } from './kept-messages.ts';
import { LogRuns, type LogRunsOptions } from './log-runs.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** How many are in memory still, when garbage was collected. */
async function remaining(refs: readonly WeakRef<object>[]): Promise<number> {
  // What a WeakRef has given, or was made of, stays until the turn ends.
  await turn();
  collect();
  return refs.filter((ref) => ref.deref() !== undefined).length;
}

test('appended runs that were passed leave the memory, while others are still wanted', async () => {
  const runs = new LogRuns({ log: {} } as unknown as LogRunsOptions);
  const refs: WeakRef<object>[] = [];
  const append = (offset: number): void => {
    const data = Buffer.allocUnsafeSlow(1000);
    refs.push(new WeakRef(data));
    runs.add(offset, offset + 1, data);
  };
  for (let offset = 0; offset < 100; offset++) append(offset);
  expect(await remaining(refs)).toBe(100);
  runs.passed(98);
  // The engine may have one or two in its registers.
  expect(await remaining(refs)).toBeLessThan(7);
  expect(runs.bytes).toBe(2000);
  expect([97, 98, 99].map((offset) => runs.find(offset)?.first)).toEqual([undefined, 98, 99]);
});

test('deliveries that were settled leave the memory, while others are still out', async () => {
  const kept = new KeptMessages();
  const holder = new Holder(undefined);
  const refs: WeakRef<object>[] = [];
  const deliver = (offset: number): void => {
    const delivery = { offset, bodyBytes: 10, deliveredBytes: 0 } as unknown as HeldDelivery;
    holder.add(delivery);
    kept.add(delivery);
    refs.push(new WeakRef(delivery));
  };
  const settleOldest = (): void => {
    if (holder.oldest !== undefined) holder.remove(holder.oldest);
  };
  for (let offset = 0; offset < 100; offset++) deliver(offset);
  expect(await remaining(refs)).toBe(100);
  for (let count = 0; count < 90; count++) settleOldest();
  kept.trim();
  // The engine may have one or two in its registers.
  expect(await remaining(refs)).toBeLessThan(15);
  expect(holder.count).toBe(10);
});

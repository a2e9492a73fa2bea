/** Queues through power cuts. `MILLRACE_SEED=n` replays one seed. */
import { expect, test } from 'vitest';
import { QueueCrash } from '../../../test/queues/queue-crash.ts';

const SEEDS = 24;

test('nothing confirmed is lost, and nothing comes twice without a word, whatever happens', async () => {
  const only = process.env['MILLRACE_SEED'];
  const seeds =
    only === undefined ? Array.from({ length: SEEDS }, (_, seed) => seed + 1) : [Number(only)];
  const sum = { cuts: 0, confirmed: 0, redelivered: 0, acked: 0, bytesFreed: 0 };
  for (const seed of seeds) {
    try {
      const report = await new QueueCrash(seed).run();
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += report[key];
    } catch (error) {
      throw new Error(`seed ${seed}: MILLRACE_SEED=${seed} npx vitest run queue-crash`, {
        cause: error,
      });
    }
  }
  if (only !== undefined) return;
  // The runs did what they are for.
  expect(sum.cuts).toBeGreaterThan(SEEDS);
  for (const count of [sum.confirmed, sum.redelivered, sum.acked, sum.bytesFreed])
    expect(count).toBeGreaterThan(SEEDS);
}, 60_000);

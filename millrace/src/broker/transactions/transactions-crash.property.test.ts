/** Transactions through power cuts. `MILLRACE_SEED=n` replays one seed. */
import { expect, test } from 'vitest';
import { runs } from '../../../test/runs.ts';
import { TransactionsCrash } from '../../../test/transactions/transactions-crash.ts';

const SEEDS = runs(40);

test('a transaction is in all of its partitions or in none, whatever happens in between', async () => {
  const only = process.env['MILLRACE_SEED'];
  const seeds =
    only === undefined ? Array.from({ length: SEEDS }, (_, seed) => seed + 1) : [Number(only)];
  const sum = { cuts: 0, committed: 0, aborted: 0, unknown: 0, fenced: 0 };
  for (const seed of seeds) {
    try {
      const report = await new TransactionsCrash(seed).run();
      for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += report[key];
    } catch (error) {
      throw new Error(`seed ${seed}: MILLRACE_SEED=${seed} npx vitest run transactions-crash`, {
        cause: error,
      });
    }
  }
  if (only !== undefined) return;
  // The runs did what they are for.
  expect(sum.cuts).toBeGreaterThan(SEEDS);
  for (const count of [sum.committed, sum.aborted, sum.unknown, sum.fenced])
    expect(count).toBeGreaterThan(SEEDS);
}, 120_000);

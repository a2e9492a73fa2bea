/** `MILLRACE_SEED=n` replays one seed, `MILLRACE_SEEDS=n` runs that many. */
import { expect, test } from 'vitest';
import { StateCrash } from '../../../../test/queues/state-crash.ts';

const SEEDS = Number(process.env['MILLRACE_SEEDS'] ?? 12);
const FIRST_SEED = Number(process.env['MILLRACE_SEED'] ?? 1);

test('what was settled and flushed stays settled, and nothing else is, whenever the machine stops', async () => {
  const count = process.env['MILLRACE_SEED'] === undefined ? SEEDS : 1;
  const totals = { cuts: 0, flushed: 0, truncations: 0, checks: 0 };
  for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed++) {
    const report = await new StateCrash(seed).run().catch((error: unknown) => {
      throw new Error(`replay with MILLRACE_SEED=${seed}`, { cause: error });
    });
    totals.cuts += report.cuts;
    totals.flushed += report.flushed;
    totals.truncations += report.truncations;
    totals.checks += report.checks;
  }
  expect(totals.cuts).toBeGreaterThan(count);
  expect(totals.checks).toBeGreaterThan(count * 2);
  expect(totals.flushed).toBeGreaterThan(count * 4);
  if (count > 1) expect(totals.truncations).toBeGreaterThan(0);
});

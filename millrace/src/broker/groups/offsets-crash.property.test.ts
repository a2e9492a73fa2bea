/** `MILLRACE_SEED=n` replays one seed, `MILLRACE_SEEDS=n` runs that many. */
import { expect, test } from 'vitest';
import { OffsetsCrash } from '../../../test/groups/offsets-crash.ts';

const SEEDS = Number(process.env['MILLRACE_SEEDS'] ?? 12);
const FIRST_SEED = Number(process.env['MILLRACE_SEED'] ?? 1);

test('committed offsets outlive power cuts, kills and compaction of the real log', async () => {
  const count = process.env['MILLRACE_SEED'] === undefined ? SEEDS : 1;
  let cuts = 0;
  let acknowledged = 0;
  let compacted = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + count; seed += 1) {
    const report = await new OffsetsCrash(seed).run().catch((error: unknown) => {
      throw new Error(`replay with MILLRACE_SEED=${seed}`, { cause: error });
    });
    cuts += report.cuts;
    acknowledged += report.acknowledged;
    if (report.segmentsCompacted) compacted += 1;
  }
  expect(cuts).toBeGreaterThan(count);
  expect(compacted).toBeGreaterThan(0);
  expect(acknowledged).toBeGreaterThan(count * 50);
});

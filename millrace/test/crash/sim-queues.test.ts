/**
 * Queues on the simulated machine: a broker that loses power, or is killed, at any step, also while it starts, with producers and workers
 * on all kinds of queues. What was confirmed is accepted by somebody or still there, what comes twice is flagged, what was settled stays so.
 *
 * `MILLRACE_SEED=123 npx vitest run millrace/test/crash/sim-queues.test.ts` runs that seed alone.
 */
import { expect, test } from 'vitest';
import { runs } from '../runs.ts';
import { queueCrashRun, queueFailureOf } from './sim-queues.ts';

/** How long the run goes on beginning new seeds, and how many there are, however slow the machine is. */
const BUDGET_MS = runs(2_500);
const SEEDS_MIN = 12;
const only = process.env['MILLRACE_SEED'];

test.runIf(only !== undefined)('the seed that was asked for', async () => {
  expect(queueFailureOf(await queueCrashRun({ seed: Number(only) }))).toBe('');
});

test.skipIf(only !== undefined)('the same seed twice gives the same trace', async () => {
  const first = await queueCrashRun({ seed: 3 });
  const second = await queueCrashRun({ seed: 3 });
  const other = await queueCrashRun({ seed: 4 });
  expect(second.traceHash).toBe(first.traceHash);
  expect(other.traceHash).not.toBe(first.traceHash);
});

test.skipIf(only !== undefined)(
  'no confirmed message is lost, whatever the machine does',
  async () => {
    const began = performance.now();
    const totals: Record<string, number> = { seeds: 0, powerCuts: 0, kills: 0, cutsDuringStart: 0 };
    const failures: string[] = [];
    for (let seed = 1; failures.length < 3; seed++) {
      if (seed > SEEDS_MIN && performance.now() - began > BUDGET_MS) break;
      const { powerCuts, kills, cutsDuringStart, counts, ...run } = await queueCrashRun({ seed });
      const sums = { seeds: 1, powerCuts, kills, cutsDuringStart, ...counts };
      for (const [name, count] of Object.entries(sums)) totals[name] = (totals[name] ?? 0) + count;
      const failure = queueFailureOf({ powerCuts, kills, cutsDuringStart, counts, ...run });
      if (failure !== '') failures.push(failure);
    }
    process.stdout.write(`simulated crashes of queues: ${JSON.stringify(totals)}\n`);
    expect(failures).toEqual([]);
    // The test would pass without queues if nothing happened in it.
    for (const name of ['powerCuts', 'kills', 'cutsDuringStart'])
      expect(totals[name]).toBeGreaterThan(2);
    for (const name of ['confirmed', 'accepted', 'redelivered', 'rejected', 'left'])
      expect(totals[name]).toBeGreaterThan(50);
  },
  BUDGET_MS * 20,
);

/**
 * Reclaiming against a naive oracle, over random logs: plain, idempotent and transactional producers, commits, aborts and open
 * transactions, records settled in any order, in segments of any shape, reclaimed again and again, with restarts and power cuts between.
 *
 * Whatever is live is there, byte by byte at its offset; nothing else turns up; and a consumer that reads committed records by the rules
 * of the protocol never sees an aborted one, though markers have gone.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { openOne } from '../../test/log/fixture.ts';
import { perform, PRODUCERS, ReclaimRun } from '../../test/log/reclaim-run.ts';

const write = fc.record({
  kind: fc.constant('write' as const),
  // Mostly in transactions.
  producer: fc.oneof(fc.nat(PRODUCERS - 1), fc.integer({ min: 3, max: PRODUCERS - 1 })),
  count: fc.integer({ min: 1, max: 5 }),
  compress: fc.boolean(),
});
const end = fc.record({
  kind: fc.constant('end' as const),
  producer: fc.integer({ min: 3, max: PRODUCERS - 1 }),
  commit: fc.boolean(),
});
const settle = fc.record({
  kind: fc.constant('settle' as const),
  from: fc.nat(1000),
  count: fc.integer({ min: 1, max: 60 }),
  step: fc.constantFrom(1, 1, 1, 2, 3),
});
const reclaim = fc.record({
  kind: fc.constant('reclaim' as const),
  trim: fc.boolean(),
  below: fc.constantFrom(1, 1, 0.9, 0.5),
});
const crash = fc.record({ kind: fc.constant('crash' as const), steps: fc.nat(60) });
const restart = fc.record({
  kind: fc.constant('restart' as const),
  how: fc.constantFrom('close' as const, 'kill' as const),
});
const commands = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: write },
    { weight: 5, arbitrary: end },
    { weight: 5, arbitrary: settle },
    { weight: 3, arbitrary: reclaim },
    { weight: 1, arbitrary: restart },
    { weight: 1, arbitrary: crash },
  ),
  { minLength: 20, maxLength: 90 },
);

test('what is live stays as it is, and what was aborted unseen', async () => {
  let freedBytes = 0;
  await fc.assert(
    fc.asyncProperty(commands, fc.constantFrom(1024, 1500, 4096), async (list, segmentBytes) => {
      const config = { segmentBytes, cleanupDelete: false };
      const run = new ReclaimRun(await openOne(config), config);
      for (const command of list) await perform(run, command);
      for (const producer of run.transactions.keys()) run.end(producer, true);
      await run.check();
      // All of it settled: next to nothing is left, although nothing was deleted from the start.
      run.settle({ kind: 'settle', from: 0, count: Infinity, step: 1 });
      run.log.roll();
      await run.durable();
      // A marker whose transaction began in another group goes when the two have been joined.
      for (let round = 0; round < 4; round++) await run.reclaim(false);
      await run.check();
      await run.checkProducers();
      const records = run.written.length;
      expect(run.log.sizeBytes).toBeLessThan(800 + 70 * run.log.segments.length);
      if (records > 0) expect(run.log.segments.length).toBeLessThan(8);
      await run.opened.machine.run(run.opened.store.close());
      expect(run.opened.fatal).toEqual([]);
      freedBytes += run.freedBytes;
    }),
    { numRuns: 40 },
  );
  expect(freedBytes).toBeGreaterThan(50_000);
});

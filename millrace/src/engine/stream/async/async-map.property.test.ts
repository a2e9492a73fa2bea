import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OperatorHarness } from '../../../../test/stream/operator-harness.ts';
import type { AsyncMapNode } from '../../../flow/stream-nodes.ts';
import { createAsyncMap } from './async-map.ts';

const TIMEOUT_MS = 50;
/** All times are multiples of it: promises go on between two of them. */
const STEP_MS = 5;

/** What each try of a record does: how long it takes, and how it ends. */
const tries = fc.array(
  fc.record({
    ms: fc.integer({ min: 0, max: 16 }).map((steps) => steps * STEP_MS),
    end: fc.constantFrom('resolves', 'rejects', 'returns', 'throws'),
  }),
  { minLength: 3, maxLength: 3 },
);
type Try = { readonly ms: number; readonly end: string };

function outcomeOf(given: readonly Try[], attempts: number): string {
  for (const { ms, end } of given.slice(0, attempts)) {
    if (end === 'returns') return 'result';
    if (end === 'resolves' && ms < TIMEOUT_MS) return 'result';
  }
  const last = given[attempts - 1];
  return last?.end !== 'throws' && (last?.ms ?? 0) >= TIMEOUT_MS ? 'timeout' : 'failure';
}

test('each record has its outcome, in order; never more calls than may', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(tries, { maxLength: 12 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 3 }),
      async (records, concurrency, attempts) => {
        let running = 0;
        let runningMax = 0;
        const counts = new Map<number, number>();
        const node: AsyncMapNode = {
          id: 1,
          name: 'calls',
          inputs: [0],
          kind: 'asyncMap',
          fn: (value) => {
            const number = value as number;
            const count = counts.get(number) ?? 0;
            counts.set(number, count + 1);
            const { ms, end } = records[number]?.[count] ?? { ms: 0, end: 'returns' };
            if (end === 'returns') return number;
            if (end === 'throws') throw new Error('thrown');
            runningMax = Math.max(runningMax, ++running);
            return new Promise((resolve, reject) => {
              harness.timers.after(Math.min(ms, TIMEOUT_MS), () => running--);
              harness.timers.after(ms, () =>
                end === 'resolves' ? resolve(number) : reject(new Error('rejected')),
              );
            });
          },
          concurrency,
          timeoutMs: TIMEOUT_MS,
          attempts,
          keepsKey: true,
        };
        const harness: OperatorHarness = new OperatorHarness(node, createAsyncMap);
        let next = 0;
        for (
          let now = 0;
          now < 100_000 && (next < records.length || harness.operator.pending > 0);
        ) {
          while (next < records.length && !harness.operator.isFull) {
            harness.send('k', next, next);
            next++;
          }
          for (let turn = 0; turn < 20; turn++) await Promise.resolve();
          harness.operator.resume?.();
          now += STEP_MS;
          harness.tick(now);
        }
        const expected = records.map((given) => outcomeOf(given, attempts));
        const numbers = (outcome: (each: string) => boolean): number[] =>
          expected.flatMap((each, number) => (outcome(each) ? [number] : []));
        expect(harness.outputs.map(({ value }) => value)).toEqual(
          numbers((each) => each === 'result'),
        );
        expect(harness.failures.map(({ record }) => record)).toEqual(
          numbers((each) => each !== 'result'),
        );
        expect(
          harness.failures.map(({ error }) => (error as { code?: string }).code !== undefined),
        ).toEqual(expected.filter((each) => each !== 'result').map((each) => each === 'timeout'));
        expect(harness.operator.pending).toBe(0);
        expect(runningMax).toBeLessThanOrEqual(concurrency);
      },
    ),
    { numRuns: 150 },
  );
});

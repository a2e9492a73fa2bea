/** A whole queue beside a naive one, through anything that may happen to it. `MILLRACE_SEED=n` replays one seed. */
import fc from 'fast-check';
import { test } from 'vitest';
import { type Draft, QueueRun, type Step } from '../../../test/queues/queue-run.ts';
import type { QueueSettings } from './queue.ts';

const draft: fc.Arbitrary<Draft> = fc.record({
  priority: fc.constantFrom(0, 0, 0, 1, 2, 9),
  key: fc.constantFrom(null, 1, 2),
  expiration: fc.constantFrom(undefined, undefined, undefined, '0', '2000', '7000'),
  delayMs: fc.constantFrom(0, 0, 0, 0, 3000),
});

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      drafts: fc.array(draft, { minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('foreign' as const),
      count: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('consume' as const),
      prefetch: fc.constantFrom(0, 1, 2, 5),
      noAck: fc.constantFrom(false, false, false, true),
      priority: fc.constantFrom(0, 0, 1),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      how: fc.constantFrom(
        'accept' as const,
        'accept' as const,
        'release' as const,
        'reject' as const,
      ),
      from: fc.nat({ max: 5 }),
      count: fc.integer({ min: 1, max: 4 }),
      delayMs: fc.constantFrom(0, 0, 0, 4000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'cancel' as const,
        'cancel' as const,
        'get' as const,
        'get' as const,
        'get' as const,
        'flush' as const,
        'forget' as const,
        'purge' as const,
        'restart' as const,
        'crash' as const,
      ),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.constantFrom(100, 1000, 5000, 10_000),
    }),
  },
);

const settings: fc.Arbitrary<Partial<QueueSettings>> = fc
  .record({
    maxPriority: fc.constantFrom(undefined, undefined, 3),
    messageTtlMs: fc.constantFrom(undefined, undefined, 5000),
    keyOrdered: fc.constantFrom(false, false, true),
    limit: fc.constantFrom(undefined, undefined, 4),
    overflow: fc.constantFrom('drop-head' as const, 'reject-publish' as const),
    deliveryLimit: fc.constantFrom(undefined, 2),
    deadLetterExchange: fc.constantFrom(undefined, 'dead', 'dead'),
    singleActiveConsumer: fc.boolean(),
  })
  .map(({ limit, ...rest }) => ({
    ...rest,
    // With keys the head may be blocked, and without dead letters nobody tells what a full queue loses.
    maxLength: rest.keyOrdered || rest.deadLetterExchange === undefined ? undefined : limit,
    maxPriority: rest.keyOrdered ? undefined : rest.maxPriority,
  }));

test('whatever happens to a queue, it is what a naive one would be', async () => {
  const seed = process.env['MILLRACE_SEED'];
  await fc.assert(
    fc.asyncProperty(
      settings,
      fc.array(step, { minLength: 5, maxLength: 40 }),
      async (given, steps) => {
        const run = new QueueRun(given);
        await run.all(steps);
      },
    ),
    { numRuns: 150, ...(seed === undefined ? {} : { seed: Number(seed) }) },
  );
}, 60_000);

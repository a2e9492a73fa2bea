/**
 * Workers through anything that may happen to them: handlers that throw, hang or come back late, connections that are cut, workers that stop
 * and start. Whatever that is, each message is handled in the end, or a dead letter, and nothing is said of a message twice.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { queue } from '../../../src/connect/queues/queue.ts';
import { silentLogger } from '../../../src/core/log.ts';
import { SimMachine } from '../../../src/core/sim/sim-machine.ts';
import { OpenQueue } from '../../../src/door/queues/open-queue.ts';
import { QueueLink } from '../../../src/door/queues/queue-link.ts';
import { DoNotRetry } from '../../../src/door/queues/retry.ts';
import { runs } from '../../runs.ts';
import { FakeQueues } from './fake-queues.ts';

const ATTEMPTS = 3;
const TIMEOUT_MS = 200;
/** Longer than a handler may take. */
const HANG_MS = 1_000;

const outcome = fc.constantFrom('done', 'later', 'throws', 'gives-up', 'hangs');
const scenario = fc.record({
  seed: fc.integer(),
  concurrency: fc.integer({ min: 1, max: 4 }),
  waiting: fc.integer({ min: 0, max: 3 }),
  /** Of each message, by attempt; after that it is handled. */
  messages: fc.array(fc.array(outcome, { maxLength: 4 }), { minLength: 1, maxLength: 12 }),
  disturbances: fc.array(
    fc.record({
      afterMs: fc.integer({ min: 0, max: 400 }),
      kind: fc.constantFrom('cut', 'stop', 'refuse'),
    }),
    { maxLength: 4 },
  ),
});

test('each message is handled in the end, or a dead letter, and settled once', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async ({ seed, messages, disturbances, ...options }) => {
      const machine = new SimMachine(seed);
      const env = machine.boot();
      const broker = new FakeQueues(env);
      const link = new QueueLink({ env, connect: broker.connect });
      const ground = { env, logger: silentLogger, link, onWorker: () => {} };
      const jobs = new OpenQueue(ground, queue('jobs').spec);
      const handled = new Map<unknown, number>();
      const calls = new Map<number, number>();
      const running = new Set<AbortSignal>();
      let most = 0;
      const work = (): ReturnType<OpenQueue['work']> =>
        jobs.work(
          async (value, { signal }) => {
            const n = Number(value);
            const call = calls.get(n) ?? 0;
            calls.set(n, call + 1);
            // Whoever is told that it is over does not count any more, though it may go on.
            running.add(signal);
            signal.addEventListener('abort', () => running.delete(signal));
            most = Math.max(most, running.size);
            const wanted = messages[n]?.[call] ?? 'done';
            if (wanted !== 'done') await env.timers.sleep(wanted === 'hangs' ? HANG_MS : 20);
            const isOver = signal.aborted;
            running.delete(signal);
            if (wanted === 'throws') throw new Error('once more');
            if (wanted === 'gives-up') throw new DoNotRetry('never');
            if (!isOver) handled.set(n, (handled.get(n) ?? 0) + 1);
          },
          {
            concurrency: options.concurrency,
            prefetch: options.concurrency + options.waiting,
            timeout: TIMEOUT_MS,
            retry: { attempts: ATTEMPTS, delay: 30 },
            onFailure: () => {},
          },
        );
      const play = async (): Promise<void> => {
        let worker = work();
        for (const n of messages.keys()) broker.put('jobs', n);
        for (const { afterMs, kind } of disturbances) {
          await env.timers.sleep(afterMs);
          if (kind === 'refuse') broker.refusals = 3;
          if (kind !== 'stop') broker.cut();
          else {
            await worker.stop({ within: 100 });
            running.clear();
            worker = work();
          }
        }
        const dead = (): number => broker.ready.get('jobs.dead')?.length ?? 0;
        while (handled.size + dead() < messages.length) await env.timers.sleep(20);
        await env.timers.sleep(2 * HANG_MS);
        await worker.stop();
      };
      await machine.run(play());
      expect(broker.stale).toBe(0);
      expect(broker.ready.get('jobs')).toEqual([]);
      expect(most).toBeLessThanOrEqual(options.concurrency);
      // What is in the dead letters was given up, or has failed as often as it may: and was not handled.
      expect(handled.size + (broker.ready.get('jobs.dead')?.length ?? 0)).toBe(messages.length);
      // More than once only where a connection was lost, or a worker has stopped, before the broker knew.
      const twice = [...handled.values()].filter((count) => count > 1);
      if (disturbances.length === 0) expect(twice).toEqual([]);
    }),
    { numRuns: runs(120) },
  );
});

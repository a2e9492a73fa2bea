/** What becomes of messages on their way into a queue whose connection can be lost at any point. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MessageOptions } from '../../../src/connect/queues/message-options.ts';
import { queue, type QueuePlace } from '../../../src/connect/queues/queue.ts';
import { silentLogger } from '../../../src/core/log.ts';
import { SimMachine } from '../../../src/core/sim/sim-machine.ts';
import { OpenQueue } from '../../../src/door/queues/open-queue.ts';
import { QueueLink } from '../../../src/door/queues/queue-link.ts';
import { FakeQueues } from './fake-queues.ts';
import { runs } from '../../runs.ts';

function withQueue(
  place: QueuePlace<unknown>,
  program: (jobs: OpenQueue, broker: FakeQueues) => Promise<void>,
  seed = 1,
): Promise<void> {
  const machine = new SimMachine(seed);
  const env = machine.boot();
  const broker = new FakeQueues(env);
  const link = new QueueLink({ env, connect: broker.connect });
  const ground = { env, logger: silentLogger, link, onWorker: () => {} };
  return machine.run(program(new OpenQueue(ground, place.spec), broker));
}

const plain = queue('jobs');
const deduping = queue('jobs', { dedupe: '1 hour' });

test('what may be in the queue, or not, is said so, and is not sent again', () =>
  withQueue(plain, async (jobs, broker) => {
    for (const how of ['before', 'after'] as const) {
      broker.cutOnPublish = how;
      await expect(jobs.enqueue(how, { dedupeKey: 'x' })).rejects.toMatchObject({
        code: 'ML_CONNECTION_LOST',
        retriable: true,
        message: expect.stringContaining('may have it, or not'),
      });
    }
    await jobs.enqueue('next');
    expect(broker.ready.get('jobs')).toHaveLength(2);
  }));

test('a message that the queue keeps once is sent again until it is there', () =>
  withQueue(deduping, async (jobs, broker) => {
    broker.cutOnPublish = 'before';
    broker.refusals = 3;
    await jobs.enqueue('a', { dedupeKey: 'a' });
    expect(broker.ready.get('jobs')).toHaveLength(1);
    broker.cutOnPublish = 'before';
    await expect(jobs.enqueue('b')).rejects.toMatchObject({ code: 'ML_CONNECTION_LOST' });
  }));

test('a broker that cannot be reached is given up after a while', () =>
  withQueue(plain, async (jobs, broker) => {
    broker.refusals = Infinity;
    await expect(jobs.enqueue('a')).rejects.toMatchObject({ code: 'ML_CONNECT_FAILED' });
    broker.refusals = 0;
    await jobs.enqueue('b');
  }));

test('a queue that was deleted meanwhile is made anew', () =>
  withQueue(plain, async (jobs, broker) => {
    await jobs.enqueue('a');
    broker.ready.delete('jobs');
    await jobs.enqueue('b');
    expect(broker.ready.get('jobs')).toHaveLength(1);
    expect([...broker.ready.keys()]).toEqual(['jobs.dead', 'jobs']);
  }));

test('a connection that is lost before anything was sent is made again', () =>
  withQueue(plain, async (jobs, broker) => {
    broker.cutOnDeclare = true;
    await jobs.enqueue('a');
    expect(broker.ready.get('jobs')).toHaveLength(1);
  }));

test('what is being opened when the link is closed is closed, too', async () => {
  const machine = new SimMachine(1);
  const env = machine.boot();
  const broker = new FakeQueues(env);
  let open: (() => void) | undefined;
  const link = new QueueLink({
    env,
    connect: async () => {
      await new Promise<void>((resolve) => {
        open = resolve;
      });
      return broker.connect();
    },
  });
  await machine.run(
    (async () => {
      for (const _ of [1, 2]) {
        const session = link.session({ waitMs: 1000 });
        await env.timers.sleep(1);
        if (broker.sessions.length === 0) {
          open?.();
          await session;
          broker.sessions[0]?.end(new Error('lost'));
        } else {
          session.catch(() => {});
          const closed = link.close();
          open?.();
          await closed;
          await expect(session).rejects.toMatchObject({ code: 'ML_ABORTED' });
        }
      }
    })(),
  );
  expect(broker.sessions.map(({ isOpen }) => isOpen)).toEqual([false, false]);
});

test('an option of a message that there is not is no message, and nothing is sent', () =>
  withQueue(plain, async (jobs, broker) => {
    const wrong = { dedupKey: 'a' } as MessageOptions;
    const refused = {
      code: 'ML_SINK_VALUE_INVALID',
      message: expect.stringContaining("it has no option 'dedupKey': did you mean 'dedupeKey'?"),
    };
    await expect(jobs.enqueue('a', wrong)).rejects.toMatchObject(refused);
    const both = jobs.enqueueMany([{ value: 'a' }, { value: 'b', ...wrong }]);
    await expect(both).rejects.toMatchObject(refused);
    expect(broker.ready.get('jobs') ?? []).toEqual([]);
  }));

test('more than may be under way wait, in their order, whatever is refused', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat({ max: 6 * 1024 * 1024 }), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer(),
      (sizes, lengthMax, seed) =>
        withQueue(
          queue('jobs', { value: 'bytes' }) as QueuePlace<unknown>,
          async (jobs, broker) => {
            broker.lengthMax = lengthMax;
            const results = await Promise.allSettled(
              sizes.map((size) => jobs.enqueue(Buffer.alloc(size))),
            );
            const kept = (broker.ready.get('jobs') ?? []).map(({ body }) => body.length);
            expect(kept).toEqual(sizes.slice(0, lengthMax));
            expect(results.map(({ status }) => status)).toEqual(
              sizes.map((_, index) => (index < lengthMax ? 'fulfilled' : 'rejected')),
            );
          },
          seed,
        ),
    ),
    { numRuns: runs(8) },
  );
});

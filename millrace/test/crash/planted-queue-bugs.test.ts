/**
 * The crash test of queues is itself tested: each of these bugs is planted into a broker that is sound, from outside, and has to be
 * noticed, by the name that says what went wrong.
 */
import { expect, test } from 'vitest';
import type { Broker } from '../../src/broker/broker.ts';
import type { Queue } from '../../src/broker/queues/queue.ts';
import { PLANTED_ENV, withFaults } from './faulty-env.ts';
import { type QueueCrashOptions, queueCrashRun } from './sim-queues.ts';

const SEEDS_MAX = 60;
const DURABLE = { durable: true };

/** The names of what the first seed that notices anything notices. */
async function noticed(options: Omit<QueueCrashOptions, 'seed'>): Promise<readonly string[]> {
  for (let seed = 1; seed <= SEEDS_MAX; seed++) {
    const run = await queueCrashRun({ ...options, seed });
    if (run.error !== undefined) throw run.error;
    if (run.anomalies.length > 0) return [...new Set(run.anomalies.map(({ name }) => name))];
  }
  return [];
}

/** Changes queues as soon as they are declared, or found. */
function planted(change: (queue: Queue, broker: Broker) => void): (broker: Broker) => void {
  return (broker) => {
    const vhost = broker.virtualHosts.get('/');
    if (vhost === undefined) throw new Error('there is no virtual host');
    const declare = vhost.declareQueue.bind(vhost);
    const changed = new Set<Queue>();
    vhost.declareQueue = async (...args) => {
      const declared = await declare(...args);
      if (declared.ok && !changed.has(declared.value.queue)) {
        changed.add(declared.value.queue);
        change(declared.value.queue, broker);
      }
      return declared;
    };
  };
}

test('a broker that confirms before it is durable', async () => {
  const plant = planted((queue) => {
    const append = queue.append.bind(queue);
    queue.append = (messages) => {
      const appended = append(messages);
      // What becomes of it nobody is told.
      appended.durable?.catch(() => {});
      return { ...appended, durable: undefined };
    };
  });
  expect(await noticed({ plant })).toContain('lost');
});

test('a broker whose journal is not on the disk when it confirms', async () => {
  const faults = PLANTED_ENV['acknowledges before the journal is on disk'];
  if (faults === undefined) throw new Error('the fault has another name');
  expect(await noticed({ wrapEnv: (env) => withFaults(env, faults) })).toContain('lost');
});

test('a broker whose state of queues is ahead of the log', async () => {
  const plant = planted((queue, broker) => {
    const append = queue.append.bind(queue);
    queue.append = (messages) => {
      const appended = append(messages);
      const log = broker.topics.get(queue.topic ?? '')?.partitions[0];
      // It has settled, before it is written, what comes next.
      if (log !== undefined && log.logEndOffset % 10 === 0) {
        const { logStartOffset, logEndOffset } = log;
        void broker.queueStates
          .open({ queueId: queue.id, partition: 0 }, { logStartOffset, logEndOffset }, DURABLE)
          .then((state) => state.settle(logEndOffset))
          .catch(() => {});
      }
      return appended;
    };
  });
  expect(await noticed({ plant })).toContain('lost');
});

test('a broker that settles before the dead letter is in its queue', async () => {
  const plant = planted((queue, broker) => {
    if (queue.name !== 'dead') return;
    const append = queue.append.bind(queue);
    queue.append = (messages) => {
      const copies = messages.map((message) => ({ ...message, body: Buffer.from(message.body) }));
      broker.env.timers.after(60, () => void append(copies));
      return { refused: [], reason: undefined, durable: undefined };
    };
  });
  expect(await noticed({ plant })).toContain('lost');
});

test('a broker that forgets what was settled', async () => {
  const plant = planted((queue) => {
    const settle = queue.settle.bind(queue);
    let count = 0;
    queue.settle = (deliveries, how, options) => {
      const isForgotten = how === 'accept' && count++ % 5 === 4;
      settle(deliveries, isForgotten ? 'release' : how, options);
    };
  });
  expect(await noticed({ plant })).toContain('delivered-after-accept');
});

test('a broker that does not say what it has delivered before', async () => {
  const plant = planted((queue) => {
    const consume = queue.consume.bind(queue);
    queue.consume = (consumer) => {
      const deliver = consumer.deliver.bind(consumer);
      consumer.deliver = (delivery) =>
        deliver(
          new Proxy(delivery, {
            get: (target, key) =>
              key === 'redelivered' ? false : (Reflect.get(target, key) as unknown),
          }),
        );
      return consume(consumer);
    };
  });
  expect(await noticed({ plant })).toContain('duplicate-not-flagged');
});

import { expect, test } from 'vitest';
import {
  createTopic,
  openSimBroker,
  produceValue,
  withSimBroker,
} from '../../test/kafka/sim-broker.ts';
import { CollectingLogger } from '../core/log.ts';
import { SimMachine, SimPowerCut } from '../core/sim/sim-machine.ts';
import type { Broker } from './broker.ts';
import { topicNameFault } from './topic-names.ts';
import type { NewTopic, Outcome } from './topics.ts';

function wanted(name: string, change: Partial<NewTopic> = {}): NewTopic {
  return { name, partitions: 1, overrides: {}, ...change };
}

test.each(['orders', 'a', 'A-b_c.9', '...', 'x'.repeat(249)])('%j is a legal name', (name) =>
  expect(topicNameFault(name)).toBeUndefined(),
);

test.each(['', '.', '..', 'a/b', 'a b', 'ä', 'a\n', 'x'.repeat(250)])(
  '%j is not a legal name',
  (name) => expect(topicNameFault(name)).toBeDefined(),
);

test('creation is refused for what Kafka refuses, and changes nothing', async () => {
  await withSimBroker(
    async (broker) => {
      const { topics } = broker;
      const before = topics.partitionCount;
      const errors = await Promise.all(
        [
          wanted('no/slash'),
          wanted('none', { partitions: 0 }),
          wanted('less', { partitions: -2 }),
          wanted('many', { partitions: 51 }),
          wanted('odd', { overrides: { 'no.such': '1' } }),
          wanted('__consumer_offsets'),
        ].map((request) => topics.create(request)),
      );
      expect(errors.map((outcome) => (outcome.ok ? 'created' : outcome.error))).toEqual([
        'INVALID_TOPIC_EXCEPTION',
        'INVALID_PARTITIONS',
        'INVALID_PARTITIONS',
        'POLICY_VIOLATION',
        'INVALID_CONFIG',
        'TOPIC_ALREADY_EXISTS',
      ]);
      expect(topics.partitionCount).toBe(before);
    },
    { 'millrace.max.partitions': 50 },
  );
});

test('concurrent creations of one name make one topic; concurrent ones of others keep the limit', async () => {
  await withSimBroker(
    async ({ topics }) => {
      const same = await Promise.all([1, 2, 3].map(() => topics.create(wanted('same'))));
      expect(same.filter((outcome) => outcome.ok)).toHaveLength(1);
      const got = await Promise.all([1, 2, 3].map(() => topics.getOrCreate('other')));
      expect(new Set(got.map((outcome) => (outcome.ok ? outcome.value.id : '?'))).size).toBe(1);
      const many = await Promise.all(
        Array.from({ length: 30 }, (_, index) => topics.create(wanted(`t${index}`))),
      );
      expect(many.some((outcome) => !outcome.ok)).toBe(true);
      expect(topics.partitionCount).toBeLessThanOrEqual(20);
    },
    { 'millrace.max.partitions': 20, 'num.partitions': 2 },
  );
});

test('a topic survives a restart with its id, partitions, configuration and records', async () => {
  await withSimBroker(async (first, env) => {
    const config = { 'retention.ms': '-1', 'cleanup.policy': 'compact,delete' };
    const { id } = await createTopic(first, 'orders', { partitions: 2, config });
    expect((await first.topics.addPartitions('orders', 3)).ok).toBe(true);
    const topic = first.topics.get('orders');
    if (topic === undefined) throw new Error('created');
    await produceValue(first, topic, 'kept', 2);
    await first.close();
    const second = await openSimBroker(env, { 'log.segment.bytes': 4096 });
    const again = second.topics.get('orders');
    expect(again).toMatchObject({ id, overrides: config, internal: false });
    expect(again?.partitions.map((log) => log.logEndOffset)).toEqual([0, 0, 1]);
    expect(again?.partitions[0]?.config).toMatchObject({
      retentionMs: -1,
      cleanupCompact: true,
      segmentBytes: 4096,
    });
    expect(second.clusterId).toBe(first.clusterId);
    expect(second.clusterId).toMatch(/^[\w-]{22}$/);
    await second.close();
  });
});

test('a deleted topic is gone for those that hold it, and its name makes another topic', async () => {
  await withSimBroker(async ({ topics }, env) => {
    await topics.create(wanted('orders'));
    const old = topics.get('orders');
    if (old === undefined) throw new Error('created');
    const told: string[] = [];
    topics.onDeleted((topic) => told.push(topic.id));
    const both = await Promise.all([topics.delete(old), topics.create(wanted('orders'))]);
    expect(both.every((outcome) => outcome.ok)).toBe(true);
    expect(old.deleted).toBe(true);
    expect(told).toEqual([old.id]);
    const fresh = topics.get('orders');
    expect(fresh?.id).not.toBe(old.id);
    // A late deletion of the old topic does not take the new one with it.
    expect((await topics.delete(old)).ok).toBe(false);
    expect(topics.get('orders')).toBe(fresh);
    expect(env.fs.list('/data/broker/topics')).not.toContain(old.id);
  });
});

test('a configuration that is altered is in force at once, and checked first', async () => {
  await withSimBroker(async ({ topics }) => {
    await topics.create(wanted('orders', { overrides: { 'retention.ms': '5' } }));
    const alter = (overrides: Record<string, string>, validateOnly = false) =>
      topics.alterConfig('orders', () => ({ ok: true, value: overrides }), { validateOnly });
    const log = topics.get('orders')?.partitions[0];
    expect((await alter({ 'retention.ms': '7' }, true)).ok).toBe(true);
    expect(log?.config.retentionMs).toBe(5);
    expect(await alter({ 'retention.ms': 'soon' })).toMatchObject({ error: 'INVALID_CONFIG' });
    expect(log?.config.retentionMs).toBe(5);
    expect((await alter({ 'segment.ms': '9' })).ok).toBe(true);
    expect(log?.config).toMatchObject({ retentionMs: 604_800_000, segmentMs: 9 });
  });
});

interface Known {
  readonly partitions: number;
  readonly retention: string | undefined;
}

/** What clients know of the topics, as they would describe it. */
type Model = Readonly<Record<string, Known>>;

const STEPS: readonly {
  readonly act: (broker: Broker) => Promise<Outcome<unknown>>;
  readonly after: Model;
}[] = [
  {
    act: ({ topics }) => topics.create(wanted('a', { partitions: 2 })),
    after: { a: { partitions: 2, retention: undefined } },
  },
  {
    act: ({ topics }) => topics.addPartitions('a', 4),
    after: { a: { partitions: 4, retention: undefined } },
  },
  {
    act: ({ topics }) =>
      topics.alterConfig('a', () => ({ ok: true, value: { 'retention.ms': '9' } }), {
        validateOnly: false,
      }),
    after: { a: { partitions: 4, retention: '9' } },
  },
  {
    act: ({ topics }) => {
      const topic = topics.get('a');
      if (topic === undefined) throw new Error('created');
      return topics.delete(topic);
    },
    after: {},
  },
  {
    act: ({ topics }) => topics.create(wanted('a')),
    after: { a: { partitions: 1, retention: undefined } },
  },
];

function modelOf(broker: Broker): Model {
  return Object.fromEntries(
    broker.topics
      .all()
      .filter((topic) => !topic.internal)
      .map((topic) => [
        topic.name,
        { partitions: topic.partitions.length, retention: topic.overrides['retention.ms'] },
      ]),
  );
}

/** Runs the steps until they end or the power goes; returns how many were acknowledged. */
async function runSteps(machine: SimMachine): Promise<number> {
  let acknowledged = 0;
  const env = machine.boot();
  const program = async (): Promise<void> => {
    const broker = await openSimBroker(env);
    for (const { act } of STEPS) {
      // A machine that is dying refuses before it stops.
      if (!(await act(broker)).ok) return;
      acknowledged++;
    }
  };
  try {
    await machine.run(program());
  } catch (error) {
    if (!(error instanceof SimPowerCut)) throw error;
  }
  return acknowledged;
}

test('whenever the power goes, acknowledged changes of topics are there and half ones are not', async () => {
  const whole = new SimMachine(3);
  await runSteps(whole);
  const total = whole.stepCount;
  expect(total).toBeGreaterThan(100);
  let cuts = 0;
  for (let step = 1; step <= total; step += 3) {
    const machine = new SimMachine(3);
    machine.cutAtStep(step);
    const acknowledged = await runSteps(machine);
    const logger = new CollectingLogger();
    const env = machine.reboot();
    await machine.run(
      (async () => {
        const broker = await openSimBroker(env, {}, logger);
        const found = modelOf(broker);
        const allowed = [STEPS[acknowledged - 1]?.after ?? {}, STEPS[acknowledged]?.after];
        expect(allowed, `cut at step ${step} after ${acknowledged} acks`).toContainEqual(found);
        await broker.close();
        // No log is left without a topic.
        const ids = new Set(broker.topics.all().map(({ id }) => id));
        const left = env.fs
          .list('/data/broker/topics')
          .filter((id) => !ids.has(id) && env.fs.list(`/data/broker/topics/${id}`).length > 0);
        expect(left).toEqual(['00000000-0000-0000-0000-000000000001']);
      })(),
    );
    cuts++;
  }
  expect(cuts).toBeGreaterThan(20);
});
